"""The metered pool, under real engines over SQLite: a slot for every connection that is out, and for no other."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, exc, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, Pool, QueuePool, SingletonThreadPool, StaticPool

import headway
import headway.testing
from headway import Limiter
from headway.adapters.sqlalchemy import attributes_of, limited
from tests.adapters.limits import CONTRACT, MATCHED, admitted, assert_all_returned, observed
from tests.library.pool import free, settle_down, slots

ONE = text("select 1")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'orders.db'}"


def engine_of(url: str, limiter: Limiter, kind: type[Pool] = QueuePool) -> Engine:
    return create_engine(url, poolclass=limited(kind, limiter))


@pytest.fixture(params=[QueuePool, NullPool])
def kind(request: pytest.FixtureRequest) -> Iterator[type[Pool]]:
    return request.param


def test_a_checkout_holds_a_slot_and_a_checkin_returns_it(url: str, kind: type[Pool]) -> None:
    """Of two slots each connection that is out takes one; transactions and sessions come and go as ever."""
    limiter = slots(2)
    engine = engine_of(url, limiter, kind)

    with engine.connect() as one:
        assert 1 == one.scalar(ONE)
        with engine.begin() as two:
            two.execute(ONE)
            assert 0 == free(limiter)
        assert 1 == free(limiter)

    assert_all_returned(limiter, 2)


def test_what_is_refused_opens_no_connection(url: str, kind: type[Pool]) -> None:
    """The slot is asked for first: a refused checkout raises `Refused` and never reaches the database."""
    limiter = slots(1)
    engine = engine_of(url, limiter, kind)
    opened = []
    event.listen(engine, "connect", lambda connection, _entry: opened.append(connection))

    with engine.connect(), pytest.raises(headway.Refused, match="pool is full"):
        engine.connect()

    assert 1 == len(opened)
    assert_all_returned(limiter, 1)


def test_a_checkout_waits_as_long_as_the_contract_says(url: str) -> None:
    """With a wait, a thread that finds no slot is served when the first one is through."""
    limiter = slots(1, wait=300.0)
    engine = engine_of(url, limiter)
    served: list[int | None] = []

    def ask() -> None:
        with engine.connect() as connection:
            served.append(connection.scalar(ONE))

    with engine.connect():
        thread = threading.Thread(target=ask)
        thread.start()
        while not limiter.reading().waiting:
            pass
        assert [] == served
    thread.join()

    assert [1] == served
    assert_all_returned(limiter, 1)


def test_an_invalidated_connection_returns_its_slot_once(url: str, kind: type[Pool]) -> None:
    """Hard or soft, then closed, then closed again: one slot was out and one comes back."""
    limiter = slots(1)
    engine = engine_of(url, limiter, kind)

    hard = engine.raw_connection()
    hard.invalidate()
    assert 1 == free(limiter)
    hard.close()
    soft = engine.raw_connection()
    soft.invalidate(soft=True)
    assert 0 == free(limiter)
    soft.close()
    soft.close()

    with engine.connect() as again:
        assert 1 == again.scalar(ONE)
    assert_all_returned(limiter, 1)


def test_a_detached_connection_keeps_its_slot_until_it_is_closed(url: str, kind: type[Pool]) -> None:
    """It has left the pool and is a connection all the same."""
    limiter = slots(2)
    engine = engine_of(url, limiter, kind)

    connection = engine.connect()
    connection.detach()
    with engine.connect():
        assert 0 == free(limiter)
    assert 1 == free(limiter)
    connection.close()
    connection.close()

    assert_all_returned(limiter, 2)


def test_a_forgotten_connection_returns_its_slot_when_it_is_collected(url: str) -> None:
    """Nobody closed it; the pool takes it back, and the slot with it."""
    limiter = slots(1)
    engine = engine_of(url, limiter)

    connection = engine.raw_connection()
    del connection
    gc.collect()

    assert_all_returned(limiter, 1)


def test_a_database_that_cannot_be_reached_holds_no_slot(tmp_path: Path, kind: type[Pool]) -> None:
    """Connecting fails, again and again: the error is the driver's, the slots are all there."""
    limiter = slots(1)
    engine = engine_of(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}", limiter, kind)

    for _ in range(3):
        with pytest.raises(exc.OperationalError):
            engine.connect()

    assert_all_returned(limiter, 1)


def test_a_check_at_checkout_that_fails_holds_no_slot(url: str, kind: type[Pool]) -> None:
    """A listener of the user's that refuses a connection sends it back, and its slot."""
    limiter = slots(1)
    engine = engine_of(url, limiter, kind)

    @event.listens_for(engine, "checkout")
    def refuse(connection: object, entry: object, proxy: object) -> None:
        raise LookupError("not this one")

    for _ in range(2):
        with pytest.raises(LookupError):
            engine.connect()

    assert_all_returned(limiter, 1)


def test_an_exhausted_pool_gives_the_slot_back(url: str) -> None:
    """Three slots and one connection: the second checkout times out in the pool, and holds no slot after it."""
    limiter = slots(3)
    engine = create_engine(url, poolclass=limited(QueuePool, limiter), pool_size=1, max_overflow=0, pool_timeout=0.001)

    with engine.connect():
        with pytest.raises(exc.TimeoutError):
            engine.connect()
        assert 2 == free(limiter)

    assert_all_returned(limiter, 3)


