"""The shop's worker processes: they share its relay, one is killed and its connection comes back, none outlives the shop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import headway
from examples.shop import clock
from examples.shop.app import RELAY
from examples.shop.count import Count, Record, read_record
from examples.shop.demo import CONTRACTS, plane_for_workers
from examples.shop.workers import APART, Workers
from headway.server.dataplane import RoutedPlane

UNTIL_S = 30
"""How long a test waits for what is about to come."""

SECONDS = 10.0
KILL_AT_S = 6.0


@pytest.fixture
def hw(tmp_path: Path) -> Iterator[headway.Headway]:
    with headway.open(CONTRACTS / "mail-relay.yaml", data=tmp_path / "data") as hw:
        yield hw


@pytest.fixture
def plane(hw: headway.Headway) -> Iterator[RoutedPlane]:
    with closing(plane_for_workers(hw)) as plane:
        yield plane


@pytest.fixture
def count(tmp_path: Path) -> Iterator[Count]:
    count = Count(tmp_path / "count.jsonl", clock.boot_ns)
    count.begin(1, 1, clock.utc_ns())
    yield count
    count.close()


@pytest.fixture
def workers(plane: RoutedPlane, count: Count, tmp_path: Path) -> Iterator[Workers]:
    url, token = f"http://{plane.address}", tmp_path / "data" / "tokens" / "local"
    workers = Workers(url, token, count, 1, SECONDS, lambda: plane.holders)
    yield workers
    workers.close()


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + UNTIL_S
    while not done():
        assert time.monotonic() < until, "it never came to that"
        threading.Event().wait(0.02)


def mails(count: Count) -> Record:
    return read_record(count.path)


def writers(count: Count) -> set[int]:
    """Numbers of the processes that were admitted."""
    lines = count.path.read_text().splitlines()
    return {int(line.split(",")[1]) // APART for line in lines if line.startswith('["admitted"')}


def test_both_are_served_and_one_is_killed_and_replaced(workers: Workers, plane: RoutedPlane, count: Count) -> None:
    """Nothing is due before its time; killed, its connection is the relay's again, and a third process is served."""
    wait(lambda: len(writers(count)) == 2)
    assert workers.turn(KILL_AT_S - 0.1) is None
    assert ["no killed worker's connections came back"] == workers.missing()

    killed = workers.turn(KILL_AT_S)
    assert killed is not None and "is killed while it holds" in killed
    wait(lambda: plane.holders == 1)
    back = workers.turn(KILL_AT_S + 0.5)

    assert back is not None and "is free after 0.50 s" in back
    assert [] == workers.missing()
    wait(lambda: len(writers(count)) == 3)
    assert workers.turn(SECONDS) is None


def test_what_they_held_is_in_the_count_when_they_are_gone(workers: Workers, hw: headway.Headway, count: Count) -> None:
    """Told to end they give back what they hold; the relay is empty, and every mail has its end."""
    wait(lambda: len(writers(count)) == 2)

    workers.close()

    wait(lambda: all(reading.use_micro == 0 for reading in hw.engine.meters.snapshot() if reading.meter == RELAY))
    assert all(one.freed is not None for one in mails(count).admissions)


def test_slots_that_come_back_late_are_said(workers: Workers, plane: RoutedPlane) -> None:
    """Six seconds are more than five."""
    wait(lambda: plane.holders == 2)
    workers.turn(KILL_AT_S)
    wait(lambda: plane.holders == 1)
    workers.turn(KILL_AT_S + 6)

    assert ["a killed worker's connections came back after 6.0 s, not 5"] == workers.missing()


def test_a_worker_that_ends_by_itself_is_told(workers: Workers, plane: RoutedPlane, count: Count) -> None:
    """Nobody killed it, so something is wrong with it: the demo does not go on without."""
    wait(lambda: plane.holders == 2)
    (pid, *_) = [int(one) for one in _children(os.getpid())]
    os.kill(pid, signal.SIGKILL)
    wait(lambda: plane.holders == 1)

    with pytest.raises(RuntimeError, match=f"worker {pid} ended by itself"):
        workers.turn(0)


def test_a_worker_dies_with_the_process_that_started_it(plane: RoutedPlane, count: Count, tmp_path: Path) -> None:
    """Killed with `kill -9` the shop leaves nobody behind who would hold its relay and write into its count."""
    token = tmp_path / "data" / "tokens" / "local"
    start = (
        "import sys, threading; from pathlib import Path; from examples.shop import clock\n"
        "from examples.shop.count import Count; from examples.shop.workers import Workers\n"
        "Workers(sys.argv[1], Path(sys.argv[2]), Count(Path(sys.argv[3]), clock.boot_ns), 2, 10.0, lambda: 0)\n"
        "threading.Event().wait()"
    )
    shop = subprocess.Popen([sys.executable, "-c", start, f"http://{plane.address}", str(token), str(count.path)])
    wait(lambda: plane.holders == 2)

    shop.kill()
    shop.wait()

    wait(lambda: plane.holders == 0)


def _children(pid: int) -> list[str]:
    """Processes that this one has started."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
