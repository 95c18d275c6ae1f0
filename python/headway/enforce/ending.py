"""Ending what is above a cut: scopes of coroutines under `recall: end`.

    @limiter
    async def export(rows): ...      # raises headway.Recalled where it is ended

A scope (`async with limiter`, a decorated coroutine function) that is asked back, and still is after the contract's
`drain_within`, is ended as `asyncio.timeout` ends one: its task is cancelled, and what leaves the scope is `Recalled` in
place of the cancellation. Whoever cancels the task from outside at the same time is not robbed of it. A coroutine that
takes no notice of its cancellation goes on: it was ended once and is not ended again. A scope of a thread and a permit
cannot be ended; they are asked (`headway.enforce.recalling`).

A limiter knows nothing of its scopes, so they are kept here: in each task's order, with a permit each. Each loop looks at
its own, twenty times a second, for as long as it has any; tasks are cancelled in their own thread then.

A pending task that nobody holds is collected in whatever thread and under whatever task runs, even in here: first it is
forgotten, and its slots come back; then its coroutine is closed and leaves scopes that are gone already. It is nobody
else's scope that it leaves.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import AbstractEventLoop, Task
from collections import deque
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, finalize

from headway._core import Limiter, Permit
from headway.errors import Recalled

__all__ = ["Ending", "enter", "leave"]

LOOK_S = 0.05
"""How often a loop looks."""
NS = 1_000_000_000

FORGOTTEN_MOST = 100_000
"""How many scopes of forgotten tasks are remembered until they are left; some never are."""


@dataclass(eq=False)
class _Scope:
    """A scope that is open. Nothing of it holds its task, so that one that is forgotten takes its scopes along."""

    limiter: Limiter
    permit: Permit
    number: int
    """Grows from one scope to the next."""
    cancelling: int
    """How often its task had been cancelled where it was entered."""
    asked_ns: int | None = None
    """Since when it is asked back, on the limiter's clock."""
    is_ended: bool = False

    def is_due(self) -> bool:
        """Whether it has been asked for as long as it may be. Takes note of when that began."""
        within_s = self.limiter.ends_within_s
        if within_s is None or not self.permit.recalled:
            self.asked_ns = None
            return False
        now_ns = self.limiter.clock.boot_ns()
        if self.asked_ns is None:
            self.asked_ns = now_ns
        return now_ns - self.asked_ns >= round(within_s * NS)

    def of_limit(self) -> tuple[str, str | None]:
        """What its slot is of: whoever ends a scope makes room for all workloads of its contract."""
        return self.limiter.contract, self.limiter.key


