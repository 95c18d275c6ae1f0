"""The outermost layer alone, before an application that counts who gets through."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
import pytest
from starlette.testclient import TestClient

from headway.server.access import Access, Credential, sha256_of
from headway.server.doorway import BODY_MOST, BODY_MOST_AT, CALLER, Doorway

HEADERS = {"authorization": "Bearer known"}


class Inside:
    """An application that notes what reaches it and answers the size of the body."""

    def __init__(self) -> None:
        self.reached: list[tuple[str, Any]] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        message = await receive()
        self.reached.append((scope["path"], scope.get(CALLER)))
        body = str(len(message["body"])).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"public")]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
def client(inside: Inside) -> TestClient:
    access = Access([Credential("ci", sha256_of("known"), frozenset({"operator"}))])
    return TestClient(Doorway(inside, access=access, hosts=["Headway.example"]), base_url="http://127.0.0.1:7700")


def refusal(response: Any) -> tuple[int, str]:
    document = response.json()
    assert "application/problem+json" == response.headers["content-type"]
    assert document["status"] == response.status_code
    assert document["mend"] and document["because"]
    return response.status_code, document["code"]


def test_a_known_token_gets_through_and_is_named(client: TestClient, inside: Inside):
    assert 200 == client.get("/v1/contracts", headers=HEADERS).status_code
    [(path, caller)] = inside.reached
    assert ("/v1/contracts", "token:ci") == (path, caller.actor)


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/contracts", "/metrics", "/openapi.json", "/healthz/", "/readyz/../metrics", "/nowhere", "/HEALTHZ"],
)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer other"}, {"authorization": "Basic a25vd24="}])
def test_without_a_known_token_nothing_but_health_is_reached(
    client: TestClient, inside: Inside, path: str, headers: dict[str, str]
):
    """Every path, also ones that do not exist: who is not known does not learn what is there."""
    response = client.get(path, headers=headers)

    assert (401, "HW401") == refusal(response)
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert [] == inside.reached


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_asks_for_no_token(client: TestClient, inside: Inside, path: str):
    assert 200 == client.get(path).status_code
    assert [(path, None)] == inside.reached


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:7700", "headway.example", "HEADWAY.EXAMPLE:7700"])
def test_loopback_names_and_configured_hosts_are_answered(client: TestClient, host: str):
    assert 200 == client.get("/x", headers={**HEADERS, "host": host}).status_code


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "headway.example.evil", "", "10.0.0.7", "localhost.evil:7700"]
)
@pytest.mark.parametrize("headers", [HEADERS, {}])
def test_another_host_name_is_refused(client: TestClient, inside: Inside, host: str, headers: dict[str, str]):
    """A name that an attacker's resolver points at loopback must not get answers, with a token or without."""
    assert (421, "HW416") == refusal(client.get("/v1/contracts", headers={**headers, "host": host}))
    assert [] == inside.reached


def test_a_probe_may_call_health_by_any_name(client: TestClient):
    """An orchestrator calls the address it gave the container, which nobody configured."""
    assert 200 == client.get("/healthz", headers={"host": "10.0.0.7:7700"}).status_code


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:7701",
        "127.0.0.1:7700",
        "",
        "file://127.0.0.1:7700",
    ],
)
def test_a_change_from_another_sites_page_is_refused(client: TestClient, inside: Inside, origin: str):
    """Another port is another site, and so is a page without one."""
    assert (403, "HW417") == refusal(client.post("/v1/x", headers={**HEADERS, "origin": origin}))
    assert [] == inside.reached


def test_a_change_from_its_own_page_and_a_read_from_anywhere_get_through(client: TestClient):
    own = client.post("/v1/x", headers={**HEADERS, "origin": "http://127.0.0.1:7700"})
    read = client.get("/v1/x", headers={**HEADERS, "origin": "https://evil.example"})

    assert (200, 200) == (own.status_code, read.status_code)
    assert "access-control-allow-origin" not in read.headers


@pytest.mark.parametrize(("path", "most"), [("/v1/x", BODY_MOST), ("/v1/apply", BODY_MOST_AT["/v1/apply"])])
def test_a_body_at_the_bound_passes_and_one_byte_more_does_not(client: TestClient, path: str, most: int):
    assert str(most) == client.post(path, content=b"x" * most, headers=HEADERS).text
    assert (413, "HW413") == refusal(client.post(path, content=b"x" * (most + 1), headers=HEADERS))


def test_every_answer_is_never_stored_never_sniffed_and_never_framed(client: TestClient):
    """Also where a route says otherwise, and on a refusal."""
    for response in (client.get("/x", headers=HEADERS), client.get("/x")):
        assert "no-store" == response.headers["cache-control"]
        assert "nosniff" == response.headers["x-content-type-options"]
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def through(
    messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]], receive: Any = None
) -> tuple[list[Any], int, Inside]:
    """Sends raw messages through a doorway; what was answered, how many messages it took, and what got inside."""
    inside, sent, taken = Inside(), [], 0

    async def next_message() -> Any:
        nonlocal taken
        taken += 1
        return messages.pop(0) if receive is None else await receive()

    async def send(message: Any) -> None:
        sent.append(message)

    access = Access([Credential("ci", sha256_of("known"), frozenset({"operator"}))])
    scope = {"type": "http", "method": "POST", "path": "/v1/x", "headers": [(b"host", b"localhost"), *headers]}
    run: Callable[..., Awaitable[None]] = Doorway(inside, access=access)
    anyio.run(run, scope, next_message, send)
    return sent, taken, inside


KNOWN = (b"authorization", b"Bearer known")


def test_a_declared_oversize_body_is_refused_without_reading_any_of_it():
    sent, taken, inside = through([], [KNOWN, (b"content-length", b"9" * 30)])

    assert (413, 0, []) == (sent[0]["status"], taken, inside.reached)


def test_an_undeclared_oversize_body_is_refused_as_soon_as_it_is_over():
    """Chunks of 32 KiB without end: the third one is over 64 KiB, and no fourth is read."""
    chunks = [{"type": "http.request", "body": b"x" * 32768, "more_body": True} for _ in range(100)]

    sent, taken, inside = through(chunks, [KNOWN])

    assert (413, 3, []) == (sent[0]["status"], taken, inside.reached)


def test_an_unknown_callers_body_is_not_read_at_all():
    sent, taken, inside = through([], [(b"content-length", b"10")])

    assert (401, 0, []) == (sent[0]["status"], taken, inside.reached)


@pytest.mark.parametrize("length", [b"-1", b"ten", b"1e3", b"0x10", b""])
def test_a_length_that_is_no_number_is_refused(length: bytes):
    assert 400 == through([], [KNOWN, (b"content-length", length)])[0][0]["status"]


def test_a_connection_that_ends_before_its_body_changes_nothing():
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    _, _, inside = through(messages, [KNOWN])

    assert [] == inside.reached


def test_a_body_that_never_arrives_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """The bound is 30 seconds; at 0 it is over at the first wait."""
    monkeypatch.setattr("headway.server.doorway.BODY_WITHIN_S", 0.0)

    sent, _, inside = through([], [KNOWN], receive=anyio.sleep_forever)

    assert (408, []) == (sent[0]["status"], inside.reached)


def test_two_host_headers_are_refused():
    """Two readers could each take another one."""
    assert 421 == through([], [KNOWN, (b"host", b"evil.example")])[0][0]["status"]
