"""The adapters over limiters of `headway.connect`: a Celery worker of several processes, and pools of connections."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

import headway
from headway.adapters.sqlalchemy import limited

from .conftest import TOKEN, Keeper
from .mailing import broker, record

ROOT = Path(__file__).parents[2]
Until = Callable[[Callable[[], bool]], None]


@dataclass(frozen=True)
class Run:
    """One run of a task, as it wrote it down itself."""

    name: str
    pid: int
    retries: int
    from_ns: int
    to_ns: int


def runs(folder: Path) -> list[Run]:
    path = record(folder)
    lines = path.read_text().splitlines() if path.exists() else []
    return [Run(name, *map(int, numbers)) for name, *numbers in (line.split() for line in lines)]


@pytest.fixture
def worker(keeper: Keeper, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real Celery worker of four forked processes."""
    told = {"KEEPER": keeper.url, "TOKEN": TOKEN, "FOLDER": str(tmp_path)}
    options = ["--pool", "prefork", "--concurrency", "4", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [sys.executable, "-m", "celery", "-A", "tests.connect.mailing", "worker", *options]
    with (tmp_path / "worker.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | told, stdout=log, stderr=log)
    yield process
    process.terminate()
    process.wait(timeout=30)


def test_the_processes_of_a_celery_worker_share_a_keepers_limit(
    keeper: Keeper, worker: subprocess.Popen[bytes], tmp_path: Path, until: Until
) -> None:
    """A report takes 2 of 5 connections. While another process has 4 no run fits: each is put back, and not as a failure,
    for `max_retries` is 0. Then all are done, once each, by several processes, and never more than two at a time."""
    own = keeper.engine.limiter("db")
    held = own.try_acquire(4)
    assert isinstance(held, headway.Permit)
    names = {f"report-{number}" for number in range(12)}
    for name in names:
        broker(tmp_path).send_task("report", [name])
    refused = keeper.engine.limiter("db", "reports")
    until(lambda: refused.reading().refused >= 12)
    assert [] == runs(tmp_path)
    assert worker.poll() is None
    held.release()
    until(lambda: len(runs(tmp_path)) >= 12)
    until(lambda: keeper.in_use("db") == 0)

    done = runs(tmp_path)
    assert (12, names, {0}) == (len(done), {run.name for run in done}, {run.retries for run in done})
    assert len({run.pid for run in done}) > 1
    for run in done:
        assert 2 >= sum(other.from_ns <= run.from_ns < other.to_ns for other in done)


def test_pools_of_two_processes_share_a_keepers_limit(keeper: Keeper, gate: headway.Connected, until: Until) -> None:
    """Five connections, whoever opens them: three here and two there leave none; one that comes back can be had by the other."""
    with headway.connect(keeper.url, token=TOKEN) as other:
        pools = [limited(QueuePool, one.limiter("db")) for one in (gate, other)]
        here, there = (create_engine("sqlite://", poolclass=pool, pool_size=10) for pool in pools)
        mine = [here.connect() for _ in range(3)]
        theirs = [there.connect() for _ in range(2)]
        with pytest.raises(headway.Refused, match="db is full: 5 of 5 connections"):
            there.connect()
        mine.pop().close()
        until(lambda: keeper.in_use("db") == 4)
        theirs.append(there.connect())

        assert [1, 1, 1] == [one.scalar(text("select 1")) for one in theirs]
        for one in (*mine, *theirs):
            one.close()
        until(lambda: keeper.in_use("db") == 0)


def test_a_pool_made_before_a_fork_asks_for_itself_in_the_child(
    keeper: Keeper, gate: headway.Connected, until: Until
) -> None:
    """The parent has four of five, the child one; the child's end gives back its own and nothing of its parent's."""
    engine = create_engine("sqlite://", poolclass=limited(QueuePool, gate.limiter("db")), pool_size=10)
    held = [engine.connect() for _ in range(4)]
    child = os.fork()
    if child == 0:
        # A forked child begins with no connections of its own, as SQLAlchemy asks for.
        engine.dispose(close=False)
        with engine.connect():
            try:
                engine.connect()
            except headway.Refused:
                os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)

    assert 0 == os.waitstatus_to_exitcode(status)
    until(lambda: keeper.in_use("db") == 4)
    for one in held:
        one.close()
    until(lambda: keeper.in_use("db") == 0)