class Ending:
    """Scopes that may be ended."""

    def __init__(self) -> None:
        # The collector runs where it likes, in a thread that has the lock too, and what it closes leaves its scopes.
        self._lock = RLock()
        self._scopes: WeakKeyDictionary[Task[Any], list[_Scope]] = WeakKeyDictionary()
        self._without_task: list[_Scope] = []
        """Of frameworks whose coroutines run in no task of asyncio's: they are asked."""
        self._forgotten: deque[Limiter] = deque(maxlen=FORGOTTEN_MOST)
        """Of scopes that went with their task, and have not been left yet."""
        self._looking: WeakSet[AbstractEventLoop] = WeakSet()
        self._last = 0

    async def enter(self, limiter: Limiter) -> Permit:
        """Begins a scope of the running task. Raises `Refused`."""
        permit = await limiter.acquire_async()
        task = _task()
        with self._lock:
            self._last += 1
            scope = _Scope(limiter, permit, self._last, 0 if task is None else task.cancelling())
            if task is None:
                self._without_task.append(scope)
                return permit
            scopes = self._scopes.get(task)
            if scopes is None:
                scopes = self._scopes[task] = []
                finalize(task, self._forget, scopes).atexit = False
            scopes.append(scope)
            loop = task.get_loop()
            is_first = loop not in self._looking
            self._looking.add(loop)
        if is_first:
            loop.call_later(LOOK_S, self._run, loop)
        return permit

    def leave(self, limiter: Limiter, error: BaseException | None) -> bool:
        """Ends the running task's innermost scope of a limiter, or one that went with its task.

        Args:
            limiter: The very one that was entered.
            error: What leaves the scope.

        Returns:
            False where no scope of it was entered here.

        Raises:
            Recalled: The scope was ended, and the cancellation that did it is what leaves it.
        """
        task = _task()
        with self._lock:
            own = self._without_task if task is None else self._scopes.get(task, [])
            # A coroutine that is closed may be a forgotten task's, whatever task runs.
            may_be_own = not isinstance(error, GeneratorExit) and _newest([own], limiter) is not None
            if not may_be_own and self._is_forgotten(limiter):
                return True
            scope, is_own = self._take(limiter, own)
        if scope is None:
            return False
        scope.permit.release()
        if scope.is_ended and is_own and task is not None:
            is_ours = task.uncancel() <= scope.cancelling
            if is_ours and isinstance(error, asyncio.CancelledError):
                raise Recalled.of(limiter.contract) from error
        return True

    def look(self, loop: AbstractEventLoop) -> bool:
        """Ends what is due of a loop, in its thread, newest first; no more than is above the cut. False: it has no scopes."""
        with self._lock:
            scopes = list(self._of(loop))
            due = [(task, scope) for task, scope in scopes if not scope.is_ended and scope.is_due()]
            for task, scope in sorted(due, key=lambda one: one[1].number, reverse=True):
                # What was ended and is on its way out will make room: nobody else is ended for it.
                if scope.limiter.recalled > self._leaving(scope.of_limit()):
                    scope.is_ended = True
                    task.cancel()
            if not scopes:
                self._looking.discard(loop)
        return bool(scopes)

    def _forget(self, scopes: list[_Scope]) -> None:
        with self._lock:
            self._forgotten.extend(scope.limiter for scope in scopes)

    def _is_forgotten(self, limiter: Limiter) -> bool:
        """Whether a scope of it went with its task and is left now."""
        try:
            self._forgotten.remove(limiter)
        except ValueError:
            return False
        return True

    def _run(self, loop: AbstractEventLoop) -> None:
        if self.look(loop):
            loop.call_later(LOOK_S, self._run, loop)

    def _of(self, loop: AbstractEventLoop) -> Iterator[tuple[Task[Any], _Scope]]:
        for task, scopes in list(self._scopes.items()):
            if task.get_loop() is loop:
                for scope in scopes:
                    yield task, scope

    def _leaving(self, limit: tuple[str, str | None]) -> int:
        return sum(scope.is_ended and scope.of_limit() == limit for scopes in self._scopes.values() for scope in scopes)

    def _take(self, limiter: Limiter, own: list[_Scope]) -> tuple[_Scope | None, bool]:
        """The scope that is left, and whether it is the task's own."""
        if scope := _taken([own], limiter):
            return scope, True
        # A scope may be left in another task than it was entered in, as generators of test frameworks do. Slots are alike:
        # any scope of the limiter does then, if it can be one that nobody has ended.
        others = [scopes for scopes in [self._without_task, *self._scopes.values()] if scopes is not own]
        return _taken(others, limiter, spared=True) or _taken(others, limiter), False


def _taken(among: list[list[_Scope]], limiter: Limiter, *, spared: bool = False) -> _Scope | None:
    """The newest scope of a limiter, taken away from among them; none where there is none."""
    while found := _newest(among, limiter, spared=spared):
        scopes, scope = found
        # Unless the collector, meanwhile, has closed what left it.
        if scope in scopes:
            scopes.remove(scope)
            return scope
    return None


def _newest(among: list[list[_Scope]], limiter: Limiter, *, spared: bool = False) -> tuple[list[_Scope], _Scope] | None:
    of_it = [(scopes, one) for scopes in among for one in scopes if one.limiter is limiter]
    of_it = [(scopes, one) for scopes, one in of_it if not (spared and one.is_ended)]
    return max(of_it, key=lambda found: found[1].number, default=None)


_ending = Ending()


def _forked() -> None:
    # Scopes are the parent's, and the lock may have been in another thread's hands.
    global _ending
    _ending = Ending()


os.register_at_fork(after_in_child=_forked)


def enter(limiter: Limiter) -> Coroutine[Any, Any, Permit]:
    """`Ending.enter` of this process."""
    return _ending.enter(limiter)


def leave(limiter: Limiter, error: BaseException | None) -> bool:
    """`Ending.leave` of this process."""
    return _ending.leave(limiter, error)


def _task() -> Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
