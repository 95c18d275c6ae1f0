"""Slots over HTTP: each has an end, is its token's, and is one of all slots."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

import headway

from .conftest import TOKEN, VIEWER, Keeper


@pytest.fixture
def front(keeper: Keeper) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=keeper.url, headers=headers, trust_env=False) as client:
        yield client


def test_a_lease_is_one_of_all_slots_until_it_is_ended(keeper: Keeper, gate: headway.Connected, front: httpx.Client):
    """Five slots: a report over HTTP weighs two, a process holds three, and the next one waits for the report's end."""
    lease = front.post("/check/db", params={"workload": "reports", "hold": "30s"})
    held = [gate.limiter("db").try_acquire() for _ in range(3)]
    assert (200, "30", True) == (lease.status_code, lease.headers["headway-lease-ends-in"], all(held))

    refused = front.post("/check/db", params={"hold": "30s"})
    ended = front.delete("/check/db", params={"lease": lease.headers["headway-lease"]})

    assert (429, "db", "full") == (refused.status_code, refused.json()["contract"], refused.json()["why"])
    assert "has no room" in refused.json()["detail"]
    assert (204, 3) == (ended.status_code, keeper.in_use("db"))


def test_a_lease_ends_by_itself(keeper: Keeper, front: httpx.Client, until: Callable[[Callable[[], bool]], None]):
    lease = front.post("/check/db", params={"hold": "20ms"})
    assert 200 == lease.status_code

    until(lambda: keeper.in_use("db") == 0)
    renewed = front.post("/check/db", params={"lease": lease.headers["headway-lease"], "hold": "20ms"})

    assert (404, "HW412") == (renewed.status_code, renewed.json()["code"])


def test_a_lease_is_renewed_before_its_end(keeper: Keeper, front: httpx.Client):
    name = front.post("/check/db", params={"hold": "60s"}).headers["headway-lease"]

    renewed = front.post("/check/db", params={"lease": name, "hold": "30s"})

    assert (200, name, 1) == (renewed.status_code, renewed.headers["headway-lease"], keeper.in_use("db"))


def test_after_a_restart_the_slot_of_a_lease_is_held_and_its_name_is_gone(keeper: Keeper, front: httpx.Client):
    name = front.post("/check/db", params={"hold": "60s"}).headers["headway-lease"]
    keeper.stop()
    keeper.start()

    ended = front.delete("/check/db", params={"lease": name})

    assert (404, True) == (ended.status_code, keeper.in_use("db") >= 1)


def test_a_refusal_for_nginx_is_a_403_without_a_body(front: httpx.Client):
    for _ in range(2):
        front.post("/check/db", params={"workload": "reports", "hold": "30s"})

    refused = front.get("/check/db", params={"workload": "reports", "hold": "30s", "dialect": "nginx"})

    assert (403, b"") == (refused.status_code, refused.content)


@pytest.mark.parametrize(
    ("method", "contract", "query", "status", "says"),
    [
        ("POST", "db", "", 422, "say how long"),
        ("POST", "db", "hold=0s", 422, "above 0"),
        ("POST", "db", "hold=61s", 422, "at most the contract's max_hold, 60000 ms"),
        ("POST", "db", "hold=soon", 422, "500ms, 30s or 5m"),
        ("POST", "db", "hold=99999999999999999h", 422, "500ms, 30s or 5m"),
        ("POST", "db", "hold=1s&hold=2s", 422, "twice"),
        ("POST", "api", "hold=1s", 422, "of concurrencies"),
        ("POST", "nothing", "hold=1s", 404, "no contract"),
        ("POST", "db", "workload=report&hold=1s", 404, "it has other, reports"),
        ("DELETE", "db", "lease=8d1f03c2a97e6b45", 404, "no such lease"),
        ("DELETE", "db", "lease=8d1f03c2a97e6b4g", 422, "sixteen digits"),
        ("DELETE", "db", "lease=8d1f03c2a97e6b45&hold=1s", 422, "nothing else"),
        ("DELETE", "db", "", 405, "GET or POST"),
    ],
)
def test_what_is_no_lease_is_told_so(
    front: httpx.Client, method: str, contract: str, query: str, status: int, says: str
):
    answer = front.request(method, f"/check/{contract}?{query}")

    assert status == answer.status_code
    assert says in answer.json()["problem"]


def test_a_lease_is_its_tokens(keeper: Keeper, front: httpx.Client):
    """A viewer may not end it; nor can it be ended on another contract."""
    name = front.post("/check/db", params={"hold": "60s"}).headers["headway-lease"]

    as_viewer = front.delete("/check/db", params={"lease": name}, headers={"authorization": f"Bearer {VIEWER}"})
    elsewhere = front.delete("/check/patient", params={"lease": name})

    assert (403, 404, 1) == (as_viewer.status_code, elsewhere.status_code, keeper.in_use("db"))
