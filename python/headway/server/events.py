"""One CloudEvent out of an HTTP request: the border where foreign words stay.

The SDK takes the message apart; what it lets pass and we do not is refused here: a missing `id` (the SDK would invent
one, and a repeated event would then count twice), a `source` that is no URI-reference, a batch, invalid UTF-8 in a
header, `ce-datacontenttype`, and lengths without end. What comes out is an `EventSeen`; the payload is left behind,
triggers match on attributes only.

Source: CloudEvents 1.0.2, HTTP protocol binding.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import unquote_to_bytes

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary, from_structured
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from headway.ramp.observations import EventSeen
from headway.server.problems import ServerError
from headway.server.references import is_uri_reference

ATTRIBUTE_MOST: Final = 1024
"""Characters of one attribute; an `id` and a `source` are kept in the ledger."""

DEPTH_MOST: Final = 64
"""Levels of the JSON of a structured event; the parser would otherwise run out of stack."""

_REQUIRED: Final = ("id", "source", "specversion", "type")
_STRUCTURED: Final = "application/cloudevents"
_BATCH: Final = "application/cloudevents-batch"
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def event_of(headers: Sequence[tuple[str, str]], body: bytes, *, at_ms: int, actor: str) -> EventSeen:
    """Reads one event in binary or structured mode.

    Args:
        headers: As they came, doubles included.
        body: The whole body, already bounded.
        at_ms: When it was seen, UTC milliseconds.
        actor: Who sent it.

    Raises:
        ServerError: HW415 for a batch or a structured format other than JSON; HW400 for anything malformed.
    """
    kinds = [value for name, value in headers if name.lower() == "content-type"]
    kind = kinds[0].strip().lower() if kinds else ""
    if len(kinds) > 1:
        raise ServerError("HW400", "there is more than one `Content-Type`")
    if kind.startswith(_BATCH):
        raise ServerError("HW415", "a batch of events is not taken", mend="Send the events one at a time.")
    try:
        event, has_time = _structured(kind, body) if kind.startswith(_STRUCTURED) else _binary(headers)
    except BaseCloudEventException as error:
        raise _malformed(_words(error)) from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _malformed(str(error) or type(error).__name__) from error
    return _seen(event, has_time=has_time, at_ms=at_ms, actor=actor)


def _structured(kind: str, body: bytes) -> tuple[BaseCloudEvent, bool]:
    media_type = kind.partition(";")[0].strip()
    if media_type not in (JSONFormat.CONTENT_TYPE, _STRUCTURED):
        raise ServerError("HW415", f"a structured event as `{media_type}` is not taken; JSON is")
    if _depth(body) > DEPTH_MOST:
        raise _malformed(f"the JSON is nested more than {DEPTH_MOST} levels deep")
    document = json.loads(body.decode("utf-8"), object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    if not isinstance(document, dict):
        raise _malformed("a structured event is one JSON object")
    _require(document)
    if "data" in document and "data_base64" in document:
        raise _malformed("`data` and `data_base64` exclude each other")
    if "data_base64" in document:
        # The SDK skips what is not base64; what was sent has to be what it claims.
        base64.b64decode(document["data_base64"], validate=True)
    message = HTTPMessage({"content-type": JSONFormat.CONTENT_TYPE}, body)
    return from_structured(message, JSONFormat(), CloudEvent), "time" in document


def _binary(headers: Sequence[tuple[str, str]]) -> tuple[BaseCloudEvent, bool]:
    attributes: dict[str, str] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if not name.startswith("ce-"):
            continue
        if name == "ce-datacontenttype":
            raise _malformed("`ce-datacontenttype` does not exist; `Content-Type` says it")
        if name in attributes:
            raise _malformed(f"`{name}` is there more than once")
        attributes[name] = _unwrapped(name, value)
    _require({name.removeprefix("ce-"): value for name, value in attributes.items()})
    # The payload stays behind: what it holds decides nothing, so what it is does not matter either.
    return from_binary(HTTPMessage(attributes, b""), JSONFormat(), CloudEvent), "ce-time" in attributes


def _unwrapped(name: str, value: str) -> str:
    """A header's value ready for the SDK: quoted strings undone, percent-encoding checked to be UTF-8."""
    text = value.strip()
    if not text.isascii():
        raise _malformed(f"`{name}` holds characters outside ASCII that are not percent-encoded")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    if _BAD_PERCENT.search(text):
        raise _malformed(f"`{name}` holds a `%` that encodes nothing")
    try:
        unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(f"`{name}` is not UTF-8 once its percent-encoding is undone") from None
    return text


def _require(attributes: dict[str, object]) -> None:
    missing = [name for name in _REQUIRED if name not in attributes]
    if missing:
        raise _malformed(f"the attribute `{missing[0]}` is missing")


def _seen(event: BaseCloudEvent, *, has_time: bool, at_ms: int, actor: str) -> EventSeen:
    named = {"id": event.get_id(), "source": event.get_source(), "type": event.get_type()}
    subject = event.get_subject()
    for name, value in (named | ({"subject": subject} if subject is not None else {})).items():
        if len(value) > ATTRIBUTE_MOST or not value.isprintable():
            raise _malformed(f"the attribute `{name}` is over {ATTRIBUTE_MOST} characters or not printable")
    if not is_uri_reference(named["source"]):
        raise _malformed(
            "the attribute `source` is not a URI-reference",
            because=f"It says where the event comes from, as a URI or a part of one; `{named['source'][:100]}` is neither.",
            mend="Send one like `https://ci.example/deploys`, `urn:example:ci` or `ci`; what no URI holds, a space for one, "
            "is written as `%20`, which in a header is `%2520`.",
        )
    # The SDK fills a missing `time` from a clock of its own; what the sender did not say stays unsaid.
    time = event.get_time() if has_time else None
    time_ms = None if time is None else (time - _EPOCH) // timedelta(milliseconds=1)
    return EventSeen(at_ms=at_ms, actor=actor, subject=subject, time_ms=time_ms, **named)


def _depth(body: bytes) -> int:
    """The deepest nesting of brackets outside strings."""
    depth = deepest = 0
    quoted = escaped = False
    for byte in body:
        if quoted:
            quoted = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name is there more than once")
    return document


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


def _words(error: BaseCloudEventException) -> str:
    return " ".join(str(error).split())[:300]


_BECAUSE: Final = "An event is known by its `source` and `id`, and counted by its `type`; without them it says nothing."
_MEND: Final = (
    "Send `ce-id`, `ce-source`, `ce-type` and `ce-specversion: 1.0` as headers, or one JSON object as "
    "`application/cloudevents+json`."
)


def _malformed(what: str, because: str = _BECAUSE, mend: str = _MEND) -> ServerError:
    return ServerError("HW400", f"not a CloudEvent: {what}", because=because, mend=mend)
