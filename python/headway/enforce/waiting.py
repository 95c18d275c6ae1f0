"""How a coroutine waits its turn, where its demand does not fit at once.

The queue and its order are the core's (`Ticket`, first in first out, threads and coroutines of any loop in one line).
Here is only the sleeping: until the instant at which the head may fit, until another thread or loop gives something
back, or until patience ends. Nothing is reserved ahead, so a coroutine that is cancelled while it sleeps has nothing to
lose, and one that has its permit returns it without another `await` in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headway._core import Clock, Limiter, Permit, Refusal, Refused, Ticket

NS = 1_000_000_000
"""Nanoseconds a second."""

SLEEP_MAX_S = 3600.0
"""The longest one sleep: an instant further away is looked at again. Event loops refuse timers of many years."""


async def wait_turn(
    limiter: Limiter, units: int, key: str | None, timeout: float | None, patience: float | None = None
) -> Permit:
    """Waits for a permit in the limiter's queue. The core calls it where a demand that may wait does not fit at once.

    Args:
        limiter: Whose queue.
        units: How many units the demand is for, at least 1.
        key: For keyed limiters that are not bound to one.
        timeout: Seconds on the limiter's clock, which the core has bounded; None: the contract's `enforce.wait`.

        patience: How long a keeper may let it queue, seconds; None: as long as the contract says.

    Raises:
        Refused: `timeout` when patience ended, `queue_full` at the door, or a refusal that no waiting mends.
    """
    patience_s = limiter.wait_s if timeout is None else timeout
    clock = limiter.clock
    loop = asyncio.get_running_loop()
    deadline_ns = clock.boot_ns() + round(patience_s * NS)
    ticket = limiter.ticket(units, key, patience)
    if isinstance(ticket, Refusal):
        raise Refused(ticket)

    woken = asyncio.Event()
    ticket.on_wake(_waker(loop, woken, ticket))
    try:
        while True:
            # Cleared before the look: whoever gives something back after it sets the event again.
            woken.clear()
            answer = ticket.poll()
            if answer is not None:
                return _permit(answer)
            if clock.boot_ns() >= deadline_ns:
                raise Refused(ticket.give_up())
            await _sleep(loop, woken, clock, _sooner(ticket.wake_at_ns, deadline_ns))
    finally:
        ticket.leave()


async def _sleep(loop: asyncio.AbstractEventLoop, woken: asyncio.Event, clock: Clock, until_ns: int) -> None:
    """Sleeps until woken or until an instant on the clock. A manual clock has no timers: moving it wakes."""
    timer = None
    if not clock.is_manual:
        remaining_s = min(max((until_ns - clock.boot_ns()) / NS, 0.0), SLEEP_MAX_S)
        timer = loop.call_later(remaining_s, woken.set)
    try:
        await woken.wait()
    finally:
        if timer is not None:
            timer.cancel()


def _waker(loop: asyncio.AbstractEventLoop, woken: asyncio.Event, ticket: Ticket) -> Callable[[], None]:
    """What the core calls, from any thread, when looking again may help."""

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(woken.set)
        except RuntimeError:
            # The loop is closed, nothing else raises here. It never runs its sleepers again: what this one waits for
            # goes to the next in line.
            ticket.leave()

    return wake


def _sooner(wake_at_ns: int | None, deadline_ns: int) -> int:
    return deadline_ns if wake_at_ns is None else min(wake_at_ns, deadline_ns)


def _permit(answer: Permit | Refusal) -> Permit:
    if isinstance(answer, Refusal):
        raise Refused(answer)
    return answer
