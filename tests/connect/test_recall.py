"""`recall` at gates: what is above a cut is asked back of who holds it, lent or asked for one by one, and ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.pool import QueuePool

import headway
from headway._core import Permit
from headway.adapters.sqlalchemy import limited
from headway.enforce.recalling import Recalling
from headway.ramp.observations import VerbCall

from . import conftest
from .conftest import TOKEN, Keeper
from .test_leases import _on_loan, _press

Until = Callable[[Callable[[], bool]], None]

CONTRACTS = """\
contract: pool
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 40}]
enforce: {drain_within: 1s, recall: ask}
---
contract: few
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 3}]
enforce: {recall: ask}
---
contract: ended
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 40}]
enforce: {drain_within: 1s, recall: end}
---
contract: resting
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 40}]
enforce: {recall: idle}
---
contract: silent
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 3}]
"""


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(conftest, "CONTRACTS", CONTRACTS)
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.stop()


def _cut(keeper: Keeper, contract: str, to: int) -> None:
    now_ms = keeper.engine.now_ms()
    cut = VerbCall(now_ms, "override", "token:a", "a cut", {"": to * 1_000_000}, now_ms + 60_000, second="token:b")
    keeper.engine.submit(contract, cut)


def _recalled(permits: list[Permit]) -> int:
    return sum(permit.recalled for permit in permits)


def test_of_slots_that_are_lent_a_gate_is_asked_for_what_is_above_its_lease(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    """Twenty in flight under a lease, and a cut to five: fifteen are asked back, and none once they have come back."""
    pool = gate.limiter("pool")
    held = _press(pool, 1.0, hold=20)
    assert _on_loan(keeper, "pool") >= 20
    assert (0, 0) == (pool.recalled, _recalled(held))

    _cut(keeper, "pool", 5)

    until(lambda: pool.recalled == 15 == _recalled(held))
    for permit in [permit for permit in held if permit.recalled]:
        permit.release()
    until(lambda: pool.recalled == 0)
    assert 0 == _recalled(held)


def test_of_slots_that_were_asked_for_one_by_one_each_gate_is_asked_for_its_part(keeper: Keeper, until: Until):
    """Two slots here and one there, a cut to one: two are above it, so this one gives back two of its two, rounded up, and
    that one its one. What came back first is enough: the rest is not asked for any more.
    """
    here, there = (headway.connect(keeper.url, token=TOKEN) for _ in range(2))
    two = [here.limiter("few").try_acquire() for _ in range(2)]
    one = there.limiter("few").try_acquire()
    assert all(two)
    assert one

    _cut(keeper, "few", 1)

    until(lambda: (here.limiter("few").recalled, there.limiter("few").recalled) == (2, 1))
    for permit in two:
        assert isinstance(permit, Permit)
        permit.release()
    until(lambda: (here.limiter("few").recalled, there.limiter("few").recalled) == (0, 0))
    here.close()
    there.close()


def test_a_raise_takes_back_what_was_asked(keeper: Keeper, gate: headway.Connected, until: Until):
    few = gate.limiter("few")
    held = [few.try_acquire() for _ in range(3)]
    _cut(keeper, "few", 1)
    until(lambda: few.recalled == 2)

    _cut(keeper, "few", 3)

    until(lambda: few.recalled == 0)
    assert all(held)


def test_without_recall_nobody_is_asked(keeper: Keeper, gate: headway.Connected, until: Until):
    """The same cut of a contract that waits: what is above it drains by itself."""
    silent, few = gate.limiter("silent"), gate.limiter("few")
    held = [limiter.try_acquire() for limiter in (silent, few) for _ in range(3)]

    _cut(keeper, "silent", 1)
    _cut(keeper, "few", 1)

    until(lambda: few.recalled == 2)
    assert 0 == silent.recalled
    assert all(held)


def test_whoever_wants_to_hear_is_called_back_with_each_new_number(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    few, heard = gate.limiter("few"), []
    held = [few.try_acquire() for _ in range(3)]
    stop = headway.on_recall(few, heard.append)

    _cut(keeper, "few", 1)
    until(lambda: heard == [2])
    for permit in held:
        assert isinstance(permit, Permit)
        permit.release()

    until(lambda: bool(heard) and heard[-1] == 0)
    stop()
    stop()


def test_a_callback_that_fails_keeps_nobody_else_from_hearing(
    keeper: Keeper, gate: headway.Connected, until: Until, caplog: pytest.LogCaptureFixture
):
    few, heard, recalling = gate.limiter("few"), [], Recalling()
    held = [few.try_acquire() for _ in range(3)]

    def fails(units: int) -> None:
        raise RuntimeError(f"{units} of mine")

    recalling.watch(few, fails)
    recalling.watch(few, heard.append)
    _cut(keeper, "few", 1)
    until(lambda: few.recalled == 2)

    recalling.look()
    recalling.look()

    assert ([2], 1, True) == (heard, caplog.text.count("2 of mine"), all(held))


def test_a_lease_over_http_that_is_asked_back_is_not_renewed(keeper: Keeper):
    """Three leases and a cut to two: the first that is renewed is refused, the others go on. Before it nothing was."""
    with httpx.Client(base_url=keeper.url, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False) as front:
        names = [front.post("/check/few", params={"hold": "60s"}).headers["headway-lease"] for _ in range(3)]

        def renewed() -> list[int]:
            return [front.post("/check/few", params={"lease": name, "hold": "60s"}).status_code for name in names]

        assert [200, 200, 200] == renewed()
        _cut(keeper, "few", 2)

        assert [409, 200, 200] == renewed()
        assert [409, 200, 200] == renewed()
        problem = front.post("/check/few", params={"lease": names[0], "hold": "60s"}).json()
        front.delete("/check/few", params={"lease": names[0]})
        assert ("HW414", [404, 200, 200]) == (problem["code"], renewed())


@pytest.mark.parametrize("is_lent", [False, True])
def test_scopes_of_a_gate_are_ended_for_what_is_asked_back_of_it(
    keeper: Keeper, gate: headway.Connected, until: Until, is_lent: bool
):
    """Ten scopes and a cut to six, asked for one by one or under a lease: four raise `Recalled` after the second that the
    contract gives them, and the loop's own clock sees to it.
    """
    limiter = gate.limiter("ended")
    if is_lent:
        for permit in _press(limiter, 1.0, hold=20):
            permit.release()
        assert _on_loan(keeper, "ended") > 0

    async def work(may_end: asyncio.Event) -> None:
        async with limiter:
            await may_end.wait()

    async def run() -> tuple[float | None, int, int]:
        may_end = asyncio.Event()
        tasks = []
        for _ in range(10):
            tasks.append(asyncio.create_task(work(may_end)))
            await asyncio.sleep(0)
        await asyncio.to_thread(until, lambda: limiter.reading().waiting == 0 and keeper.in_use("ended") >= 10)
        await asyncio.to_thread(_cut, keeper, "ended", 6)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(until, lambda: keeper.in_use("ended") <= 6)
        left = sum(not task.done() for task in tasks)
        may_end.set()
        said = await asyncio.gather(*tasks, return_exceptions=True)
        return limiter.ends_within_s, left, sum(isinstance(one, headway.Recalled) for one in said)

    assert (1.0, 6, 4) == asyncio.run(run())


@pytest.mark.parametrize("is_lent", [False, True])
def test_a_pool_closes_connections_at_rest_that_are_asked_back_of_its_gate(
    keeper: Keeper, gate: headway.Connected, until: Until, tmp_path: Path, is_lent: bool
):
    """Ten at rest and a cut to six: four are closed, by the thread that hears of it, and six still hold their slots."""
    limiter = gate.limiter("resting")
    if is_lent:
        for permit in _press(limiter, 1.0, hold=20):
            permit.release()
    pool = limited(QueuePool, limiter)
    engine = create_engine(f"sqlite:///{tmp_path / 'orders.db'}", poolclass=pool, pool_size=10)
    closed: list[object] = []
    event.listen(engine, "close_detached", closed.append)
    for connection in [engine.connect() for _ in range(10)]:
        connection.close()
    until(lambda: keeper.in_use("resting") >= 10)

    _cut(keeper, "resting", 6)

    until(lambda: keeper.in_use("resting") == 6)
    assert 4 == len(closed)
    engine.dispose()


HOLDING = """
import sys, headway
url, token = sys.argv[1:]
with headway.connect(url, token=token) as gate:
    few = gate.limiter("few")
    held = [few.acquire() for _ in range(3)]
    headway.on_recall(few, lambda units: [permit.release() for permit in held if permit.recalled])
    print("holds", flush=True)
    sys.stdin.readline()
    print(sum(not permit.recalled for permit in held), flush=True)
"""


def test_a_process_that_gives_back_what_it_is_asked_for_makes_room_for_another(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    """Three held in another process, a cut to two, and that process lets one go by its callback."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDING, keeper.url, TOKEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert "holds" == other.stdout.readline().strip()

    _cut(keeper, "few", 2)

    until(lambda: keeper.in_use("few") == 2)
    print(file=other.stdin, flush=True)
    other.communicate(timeout=10)
    assert 0 == other.returncode


def test_who_is_watched_no_more_ends_the_thread(gate: headway.Connected, until: Until):
    """Of watchers of its own: a pool of another test is watched until the collector finds it."""
    recalling, others = Recalling(), set(threading.enumerate())
    stop = recalling.watch(gate.limiter("few"), lambda units: None)
    recalling.begin()
    (looking,) = [one for one in set(threading.enumerate()) - others if one.name == "headway-recall"]

    stop()

    until(lambda: not looking.is_alive())
