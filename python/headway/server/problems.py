"""What an answer says when the answer is no: `application/problem+json`, always with a code and a mend.

Everything that goes wrong on the way in is a `ServerError` with an HW4xx code; what the engine refuses comes with codes
of its own. Both leave as the same document, so that a client needs one reader and nobody parses prose.

Source: RFC 9457.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headway.errors import HeadwayError
from headway.server.codes import CODES

MEDIA_TYPE = "application/problem+json"


class ServerError(HeadwayError):
    """Something between a caller and the server that the caller can mend; one of the HW4xx of `codes`.

    `extra` adds members to the problem document (`nearest`, `fields`); `headers` go with the answer.
    """

    default_code = "HW400"

    def __init__(
        self,
        code: str,
        problem: str,
        *,
        because: str = "",
        mend: str = "",
        where: str = "",
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        known = CODES[code]
        super().__init__(problem, because=because or known.because, mend=mend or known.mend, where=where, code=code)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.code, self.problem, self.because, self.mend, self.where, self.extra, self.headers)


def _rebuilt(
    code: str, problem: str, because: str, mend: str, where: str, extra: dict[str, Any], headers: dict[str, str]
) -> ServerError:
    return ServerError(code, problem, because=because, mend=mend, where=where, extra=extra, headers=headers)


def status_of(error: HeadwayError) -> int:
    """The HTTP status an error is answered with; 500 for a code that is never one of an answer."""
    return CODES[error.code].status or 500 if error.code in CODES else 500


def problem_document(error: HeadwayError) -> dict[str, Any]:
    """The members of a problem document: those of RFC 9457, and ours beside them."""
    return {
        "type": f"urn:headway:error:{error.code}",
        "title": error.problem,
        "status": status_of(error),
        "detail": error.because,
        **error.as_json(),
        **(error.extra if isinstance(error, ServerError) else {}),
    }


def problem_bytes(error: HeadwayError) -> bytes:
    """The body of an error's answer."""
    return json.dumps(problem_document(error), ensure_ascii=False).encode()


def problem_headers(error: HeadwayError) -> dict[str, str]:
    """The headers that go with it."""
    return {"content-type": MEDIA_TYPE, **(error.headers if isinstance(error, ServerError) else {})}
