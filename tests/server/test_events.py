"""CloudEvents at the door: both modes in, everything else refused with a mend."""

import contextlib
import json
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from headway.server.events import ATTRIBUTE_MOST, event_of
from headway.server.problems import ServerError
from headway.server.references import is_uri_reference

BINARY = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/ci"), ("ce-type", "replica.promoted")]
WHOLE = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "replica.promoted"}


def read(headers: list[tuple[str, str]], body: bytes = b"") -> Any:
    return event_of(headers, body, at_ms=1000, actor="token:ci")


def structured(document: Any, kind: str = "application/cloudevents+json") -> Any:
    return read([("content-type", kind)], document if isinstance(document, bytes) else json.dumps(document).encode())


def test_both_modes_of_the_sdk_arrive_as_the_same_event():
    """What the SDK writes, we read: binary and structured, with a subject that needs encoding and a time."""
    attributes = {
        "id": "a-1",
        "source": "https://ci.example/x",
        "type": "replica.promoted",
        "subject": "Euro € 😀 100%",
    }
    attributes |= {"time": __import__("datetime").datetime.fromisoformat("2026-12-01T09:00:00.250+01:00")}
    binary = to_binary_event(CloudEvent(dict(attributes), {"any": "payload"}))
    whole = to_structured_event(CloudEvent(dict(attributes), {"any": "payload"}))

    events = [
        event_of(list(message.headers.items()), message.body, at_ms=5, actor="token:ci") for message in (binary, whole)
    ]

    assert events[0] == events[1]
    seen = events[0]
    assert ("a-1", "https://ci.example/x", "replica.promoted") == (seen.id, seen.source, seen.type)
    assert ("Euro € 😀 100%", 1_796_112_000_250, 5, "token:ci") == (seen.subject, seen.time_ms, seen.at_ms, seen.actor)


def test_a_time_that_was_not_told_stays_untold():
    """The SDK would fill it from a clock of its own."""
    assert read(BINARY).time_ms is None
    assert structured(WHOLE).time_ms is None


def test_what_the_payload_is_does_not_matter():
    """A payload that is not JSON, though it says so, is left behind unread."""
    assert "1" == read([*BINARY, ("content-type", "application/json")], b"{not json").id


def test_quoted_and_needlessly_encoded_headers_are_undone():
    """`"replica%2epromoted"` is replica.promoted: quotes first, then percent-encoding, lower-case hex accepted."""
    headers = [*BINARY[:3], ("ce-type", '"replica%2epromoted"')]

    assert "replica.promoted" == read(headers).type


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion"])
def test_a_missing_attribute_is_refused_in_both_modes(missing: str):
    """The SDK would invent an `id`; then a repeated event would count twice."""
    for send in (
        lambda: read([pair for pair in BINARY if pair[0] != f"ce-{missing}"]),
        lambda: structured({name: value for name, value in WHOLE.items() if name != missing}),
    ):
        with pytest.raises(ServerError) as caught:
            send()
        assert "HW400" == caught.value.code
        assert missing in caught.value.problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce-id", ""),
        ("ce-source", " "),
        ("ce-specversion", "0.3"),
        ("ce-specversion", "2.0"),
        ("ce-time", "yesterday"),
        ("ce-time", "2026-12-01T09:00:00"),
        ("ce-time", "2026-13-01T09:00:00Z"),
        ("ce-subject", "%zz"),
        ("ce-subject", "%C0%AF"),
        ("ce-subject", "%FF"),
        ("ce-subject", "caf\u00e9"),
        ("ce-subject", "a%0Ab"),
        ("ce-type", "x" * (ATTRIBUTE_MOST + 1)),
        ("ce-datacontenttype", "application/json"),
        ("ce-my-ext", "x"),
    ],
)
def test_a_malformed_binary_event_is_refused(name: str, value: str):
    """Empty, another version, a time without zone, invalid or overlong UTF-8, control characters, endless, misnamed."""
    with pytest.raises(ServerError) as caught:
        read([pair for pair in BINARY if pair[0] != name] + [(name, value)])

    assert "HW400" == caught.value.code


REFERENCES = [
    "ci",
    "/ci",
    "./a:b",
    "../up?x=1#y",
    "urn:headway:cli",
    "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
    "mailto:ana@example.org",
    "https://ana@[2001:db8::7]:8080/a;b=1/c?d=e/f?g#h",
    "https://ci.example/with%20space",
    "//ci.example",
    "file:///etc/hosts",
    "?only=query",
    "#part",
    "1-555-123-4567",
]


