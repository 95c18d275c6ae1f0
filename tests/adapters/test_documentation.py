"""The examples of docs/library.md, *Frameworks*, run as they stand there, and each does what its section says."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

import headway
import headway.testing
from headway.embedded import Headway

PAGE = Path(__file__).parents[2] / "docs" / "library.md"

CONTRACTS = """
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1d}
workloads: {other: {}}
each: {key: tenant, count: 100}
ramp: [{stage: now, limit: 1}]
---
contract: partner-api
owner: team-web
constraint: {measure: rate, unit: request, per: 1d}
workloads: {other: {}}
ramp: [{stage: now, limit: 1}]
---
contract: orders-db
owner: team-shop
constraint: {measure: concurrency, unit: connection}
workloads: {checkout: {}, reporting: {}}
ramp: [{stage: now, limit: 1}]
---
contract: mails
owner: team-mail
constraint: {measure: rate, unit: mail, per: 1d}
workloads: {other: {}}
ramp: [{stage: now, limit: 1}]
"""


def sections() -> dict[str, str]:
    """The example of each framework, by its heading."""
    frameworks = PAGE.read_text(encoding="utf-8").split("\n## Frameworks\n")[1].split("\n## ")[0]
    found = re.findall(r"^### (\w+)\n+```python\n(.*?)^```", frameworks, re.MULTILINE | re.DOTALL)
    return dict(found)


def wsgi_is_refused_the_second_time(names: dict[str, Any]) -> None:
    client = httpx.Client(transport=httpx.WSGITransport(names["app"]), base_url="http://shop")
    assert [200, 429] == [client.get("/").status_code for _ in range(2)]


def fastapi_is_refused_the_second_time(names: dict[str, Any]) -> None:
    client = TestClient(names["app"])
    answers = [client.get("/orders", headers={"x-tenant": who}) for who in ("a", "b", "a")]
    assert [200, 200, 429] == [answer.status_code for answer in answers]


def grpc_is_refused_the_second_time(names: dict[str, Any]) -> None:
    server = names["server"]
    same = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop", {"same": same}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/shop/same")
            assert b"1" == call(b"1", metadata=[("tenant", "a")], timeout=30)
            with pytest.raises(grpc.RpcError):
                call(b"1", metadata=[("tenant", "a")], timeout=30)
    finally:
        server.stop(0).wait()


def httpx_is_refused_once_it_was_sent(names: dict[str, Any]) -> None:
    with names["client"] as client:
        # Nobody is there to be asked; that the demand was made is seen in the second one's refusal.
        with pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:1/")
        with pytest.raises(headway.Refused):
            client.get("http://127.0.0.1:1/")


def sqlalchemy_is_refused_while_a_connection_is_out(names: dict[str, Any]) -> None:
    engine = names["engine"]
    with engine.connect() as connection:
        assert 1 == connection.scalar(text("select 1"))
        with pytest.raises(headway.Refused):
            engine.connect()


def celery_is_refused_the_second_time(names: dict[str, Any]) -> None:
    send = names["send"]
    assert "sent to ana" == send("ana")
    with pytest.raises(headway.Refused):
        send("ana")


def opentelemetry_decides_as_before(names: dict[str, Any]) -> None:
    client = httpx.Client(transport=httpx.WSGITransport(names["app"]), base_url="http://shop")
    assert [200, 429] == [client.get("/").status_code for _ in range(2)]
    assert [True, False] == [bool(names["limiter"].try_acquire()) for _ in range(2)]


DOES: dict[str, Callable[[dict[str, Any]], None]] = {
    "WSGI": wsgi_is_refused_the_second_time,
    "FastAPI": fastapi_is_refused_the_second_time,
    "gRPC": grpc_is_refused_the_second_time,
    "httpx": httpx_is_refused_once_it_was_sent,
    "SQLAlchemy": sqlalchemy_is_refused_while_a_connection_is_out,
    "Celery": celery_is_refused_the_second_time,
    "OpenTelemetry": opentelemetry_decides_as_before,
}


@pytest.fixture
def hw() -> Iterator[Headway]:
    with headway.testing.open(CONTRACTS) as hw:
        yield hw


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@pytest.mark.parametrize("name", DOES)
def test_the_example_of_each_framework_runs(
    name: str, hw: Headway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run in an empty folder with `hw` opened, it refuses what it says it refuses."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"hw": hw, "app": hello}

    exec(compile(sections()[name], f"{PAGE.name}, {name}", "exec"), names)

    DOES[name](names)


def test_every_framework_has_an_example_and_a_line_in_the_table() -> None:
    """The headings are those that are tested, and each module stands in the table."""
    page = PAGE.read_text(encoding="utf-8")
    modules = (PAGE.parents[1] / "python" / "headway" / "adapters").glob("[a-z]*.py")

    assert set(DOES) == set(sections())
    assert [] == [module.stem for module in modules if f"| `headway.adapters.{module.stem}` |" not in page]
