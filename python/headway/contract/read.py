"""Paths or text to documents: everything that is wrong with all of them, or the models, in one run.

Files are the only thing read here. `read_paths` is for commands and the engine, `read_text` for an editor, a request's
body and tests. Nothing raises for what an author wrote: `Reading.findings` says it, `Reading.require` raises it.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from headway.contract import laws, like, meaning
from headway.contract.build import built
from headway.contract.documents import KINDS, Authored
from headway.contract.faults import Finding, Unreadable, Where
from headway.contract.files import bytes_of, files_of, printable
from headway.contract.mistake import shown
from headway.contract.model import Calendar, Contract, Document, Rollout, Server, Team
from headway.contract.model import Source as SourceModel
from headway.contract.refusals import is_foreign, nearest
from headway.contract.text import Map, Source, documents_of

__all__ = ["Reading", "read_paths", "read_text"]


@dataclass(frozen=True)
class Reading:
    """What was read. Contracts that are abstract or not valid are among `documents` and not among `contracts`."""

    documents: tuple[Authored, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is an error."""
        return all(found.severity != "error" for found in self.findings)

    def require(self) -> Reading:
        """This reading, if it is ok. Raises Unreadable with every finding."""
        if not self.ok:
            raise Unreadable(self.findings)
        return self

    @property
    def contracts(self) -> dict[str, Contract]:
        """The valid contracts that run, by name."""
        models = (document.model for document in self.documents)
        return {model.name: model for model in models if isinstance(model, Contract) and not model.abstract}

    @property
    def rollouts(self) -> dict[str, Rollout]:
        return {m.name: m for m in (d.model for d in self.documents) if isinstance(m, Rollout)}

    @property
    def sources(self) -> dict[str, SourceModel]:
        return {m.name: m for m in (d.model for d in self.documents) if isinstance(m, SourceModel)}

    @property
    def teams(self) -> dict[str, Team]:
        return {m.name: m for m in (d.model for d in self.documents) if isinstance(m, Team)}

    @property
    def calendars(self) -> dict[str, Calendar]:
        return {m.name: m for m in (d.model for d in self.documents) if isinstance(m, Calendar)}

    @property
    def server(self) -> Server | None:
        """The server's document, if there is a valid one."""
        return next((m for m in (d.model for d in self.documents) if isinstance(m, Server)), None)


def read_text(text: str | bytes, name: str = "<text>", *, agreed: Sequence[Document] = ()) -> Reading:
    """Reads documents from memory.

    Args:
        text: Documents, as in a file.
        name: Stands for the file in findings.
        agreed: Models of what runs already: documents may link to them (an upstream, a calendar) without repeating them.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return _read([Source(name, data)], [], agreed)


def read_paths(paths: Iterable[str | os.PathLike[str]], *, agreed: Sequence[Document] = ()) -> Reading:
    """Reads files and folders (recursively: `*.yaml`, `*.yml`, `*.json`), in the order of their names; `agreed` as above.

    Hidden names are passed over. A file larger than 16 MiB is refused before it is read. What cannot be opened is a finding
    (HW105), no exception.
    """
    findings: list[Finding] = []
    sources = []
    for path in files_of(paths, findings):
        data = bytes_of(path, findings)
        if data is not None:
            sources.append(Source(printable(path), data))
    return _read(sources, findings, agreed)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Lets the cyclic collector rest. Reading makes no cycles and many objects: it would walk all of them again and again.

    Measured on 10,000 contracts, two fifths of the time. Whoever switched it off before, or meanwhile, has it as they
    left it: only the one that found it on switches it on again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(sources: Sequence[Source], findings: list[Finding], agreed: Sequence[Document]) -> Reading:
    with _uncollected():
        return _read_all(sources, findings, agreed)


def _read_all(sources: Sequence[Source], findings: list[Finding], agreed: Sequence[Document]) -> Reading:
    documents: list[Authored] = []
    for source in sources:
        read = (_classified(source, tree, findings) for tree in documents_of(source, findings))
        documents += [document for document in read if document is not None]
    _twice(documents, findings)
    findings += like.resolve(documents)
    for document in documents:
        if document.kind == "contract" and (grown := laws.expand(document)):
            findings += grown
            findings += built(document, without="ramp")
        else:
            findings += built(document)
    findings += meaning.findings_of(documents, agreed)
    return Reading(tuple(documents), tuple(_sorted(findings)))


def _classified(source: Source, tree: Map, findings: list[Finding]) -> Authored | None:
    kinds = [kind for kind in KINDS if kind in tree]
    if len(kinds) == 1:
        name = tree[kinds[0]]
        return Authored(kinds[0], str(name) if isinstance(name, str) else "", source, tree)
    if kinds:
        at = tree.keys_at[kinds[1]]
        findings.append(source.finding("HW122", f"this is a {kinds[0]} and a {kinds[1]}", at))
        return None
    if all(is_foreign(key) for key in tree):
        return None
    near = next((match for key in tree if (match := nearest(key, list(KINDS)))), None)
    mend = f"write `{near}: NAME`" if near else None
    findings.append(source.finding("HW121", "this document does not say what it is", tree.at, mend=mend))
    return None


def _twice(documents: Sequence[Authored], findings: list[Finding]) -> None:
    first: dict[tuple[str, str], Authored] = {}
    for document in documents:
        key = (document.kind, document.name)
        if document.name and first.setdefault(key, document) is not document:
            other = first[key]
            source, at = other.place((other.kind,))
            problem = f"there is another {document.kind} {shown(document.name)} at {source.where(at)}"
            findings.append(document.finding("HW229", problem, (document.kind,)))


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    """By place, errors that were found twice (through `like`) once."""
    unique = {(found.code, found.where, found.problem): found for found in reversed(list(findings))}
    return sorted(unique.values(), key=lambda found: (found.where is None, found.where or Where("", 0, 0), found.code))
