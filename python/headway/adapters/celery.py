"""A base for Celery tasks: every run meets a contract before it does anything.

    hw = headway.open("contracts/")

    @app.task(base=limited(hw, "mails", key=lambda call: call.kwargs["tenant"]), max_retries=3)
    def send(address, tenant): ...

In a worker a run that is refused is put back and comes again, as often as it takes: a refusal is a retry that does not count
against `max_retries`, for nothing failed. It comes when the refusal says, or after `ask_again_s` where nobody knows, spread
over as long again, so that those who were refused together do not come together. What never fits fails with
`headway.Refused`. Called directly or by `apply`, a task fails so at once: nobody would bring it again.
A permit is held until the run ends. A run waits its turn, in the worker, as long as the contract's `enforce.wait`.

A worker of several processes (`--pool prefork`) is given a limiter of `headway.connect`, which may be made before the fork:
`limited(hw.limiter("mails"))`. What `headway.open` returned decides in one process alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import celery
from celery.exceptions import Reject, Retry

from headway._core import Limiter, Refusal, Refused
from headway.enforce.asking import Asking, Contracts
from headway.enforce.attributes import Attributes

if TYPE_CHECKING:
    Task = celery.Task[..., Any]
else:
    Task = celery.Task

ASK_AGAIN_MAX_S = 600.0
"""The longest a run is put back at once. Brokers deliver again what is not taken for long (Redis: after an hour)."""


class Call(NamedTuple):
    """One run of a task: what functions of a request are given."""

    task: Task
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def limited(
    limiter: Limiter | Contracts,
    contract: str | None = None,
    *,
    key: Callable[[Call], str | None] | None = None,
    workload: str | Callable[[Call], str | None] | None = None,
    attributes: Callable[[Call], Attributes | None] | None = None,
    units: int | Callable[[Call], int] = 1,
    exempt: Callable[[Call], bool] | None = None,
    ask_again_s: float = 1.0,
) -> type[Task]:
    """A base for tasks whose runs are metered, to be given to `app.task` as `base`.

    Args:
        ask_again_s: Seconds until a refused run comes again where the refusal does not say when, above 0 and at most
            `ASK_AGAIN_MAX_S`.

    The other arguments, and errors, are those of `headway.enforce.asking.Asking`. A run says its `task`, by name.

    Raises:
        ValueError: `ask_again_s` out of its bounds.
    """
    if not 0 < ask_again_s <= ASK_AGAIN_MAX_S:
        raise ValueError(f"ask_again_s must be above 0 and at most {ASK_AGAIN_MAX_S:g} seconds, not {ask_again_s}")
    asking = Asking(
        limiter,
        contract,
        key=key,
        workload=workload,
        attributes=attributes,
        units=units,
        exempt=exempt,
        read=lambda call, name: call.task.name if name == "task" else None,
    )

    class Limited(Task):
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            # A worker has pushed the request already; only a direct call makes one of its own.
            run = super().__call__ if self.request.called_directly else self.run
            demand = asking.demand_of(Call(self, args, kwargs))
            if demand is None:
                return run(*args, **kwargs)
            try:
                permit = demand.limiter.acquire(demand.units, demand.key)
            except Refused as refused:
                if self.request.called_directly or self.request.is_eager or not refused.refusal.retryable:
                    raise
                raise _put_back(self, refused, ask_again_s) from refused
            with permit:
                return run(*args, **kwargs)

    return Limited


def _put_back(task: Task, refused: Refused, ask_again_s: float) -> Retry | Reject:
    """Sends the run again under its own name and count. `Task.retry` would count it."""
    request = task.request
    after_s = countdown_s(refused.refusal, str(request.id), ask_again_s)
    again = task.signature_from_request(request, countdown=after_s, retries=request.retries)
    try:
        again.apply_async()
    except Exception as error:
        # As `Task.retry` does: the broker is gone, and the run with it if it was acknowledged early.
        return Reject(error, requeue=False)
    return Retry(str(refused.refusal), when=after_s, sig=again)  # type: ignore[arg-type]  # a float is a Real


def countdown_s(refusal: Refusal, name: str, ask_again_s: float) -> float:
    """Seconds until a refused run comes again: when the refusal says, and up to as long again, by the run's name."""
    least_s = refusal.retry_after_s
    if least_s is None:
        least_s = ask_again_s
    part = crc32(name.encode()) / 2**32
    return min(least_s + part * max(least_s, ask_again_s), ASK_AGAIN_MAX_S)