@pytest.mark.parametrize("source", REFERENCES)
def test_a_source_is_any_uri_reference(source: str):
    """Absolute, relative, opaque, with an address in brackets: as they are, in JSON; with `%` as `%25` in a header."""
    headers = [*BINARY[:2], ("ce-source", source.replace("%", "%25")), BINARY[3]]

    assert source == structured(WHOLE | {"source": source}).source == read(headers).source


@pytest.mark.parametrize(
    "source",
    [
        "my ci",
        "https://ci.example/with space",
        "https://ci.example/100%",
        "https://ci.example/%2",
        "caf\u00e9",
        "a\\b",
        "<ci>",
        '"ci"',
        "a|b",
        "1:2",
        ":ci",
        "https://[::1/x",
        "https://ci.example:http/x",
        "https://ci.example/x?a=[b",
        "a#b#c",
        "{ci}",
        "a^b`c",
    ],
)
def test_a_source_that_is_no_uri_reference_is_refused_with_a_mend(source: str):
    """Spaces, half encodings, letters outside ASCII, brackets, two fragments, a port that is a word."""
    with pytest.raises(ServerError) as caught:
        structured(WHOLE | {"source": source})

    assert "HW400" == caught.value.code
    assert "`source` is not a URI-reference" in caught.value.problem
    assert source in caught.value.because
    assert "%20" in caught.value.mend


def test_a_source_is_read_in_time_in_proportion_to_its_length():
    """As long as one may be, of what the expression could try in many ways: no more than a blink."""
    for text in ("a" * 1023 + " ", "//" + "a:" * 510 + " ", "a@" * 511 + " ", "%41" * 341 + " "):
        assert not is_uri_reference(text)


def test_an_attribute_that_is_there_twice_is_refused():
    """Two readers could each take another one of the two."""
    with pytest.raises(ServerError) as caught:
        read([*BINARY, ("CE-ID", "2")])

    assert "HW400" == caught.value.code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"specversion": "1.0", "id": "1", "id": "2", "source": "/ci", "type": "t"}',
        b'{"specversion": "1.0", "id": 1, "source": "/ci", "type": "t"}',
        b'{"specversion": "1.0", "id": "1", "source": "/ci", "type": "t", "time": 5}',
        b'{"specversion": "1.0", "id": "1", "source": "/ci", "type": "t", "data": NaN}',
        b'{"specversion": "1.0", "id": "1", "source": "/ci", "type": "t", "data": 1, "data_base64": "QQ=="}',
        b'{"specversion": "1.0", "id": "1", "source": "/ci", "type": "t", "data_base64": "?"}',
        b'{"specversion": "1.0", "id": "1", "source": "/ci", "type": "t", "data": '
        + b"[" * 30_000
        + b"]" * 30_000
        + b"}",
    ],
)
def test_a_malformed_structured_event_is_refused(body: bytes):
    """Not JSON, not an object, doubled names, wrong types, NaN, 30,000 levels: each is the sender's to mend."""
    with pytest.raises(ServerError) as caught:
        structured(body)

    assert "HW400" == caught.value.code


@pytest.mark.parametrize(
    "kind", ["application/cloudevents-batch+json", "application/cloudevents-batch", "application/cloudevents+xml"]
)
def test_a_batch_and_another_format_are_refused_as_a_kind_not_taken(kind: str):
    """A batch shares its prefix with a single event, so it is looked for first."""
    with pytest.raises(ServerError) as caught:
        structured([WHOLE], kind)

    assert "HW415" == caught.value.code


def test_brackets_inside_text_do_not_count_as_depth():
    """A description full of brackets, quotes and backslashes is flat."""
    assert "1" == structured(WHOLE | {"data": "[" * 1000 + '\\"[' * 100}).id


@given(st.binary(max_size=300), st.sampled_from(["application/cloudevents+json", "application/json", ""]))
def test_whatever_bytes_arrive_the_answer_is_an_event_or_a_mend(body: bytes, kind: str):
    """Arbitrary bytes never end in anything but a ServerError."""
    with contextlib.suppress(ServerError):
        event_of([("content-type", kind)], body, at_ms=0, actor="token:ci")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-time", "ce-specversion", "ce-x"]),
            st.text(max_size=20),
        )
    )
)
def test_whatever_headers_arrive_the_answer_is_an_event_or_a_mend(headers: list[tuple[str, str]]):
    """Arbitrary header values, doubles included."""
    with contextlib.suppress(ServerError):
        event_of(headers, b"", at_ms=0, actor="token:ci")
