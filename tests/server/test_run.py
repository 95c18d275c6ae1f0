"""A real server on a free port of loopback: streams, stopping, addresses that are taken, the tokens it makes."""

import json
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headway._core import Meters
from headway.engine.engine import Engine
from headway.server.access import read_token
from headway.server.problems import ServerError
from headway.server.run import Serving, serve_in_thread
from tests.server.conftest import CONTRACTS, World

FREE = "127.0.0.1:0"


def quiet(_: str) -> None:
    """Nobody reads what a server says in these tests."""


@pytest.fixture
def serving(world: World) -> Iterator[Serving]:
    serving = serve_in_thread(world.engine, FREE, access=world.access, say=quiet)
    yield serving
    serving.stop()


def client(serving: Serving, token: str = "olaf", **headers: str) -> httpx.Client:
    told = {"authorization": f"Bearer {token}", **headers}
    return httpx.Client(base_url=serving.url, headers=told, trust_env=False, timeout=20)


class Lines:
    """The events of a stream, one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self) -> dict[str, str]:
        """The next event with any field; comments are passed over."""
        event: dict[str, str] = {}
        for line in self._lines:
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
            elif not line and event:
                return event
        return event


def hold(serving: Serving, name: str, verb: str = "hold") -> None:
    with client(serving) as caller:
        assert 200 == caller.post(f"/v1/contracts/{name}/{verb}", json={"reason": "x"}).status_code


def test_the_server_answers_on_the_port_it_says(serving: Serving):
    """Port 0 takes a free one; the URL names which."""
    with client(serving) as caller:
        assert 3 == len(caller.get("/v1/contracts").json()["contracts"])
        assert "no-store" == caller.get("/v1/contracts").headers["cache-control"]
        assert "server" not in caller.get("/healthz").headers


def test_a_stream_tells_changes_and_resumes_where_it_was(serving: Serving):
    """A hold is told at once. While nobody listens it is resumed; whoever comes back with the id hears of that first."""
    with client(serving) as caller:
        with caller.stream("GET", "/v1/stream") as response:
            lines = Lines(response)
            assert {"retry": "2000"} == lines.next()
            hold(serving, "orders-db")
            heard = lines.next()
        change = json.loads(heard["data"])
        assert ("change", "orders-db") == (heard["event"], change["contract"])

        hold(serving, "orders-db", "resume")
        with caller.stream("GET", "/v1/stream", headers={"last-event-id": heard["id"]}) as response:
            lines = Lines(response)
            lines.next()
            again = json.loads(lines.next()["data"])
    assert again["id"] == change["id"] + 1


def test_an_id_of_another_run_is_answered_with_a_gap(serving: Serving):
    """After a restart the ids start anew, so a client is told to read the contracts again."""
    with client(serving) as caller, caller.stream("GET", "/v1/stream", headers={"last-event-id": "cafe-7"}) as response:
        lines = Lines(response)
        lines.next()
        assert "gap" == lines.next()["event"]


def test_a_stream_can_be_of_some_contracts_only(serving: Serving):
    """Two holds; the stream of `search` tells the second alone."""
    with client(serving) as caller, caller.stream("GET", "/v1/stream", params={"contract": "search"}) as response:
        lines = Lines(response)
        lines.next()
        hold(serving, "cluster-cpu", "abort")
        hold(serving, "search", "hold")
        assert "search" == json.loads(lines.next()["data"])["contract"]


def test_a_stream_of_an_unknown_contract_is_404(serving: Serving):
    with client(serving) as caller:
        assert (404, "HW404") == problem_of(caller.get("/v1/stream", params={"contract": "order-db"}))


def status_of_stream(caller: httpx.Client) -> int:
    with caller.stream("GET", "/v1/stream") as response:
        return response.status_code


def problem_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_streams_are_bounded_and_a_closed_one_makes_room(world: World, monkeypatch: pytest.MonkeyPatch):
    """Two at once here: the third is told to come back, and may once one has ended."""
    monkeypatch.setattr("headway.server.routes.live.STREAMS_MOST", 2)
    serving = serve_in_thread(world.engine, FREE, access=world.access, say=quiet)
    try:
        with client(serving) as caller:
            with caller.stream("GET", "/v1/stream") as one, caller.stream("GET", "/v1/stream") as two:
                assert (200, 200) == (one.status_code, two.status_code)
                third = caller.get("/v1/stream")
                assert (503, "HW429") == problem_of(third)
                assert "5" == third.headers["retry-after"]
            # The server notices the end of the two a moment later; it is asked until it has.
            answers = (status_of_stream(caller) for _ in range(1000))
            assert 200 in answers
    finally:
        serving.stop()


def test_stopping_ends_open_streams(world: World):
    """A stream is open while the server stops: it ends as a whole answer, and the server is gone."""
    serving = serve_in_thread(world.engine, FREE, access=world.access, say=quiet)
    with client(serving) as caller, caller.stream("GET", "/v1/stream") as response:
        lines = Lines(response)
        lines.next()
        serving.stop()
        assert {} == lines.next()
    serving.stop()
    with pytest.raises(httpx.ConnectError), client(serving) as caller:
        caller.get("/healthz")
    assert 3 == len(world.engine.names())


def test_an_address_that_is_taken_is_an_error_here_and_not_in_a_thread(world: World):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerError) as caught:
        serve_in_thread(world.engine, f"127.0.0.1:{taken.getsockname()[1]}", access=world.access, say=quiet)

    assert "HW443" == caught.value.code


def test_a_server_that_cannot_listen_makes_and_shows_no_tokens(in_folder: Any, tmp_path: Path):
    """They are shown once: by a server that comes up."""
    engine, said = in_folder(), []
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerError):
        serve_in_thread(engine, f"127.0.0.1:{taken.getsockname()[1]}", say=said.append)

    assert [] == said
    assert not (tmp_path / "data" / "tokens").exists()


@pytest.mark.parametrize(
    ("listen", "insecure", "code"),
    [("0.0.0.0:0", False, "HW441"), ("no-such-host.invalid:0", True, "HW443"), ("127.0.0.1", False, "HW443")],
)
def test_an_address_that_is_refused_opens_nothing(world: World, listen: str, insecure: bool, code: str):
    with pytest.raises(ServerError) as caught:
        serve_in_thread(world.engine, listen, access=world.access, insecure_no_tls=insecure, say=quiet)

    assert code == caught.value.code


@pytest.fixture
def in_folder(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Opens an engine over a folder; the last one is closed at the end."""
    (tmp_path / "contracts.yaml").write_text(CONTRACTS)
    engines: list[Engine] = []

    def open_() -> Engine:
        if engines:
            engines.pop().close()
        engines.append(Engine.open(tmp_path / "contracts.yaml", data=tmp_path / "data", meters=Meters()))
        return engines[0]

    yield open_
    for engine in engines:
        engine.close()


