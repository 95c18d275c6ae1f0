"""`headway attach`: what is printed for a running contract, what cannot be, and whether a front really refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import Result

from headway.cli.attaching import attachment_of
from headway.cli.exits import Exit
from headway.contract.read import read_text

Run = Callable[..., Result]


def test_the_configuration_goes_to_stdout_and_nothing_else(served: Run):
    result = served("attach", "nginx", "search", "--data-plane", "10.0.0.7:7701")

    assert (Exit.OK, "") == (result.exit_code, result.stderr)
    assert "server 10.0.0.7:7701;" in result.stdout
    assert "/check/search?workload=other&units=1&dialect=nginx" in result.stdout


def test_what_no_test_has_run_says_so_beside_it(served: Run):
    result = served("attach", "traefik", "search")

    assert "untested" in result.stderr
    assert "forwardAuth" in result.stdout


def test_as_json_it_says_whether_it_was_tried(served: Run):
    said = json.loads(served("attach", "caddy", "search", "--json").stdout)

    assert ("caddy", "search", True) == (said["front"], said["contract"], said["tested"])
    assert "forward_auth" in said["configuration"]


@pytest.mark.parametrize(
    ("args", "code", "exit_code"),
    [
        (("iis", "search"), "HW433", Exit.UNUSABLE),
        (("nginx", "no-such"), "HW404", Exit.REFUSED),
        (("nginx", "search", "--workload", "no-such"), "HW406", Exit.REFUSED),
        (("nginx", "search", "--data-plane", "nowhere"), "HW443", Exit.UNUSABLE),
        (("nginx", "search", "--data-plane", "127.0.0.1:99999"), "HW443", Exit.UNUSABLE),
        (("envoy", "search", "--workload", "other"), "HW433", Exit.UNUSABLE),
        (("nginx", "orders-db"), "HW451", Exit.REFUSED),
        (("envoy", "search"), "HW451", Exit.REFUSED),
        (("envoy", "search", "--test", "http://127.0.0.1:9/"), "HW451", Exit.REFUSED),
        (("nginx", "search", "--test", "http://127.0.0.1:9/"), "HW430", Exit.UNREACHABLE),
        (("nginx", "search", "--test", "no address"), "HW430", Exit.UNREACHABLE),
    ],
)
def test_what_cannot_be_attached_says_why(served: Run, args: tuple[str, ...], code: str, exit_code: Exit):
    result = served("attach", *args)

    assert (exit_code, "") == (result.exit_code, result.stdout)
    assert f"error[{code}]" in result.stderr


@pytest.fixture
def front() -> Iterator[tuple[str, list[int]]]:
    """The URL of a front, and the status with which it answers what the check refuses."""
    refuses = [429]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self.send_response(refuses[0] if "headway-test" in self.headers else 200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", refuses
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_front_that_refuses_is_told_so(served: Run, front: tuple[str, list[int]]):
    url, _ = front
    result = served("attach", "nginx", "search", "--test", url)

    assert (Exit.OK, f"{url} refuses: 429 where search says no, 200 else\n") == (result.exit_code, result.stdout)


@pytest.mark.parametrize("status", [200, 500])
def test_a_front_that_lets_it_through_or_breaks_is_an_error(served: Run, front: tuple[str, list[int]], status: int):
    """200: the check is not asked. 500: it is asked in the wrong dialect."""
    url, refuses = front
    refuses[0] = status
    result = served("attach", "nginx", "search", "--test", url)

    assert Exit.REFUSED == result.exit_code
    assert f"error[HW452]: {url} answered {status}" in result.stderr


def test_what_a_contracts_matches_look_at_is_attached_where_no_workload_is_named():
    """Named, it is that workload's front, and nothing is to be told apart."""
    text = """
    contract: api
    owner: team-web
    constraint: {measure: rate, unit: request, per: 1s}
    workloads: {web: {match: {user: a, path: /}}, batch: {match: {user: b}}}
    ramp: [{stage: now, limit: 100}]
    """
    contract = read_text(text).require().contracts["api"]

    assert ("path", "user") == attachment_of(contract, None, "127.0.0.1:7701").attributes
    assert () == attachment_of(contract, "batch", "127.0.0.1:7701").attributes
