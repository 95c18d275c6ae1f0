"""A pool of slots and what is left of it: what the tests of waiting share."""

import asyncio
import gc
from collections.abc import Awaitable

import headway
from headway import Limiter, Permit

PATIENT_S = 300.0
"""Longer than any test: whoever waits this long is served, or the test hangs and fails."""


def slots(count: int, wait: float = 0.0) -> Limiter:
    return headway.limit(f"{count} concurrent", name="pool", wait=wait)


def free(limiter: Limiter) -> int:
    """How many more are admitted now; gives them back."""
    taken = []
    while permit := limiter.try_acquire():
        assert isinstance(permit, Permit)
        taken.append(permit)
    for permit in taken:
        permit.release()
    return len(taken)


def assert_nothing_leaked(limiter: Limiter, count: int) -> None:
    gc.collect()
    assert count == free(limiter)
    reading = limiter.reading()
    assert (0, 0) == (reading.waiting, reading.double_released)


def taken(limiter: Limiter) -> Permit:
    permit = limiter.try_acquire()
    assert isinstance(permit, Permit)
    return permit


async def permit_of(awaitable: Awaitable[Permit]) -> Permit:
    """An awaitable as a coroutine, for tasks want one."""
    return await awaitable


async def settle_down() -> None:
    """Lets every coroutine run as far as it comes, and wake-ups from `call_soon_threadsafe` arrive."""
    for _ in range(6):
        await asyncio.sleep(0)
