"""Connections that keep their slots while they are idle, and give them back where slots are asked for (`recall: idle`).

What a contract on connections protects counts those that are open, at rest in a pool or not. So under `recall: idle` a pool
that keeps connections (`headway.adapters.sqlalchemy.limited`) holds a slot for each that is open: asked for before it is
opened, back when it is closed. A checkout that finds one at rest asks for nothing. While slots are asked back, those at rest
are closed as the pool hands them out, the longest idle first, and one that is returned is closed instead of kept.

A checkout that waits for a slot waits for a connection that comes back as well, whichever is first.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool
from sqlalchemy.util import await_only, greenlet_spawn, queue

from headway._core import Limiter, Permit, Refusal, Refused
from headway.enforce.asking import Asking, Demand
from headway.enforce.recalling import on_recall

__all__ = ["Kept", "closed", "held", "rested"]

_KEPT = "headway.kept"
"""Where an entry has what its open connection holds: in `record_info`, which a reconnect leaves alone."""

_LOOK_S = 1.0
"""The longest sleep of a checkout that waits, before it looks again by itself."""
_NS = 1_000_000_000

_only_idle: ContextVar[bool] = ContextVar("headway_only_idle", default=False)
"""Whether whoever checks out means to close what is idle, and opens nothing for it."""


class _NothingOpened(Exception):
    """No connection was opened: one came back, or none was wanted, or there is none to close."""


@dataclass(eq=False, frozen=True)
class _Held:
    pool: Kept
    permits: list[Permit]
    """One while the connection is open, else none."""


def held(entry: ConnectionPoolEntry | PoolProxiedConnection) -> list[Permit]:
    """The permit of an entry's open connection; none where it has none."""
    one = _of(entry)
    return [] if one is None else one.permits


def rested(_connection: Any, entry: ConnectionPoolEntry) -> None:
    """A connection comes back: kept, or closed where slots are asked back."""
    one = _of(entry)
    if one is not None and one.permits:
        one.pool.rest(entry)


def closed(_connection: Any, entry: ConnectionPoolEntry) -> None:
    """A connection is being closed: its slot comes back."""
    one = _of(entry)
    if one is not None:
        one.pool.gone(entry)
        while one.permits:
            one.permits.pop().release()


