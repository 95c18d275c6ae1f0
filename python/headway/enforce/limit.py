"""A limit in a few words: `headway.limit("100/minute")`, without contract, engine or files.

The grammar, blanks as you like, words in upper or lower case (a lower `m` is never a million):

    limit   = amount "/" [count] unit         a rate: 100/minute, 5/s, 1.5k / 10 s, 1000/day
            | amount "concurrent"             held at once: 10 concurrent
    amount  = digits ["." digits] ["k" | "M"]   whole after the suffix; 1 to 1,000,000,000, concurrent to 10,000,000
    count   = digits                            how many of the unit; 1 where absent
    unit    = s | sec | second | seconds | m | min | minute | minutes | h | hour | hours | d | day | days

A rate's burst is one period: `100/minute` lets 100 through at once and then one more every 600 ms. A day is 24 hours
that roll, not a calendar day. Each call makes a limiter of its own, with meters of its own; it starts full and is
forgotten with the process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from headway._core import Curve, Limiter, Meters, MeterSpec, PathSpec, Segment
from headway.errors import HeadwayError

MICRO = 1_000_000
"""Micro-units a unit."""

AMOUNT_MAX = 1_000_000_000
HELD_MAX = 10_000_000
PERIOD_MAX_S = 31 * 86_400
KEYS_MAX = 100_000_000
TEXT_MAX = 100

_UNITS_S = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
_SUFFIXES = {"": 1, "k": 1_000, "K": 1_000, "M": 1_000_000}
_SHAPE = re.compile(
    r"\s*(?P<whole>[0-9]{1,12})(?:\.(?P<part>[0-9]{1,6}))?\s*(?P<suffix>(?-i:[kKM]?))\s*"
    r"(?:/\s*(?P<count>[0-9]{1,9})?\s*(?P<unit>[a-z]+)|(?P<held>concurrent))\s*",
    re.ASCII | re.IGNORECASE,
)


class NotALimit(HeadwayError):
    """The words say no limit."""

    default_code = "HW530"


@dataclass(frozen=True, slots=True)
class Limit:
    """What the words say. `amount` in units, 1 to AMOUNT_MAX; `per_s` 0 for concurrency, else 1 to PERIOD_MAX_S."""

    measure: Literal["rate", "concurrency"]
    amount: int
    per_s: int


def limit(text: str, *, name: str | None = None, keys: int | None = None, wait: float = 0.0) -> Limiter:
    """A limiter from a few words, for this process alone.

    Args:
        text: `100/minute`, `5/s`, `20/10s`, `1000/day`, `10 concurrent`; an amount takes `k` and `M`.
        name: What refusals and HTTP fields call it; the words themselves where absent.
        keys: The limit holds for every key by itself, for at most this many live keys (1 to 100,000,000); one more is
            refused as `too_many_keys`. None: one limit for all, without keys.
        wait: Seconds that `acquire`, `with`, `async with` and decorated calls wait before they refuse; 0 refuses at once.

    Returns:
        A `Limiter`: thread-safe, for threads and coroutines alike. It starts full.

    Raises:
        NotALimit: HW530, with what would be right.
        ValueError: `keys` or `wait` outside their bounds.

    Example:
        >>> import headway
        >>> mails = headway.limit("100/minute")
        >>> bool(mails.try_acquire())
        True
    """
    return limiter_of(read(text), Meters(), name=text.strip() if name is None else name, keys=keys, wait=wait)


def limiter_of(said: Limit, meters: Meters, *, name: str, keys: int | None = None, wait: float = 0.0) -> Limiter:
    """Builds the meter of a limit among new meters, which may stand on a clock of their own. Errors as `limit`."""
    if keys is not None and not 1 <= keys <= KEYS_MAX:
        raise ValueError(f"keys must be 1 to {KEYS_MAX:,}, not {keys}")
    if not 0 <= wait <= 86_400:
        raise ValueError(f"wait must be 0 to 86,400 seconds, not {wait}")

    rate = said.measure == "rate"
    per_ns = said.per_s * 1_000_000_000
    level_micro = said.amount * MICRO
    spec = MeterSpec(
        name,
        said.measure,
        ceiling_micro=level_micro,
        per_ns=per_ns,
        unit="request" if rate else "slot",
        keys_max=keys,
    )
    curve = Curve(said.measure, 1, "", [Segment(0, None, level_micro, level_micro)], per_ns, per_ns)
    meters.declare([spec])
    # Nothing in it follows a calendar: its UTC starts at 0 where the meter is born, so that it needs no wall clock.
    meters.publish([(name, curve)], 0)
    return meters.limiter(PathSpec(name, "other", [(name, MICRO, keys is not None)], wait_ns=round(wait * 1e9)))


def read(text: str) -> Limit:
    """Reads the words.

    Raises:
        NotALimit: HW530; the mend names the nearest right form.
    """
    shape = _SHAPE.fullmatch(text) if len(text) <= TEXT_MAX else None
    if shape is None:
        raise _not_a_limit(text, "it is not an amount and a period, nor an amount that is held at once")

    at_most = HELD_MAX if shape["held"] else AMOUNT_MAX
    amount = _amount(text, shape["whole"], shape["part"] or "", _SUFFIXES[shape["suffix"]], at_most)
    if shape["held"]:
        return Limit("concurrency", amount, 0)

    unit_s = _UNITS_S.get(shape["unit"].lower())
    if unit_s is None:
        raise _not_a_limit(text, f"`{shape['unit']}` is no unit of time here")
    per_s = int(shape["count"] or 1) * unit_s
    if not 1 <= per_s <= PERIOD_MAX_S:
        raise _not_a_limit(text, "a period is 1 second to 31 days")
    return Limit("rate", amount, per_s)


def _amount(text: str, whole: str, part: str, factor: int, at_most: int) -> int:
    amount, rest = divmod(int(whole + part) * factor, int("1" + "0" * len(part)))
    if rest:
        raise _not_a_limit(text, "an amount counts whole units")
    if not 1 <= amount <= at_most:
        raise _not_a_limit(text, f"an amount is 1 to {at_most:,} here")
    return amount


def _not_a_limit(text: str, because: str) -> NotALimit:
    shown = text if len(text) <= 40 else text[:40] + "…"
    return NotALimit(
        f"`{shown}` is not a limit",
        because=because,
        mend='write it like "100/minute", "5/s", "20/10s", "1000/day" or "10 concurrent"',
    )
