"""What `/metrics` says of gates that really ask: by name, by workload, and how long changes take."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headway
from headway._core import Permit
from headway.ramp.observations import VerbCall
from headway.server.metrics import exposition

from . import conftest
from .conftest import TOKEN, TOKEN_OF_ANOTHER, Keeper

Until = Callable[[Callable[[], bool]], None]

CONTRACTS = """\
contract: pool
owner: team-db
constraint: {measure: concurrency, unit: connection, max_hold: 2s}
workloads: {other: {}}
ramp: [{stage: now, limit: 40}]
enforce: {drain_within: 1s}
---
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s, burst: 500ms}
workloads: {other: {}}
ramp: [{stage: now, limit: 400}]
---
contract: few
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}, reports: {}}
ramp: [{stage: now, limit: 3}]
"""


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(conftest, "CONTRACTS", CONTRACTS)
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.stop()


def printed(keeper: Keeper) -> str:
    return exposition(keeper.engine, keeper.plane.reading).decode()


def value(keeper: Keeper, name: str, **labels: str) -> float:
    """One sample of what is printed; 0 where there is none."""
    text = printed(keeper)
    told = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    found = re.search(rf"^{name}{re.escape('{' + told + '}')} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def pressing(limiter: headway.Limiter, held: int) -> tuple[threading.Event, threading.Thread]:
    """A thread that asks as a busy process does until it is told to end, holding the last so many."""
    ends = threading.Event()

    def press() -> None:
        permits: list[Permit] = []
        while not ends.is_set():
            permit = limiter.try_acquire()
            if isinstance(permit, Permit):
                permits.append(permit)
            if len(permits) > held:
                permits.pop(0).release()
            time.sleep(0.001)
        for permit in permits:
            permit.release()

    thread = threading.Thread(target=press)
    thread.start()
    return ends, thread


def override(keeper: Keeper, contract: str, limit: int, for_ms: int) -> None:
    now_ms = keeper.engine.now_ms()
    call = VerbCall(now_ms, "override", "token:test", "a change", {"": limit * 1_000_000}, now_ms + for_ms,
                    second="token:other")  # fmt: skip
    keeper.engine.submit(contract, call)


def test_what_a_gate_asks_for_is_counted_under_its_name_and_so_is_what_it_holds(keeper: Keeper) -> None:
    """Three of three are held, the fourth is refused; a probe asks for nothing."""
    with headway.connect(keeper.url, token=TOKEN) as hw:
        limiter = hw.limiter("few", "reports")
        held = [limiter.try_acquire() for _ in range(4)]
        assert not limiter.probe()
        place = {"contract": "few", "workload": "reports", "gate": "gate/1"}

        assert [True, True, True, False] == [bool(one) for one in held]
        assert (3, 1) == (
            value(keeper, "headway_gate_admitted_total", **place),
            value(keeper, "headway_gate_refused_total", **place, reason="full"),
        )
        assert 3 == value(keeper, "headway_gate_in_use", **place)
        assert 1 == value(keeper, "headway_gate_connected", gate="gate/1")
        assert value(keeper, "headway_gate_silent_seconds", gate="gate/1") < 5


def test_a_gate_that_leaves_makes_room_for_the_next_under_its_name(keeper: Keeper, until: Until) -> None:
    """Two processes of one token and one of another; the first leaves, and the next to come is called as it was."""
    first, second, another = (headway.connect(keeper.url, token=token) for token in (TOKEN, TOKEN, TOKEN_OF_ANOTHER))
    for hw in (first, second, another):
        hw.limiter("few").probe()
    connected = lambda gate: value(keeper, "headway_gate_connected", gate=gate)  # noqa: E731
    assert [1, 1, 1] == [connected(gate) for gate in ("gate/1", "gate/2", "another/1")]

    first.close()
    until(lambda: 'headway_gate_connected{gate="gate/1"}' not in printed(keeper))
    with headway.connect(keeper.url, token=TOKEN) as hw:
        hw.limiter("few").probe()
        assert 1 == connected("gate/1")
    second.close()
    another.close()


def test_what_is_lent_to_a_gate_is_seen_there_and_a_cut_is_followed_in_a_moment(
    keeper: Keeper, gate: headway.Connected, until: Until
) -> None:
    """Twenty of forty slots are in flight; of a limit of eight twelve are too many until they come back."""
    pool = gate.limiter("pool")
    ends, thread = pressing(pool, 20)
    place = {"contract": "pool", "workload": "other"}
    try:
        until(lambda: value(keeper, "headway_gate_in_use", gate="gate/1", **place) >= 18)
        until(lambda: value(keeper, "headway_gate_on_loan", gate="gate/1", **place) >= 18)
        assert 0 == value(keeper, "headway_gate_draining", gate="gate/1", **place)

        override(keeper, "pool", 8, 1_500)
        until(lambda: value(keeper, "headway_gate_draining", gate="gate/1", **place) >= 10)
        until(lambda: value(keeper, "headway_change_seconds_count", change="cut", **place) >= 1)
        until(lambda: value(keeper, "headway_change_seconds_count", change="raise", **place) >= 1)
    finally:
        ends.set()
        thread.join()

    assert value(keeper, "headway_renewals_total", **place) > 0
    until(lambda: value(keeper, "headway_gate_admitted_total", gate="gate/1", **place) >= 20)


def test_blocks_of_a_rate_come_in_a_round_trip_that_the_gate_tells_of(
    keeper: Keeper, gate: headway.Connected, until: Until
) -> None:
    """The limit falls below what is on loan: blocks are called back, and the gate says so."""
    ends, thread = pressing(gate.limiter("api"), 0)
    place = {"contract": "api", "workload": "other"}
    try:
        until(lambda: value(keeper, "headway_draw_seconds_count", **place) >= 3)
        until(lambda: value(keeper, "headway_gate_on_loan", gate="gate/1", **place) > 2)
        override(keeper, "api", 2, 60_000)
        until(lambda: value(keeper, "headway_change_seconds_count", change="cut", **place) >= 1)
        until(lambda: value(keeper, "headway_gate_refused_total", gate="gate/1", reason="full", **place) > 0)
    finally:
        ends.set()
        thread.join()

    assert value(keeper, "headway_draws_total", **place) >= value(keeper, "headway_draw_seconds_count", **place)
    assert 0 < value(keeper, "headway_draw_seconds_sum", **place) < 10


def test_a_gate_that_has_nothing_left_and_its_keeper_fall_silent(
    keeper: Keeper, gate: headway.Connected, until: Until
) -> None:
    """Twenty slots are lent, used and given back. With nothing held and nothing wanted neither answers the other's answer."""
    place = {"contract": "pool", "workload": "other"}
    ends, thread = pressing(gate.limiter("pool"), 20)
    try:
        until(lambda: value(keeper, "headway_gate_on_loan", gate="gate/1", **place) >= 18)
    finally:
        ends.set()
        thread.join()
    until(lambda: value(keeper, "headway_gate_on_loan", gate="gate/1", **place) == 0)

    before = value(keeper, "headway_renewals_total", **place)
    time.sleep(0.5)

    assert value(keeper, "headway_renewals_total", **place) - before < 50
