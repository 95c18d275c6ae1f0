"""Bytes to a tree with positions: YAML's events, composed by us, bounded everywhere.

A round-trip loader costs milliseconds a contract; libyaml's event stream costs a tenth of one, and leaves to us what
matters: scalars stay text (the field that receives them types them), every key and node knows its line and column,
and nothing an author can write makes us allocate without bound. A file is cut at its `---` lines first, so that a
syntax error in one document does not hide what is wrong in the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from headway.contract.faults import FAULTS, Finding, Where, excerpt_of, finding
from headway.contract.mistake import shown
from headway.contract.syntax import explained

__all__ = ["Map", "Quoted", "Seq", "Source", "documents_of"]

FILE_BYTES = 16 * 1024 * 1024
DOCUMENT_BYTES = 1024 * 1024
DOCUMENTS = 20_000
"""Documents a file; more is refused before any is parsed."""
DEPTH = 64
ALIASES = 100
NODES = 50_000
"""Nodes a document, aliases counted with what they stand for."""
FILE_NODES = 1_000_000
"""Nodes a file, at which it is left: twice what 10,000 contracts have, and two seconds' reading."""

Position = tuple[int, int]
"""Line and column, from 1."""

_CUT = re.compile(rb"[\n\r]---(?=[ \t\r\n]|\Z)")
_BREAK = re.compile(rb"\r\n|\n|\r|\xc2\x85|\xe2\x80[\xa8\xa9]")
_BREAK_TEXT = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ASCII = bytes(range(0x20, 0x7F)) + b"\t\n\r"


class Quoted(str):
    """A scalar that stood in quotes or in a block: surely text, never a null."""

    __slots__ = ()


class Map(dict[str, Any]):
    """A mapping with the place of itself, of each key and of each value."""

    __slots__ = ("at", "keys_at", "size", "values_at")

    def __init__(self, at: Position) -> None:
        super().__init__()
        self.at = at
        self.keys_at: dict[str, Position] = {}
        self.values_at: dict[str, Position] = {}
        self.size = 1

    def put(self, key: str, value: Any, key_at: Position, value_at: Position) -> None:
        """Adds an entry with its places."""
        self[key] = value
        self.keys_at[key] = key_at
        self.values_at[key] = value_at


class Seq(list[Any]):
    """A sequence with the place of itself and of each item."""

    __slots__ = ("at", "items_at", "size")

    def __init__(self, at: Position) -> None:
        super().__init__()
        self.at = at
        self.items_at: list[Position] = []
        self.size = 1


@dataclass(slots=True)
class Source:
    """A file's bytes, for positions and excerpts."""

    file: str
    data: bytes = field(repr=False)
    _lines: list[str] | None = field(default=None, repr=False)

    def where(self, at: Position) -> Where:
        return Where(self.file, *at)

    def excerpt(self, at: Position) -> tuple[str, int] | None:
        """The line of a place as it may be printed; None past the end."""
        if self._lines is None:
            self._lines = _BREAK_TEXT.split(self.data.decode("utf-8", "replace").removeprefix("\ufeff"))
        line, column = at
        return excerpt_of(self._lines[line - 1], column) if 1 <= line <= len(self._lines) else None

    def finding(self, code: str, problem: str, at: Position, **more: Any) -> Finding:
        """A finding at a place of this file."""
        return finding(code, problem, where=self.where(at), excerpt=self.excerpt(at), **more)


