"""OpenTelemetry: what a limit decided, on the span in which it was asked, and counted.

A traced limiter asks the one behind it and then tells the current span, where that is recorded: `headway.contract`,
`headway.workload`, `headway.decision`; of a refusal also `headway.reason`, `headway.stage`, `headway.version`,
`headway.retry_after` (seconds, where it is known) and `headway.ref`. Of several decisions in one span the last one stands.
Decisions are counted by `headway.decisions`. Limiters that are not traced cost what they did.

    app = Middleware(app, traced(headway.open("contracts/")), "api")
    limiter = traced(headway.limit("100/minute"))

Source: OpenTelemetry's conventions have no words for limits; names follow their rules for names (semantic conventions,
general, naming), under a namespace of our own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from opentelemetry import metrics, trace
from opentelemetry.util.types import AttributeValue

from headway._core import Limiter, Permit, Refusal, Refused
from headway.enforce.asking import Contracts

__all__ = ["attributes_of", "traced"]

_Source = TypeVar("_Source", bound=Contracts)


def attributes_of(limiter: Limiter, answer: Permit | Refusal, *, key: str | None = None) -> dict[str, AttributeValue]:
    """What a decision is on a span.

    Args:
        limiter: Who was asked.
        answer: What it said.
        key: Whom the demand was charged to, if that may be told: it becomes `headway.key`.
    """
    told: dict[str, AttributeValue] = {"headway.contract": limiter.contract, "headway.workload": limiter.workload}
    if key is not None:
        told["headway.key"] = key
    if isinstance(answer, Permit):
        return told | {"headway.decision": "admitted"}
    told |= {
        "headway.decision": "refused",
        "headway.reason": answer.why,
        "headway.stage": answer.stage,
        "headway.version": answer.version,
        "headway.ref": answer.ref,
    }
    if answer.retry_after_s is not None:
        told["headway.retry_after"] = answer.retry_after_s
    return told


@overload
def traced(source: Limiter, *, keys: bool = False) -> Limiter: ...
@overload
def traced(source: _Source, *, keys: bool = False) -> _Source: ...
def traced(source: Limiter | Contracts, *, keys: bool = False) -> Limiter | Contracts:
    """The same limiter, or the same source of limiters, whose decisions are told to the current span and counted.

    It stands for what it was made of wherever that is asked. A single limiter is asked by your code: middleware and
    adapters take a traced source and a contract's name.

    Args:
        source: A `Limiter`, or what `headway.open` or `headway.connect` returned.
        keys: Whether spans are told whom a demand is charged to, as `headway.key`. Keys may name people.
    """
    counter = metrics.get_meter("headway").create_counter(
        "headway.decisions", unit="{decision}", description="Demands, by what was decided."
    )
    if isinstance(source, Limiter):
        return cast("Limiter", _Traced(source, counter, keys))
    return cast("Contracts", _TracedSource(source, counter, keys))


class _TracedSource:
    def __init__(self, source: Contracts, counter: metrics.Counter, keys: bool) -> None:
        self._source = source
        self._counter = counter
        self._keys = keys

    def limiter(self, contract: str, workload: str | None = None) -> Limiter:
        return cast("Limiter", _Traced(self._source.limiter(contract, workload), self._counter, self._keys))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _Traced:
    """A limiter that tells. What decides nothing is the limiter's own."""

    def __init__(self, limiter: Limiter, counter: metrics.Counter, keys: bool) -> None:
        self._limiter = limiter
        self._counter = counter
        self._keys = keys
        # One unit each, under the same key: whichever block ends first may give back any of them.
        self._entered: list[Permit] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._limiter, name)

    def bind(self, key: str, /) -> Limiter:
        return cast("Limiter", _Traced(self._limiter.bind(key), self._counter, self._keys))

    def try_acquire(self, units: int = 1, key: str | None = None) -> Permit | Refusal:
        return self._told(self._limiter.try_acquire(units, key), key)

    def reserve(self, estimate: int, key: str | None = None) -> Permit | Refusal:
        return self._told(self._limiter.reserve(estimate, key), key)

    def acquire(self, units: int = 1, key: str | None = None, timeout: float | None = None) -> Permit:
        try:
            permit = self._limiter.acquire(units, key, timeout)
        except Refused as refused:
            self._told(refused.refusal, key)
            raise
        self._told(permit, key)
        return permit

    async def acquire_async(self, units: int = 1, key: str | None = None, timeout: float | None = None) -> Permit:
        try:
            permit = await self._limiter.acquire_async(units, key, timeout)
        except Refused as refused:
            self._told(refused.refusal, key)
            raise
        self._told(permit, key)
        return permit

    def __enter__(self) -> Permit:
        self._entered.append(permit := self.acquire())
        return permit

    def __exit__(self, *_: object) -> None:
        self._entered.pop().release()

    async def __aenter__(self) -> Permit:
        self._entered.append(permit := await self.acquire_async())
        return permit

    async def __aexit__(self, *_: object) -> None:
        self._entered.pop().release()

    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def waits(*args: Any, **kwargs: Any) -> Any:
                async with self:
                    return await function(*args, **kwargs)

            return waits

        @functools.wraps(function)
        def calls(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return calls

    def _told(self, answer: Permit | Refusal, key: str | None) -> Permit | Refusal:
        span = trace.get_current_span()
        if span.is_recording():
            whose = (key if key is not None else self._limiter.key) if self._keys else None
            span.set_attributes(attributes_of(self._limiter, answer, key=whose))
        counted = {"headway.contract": self._limiter.contract, "headway.workload": self._limiter.workload}
        if isinstance(answer, Permit):
            counted["headway.decision"] = "admitted"
        else:
            counted |= {"headway.decision": "refused", "headway.reason": answer.why}
        self._counter.add(1, counted)
        return answer
