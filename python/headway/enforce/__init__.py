"""What users import to have demands decided: over the compiled core alone, without engine, documents or ledger.

`limit` makes a limiter from a few words, `connect` asks a server that keeps the limits; `waiting` is how a coroutine waits
its turn, `ending` how it is ended above a cut; `asking` makes demands of requests; `http` writes what a decision says over
HTTP. `headway.asgi`, `headway.adapters` and `headway.embedded` stand on these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway import _core

if TYPE_CHECKING:
    from headway._core import Limiter, Permit


async def _wait_turn(
    limiter: Limiter, units: int, key: str | None, timeout: float | None, patience: float | None = None
) -> Permit:
    """The core's way to the slow path; asyncio is loaded when the first coroutine has to wait, not by `import headway`."""
    from headway.enforce.waiting import wait_turn

    return await wait_turn(limiter, units, key, timeout, patience)


async def _enter(limiter: Limiter) -> Permit:
    """Likewise to scopes of coroutines that may be ended (`recall: end`)."""
    from headway.enforce.ending import enter

    return await enter(limiter)


def _leave(limiter: Limiter, error: BaseException | None) -> bool:
    from headway.enforce.ending import leave

    return leave(limiter, error)


_core.set_waiting(_wait_turn)
_core.set_ending(_enter, _leave)