def documents_of(source: Source, findings: list[Finding]) -> Iterator[Map]:
    """The mappings of a file, document after document; what is wrong is added to `findings`.

    Empty documents are passed over. A document with faults in its text is yielded where a tree could still be built
    (duplicate keys, tags), and left out where not.
    """
    data = source.data
    if len(data) > FILE_BYTES:
        findings.append(finding("HW103", f"`{source.file}` is larger than 16 MiB", where=source.where((1, 1))))
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = len(_BREAK.findall(data, 0, error.start)) + 1
        problem = f"byte {error.start + 1} of the file is not UTF-8"
        findings.append(finding("HW101", problem, where=source.where((line, 1))))
        return
    if (bad := _forbidden(data, text)) is not None:
        lines = _BREAK_TEXT.split(text[:bad])
        at = (len(lines), len(lines[-1]) + 1)
        problem = f"the character U+{ord(text[bad]):04X} cannot stand in a document"
        findings.append(source.finding("HW118", problem, at))
        return
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]

    cuts = [0, *(match.start() + 1 for match in _CUT.finditer(data)), len(data)]
    if len(cuts) - 1 > DOCUMENTS:
        problem = f"`{source.file}` holds more than {DOCUMENTS:,} documents".replace(",", " ")
        findings.append(finding("HW112", problem, where=source.where((1, 1))))
        return
    line = nodes = 0
    some = False
    for start, end in pairwise(cuts):
        chunk = data[start:end]
        if len(chunk) > DOCUMENT_BYTES:
            findings.append(source.finding("HW104", "this document is larger than 1 MiB", (line + 1, 1)))
            some = True
        else:
            before = len(findings)
            composer = _Composer(source, chunk, line, findings)
            for tree in composer.documents():
                some = True
                yield tree
            some = some or len(findings) > before
            nodes += composer.passed + composer.nodes
            if nodes > FILE_NODES:
                problem = f"up to here this file has more than {FILE_NODES:,} nodes".replace(",", " ")
                findings.append(source.finding("HW112", problem, (line + 1, 1)))
                return
        line += chunk.count(b"\n") if b"\r" not in chunk and chunk.isascii() else len(_BREAK.findall(chunk))
    if not some:
        findings.append(finding("HW102", f"`{source.file}` holds no document", where=source.where((1, 1))))


def _forbidden(data: bytes, text: str) -> int | None:
    """Where the first character stands that no document may hold; a byte-order mark may, but only at the beginning."""
    if data.isascii() and not data.translate(None, _ASCII):
        return None
    found = _FORBIDDEN.search(text)
    mark = text.find("\ufeff", 1)
    places = [place for place in (mark, found.start() if found else -1) if place >= 0]
    return min(places, default=None)


class _Stopped(Exception):
    """The rest of this text cannot be composed."""

    def __init__(self, found: Finding) -> None:
        super().__init__(found)
        self.found = found


