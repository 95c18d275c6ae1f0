"""What a decision says over HTTP: `RateLimit`, `RateLimit-Policy`, `Retry-After`, and a problem document.

The words are the core's, which the data plane says too. With `tell` at `public`, what is said concerns the caller alone:
the contract's own meters, no total over all keys, no upstream, nobody else's use, and a `ref` under which those who may
look find the whole story.

Source: draft-ietf-httpapi-ratelimit-headers-11 (fields and problem types), RFC 9110 section 10.2.3, RFC 9457.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from headway._core import Limiter, Refusal

Tell = Literal["full", "public"]
Header = tuple[bytes, bytes]


def rate_limit_fields(limiter: Limiter, key: str | None, tell: Tell) -> list[Header]:
    """`RateLimit-Policy` and `RateLimit` as they stand now, for an admitted or refused response alike.

    Returns:
        Both headers with the same names in the same order, or none where no meter may be told of.
    """
    said = limiter.rate_limit_fields(key, tell=tell)
    if said is None:
        return []
    policies, states = said
    return [(b"ratelimit-policy", policies.encode("ascii")), (b"ratelimit", states.encode("ascii"))]


class Answer(NamedTuple):
    """A refused request's whole answer. `fields` are the headers that do not depend on its body, a problem document."""

    status: int
    fields: list[Header]
    body: bytes

    @property
    def headers(self) -> list[Header]:
        """All header fields; `content-length` is the last."""
        size = str(len(self.body)).encode("ascii")
        return [(b"content-type", b"application/problem+json"), *self.fields, (b"content-length", size)]


def answer_of(limiter: Limiter, refusal: Refusal, tell: Tell) -> Answer:
    """What a refused request is answered."""
    status, after_s, body = refusal.answer(tell)
    retry = [] if after_s is None else [(b"retry-after", str(after_s).encode("ascii"))]
    fields = [(b"cache-control", b"no-store"), *retry, *rate_limit_fields(limiter, refusal.key, tell)]
    return Answer(status, fields, body)
