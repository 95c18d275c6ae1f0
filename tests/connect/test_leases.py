"""Gates that ask so often that a part is lent to them: they decide by themselves, and all together keep the limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headway
from headway._core import Limiter, PathReading, Permit
from headway.ramp.observations import VerbCall

from . import conftest
from .conftest import TOKEN, Keeper

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
contract: mails
owner: team-web
constraint: {measure: quota, unit: mail, per: month}
workloads: {other: {}}
ramp: [{stage: now, limit: 2000}]
---
contract: few
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 3}]
---
contract: patient
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 8}]
enforce: {wait: 5s}
"""


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(conftest, "CONTRACTS", CONTRACTS)
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.stop()


def _on_loan(keeper: Keeper, contract: str) -> int:
    """Units that gates hold without asking, slots in flight among them."""
    return sum(one.on_loan_micro for one in keeper.engine.meters.paths() if one.contract == contract) // 1_000_000


def _press(limiter: Limiter, seconds: float, hold: int = 0) -> list[Permit]:
    """Asks as a busy process does, holding the last `hold` permits."""
    held: list[Permit] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        permit = limiter.try_acquire()
        if permit:
            held.append(permit)  # type: ignore[arg-type]
        if len(held) > hold:
            held.pop(0).release()
        time.sleep(0.001)
    return held