class _Composer:
    """One stretch of a file between two `---`, as trees. Lines count from the stretch's place in its file."""

    def __init__(self, source: Source, chunk: bytes, first_line: int, findings: list[Finding]) -> None:
        self.source = source
        self.chunk = chunk
        self.line = first_line + 1
        self.findings = findings
        self.anchors: dict[str, Any] = {}
        self.aliases = 0
        self.nodes = 0
        self.passed = 0
        self.faults = 0
        self.next: Callable[[], Any]

    def documents(self) -> Iterator[Map]:
        try:
            self.next = CParser(self.chunk).get_event
            while True:
                event = self.next()
                kind = type(event)
                if kind is StreamEndEvent:
                    return
                if kind is not DocumentStartEvent:
                    continue
                self.passed += self.nodes
                self.anchors, self.aliases, self.nodes = {}, 0, 0
                event = self.next()
                at = self.at(event)
                tree = self.node(event, 1)
                if isinstance(tree, Map):
                    yield tree
                elif tree != "" or isinstance(tree, Quoted):
                    problem = f"a document is a mapping, not {shown(tree)}"
                    self.findings.append(self.source.finding("HW120", problem, at))
        except _Stopped as stop:
            self.findings.append(stop.found)
        except YAMLError as error:
            mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
            context = error.context_mark if isinstance(error, MarkedYAMLError) else None
            at = (self.line, 1) if mark is None else (mark.line + self.line, mark.column + 1)
            began = at if context is None else (context.line + self.line, context.column + 1)
            lines = _BREAK_TEXT.split(self.chunk.decode("utf-8"))
            why = str(getattr(error, "problem", None) or error)
            code, problem, place, mend = explained(why, at, began, lines, self.line)
            self.findings.append(self.source.finding(code, problem, place, mend=mend))

    def fault(self, code: str, problem: str, at: Position) -> None:
        """A fault that composing can go on after, as long as there are not too many."""
        self.findings.append(self.source.finding(code, problem, at))
        self.faults += 1
        if self.faults >= FAULTS:
            raise self.stop("HW129", "and perhaps more faults from here on", at)

    def at(self, event: Any) -> Position:
        mark = event.start_mark
        return (mark.line + self.line, mark.column + 1)

    def stop(self, code: str, problem: str, at: Position) -> _Stopped:
        return _Stopped(self.source.finding(code, problem, at))

    def node(self, event: Any, depth: int) -> Any:
        """The value an event begins, everything below it read."""
        self.nodes += 1
        if self.nodes > NODES:
            raise self.stop("HW112", f"this document has more than {NODES} nodes", self.at(event))
        kind = type(event)
        if kind is AliasEvent:
            return self.alias(event)
        if event.tag is not None:
            problem = f"the tag {shown(event.tag)} is not allowed"
            self.fault("HW114", problem, self.at(event))
        if kind is ScalarEvent:
            value: Any = event.value if event.style is None or event.style == "" else Quoted(event.value)
            if event.anchor is not None:
                self.anchors[event.anchor] = value
            return value
        if depth > DEPTH:
            raise self.stop("HW113", f"this is nested deeper than {DEPTH} levels", self.at(event))
        before = self.nodes
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        value = self.mapping(event, depth) if kind is MappingStartEvent else self.sequence(event, depth)
        value.size = self.nodes - before + 1
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def mapping(self, start: Any, depth: int) -> Map:
        line, take = self.line, self.next
        tree = Map(self.at(start))
        keys_at, values_at = tree.keys_at, tree.values_at
        while type(event := take()) is not MappingEndEvent:
            mark = event.start_mark
            key_at = (mark.line + line, mark.column + 1)
            is_scalar = type(event) is ScalarEvent
            # In quotes it is a word like any other.
            may_merge = is_scalar and event.implicit[0]
            key = self.node(event, depth) if is_scalar else self.odd_key(event, key_at, depth)
            event = take()
            mark = event.start_mark
            value_at = (mark.line + line, mark.column + 1)
            value = self.node(event, depth + 1)
            if key is None:
                continue
            key = str(key)
            if key == "<<" and may_merge:
                self.fault("HW115", "merge keys (`<<`) are not allowed", key_at)
                continue
            if key in tree:
                first = keys_at[key][0]
                problem = f"{shown(key)} stands twice in one mapping; the first is on line {first}"
                self.fault("HW111", problem, key_at)
                continue
            tree[key] = value
            keys_at[key] = key_at
            values_at[key] = value_at
        return tree

    def sequence(self, start: Any, depth: int) -> Seq:
        tree = Seq(self.at(start))
        while type(event := self.next()) is not SequenceEndEvent:
            tree.items_at.append(self.at(event))
            tree.append(self.node(event, depth + 1))
        return tree

    def odd_key(self, event: Any, at: Position, depth: int) -> str | None:
        """A key that is no plain scalar: an alias of one is allowed, anything else is a fault and passed over."""
        value = self.node(event, depth + 1)
        if isinstance(value, str):
            return value
        self.fault("HW116", f"a key is a word, not {shown(value)}", at)
        return None

    def alias(self, event: Any) -> Any:
        name, at = event.anchor, self.at(event)
        self.aliases += 1
        if self.aliases > ALIASES:
            raise self.stop("HW112", f"this document uses more than {ALIASES} aliases", at)
        if name not in self.anchors:
            raise self.stop("HW109", f"`*{name}` is read as an alias, and there is no anchor `&{name}`", at)
        value = self.anchors[name]
        if value is None:
            raise self.stop("HW117", f"`*{name}` stands inside what it stands for", at)
        self.nodes += value.size if isinstance(value, Map | Seq) else 1
        if self.nodes > NODES:
            raise self.stop("HW112", f"with its aliases this document has more than {NODES} nodes", at)
        return value