def test_many_threads_never_hold_more_than_the_limit(url: str) -> None:
    """Eight threads on a pool of five that is exhausted again and again, under three slots."""
    limiter = slots(3, wait=300.0)
    engine = create_engine(url, poolclass=limited(QueuePool, limiter), pool_size=2, max_overflow=1)
    out, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal out, most
        for _ in range(25):
            with engine.connect() as connection:
                with lock:
                    out += 1
                    most = max(most, out)
                connection.execute(ONE)
                with lock:
                    out -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0 < most <= 3
    assert 200 <= limiter.reading().admitted
    assert_all_returned(limiter, 3)


def test_a_pool_made_anew_goes_on_as_the_old_one(url: str, kind: type[Pool]) -> None:
    """`dispose()` twice: a slot is still one slot, and comes back once."""
    limiter = slots(2)
    engine = engine_of(url, limiter, kind)

    held = engine.connect()
    engine.dispose()
    engine.dispose()
    with engine.connect():
        assert 0 == free(limiter)
    held.close()

    assert_all_returned(limiter, 2)


def test_two_engines_may_share_a_contract_and_each_workload_is_counted(url: str) -> None:
    """By name, from open contracts: two connections in all, whoever holds them."""
    with headway.testing.open(CONTRACT) as hw:
        checkout = create_engine(url, poolclass=limited(QueuePool, hw, "orders-db", workload="checkout"))
        reporting = create_engine(url, poolclass=limited(QueuePool, hw, "orders-db", workload="reporting"))

        with checkout.connect(), reporting.connect(), pytest.raises(headway.Refused) as refused:
            reporting.connect()

        assert ("orders-db", "reporting") == (refused.value.refusal.contract, refused.value.refusal.workload)
        assert 1 == hw.limiter("orders-db", "checkout").reading().admitted


def test_in_observe_everything_is_admitted_and_counted(url: str) -> None:
    """Three connections at once on one slot: two would have been refused."""
    limiter = observed()
    engine = engine_of(url, limiter)

    with engine.connect(), engine.connect(), engine.connect():
        assert 2 == limiter.reading().refused


@pytest.mark.parametrize("kind", [StaticPool, SingletonThreadPool])
def test_a_pool_that_shares_a_connection_is_told_at_start_up(kind: type[Pool]) -> None:
    """One connection for several holders has no checkouts to count."""
    with pytest.raises(TypeError, match=f"{kind.__name__} may hand one connection to several holders"):
        limited(kind, slots(1))


# --- asynchronously -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AsyncAdaptedQueuePool, NullPool])
def test_under_an_asynchronous_engine_a_checkout_waits_and_the_loop_goes_on(url: str, kind: type[Pool]) -> None:
    """One slot: the second coroutine waits while the first works, a third that is cancelled in line holds nothing."""
    limiter = slots(1, wait=300.0)

    async def run() -> list[int | None]:
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"), poolclass=limited(kind, limiter))

        async def ask() -> int | None:
            async with engine.connect() as connection:
                one: int | None = await connection.scalar(ONE)
                return one

        async with engine.connect():
            second, third = (asyncio.ensure_future(ask()) for _ in range(2))
            await settle_down()
            assert 2 == limiter.reading().waiting
            third.cancel()
            await asyncio.gather(third, return_exceptions=True)
        answers = [await second, await ask()]
        await engine.dispose()
        return answers

    assert [1, 1] == asyncio.run(run())
    assert_all_returned(limiter, 1)


def test_an_asynchronous_refusal_is_refused_and_holds_nothing(url: str) -> None:
    """Without a wait the second checkout raises at once."""
    limiter = slots(1)

    async def run() -> None:
        kind = limited(AsyncAdaptedQueuePool, limiter)
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"), poolclass=kind)
        async with engine.connect():
            with pytest.raises(headway.Refused):
                await engine.connect()
        await engine.dispose()

    asyncio.run(run())

    assert_all_returned(limiter, 1)


def test_a_pool_is_told_apart_by_what_is_said_of_it(url: str) -> None:
    """One mapping for all of its checkouts: a pool has one user. A mapping that no match takes is `other`'s."""
    with headway.testing.open(MATCHED) as hw:
        for attributes in ({"user": "ana@shop.example"}, {"user": "eve@press.example"}):
            engine = create_engine(url, poolclass=limited(QueuePool, hw, "api", attributes=attributes))
            with engine.connect() as connection:
                assert 1 == connection.scalar(ONE)

        assert {"staff": 1, "other": 1} == admitted(hw)


def test_a_url_says_who_connects_by_it() -> None:
    """User, host, database and PostgreSQL's name for an application; never the password."""
    said = attributes_of("postgresql://ana:secret@db.example:5432/orders?application_name=metabase")

    assert {"user": "ana", "host": "db.example", "database": "orders", "application": "metabase"} == dict(said)
    assert {"user": None, "host": None, "database": None, "application": None} == dict(attributes_of("sqlite://"))
    with pytest.raises(exc.ArgumentError):
        attributes_of("no url")
