"""How answers are described in `/openapi.json`: an example each, and the problem document every error shares."""

from __future__ import annotations

from typing import Any

PROBLEM_EXAMPLE = {
    "type": "urn:headway:error:HW404",
    "title": "there is no contract `ordersdb`",
    "status": 404,
    "detail": "",
    "code": "HW404",
    "where": "",
    "problem": "there is no contract `ordersdb`",
    "because": "",
    "mend": "did you mean `orders-db`?",
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457, with a stable code and how to mend it.",
    "required": ["type", "title", "status", "code", "problem", "because", "mend"],
    "properties": {
        "type": {"type": "string", "description": "`urn:headway:error:CODE`"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "pattern": "^HW[0-9]{3}$"},
        "where": {"type": "string"},
        "problem": {"type": "string"},
        "because": {"type": "string"},
        "mend": {"type": "string"},
        "fields": {
            "type": "array",
            "items": {"type": "object"},
            "description": "HW422: what is wrong, field by field.",
        },
        "findings": {
            "type": "array",
            "items": {"type": "object"},
            "description": "Faults of documents that were sent.",
        },
    },
}

ERRORS = {
    400: "malformed",
    401: "no token, or an unknown one",
    403: "the role or group is missing, or another site's page asks",
    404: "nothing of that name, with the nearest ones",
    408: "the body came too slowly",
    409: "the state does not allow it",
    413: "the body is too large",
    415: "not a kind of body that is taken",
    421: "not a host name of this server",
    422: "a field or a document is wrong",
    503: "the ledger or the engine cannot move now",
}

READ_ERRORS = (401, 403, 404, 421, 422)
WRITE_ERRORS = (400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 503)


def answers(
    example: Any, *errors: int, status: int = 200, media_type: str = "application/json"
) -> dict[int | str, Any]:
    """The `responses` of a route: its answer with an example, and the errors it may have."""
    out: dict[int | str, Any] = {
        status: {"description": "As the example shows.", "content": {media_type: {"example": example}}}
    }
    for error in errors:
        out[error] = {
            "description": ERRORS[error],
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    **({"example": PROBLEM_EXAMPLE} if error == 404 else {}),
                }
            },
        }
    return out


ROW = {
    "contract": "orders-db",
    "owner": "team-storage",
    "labels": {"service": "orders", "tier": 1},
    "version": 3,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "terms_digest": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "status": "running",
    "stage": {"name": "launch", "index": 0, "of": 3},
    "next_stage": "replica",
    "limit": {
        "": {"limit": 50, "limit_micro": 50_000_000, "measure": "concurrency", "unit": "connection", "per": None}
    },
    "held": None,
    "overridden": None,
    "published_ms": 1_796_112_000_000,
}

OUTCOME = {
    "contract": "orders-db",
    "seqs": [42],
    "said": "orders-db is held at 50 connections",
    "before_micro": {"": 50_000_000},
    "after_micro": {"": 50_000_000},
    "undo": "headway resume orders-db",
    "entries": [{"kind": "held", "contract": "orders-db", "actor": "token:local", "reason": "load test until noon"}],
}

ENTRY = {
    "seq": 42,
    "at_ms": 1_796_112_000_000,
    "contract": "orders-db",
    "kind": "held",
    "actor": "token:local",
    "reason": "load test until noon",
}
