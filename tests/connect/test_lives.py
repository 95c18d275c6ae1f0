"""What becomes of slots and demands when a gate or its keeper ends, forks, or comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

import headway
from headway._core import Refusal

from .conftest import TOKEN, Keeper

Until = Callable[[Callable[[], bool]], None]


HOLDING = """
import signal, sys, headway
url, token, slots = sys.argv[1:]
gate = headway.connect(url, token=token)
held = [gate.limiter("db").acquire(timeout=5) for _ in range(int(slots))]
print(len(held), flush=True)
signal.pause()
"""


def _holder(url: str, slots: int) -> subprocess.Popen[str]:
    """A process that holds so many slots of `db` until it is killed."""
    arguments = [sys.executable, "-c", HOLDING, url, TOKEN, str(slots)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert f"{slots}\n" == process.stdout.readline()
    return process


def test_a_gate_that_is_killed_gives_its_slots_back(keeper: Keeper, until: Until):
    """Its death is seen by the kernel's own handle of it: `max_hold`, a minute, is not waited for."""
    process = _holder(keeper.url, 3)
    assert 3 == keeper.in_use("db")

    process.kill()

    until(lambda: keeper.in_use("db") == 0)
    process.communicate()


def test_a_gate_that_leaves_gives_back_what_it_does_not_hold_and_no_more(keeper: Keeper, until: Until):
    gate = headway.connect(keeper.url, token=TOKEN)
    held = gate.limiter("db").try_acquire()
    assert held
    gate.close()

    assert 1 == keeper.in_use("db")


def test_a_keeper_that_comes_back_knows_what_is_held(keeper: Keeper, gate: headway.Connected, until: Until):
    """Two of five held, and the keeper starts anew: three are free, and the two come back when they are released."""
    db = gate.limiter("db")
    held = [db.try_acquire() for _ in range(2)]
    keeper.stop()
    keeper.start()

    assert 2 <= keeper.in_use("db"), "before any gate is heard the ledger's rows stand"
    more = [db.acquire(timeout=5) for _ in range(3)]
    assert not db.try_acquire()
    for permit in [*held, *more]:
        permit.release()
    until(lambda: keeper.in_use("db") == 0)


def test_slots_of_a_gate_that_died_with_its_keeper_stay_booked(keeper: Keeper):
    """Nobody saw that gate end. What it may have had in flight is held from the ledger's rows, though nobody restates it."""
    process = _holder(keeper.url, 3)
    keeper.stop()
    process.kill()
    process.communicate()
    keeper.start()

    assert 3 == keeper.in_use("db")


@pytest.mark.parametrize("key", ["", "ana", "two\nlines"])
def test_a_keys_slot_stays_its_own_over_a_restart(keeper: Keeper, key: str):
    """A gate leaves with one seat held. The keeper that starts anew holds that key's seat, the empty one's too, and no other's."""
    gate = headway.connect(keeper.url, token=TOKEN)
    held = gate.limiter("seats").try_acquire(key=key)
    assert held
    gate.close()
    keeper.stop()
    keeper.start()

    with headway.connect(keeper.url, token=TOKEN) as other:
        seats = other.limiter("seats")
        assert (False, True) == (bool(seats.try_acquire(key=key)), bool(seats.try_acquire(key="bob")))


def test_demands_are_cut_off_while_the_keeper_is_away_and_decided_when_it_is_back(
    keeper: Keeper, gate: headway.Connected
):
    db = gate.limiter("db")
    assert db.try_acquire()
    keeper.stop()

    answers = [db.try_acquire() for _ in range(50)]

    assert {"cut_off"} == {one.why for one in answers if isinstance(one, Refusal)}
    assert not any(answers)
    keeper.start()
    assert db.acquire(timeout=10)


def test_a_forked_child_is_a_gate_of_its_own(keeper: Keeper, gate: headway.Connected, until: Until):
    """The parent holds two; its child may take three, and what it lets go of is its own, never the parent's."""
    db = gate.limiter("db")
    held = [db.try_acquire() for _ in range(2)]
    assert all(held)
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            held[0].release()  # type: ignore[union-attr]
            taken = [db.try_acquire() for _ in range(5)]
            os.write(writing, bytes([sum(map(bool, taken))]))
        finally:
            os._exit(0)
    count = os.read(reading, 1)[0]
    os.waitpid(child, 0)

    assert 3 == count
    until(lambda: keeper.in_use("db") == 2)
    for permit in held:
        permit.release()  # type: ignore[union-attr]
    until(lambda: keeper.in_use("db") == 0)


def test_a_permit_that_is_dropped_gives_its_slot_back(keeper: Keeper, gate: headway.Connected, until: Until):
    permit = gate.limiter("db").try_acquire()
    assert permit
    del permit

    until(lambda: keeper.in_use("db") == 0)
