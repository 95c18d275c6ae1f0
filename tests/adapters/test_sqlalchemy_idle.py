"""`recall: idle`, under real engines over SQLite: a slot for every connection that is open, and those at rest go first."""

import asyncio
import gc
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, exc, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

import headway
from headway import Limiter
from headway._core import Meters, MeterSpec, PathSpec
from headway.adapters import _resting
from headway.adapters.sqlalchemy import limited
from headway.enforce.recalling import Recalling
from tests.adapters.limits import assert_all_returned
from tests.core.making import MICRO, slots_curve
from tests.library.pool import free, settle_down

ONE = text("select 1")


class Limit:
    """Slots of connections under `recall: idle`, on the machine's clock."""

    def __init__(self, level: int, wait_s: float = 0.0, recall: str = "idle") -> None:
        self.meters, self.version = Meters(), 0
        self.meters.declare([MeterSpec("m", "concurrency", ceiling_micro=100 * MICRO, unit="connection")])
        self.to(level)
        path = PathSpec("db", "other", [("m", MICRO, False)], recall=recall, wait_ns=round(wait_s * 1e9))  # type: ignore[arg-type]
        self.limiter: Limiter = self.meters.limiter(path)

    def to(self, level: int) -> None:
        self.version += 1
        self.meters.publish([("m", slots_curve(level, version=self.version))], 0)

    @property
    def in_use(self) -> int:
        return self.meters.snapshot()[0].use_micro // MICRO


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'orders.db'}"


@pytest.fixture(autouse=True)
def recalling(monkeypatch: pytest.MonkeyPatch) -> Recalling:
    """Looks where a test says so, and not by a thread."""
    one = Recalling()
    monkeypatch.setattr(_resting, "on_recall", one.watch)
    monkeypatch.setattr(_resting, "_LOOK_S", 3600.0)
    return one


def engine_of(url: str, limit: Limit, **options: Any) -> Engine:
    return create_engine(url, poolclass=limited(QueuePool, limit.limiter), **options)


def opened_at_once(engine: Engine, count: int) -> list[Connection]:
    return [engine.connect() for _ in range(count)]


def counted(engine: Engine) -> tuple[list[Any], list[Any]]:
    """Connections of the database that were opened and closed, as they are."""
    opened: list[Any] = []
    closed: list[Any] = []
    event.listen(engine, "connect", lambda connection, _entry: opened.append(connection))
    event.listen(engine, "close", lambda connection, _entry: closed.append(connection))
    event.listen(engine, "close_detached", lambda connection: closed.append(connection))
    return opened, closed


def test_a_slot_is_held_for_as_long_as_a_connection_is_open(url: str) -> None:
    """Three at once, then none out: three are open and hold three slots. A checkout of one at rest asks for nothing."""
    limit = Limit(3)
    engine = engine_of(url, limit)
    opened, _ = counted(engine)

    for connection in opened_at_once(engine, 3):
        connection.close()
    assert (3, 3) == (limit.in_use, len(opened))
    limit.to(0)
    limit.to(3)
    with engine.connect() as connection:
        assert 1 == connection.scalar(ONE)

    assert (3, 3) == (limit.in_use, len(opened))
    engine.dispose()
    assert_all_returned(limit.limiter, 3)


@pytest.mark.parametrize("recall", ["wait", "ask", "end"])
def test_under_any_other_recall_a_slot_is_held_for_as_long_as_a_connection_is_out(url: str, recall: str) -> None:
    limit = Limit(2, recall=recall)
    engine = engine_of(url, limit)

    with engine.connect():
        assert 1 == limit.in_use

    assert_all_returned(limit.limiter, 2)


def test_what_has_no_slot_opens_nothing(url: str) -> None:
    limit = Limit(1)
    engine = engine_of(url, limit)
    opened, _ = counted(engine)

    with engine.connect(), pytest.raises(headway.Refused):
        engine.connect()

    assert (1, 1) == (limit.in_use, len(opened))


def test_on_a_recall_those_at_rest_are_closed_the_longest_idle_first_and_as_many_as_asked(
    url: str, recalling: Recalling
) -> None:
    """Four at rest and a cut to two: the two that came back first are closed; what is cut again takes the others."""
    limit = Limit(4)
    engine = engine_of(url, limit)
    opened, closed = counted(engine)
    connections = opened_at_once(engine, 4)
    for index in (2, 0, 3, 1):
        connections[index].close()

    limit.to(2)
    recalling.look()

    assert ([opened[2], opened[0]], 2, 0) == (closed, limit.in_use, limit.limiter.recalled)
    limit.to(0)
    recalling.look()
    assert ([opened[i] for i in (2, 0, 3, 1)], 0) == (closed, limit.in_use)


