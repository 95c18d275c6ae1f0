"""Scopes under `recall: end` on a clock that stands still: what the tests of ending share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from headway._core import Mode, PathSpec
from headway.enforce import ending
from headway.enforce.ending import Ending
from tests.core.making import MICRO, SECOND, UTC, One, slots, slots_curve
from tests.library.pool import settle_down

WITHIN_NS = 5 * SECOND

Work = Callable[[], Awaitable[object]]


@pytest.fixture
def scopes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ending]:
    """The process's, that look only where a test says so."""
    one = Ending()
    monkeypatch.setattr(ending, "_ending", one)
    monkeypatch.setattr(ending, "LOOK_S", 3600.0)
    yield one
    assert [] == [scope for scopes in one._scopes.values() for scope in scopes]


def ending_pool(level: int, contract: str = "api", mode: Mode = "enforce") -> One:
    pool = slots(level)
    path = PathSpec(contract, "web", [("m", MICRO, False)], mode=mode, recall="end", ends_within_ns=WITHIN_NS)
    return One(pool.meters, pool.meters.limiter(path))


class Cut:
    """A limit that is cut, and looked at when it was and when `drain_within` has passed."""

    def __init__(self, pool: One, scopes: Ending) -> None:
        self.pool, self.scopes, self.version = pool, scopes, 1

    async def to(self, level: int) -> None:
        await settle_down()
        self.version += 1
        self.pool.meters.publish([("m", slots_curve(level, version=self.version))], UTC)
        await self.look()

    async def look(self) -> None:
        await settle_down()
        self.scopes.look(asyncio.get_running_loop())
        await settle_down()

    async def drain(self, by_ns: int = WITHIN_NS) -> None:
        self.pool.clock.advance(by_ns)
        await self.look()


async def forever() -> None:
    await asyncio.Event().wait()


def ended(pool: One, scopes: Ending, work: Work) -> object:
    """What comes of work that holds the only slot when the limit is cut to nothing and its time is up."""

    async def run() -> object:
        task = asyncio.ensure_future(work())
        cut = Cut(pool, scopes)
        await cut.to(0)
        await cut.drain()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert 0 == pool.in_use
        return result

    return asyncio.run(run())
