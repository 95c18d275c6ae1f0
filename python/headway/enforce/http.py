"""What a decision says over HTTP: `RateLimit`, `RateLimit-Policy`, `Retry-After`, and a problem document.

Pure: everything here is a function of what a limiter or a refusal says. Field values are RFC 9651 structured fields.
With `tell` at `public`, what is said concerns the caller alone: the contract's own meters, no total over all keys, no
upstream, nobody else's use, and a `ref` under which those who may look find the whole story.

Source: draft-ietf-httpapi-ratelimit-headers-11 (fields and problem types), RFC 9110 section 10.2.3, RFC 9457.
"""

from __future__ import annotations

import json
import math
from typing import Literal, NamedTuple

from headway._core import Limiter, Refusal

Tell = Literal["full", "public"]
Header = tuple[bytes, bytes]

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"

CANNOT_DECIDE = frozenset({"closed", "not_published", "not_durable", "drawing", "overloaded"})
"""Refusals that say nothing about the caller's use: the limit could not be asked, and that is never a yes."""

INTEGER_MAX = 999_999_999_999_999
"""The largest integer of a structured field (RFC 9651, 3.3.1)."""


def rate_limit_fields(limiter: Limiter, key: str | None, tell: Tell) -> list[Header]:
    """`RateLimit-Policy` and `RateLimit` as they stand now, for an admitted or refused response alike.

    Returns:
        Both headers with the same names in the same order, or none where no meter may be told of.
    """
    policies: list[str] = []
    states: list[str] = []
    for meter, quota, window_s, remaining, more_in_s in limiter.rate_limit(key):
        if tell == "public" and not _concerns_the_caller(meter, limiter.contract):
            continue
        name = _string(meter)
        shape = f";w={_integer(window_s)}" if window_s > 0 else ';qu="concurrent-requests"'
        policies.append(f"{name};q={_integer(quota)}{shape}")
        # A slot comes back when somebody leaves, which nobody knows: then there is no `t`.
        more = f";t={_integer(more_in_s)}" if more_in_s > 0 else ""
        states.append(f"{name};r={_integer(remaining)}{more}")
    if not policies:
        return []
    return [
        (b"ratelimit-policy", ", ".join(policies).encode("ascii")),
        (b"ratelimit", ", ".join(states).encode("ascii")),
    ]


def retry_after(refusal: Refusal) -> list[Header]:
    """`Retry-After` in whole seconds, rounded up, at least 1; none where it never fits or nobody knows."""
    seconds = _retry_after_s(refusal)
    return [] if seconds is None else [(b"retry-after", str(seconds).encode("ascii"))]


def status_of(refusal: Refusal) -> int:
    """429 where a limit is reached, 503 where it could not be asked."""
    return 503 if refusal.why in CANNOT_DECIDE else 429


class Answer(NamedTuple):
    """A refused request's whole answer. The header fields end with `content-length`."""

    status: int
    headers: list[Header]
    body: bytes


def answer_of(limiter: Limiter, refusal: Refusal, tell: Tell) -> Answer:
    """What a refused request is answered: the problem document, in UTF-8, and all that stands before it."""
    body = json.dumps(problem(refusal, tell), ensure_ascii=False, allow_nan=False).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        *refusal_fields(limiter, refusal, tell),
        (b"content-length", str(len(body)).encode("ascii")),
    ]
    return Answer(status_of(refusal), headers, body)


def refusal_fields(limiter: Limiter, refusal: Refusal, tell: Tell) -> list[Header]:
    """The header fields of a refused request's answer that do not depend on its body."""
    return [
        (b"cache-control", b"no-store"),
        *retry_after(refusal),
        *rate_limit_fields(limiter, refusal.key, tell),
    ]


def problem(refusal: Refusal, tell: Tell) -> dict[str, object]:
    """The members of the problem document of a refusal."""
    said: dict[str, object]
    if refusal.why in CANNOT_DECIDE:
        said = {"type": "about:blank", "title": "The limit cannot be asked now"}
    else:
        said = {"type": QUOTA_EXCEEDED, "title": "Over the limit", "violated-policies": _violated(refusal, tell)}
    said |= {
        "status": status_of(refusal),
        "detail": sentence(refusal, tell),
        "contract": refusal.contract,
        "why": refusal.why,
        "ref": refusal.ref,
    }
    if tell == "full":
        said |= {
            "workload": refusal.workload,
            "limit": refusal.limit,
            "use": refusal.use,
            "unit": refusal.unit,
            "version": refusal.version,
            "stage": refusal.stage,
            "raises_when": refusal.raises_when,
        }
    return said


def sentence(refusal: Refusal, tell: Tell) -> str:
    """What is said to people."""
    return str(refusal) if tell == "full" else _public_sentence(refusal)


def _violated(refusal: Refusal, tell: Tell) -> list[str]:
    named = tell == "full" or _concerns_the_caller(refusal.meter, refusal.contract)
    return [refusal.meter if named else refusal.contract]


def _concerns_the_caller(meter: str, contract: str) -> bool:
    """Whether a meter is the contract's own and none that others share with this caller's key."""
    return (meter == contract or meter.startswith(contract + ".")) and not meter.endswith("#total")


def _public_sentence(refusal: Refusal) -> str:
    if refusal.why in CANNOT_DECIDE:
        opening = f"{refusal.contract} cannot be asked for room at the moment."
    elif refusal.why == "never_fits":
        opening = f"{refusal.contract} never admits this many at once: {refusal.units:g}."
    else:
        opening = f"{refusal.contract} has no room at the moment."
    seconds = _retry_after_s(refusal)
    ask_again = "" if seconds is None else f" Try again in {seconds} s."
    return f"{opening}{ask_again} [{refusal.ref}]"


def _retry_after_s(refusal: Refusal) -> int | None:
    seconds = refusal.retry_after_s
    return None if seconds is None else max(1, math.ceil(seconds))


def _string(text: str) -> str:
    """An sf-string. Meter names are ASCII by the documents' grammar; other characters become `?`, as none may pass."""
    printable = "".join(character if " " <= character <= "~" else "?" for character in text)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _integer(number: int) -> int:
    return min(max(number, 0), INTEGER_MAX)
