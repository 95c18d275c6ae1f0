"""A connection pool for SQLAlchemy that holds a slot of a contract for every connection that is checked out, or open.

    pool = limited(QueuePool, headway.open("contracts/"), "orders-db", workload="reporting")
    engine = create_engine(url, poolclass=pool, pool_size=10)

The slot is asked for before a connection is taken or made: what is refused opens nothing, and raises `headway.Refused`
out of `engine.connect()`. A checkout that does not fit waits as long as the contract's `enforce.wait`; under an async
engine its loop goes on. The slot comes back when the connection does, when it is invalidated, or, if it was detached,
when it is closed. Under `recall: idle` it is held for as long as the connection is open, at rest in the pool as well
(`headway.adapters._resting`).

A pool that is exhausted itself waits with the slot in hand: give it at least as many connections as the contract ever
admits, and let the contract say how many there are. Several processes share a contract where each gives its pool a
limiter of `headway.connect`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import URL, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool, PoolProxiedConnection, QueuePool
from sqlalchemy.util import await_only

from headway._core import Limiter, Permit
from headway.adapters._resting import Kept, closed, held, rested
from headway.enforce.asking import Asking, Contracts
from headway.enforce.attributes import Attributes

AnyPool = TypeVar("AnyPool", bound=Pool)

_SLOTS = "headway.slots"
"""Where a pool's entry has its permits: in `record_info`, which a reconnect leaves alone. One permit is like another."""


def attributes_of(url: str | URL) -> Attributes:
    """What a database's URL says of whoever connects by it: `user`, `host`, `database`, and `application`, which is
    PostgreSQL's `application_name`.

    Raises:
        sqlalchemy.exc.ArgumentError: It is no URL.
    """
    parts = make_url(url)
    application = parts.query.get("application_name")
    return {
        "user": parts.username,
        "host": parts.host,
        "database": parts.database,
        "application": application if isinstance(application, str) else None,
    }


def limited(
    pool: type[AnyPool],
    limiter: Limiter | Contracts,
    contract: str | None = None,
    *,
    workload: str | None = None,
    attributes: Attributes | None = None,
) -> type[AnyPool]:
    """A kind of pool whose checkouts are metered, to be given to `create_engine` as `poolclass`.

    Args:
        pool: What kind: `QueuePool`, `AsyncAdaptedQueuePool`, `NullPool`, or one derived from these.
        limiter: A `Limiter` (of a contract with keys: one that is bound), or what `headway.open` or `headway.connect` returned.
        contract: The contract's name; not with a `Limiter`.
        workload: Which workload asks; not with a `Limiter`.
        attributes: In its place what is said of whoever asks, for contracts whose workloads have a `match`: a mapping, or
            `attributes_of(url)`. A checkout itself says nothing.

    Raises:
        TypeError: A kind of pool that hands one connection to several holders; else as `headway.enforce.asking.Asking`.
        ValueError, headway.HeadwayError: As there.
    """
    if not issubclass(pool, QueuePool | NullPool):
        raise TypeError(f"{pool.__name__} may hand one connection to several holders; take QueuePool or NullPool")
    say = None if attributes is None else lambda _checkout: attributes
    asking: Asking[None] = Asking(limiter, contract, workload=workload, attributes=say)
    # A NullPool keeps nothing: what is open is out.
    bases = (_Limited, Kept, pool) if issubclass(pool, QueuePool) else (_Limited, pool)
    kind: type[AnyPool] = type(f"Limited{pool.__name__}", bases, {"asking": asking})
    detached: list[Permit] = []
    # On the class, so that `engine.dispose()`, which makes the pool anew, keeps them without doubling them. `asyncio` is
    # for listeners that run once behind a lock; that of a whole class has none to make.
    listeners: list[tuple[str, Callable[..., None]]] = [
        ("checkin", _returned),
        ("checkin", rested),
        ("close", closed),
        ("detach", _left(detached)),
        ("close_detached", _closed(detached)),
    ]
    for name, listener in listeners:
        event.listen(kind, name, listener, asyncio=False)
    return kind


class _Limited(Pool):
    """What stands before a pool's own `connect`, the one way to its connections."""

    asking: Asking[None]

    def connect(self) -> PoolProxiedConnection:
        demand = self.asking.demand_of(None)
        assert demand is not None
        limiter, units, key = demand
        if isinstance(self, Kept) and limiter.recall == "idle":
            return self.take(demand)
        # A NullPool under an async engine has no sign of it but its dialect.
        asynchronous = self._dialect.is_async
        permit = await_only(limiter.acquire_async(units, key)) if asynchronous else limiter.acquire(units, key)
        try:
            connection = super().connect()
            _slots(connection).append(permit)
        except BaseException:
            permit.release()
            raise
        return connection


def _returned(_connection: Any, entry: ConnectionPoolEntry) -> None:
    """Checked in or invalidated. An entry whose connecting failed has no permit yet: `connect` gives that back."""
    slots = _slots(entry)
    if slots:
        slots.pop().release()


def _left(detached: list[Permit]) -> Callable[[Any, ConnectionPoolEntry], None]:
    def leave(_connection: Any, entry: ConnectionPoolEntry) -> None:
        # It has left the pool and is a connection all the same: its slot goes with it.
        detached.append((held(entry) or _slots(entry)).pop())

    return leave


def _closed(detached: list[Permit]) -> Callable[[Any], None]:
    def close(_connection: Any) -> None:
        detached.pop().release()

    return close


def _slots(entry: ConnectionPoolEntry | PoolProxiedConnection) -> list[Permit]:
    info = entry.record_info
    assert info is not None
    slots: list[Permit] = info.setdefault(_SLOTS, [])
    return slots
