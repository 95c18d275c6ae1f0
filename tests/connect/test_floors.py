"""Gates with a part of a floor: it is theirs, connected or not, and nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headway
from headway._core import Limiter, Permit
from headway.errors import VerbRefused
from headway.ramp.observations import VerbCall

from . import conftest
from .conftest import TOKEN, TOKEN_OF_ANOTHER, Keeper

Until = Callable[[Callable[[], bool]], None]

CONTRACTS = """\
contract: pool
owner: team-db
constraint: {measure: concurrency, unit: connection, max_hold: 1s}
workloads: {other: {}}
ramp: [{stage: now, limit: 12}]
enforce: {drain_within: 1s, floor: 5, gates: [gate, another]}
---
contract: first-come
owner: team-db
constraint: {measure: concurrency, unit: connection, max_hold: 1s}
workloads: {other: {}}
ramp: [{stage: now, limit: 12}]
enforce: {drain_within: 1s, floor: 3, gates: {max: 1}, when_cut_off: floor}
---
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s}
workloads: {other: {}}
ramp: [{stage: now, limit: 200}]
enforce: {drain_within: 1s, floor: 40, gates: [gate]}
---
contract: both
owner: team-web
constraint: {rps: {measure: rate, per: 1s}, slots: {measure: concurrency, max_hold: 1s}}
workloads: {other: {}}
ramp: [{stage: now, limit: {rps: 200, slots: 10}}]
enforce: {drain_within: 1s, floor: {rps: 40, slots: 2}, gates: [gate]}
"""


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(conftest, "CONTRACTS", CONTRACTS)
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.stop()


def _taken(limiter: Limiter, most: int) -> list[Permit]:
    """As many permits as there are, at most so many."""
    held: list[Permit] = []
    while len(held) < most:
        permit = limiter.try_acquire()
        if not permit:
            break
        held.append(permit)  # type: ignore[arg-type]
    return held


def _has_part(keeper: Keeper, limiter: Limiter, meter: str) -> bool:
    """Whether a slot is taken without any being taken from what is everybody's."""
    before = keeper.in_use(meter)
    permit = limiter.try_acquire()
    if not permit:
        return False
    is_own = keeper.in_use(meter) == before
    permit.release()
    return is_own


def _lapsed() -> None:
    """Until everything that was lent has ended, and the streams are gone. What ends is real time, and nothing tells of it."""
    time.sleep(1.5)


def test_a_gate_that_is_cut_off_goes_on_with_its_part_and_no_more(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    """Of a floor of five the first name has three and the second two; what one has in flight counts when the keeper is back."""
    with headway.connect(keeper.url, token=TOKEN_OF_ANOTHER) as other:
        pool, others = gate.limiter("pool"), other.limiter("pool")
        until(lambda: _has_part(keeper, pool, "pool") and _has_part(keeper, others, "pool"))
        keeper.stop()
        _lapsed()

        held, more = _taken(pool, 9), _taken(others, 9)

        assert (3, 2) == (len(held), len(more))
        assert "cut_off" == pool.try_acquire().why  # type: ignore[union-attr]
        keeper.start()
        until(lambda: bool(_is_back(others)))
        shared = _taken(others, 20)
        assert 12 == len(held) + len(more) + len(shared), "seven are everybody's, whatever is in flight on parts"
        for permit in (*held, *more, *shared):
            permit.release()


def _is_back(limiter: Limiter) -> bool:
    permit = limiter.try_acquire()
    if permit:
        permit.release()
    return bool(permit)


def test_what_is_set_aside_is_lent_to_nobody_connected_or_not(keeper: Keeper):
    """Nobody has come under either name: seven of twelve are everybody's, in the keeper's own process too."""
    own = keeper.engine.limiter("pool")
    held = _taken(own, 20)
    assert 7 == len(held)
    for permit in held:
        permit.release()


def test_a_name_is_what_the_token_says_and_one_process_of_it_has_the_part(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    """A second process of the same token asks like anybody, until the first is gone."""
    pool = gate.limiter("pool")
    until(lambda: _has_part(keeper, pool, "pool"))
    with headway.connect(keeper.url, token=TOKEN) as second:
        limiter = second.limiter("pool")
        until(lambda: _is_back(limiter))
        time.sleep(1.0)
        assert not _has_part(keeper, limiter, "pool")
        gate.close()
        until(lambda: _has_part(keeper, limiter, "pool"))


CUT_OFF = """
import sys, time, headway
url, token = sys.argv[1:]
gate = headway.connect(url, token=token)
pool = gate.limiter("pool")
pool.acquire(timeout=10).release()
print("connected", flush=True)
held = []
for line in sys.stdin:
    while permit := pool.try_acquire():
        held.append(permit)
    print(len(held), flush=True)
"""


def test_a_part_outlives_its_keeper_and_is_given_to_no_second_process_meanwhile(keeper: Keeper, until: Until):
    """A gate is frozen with its part, its keeper ends and starts again, and another process of its name comes: the row in the
    ledger says whose it is. When the first is killed its part is the second's at once."""
    process = subprocess.Popen(
        [sys.executable, "-c", CUT_OFF, keeper.url, TOKEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    assert "connected\n" == process.stdout.readline()
    time.sleep(1.0)
    keeper.stop()
    time.sleep(1.5)
    process.stdin.write("\n")
    process.stdin.flush()
    assert "3\n" == process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    keeper.start()
    with headway.connect(keeper.url, token=TOKEN) as second:
        limiter = second.limiter("pool")
        until(lambda: _is_back(limiter))
        time.sleep(1.5)
        assert not _has_part(keeper, limiter, "pool")
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(1.0)
        process.kill()
        process.communicate()
        until(lambda: _has_part(keeper, limiter, "pool"))


def test_whoever_comes_first_has_a_part_where_no_names_are_given(keeper: Keeper, gate: headway.Connected, until: Until):
    pool = gate.limiter("first-come")
    until(lambda: _has_part(keeper, pool, "first-come"))
    with headway.connect(keeper.url, token=TOKEN_OF_ANOTHER) as other:
        limiter = other.limiter("first-come")
        until(lambda: _is_back(limiter))
        time.sleep(1.0)
        assert not _has_part(keeper, limiter, "first-come")


@pytest.mark.parametrize("name", ["api", "both"])
def test_a_part_of_a_rate_comes_in_by_itself_while_its_gate_is_cut_off(
    keeper: Keeper, gate: headway.Connected, until: Until, name: str
):
    """Forty a second are the gate's own: never more, and nearly all of it is of use."""
    api = gate.limiter(name)
    until(lambda: bool(api.try_acquire()))
    time.sleep(1.0)
    keeper.stop()
    _lapsed()
    admitted, began = 0, time.monotonic()
    while (lasted := time.monotonic() - began) < 3:
        permit = api.try_acquire()
        if permit:
            admitted += 1
            permit.release()
        time.sleep(0.001)
    assert admitted <= 1 + 40 * (lasted + 0.1)
    assert admitted >= 0.7 * 40 * lasted
    keeper.start()


def test_no_override_goes_below_a_floor_that_gates_have(keeper: Keeper):
    now_ms = keeper.engine.now_ms()

    def override(units: int) -> None:
        value = {"": units * 1_000_000}
        keeper.engine.submit("pool", VerbCall(now_ms, "override", "user:a", "a cut", value, now_ms + 60_000))

    with pytest.raises(VerbRefused, match="below the floor"):
        override(4)
    override(5)
    own = keeper.engine.limiter("pool")
    assert not own.try_acquire()