def test_a_busy_gate_is_lent_a_part_and_decides_while_its_keeper_is_away(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    """The lease of a second outlives the keeper's stop; then nothing is admitted any more."""
    pool = gate.limiter("pool")
    held = _press(pool, 1.0, hold=5)
    assert _on_loan(keeper, "pool") >= 5

    keeper.plane.close()

    assert pool.try_acquire()
    until(lambda: not pool.try_acquire())
    keeper.engine.close()
    keeper.start()
    assert len(held) == 5


def test_a_keeper_whose_mandate_has_ended_renews_nothing(keeper: Keeper, gate: headway.Connected, until: Until):
    """The gate's lease ends by itself, and what it asks is refused; once the mandate is renewed it is lent again."""
    pool = gate.limiter("pool")
    _press(pool, 1.0)
    assert pool.try_acquire()

    keeper.engine.meters.decide_until(0)

    until(lambda: not pool.try_acquire())
    assert "cut_off" == pool.try_acquire().why  # type: ignore[union-attr]
    keeper.engine.meters.decide_until(2**62)
    until(lambda: bool(pool.try_acquire()))


def test_gates_together_never_have_more_in_flight_than_the_limit(keeper: Keeper):
    gates = [headway.connect(keeper.url, token=TOKEN) for _ in range(4)]
    held: list[Permit] = []
    most = admitted = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for gate in gates:
            permit = gate.limiter("pool").try_acquire()
            if permit:
                admitted += 1
                held.append(permit)  # type: ignore[arg-type]
        most = max(most, len(held))
        if len(held) > 30:
            for permit in held[:12]:
                permit.release()
            del held[:12]
        time.sleep(0.001)
    assert most <= 40
    assert admitted > 1_000
    for gate in gates:
        gate.close()


def test_two_names_of_one_limit_hold_it_once(keeper: Keeper, gate: headway.Connected):
    """A limiter without a workload and one of `other` are the same limit in one process: a lease is not held twice."""
    held: list[Permit] = []
    most = 0
    for turn in range(3_000):
        for limiter in (gate.limiter("pool"), gate.limiter("pool", "other")):
            permit = limiter.try_acquire()
            if permit:
                held.append(permit)  # type: ignore[arg-type]
        most = max(most, len(held))
        if turn % 50 == 0:
            for permit in held[:25]:
                permit.release()
            del held[:25]
        time.sleep(0.001)
    assert 30 < most <= 40


def test_a_server_counts_what_gates_decide_by_themselves(keeper: Keeper, gate: headway.Connected, until: Until):
    """At 250 a second of 400 a server is asked few once a part is lent; beyond the limit it tells of all as well."""
    api = gate.limiter("api")

    def admitted_after(demands: int, pause_s: float) -> int:
        for _ in range(demands):
            api.try_acquire()
            time.sleep(pause_s)
        (own,) = gate.readings()
        return own.admitted

    def here() -> list[PathReading]:
        return [one for one in keeper.engine.meters.paths() if one.contract == "api"]

    first, asked_first = admitted_after(100, 0.004), sum(one.admitted for one in here())
    both, asked = admitted_after(300, 0.004), sum(one.admitted for one in here())
    assert asked - asked_first < (both - first) / 2
    everything = admitted_after(600, 0)
    until(lambda: sum(one.admitted + one.admitted_elsewhere for one in here()) == everything)
    # What it refuses while something is on its way to the gate is admitted there.
    (own,) = gate.readings()
    assert own.refused > 0
    until(lambda: sum(one.refused + one.refused_elsewhere for one in here()) >= own.refused)
    # People are told the same as metrics: of all that was decided, wherever that was.
    (told,) = (one for one in keeper.engine.explain("api")["refusals"].values() if one["admitted"])
    assert (everything, told["refused"]) == (told["admitted"], sum(told["by"].values()))
    assert told["refused"] >= own.refused


def test_gates_together_spend_a_rate_and_not_more(keeper: Keeper):
    """400 a second and a burst of 200, asked for three times as often at four gates: all of it is used, and no more."""
    gates = [headway.connect(keeper.url, token=TOKEN) for _ in range(4)]
    limiters = [gate.limiter("api") for gate in gates]
    began = time.monotonic()
    admitted = 0
    while (lasted := time.monotonic() - began) < 4:
        admitted += sum(bool(limiter.try_acquire()) for limiter in limiters)
        time.sleep(0.003)
    assert _on_loan(keeper, "api") > 0
    assert admitted <= 200 + 400 * (lasted + 0.1)
    assert admitted >= 0.8 * 400 * lasted
    for gate in gates:
        gate.close()


def test_a_cut_is_in_force_at_a_gate_as_soon_as_it_is_heard(keeper: Keeper, gate: headway.Connected, until: Until):
    pool = gate.limiter("pool")
    held = _press(pool, 1.0, hold=20)
    assert 20 == len(held)
    now_ms = keeper.engine.now_ms()
    keeper.engine.submit(
        "pool", VerbCall(now_ms, "override", "token:a", "a cut", {"": 10_000_000}, now_ms + 60_000, second="token:b")
    )
    until(lambda: not pool.try_acquire())

    for permit in held[:10]:
        permit.release()
    assert not pool.try_acquire(), "ten are in flight still"
    held.pop().release()
    until(lambda: bool(pool.try_acquire()))


PRESSING = """
import sys, time, headway
url, token = sys.argv[1:]
gate = headway.connect(url, token=token)
pool = gate.limiter("pool")
held, end = [pool.acquire(timeout=10)], time.monotonic() + 1.0
while True:
    permit = pool.try_acquire()
    if permit:
        held.append(permit)
    if len(held) > 10:
        held.pop(0).release()
    if end and time.monotonic() > end:
        end = None
        print(len(held), flush=True)
    time.sleep(0.001)
"""


def _pressing(url: str) -> subprocess.Popen[str]:
    """A process that is lent slots and has ten in flight."""
    process = subprocess.Popen([sys.executable, "-c", PRESSING, url, TOKEN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "10\n" == process.stdout.readline()
    return process


def test_what_a_killed_gate_was_lent_is_free_at_once(keeper: Keeper, until: Until):
    process = _pressing(keeper.url)
    assert keeper.in_use("pool") >= 10
    process.kill()
    process.communicate()
    until(lambda: keeper.in_use("pool") == 0)


def test_what_a_frozen_gate_was_lent_stays_booked_until_its_work_has_ended(keeper: Keeper, until: Until):
    """A second of `drain_within` and two of `max_hold`: not a unit of it is another's before."""
    process = _pressing(keeper.url)
    os.kill(process.pid, signal.SIGSTOP)
    frozen = time.monotonic()
    booked = keeper.in_use("pool")
    assert booked >= 10

    until(lambda: keeper.in_use("pool") < 10)

    assert time.monotonic() - frozen >= 2.0
    process.kill()
    process.communicate()


def test_what_was_lent_stays_booked_over_a_keepers_end(keeper: Keeper, until: Until):
    """Nobody saw the gate end: its row in the ledger speaks for it, as long as its work may last."""
    process = _pressing(keeper.url)
    keeper.stop()
    process.kill()
    process.communicate()

    keeper.start()

    assert keeper.in_use("pool") >= 10
    until(lambda: keeper.in_use("pool") == 0)


def test_a_quota_loses_nothing_to_what_was_lent_over_a_clean_stop(keeper: Keeper, gate: headway.Connected):
    mails = gate.limiter("mails")
    sent = most = 0
    while sent < 1_000:
        sent += bool(mails.try_acquire())
        most = max(most, _on_loan(keeper, "mails"))
        time.sleep(0.0005)
    assert most > 0
    keeper.stop()
    keeper.start()
    while mails.acquire(timeout=5) and sent < 1_999:
        sent += 1
    assert not mails.try_acquire()


def test_few_units_are_asked_for_one_by_one(keeper: Keeper, gate: headway.Connected, until: Until):
    """Three slots that one gate were lent would be idle there while another is refused."""
    held = _press(gate.limiter("few"), 0.7, hold=1)
    assert 0 == _on_loan(keeper, "few")
    until(lambda: keeper.in_use("few") == len(held) == 1)


def test_who_waits_is_served_from_what_its_own_process_lets_go(keeper: Keeper, gate: headway.Connected):
    patient = gate.limiter("patient")
    held = _press(patient, 1.0, hold=4)
    assert _on_loan(keeper, "patient") > 0
    got: list[float] = []
    waits = threading.Thread(target=lambda: (patient.acquire(), got.append(time.monotonic())))  # type: ignore[func-returns-value]
    while len(held) < 8:
        held.append(patient.acquire(timeout=5))
    waits.start()
    time.sleep(0.2)
    assert not got
    let_go = time.monotonic()
    held.pop().release()
    waits.join(5)
    assert got[0] - let_go < 1.0


def test_a_forked_child_has_none_of_its_parents_lease(keeper: Keeper, gate: headway.Connected, until: Until):
    """What the child lets go of was never its own, and what it takes it is given by the keeper."""
    pool = gate.limiter("pool")
    held = _press(pool, 1.0, hold=5)
    before = keeper.in_use("pool")
    child = os.fork()
    if child == 0:
        try:
            own = [pool.try_acquire() for _ in range(3)]
            held.clear()
            seen = sum(map(bool, own)) == 3
        except BaseException:
            seen = False
        os._exit(0 if seen else 1)
    assert 0 == os.waitpid(child, 0)[1]
    until(lambda: keeper.in_use("pool") <= max(before, 40))
    assert 5 == len(held)
    assert keeper.in_use("pool") >= 5