def test_the_local_tokens_are_kept_where_only_their_owner_reads(in_folder: Any, tmp_path: Path):
    """The first start in a program says where both lie, the second says nothing of them, and both still work: `local`
    acts, `approver` approves. Neither start shows one: that is for `headway serve`, which a person started.
    """
    said: list[list[str]] = []
    for _ in range(2):
        engine, lines = in_folder(), []
        serving = serve_in_thread(engine, FREE, say=lines.append)
        said.append(lines)
        local, approver = (tmp_path / "data" / "tokens" / name for name in ("local", "approver"))
        with client(serving, read_token(local)) as caller:
            assert 200 == caller.get("/v1/contracts").status_code
            assert 403 == caller.post("/v1/contracts/orders-db/approve", json=YES).status_code
        with client(serving, read_token(approver)) as caller:
            assert caller.post("/v1/contracts/orders-db/approve", json=YES).status_code in (200, 409)
            assert 403 == caller.post("/v1/contracts/orders-db/hold", json={"reason": "x"}).status_code
        serving.stop()

    first, second = ("\n".join(lines) for lines in said)
    for token in (local, approver):
        assert str(token) in first
        assert str(token) not in second
        assert read_token(token) not in first + second
    assert 0o600 == stat.S_IMODE(local.stat().st_mode)


def test_what_the_one_person_approves_is_recorded_as_single_user(in_folder: Any, tmp_path: Path):
    engine = in_folder()
    serving = serve_in_thread(engine, FREE, say=quiet)
    with client(serving, read_token(tmp_path / "data" / "tokens" / "approver")) as caller:
        [entry] = caller.post("/v1/contracts/orders-db/approve", json=YES).json()["entries"]
    serving.stop()

    assert ("token:approver", True) == (entry["actor"], entry["body"]["single_user"])


YES = {"reason": "x", "stage": "replica", "group": "dba"}