def test_one_that_is_out_is_closed_when_it_comes_back_and_not_before(url: str, recalling: Recalling) -> None:
    """Two out and one at rest, a cut to one: the one at rest goes, then the first that is returned, the last one stays."""
    limit = Limit(3)
    engine = engine_of(url, limit)
    opened, closed = counted(engine)
    connections = opened_at_once(engine, 3)
    connections[0].close()

    limit.to(1)
    recalling.look()

    assert [opened[0]] == closed
    assert 1 == connections[1].scalar(ONE), "work goes on"
    connections[1].close()
    assert [opened[0], opened[1]] == closed
    connections[2].close()
    assert (2, 1) == (len(closed), limit.in_use)


def test_a_recall_opens_nothing_and_passes_by_what_is_closed_already(
    url: str, recalling: Recalling, caplog: pytest.LogCaptureFixture
) -> None:
    """Two entries whose connection was closed, and behind them one at rest: a further cut closes that one. With one out and
    nothing at rest, the next cut finds nothing to close.
    """
    limit = Limit(4)
    engine = engine_of(url, limit)
    opened, _ = counted(engine)
    connections = opened_at_once(engine, 4)
    for connection in connections[:3]:
        connection.close()
    limit.to(2)
    recalling.look()
    engine.connect().close()
    assert 2 == limit.in_use

    limit.to(1)
    recalling.look()

    assert 1 == limit.in_use
    limit.to(0)
    recalling.look()
    assert (1, 4, "") == (limit.in_use, len(opened), caplog.text)


def test_a_recall_does_not_wait_for_what_is_checked_out_meanwhile(url: str) -> None:
    """Two at rest, and others take both when the recall has counted them and before it has one in hand: it gives up at once,
    and what is returned is closed.
    """
    limit = Limit(2)
    engine = engine_of(url, limit, pool_size=2, max_overflow=0, pool_timeout=0.01)
    opened, closed = counted(engine)
    for connection in opened_at_once(engine, 2):
        connection.close()
    pool = engine.pool
    out: list[Connection] = []
    assert isinstance(pool, _resting.Kept)
    counts = pool.checkedin

    def outrun() -> int:
        count = counts()
        out.extend(opened_at_once(engine, 2))
        limit.to(0)
        return count

    pool.checkedin = outrun  # type: ignore[method-assign]
    pool.close_idle(limit.limiter)

    assert ([], 2) == (closed, limit.limiter.recalled)
    for connection in out:
        connection.close()
    assert (opened, 0) == (closed, limit.in_use)


def test_after_a_cut_and_a_raise_the_pool_goes_on(url: str, recalling: Recalling) -> None:
    """Entries whose connection was closed are left in the pool: one that has its connection is taken before they open."""
    limit = Limit(4)
    engine = engine_of(url, limit)
    opened, _ = counted(engine)
    for connection in opened_at_once(engine, 4):
        connection.close()
    limit.to(1)
    recalling.look()

    for _ in range(3):
        with engine.connect() as connection:
            assert 1 == connection.scalar(ONE)
            with pytest.raises(headway.Refused):
                engine.connect()
    assert (4, 1) == (len(opened), limit.in_use)
    limit.to(4)
    for connection in opened_at_once(engine, 4):
        assert 1 == connection.scalar(ONE)
        connection.close()
    assert (7, 4) == (len(opened), limit.in_use)


def test_who_waits_for_a_slot_takes_a_connection_that_comes_back(url: str) -> None:
    """The limit is reached and nothing is closed: the thread that waits is served all the same, by the connection itself."""
    limit = Limit(1, wait_s=300.0)
    engine = engine_of(url, limit)
    opened, _ = counted(engine)
    served: list[int | None] = []

    def ask() -> None:
        with engine.connect() as connection:
            served.append(connection.scalar(ONE))

    with engine.connect():
        thread = threading.Thread(target=ask)
        thread.start()
        while not limit.limiter.reading().waiting:
            pass
        assert [] == served
    thread.join()

    assert ([1], 1, 1) == (served, len(opened), limit.in_use)


def test_who_waits_for_a_slot_is_served_when_another_pool_closes_one(url: str) -> None:
    limit = Limit(1, wait_s=300.0)
    mine, other = engine_of(url, limit), engine_of(url, limit)
    served: list[int | None] = []

    def ask() -> None:
        with mine.connect() as connection:
            served.append(connection.scalar(ONE))

    other.connect().close()
    thread = threading.Thread(target=ask)
    thread.start()
    while not limit.limiter.reading().waiting:
        pass
    other.dispose()
    thread.join()

    assert ([1], 1) == (served, limit.in_use)