class Kept(QueuePool):
    """What stands before a pool that keeps connections: slots of those that are open."""

    asking: Asking[None]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._resting: set[int] = set()
        """Entries whose connection is at rest with its slot: which `record_info`."""
        self._bells: set[_Bell] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_watched = False
        self._opens = self._invoke_creator
        self._invoke_creator = self._open

    def take(self, demand: Demand) -> PoolProxiedConnection:
        """A checkout. Raises `headway.Refused` where a connection would have to be opened and has no slot."""
        while True:
            try:
                connection = super().connect()
                if not held(connection):
                    self._late(connection, demand)
            except _NothingOpened:
                continue
            return connection

    def rest(self, entry: ConnectionPoolEntry) -> None:
        """A connection with a slot comes back."""
        demand = self.asking.demand_of(None)
        if demand is not None and demand.limiter.recalled > 0:
            entry.invalidate()
            return
        self._resting.add(id(entry.record_info))
        for bell in list(self._bells):
            bell.ring()

    def gone(self, entry: ConnectionPoolEntry) -> None:
        """A connection is not at rest any more."""
        self._resting.discard(id(entry.record_info))

    def close_idle(self, limiter: Limiter) -> None:
        """Closes connections at rest, as the pool hands them out, for as long as slots are asked back."""
        token = _only_idle.set(True)
        try:
            # Entries without a connection come round with the others.
            for _ in range(self.checkedin()):
                if limiter.recalled == 0:
                    break
                with contextlib.suppress(_NothingOpened):
                    connection = super().connect()
                    # Detached it is closed as its driver does it, and not put back.
                    connection.detach()
                    connection.close()
        finally:
            _only_idle.reset(token)

    def _do_get(self) -> ConnectionPoolEntry:
        entry = self._idle() if _only_idle.get() else super()._do_get()
        self.gone(entry)
        return entry

    def _idle(self) -> ConnectionPoolEntry:
        """What the pool has now. Whoever closes what is idle does not wait for what others have checked out meanwhile."""
        try:
            return self._pool.get(block=False)
        except queue.Empty:
            raise _NothingOpened from None

    def _open(self, rec: ConnectionPoolEntry) -> DBAPIConnection:
        """Opens a connection, with a slot that was asked for before."""
        if _only_idle.get():
            raise _NothingOpened
        demand = self.asking.demand_of(None)
        if demand is None or demand.limiter.recall != "idle":
            return self._opens(rec)
        if self._resting:
            raise _NothingOpened
        permit = self._slot(demand)
        self._watch(demand.limiter)
        try:
            connection = self._opens(rec)
        except BaseException:
            permit.release()
            raise
        self._hold(rec, permit)
        return connection

    def _late(self, connection: PoolProxiedConnection, demand: Demand) -> None:
        """Asks for the slot of a connection that was opened before its contract said that it has one."""
        try:
            self._hold(connection, self._slot(demand))
        except BaseException:
            connection.close()
            raise

    def _hold(self, entry: ConnectionPoolEntry | PoolProxiedConnection, permit: Permit) -> None:
        info = entry.record_info
        assert info is not None
        info[_KEPT] = _Held(self, [permit])

    def _slot(self, demand: Demand) -> Permit:
        """A slot, at once or in its turn. Raises _NothingOpened where a connection came back first."""
        limiter, units, key = demand
        is_async = self._dialect.is_async
        if limiter.wait_s == 0:
            return await_only(limiter.acquire_async(units, key)) if is_async else limiter.acquire(units, key)
        deadline_ns = limiter.clock.boot_ns() + round(limiter.wait_s * _NS)
        ticket = limiter.ticket(units, key)
        if isinstance(ticket, Refusal):
            raise Refused(ticket)
        bell = _Bell(asyncio.get_running_loop() if is_async else None)
        ticket.on_wake(bell.ring)
        self._bells.add(bell)
        try:
            while True:
                bell.clear()
                answer = ticket.poll()
                if isinstance(answer, Refusal):
                    raise Refused(answer)
                if answer is not None:
                    return answer
                if self._resting:
                    raise _NothingOpened
                now_ns = limiter.clock.boot_ns()
                if now_ns >= deadline_ns:
                    raise Refused(ticket.give_up())
                until_ns = min(deadline_ns, ticket.wake_at_ns or deadline_ns)
                bell.wait(min(max(until_ns - now_ns, 0) / _NS, _LOOK_S))
        finally:
            self._bells.discard(bell)
            ticket.leave()

    def _watch(self, limiter: Limiter) -> None:
        self._loop = asyncio.get_running_loop() if self._dialect.is_async else None
        if not self._is_watched:
            self._is_watched = True
            weakref.finalize(self, on_recall(limiter, _closing(weakref.ref(self), limiter)))


class _Bell:
    """Wakes one checkout that waits, of a thread or of a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._rung = threading.Event()
        self._heard = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._heard.set)

    def clear(self) -> None:
        self._rung.clear()
        self._heard.clear()

    def wait(self, at_most_s: float) -> None:
        if self._loop is None:
            self._rung.wait(at_most_s)
            return
        if not self._rung.is_set():
            with contextlib.suppress(TimeoutError):
                await_only(asyncio.wait_for(self._heard.wait(), at_most_s))


def _closing(pool_of: weakref.ref[Kept], limiter: Limiter) -> Callable[[int], None]:
    def hear(units: int) -> None:
        pool = pool_of()
        if pool is None or units == 0:
            return
        loop = pool._loop
        if loop is None:
            pool.close_idle(limiter)
        elif not loop.is_closed():
            # Its connections are of its loop, and are closed there.
            asyncio.run_coroutine_threadsafe(greenlet_spawn(pool.close_idle, limiter), loop)

    return hear


def _of(entry: ConnectionPoolEntry | PoolProxiedConnection) -> _Held | None:
    info = entry.record_info
    return None if info is None else info.get(_KEPT)