def test_who_waits_too_long_is_refused(url: str) -> None:
    limit = Limit(1, wait_s=0.001)
    engine = engine_of(url, limit)

    with engine.connect(), pytest.raises(headway.Refused) as refused:
        engine.connect()

    assert "timeout" == refused.value.refusal.why


def _invalidate(connection: Connection) -> None:
    connection.invalidate()
    connection.close()


def _detach(connection: Connection) -> None:
    connection.detach()
    connection.close()


@pytest.mark.parametrize("end", [_invalidate, _detach])
def test_a_connection_that_ends_otherwise_gives_its_slot_back_once(url: str, end: Callable[[Connection], None]) -> None:
    limit = Limit(1)
    engine = engine_of(url, limit)

    for _ in range(3):
        connection = engine.connect()
        assert 1 == limit.in_use
        end(connection)
        assert 0 == limit.in_use

    assert_all_returned(limit.limiter, 1)


def test_a_connection_above_the_pools_size_is_closed_when_it_comes_back_and_so_its_slot(url: str) -> None:
    limit = Limit(3)
    engine = engine_of(url, limit, pool_size=1, max_overflow=2)

    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(engine.connect())

    assert 1 == limit.in_use
    for connection in opened_at_once(engine, 3):
        assert 1 == connection.scalar(ONE)
        connection.close()
    engine.dispose()
    assert_all_returned(limit.limiter, 3)


def test_a_database_that_cannot_be_reached_holds_no_slot(tmp_path: Path) -> None:
    limit = Limit(1)
    engine = engine_of(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}", limit)

    for _ in range(3):
        with pytest.raises(exc.OperationalError):
            engine.connect()

    assert_all_returned(limit.limiter, 1)


def test_a_pool_that_keeps_nothing_holds_slots_of_what_is_out(url: str) -> None:
    limit = Limit(2)
    engine = create_engine(url, poolclass=limited(NullPool, limit.limiter))

    with engine.connect():
        assert 1 == limit.in_use

    assert_all_returned(limit.limiter, 2)


def test_a_pool_made_anew_gives_back_what_the_old_one_held_and_is_watched(url: str, recalling: Recalling) -> None:
    """`dispose()` twice; the pools before are forgotten, and so is who watched for them."""
    limit = Limit(2)
    engine = engine_of(url, limit)

    for _ in range(2):
        engine.connect().close()
        engine.dispose()
    assert 0 == limit.in_use
    engine.connect().close()
    gc.collect()

    assert 1 == len(recalling._watched)
    limit.to(0)
    recalling.look()
    assert 0 == limit.in_use


def test_many_threads_never_open_more_than_the_limit(url: str, recalling: Recalling) -> None:
    """Eight threads, a limit that falls and rises under them; looked at all the while. In the end every slot is accounted for."""
    limit = Limit(4, wait_s=300.0)
    engine = engine_of(url, limit, pool_size=6)
    opened, closed = counted(engine)
    most: list[int] = []

    def work() -> None:
        for _ in range(25):
            with engine.connect() as connection:
                connection.execute(ONE)
                most.append(limit.in_use)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for level in [1, 4] * 20:
        limit.to(level)
        recalling.look()
    for thread in threads:
        thread.join()

    assert 0 < max(most) <= 4
    assert limit.in_use == len(opened) - len(closed)
    engine.dispose()
    assert_all_returned(limit.limiter, 4)


# --- asynchronously -------------------------------------------------------------------------------------------------


def test_under_an_asynchronous_engine_those_at_rest_are_closed_in_its_loop(url: str, recalling: Recalling) -> None:
    """Three at rest and a cut to one, told in another thread; then a coroutine that waits takes what comes back."""
    limit = Limit(3, wait_s=300.0)

    async def run() -> tuple[int, int | None]:
        pool = limited(AsyncAdaptedQueuePool, limit.limiter)
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"), poolclass=pool)
        connections = [await engine.connect() for _ in range(3)]
        for connection in connections:
            await connection.close()
        assert 3 == limit.in_use
        limit.to(1)
        await asyncio.to_thread(recalling.look)
        while limit.in_use > 1:
            await asyncio.sleep(0)

        async def ask() -> int | None:
            async with engine.connect() as connection:
                one: int | None = await connection.scalar(ONE)
                return one

        async with engine.connect():
            task = asyncio.ensure_future(ask())
            await settle_down()
            assert 1 == limit.limiter.reading().waiting
        result = limit.in_use, await task
        await engine.dispose()
        return result

    assert (1, 1) == asyncio.run(run())
    assert 0 == free(limit.limiter) - 1
