"""Paths or text to documents: everything that is wrong with all of them, or the models, in one run.

Files are the only thing read here. `read_paths` is for commands and the engine, `read_text` for an editor, a request's
body and tests. Nothing raises for what an author wrote: `Reading.findings` says it, `Reading.require` raises it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headway.contract import laws, like, meaning
from headway.contract.documents import KINDS, Authored
from headway.contract.faults import Finding, Unreadable, Where, finding
from headway.contract.mistake import shown
from headway.contract.model import Calendar, Contract, Rollout, Server, Team
from headway.contract.model import Source as SourceModel
from headway.contract.refusals import findings_of, is_foreign, nearest
from headway.contract.text import FILE_BYTES, Map, Source, documents_of

__all__ = ["Reading", "read_paths", "read_text"]

SUFFIXES = (".yaml", ".yml", ".json")
FILES = 100_000
"""Files of one run."""


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


def read_text(text: str | bytes, name: str = "<text>") -> Reading:
    """Reads documents from memory; `name` stands for the file in findings."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return _read([Source(name, data)], [])


def read_paths(paths: Iterable[str | os.PathLike[str]]) -> Reading:
    """Reads files and folders (recursively: `*.yaml`, `*.yml`, `*.json`), in the order of their names.

    A file larger than 16 MiB is refused before it is read. What cannot be opened is a finding (HW105), not an exception.
    """
    findings: list[Finding] = []
    sources = []
    for path in _files(paths, findings):
        data = _bytes(path, findings)
        if data is not None:
            sources.append(Source(str(path), data))
    return _read(sources, findings)


def _files(paths: Iterable[str | os.PathLike[str]], findings: list[Finding]) -> list[Path]:
    seen: dict[Path, Path] = {}
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = sorted(found for found in path.rglob("*") if found.suffix in SUFFIXES and found.is_file())
            if not inside:
                problem = f"the folder `{path}` holds no .yaml, .yml or .json file"
                findings.append(finding("HW102", problem, where=Where(str(path), 1, 1)))
            for found in inside:
                seen.setdefault(found.absolute(), found)
        else:
            seen.setdefault(path.absolute(), path)
        if len(seen) > FILES:
            findings.append(finding("HW112", f"more than {FILES} files", where=Where(str(path), 1, 1)))
            return list(seen.values())[:FILES]
    return list(seen.values())


def _bytes(path: Path, findings: list[Finding]) -> bytes | None:
    """A file's bytes, at most one more than the bound: what grows while it is read is refused as well."""
    where = Where(str(path), 1, 1)
    try:
        if not path.is_file():
            why = "it is not a file" if path.exists() else "it does not exist"
            findings.append(finding("HW105", f"`{path}` cannot be read: {why}", where=where))
            return None
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= FILE_BYTES:
                data = file.read(FILE_BYTES + 1)
                if len(data) <= FILE_BYTES:
                    return data
    except OSError as error:
        findings.append(finding("HW105", f"`{path}` cannot be read: {error.strerror or error}", where=where))
        return None
    findings.append(finding("HW103", f"`{path}` is larger than 16 MiB", where=where))
    return None


def _read(sources: Sequence[Source], findings: list[Finding]) -> Reading:
    documents: list[Authored] = []
    for source in sources:
        for tree in documents_of(source, findings):
            if (document := _classified(source, tree, findings)) is not None:
                documents.append(document)
    _twice(documents, findings)
    contracts = {document.name: document for document in documents if document.kind == "contract" and document.name}
    for document in documents:
        if document.kind == "contract":
            findings += like.resolve(document, contracts)
    for document in documents:
        if document.kind == "contract" and (grown := laws.expand(document)):
            findings += grown
            _validate(document, findings, without="ramp")
        else:
            _validate(document, findings)
    findings += meaning.findings_of(documents)
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


def _validate(document: Authored, findings: list[Finding], without: str | None = None) -> None:
    """Builds a document's model, or adds what is wrong. `without` is a field that failed already and is not missed."""
    kind = KINDS[document.kind]
    context = {"zone": _zone(document.tree)}
    tree: Any = document.tree
    partial = document.kind == "contract" and str(tree.get("abstract", "")) == "true"
    try:
        document.model = _built(kind, tree, context)  # type: ignore[assignment] # one of the six
    except ValidationError as error:
        found = findings_of(document, error, partial=partial)
        findings += [one for one in found if without is None or not _misses(one, without)]


def _misses(found: Finding, field: str) -> bool:
    return (found.code == "HW124" and found.problem.endswith(f"`{field}`")) or (
        found.code == "HW123" and found.problem == "`grow` is not a field here"
    )


def _built(kind: type[Any], tree: Map, context: dict[str, str]) -> Any:
    try:
        return kind.model_validate(tree, context=context, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        foreign = [d["loc"] for d in details if d["type"] == "extra_forbidden" and is_foreign(d["loc"][-1])]
        if not foreign:
            raise
    # Only a document that has `x-` fields is validated twice, so that the others pay nothing for them.
    return kind.model_validate(_without(tree, set(foreign), ()), context=context, by_alias=True, by_name=False)


def _without(node: Any, gone: set[tuple[int | str, ...]], loc: tuple[int | str, ...]) -> Any:
    """A tree's copy without foreign fields. Which fields are foreign was told by the model, so names stay."""
    if isinstance(node, dict):
        parents = {place[:-1] for place in gone}
        here = [place for place in parents if _same(place, loc)]
        names = {place[-1] for place in gone if place[:-1] in here}
        return {key: _without(value, gone, (*loc, key)) for key, value in node.items() if key not in names}
    if isinstance(node, list):
        return [_without(item, gone, (*loc, index)) for index, item in enumerate(node)]
    return node


def _same(place: tuple[int | str, ...], loc: tuple[int | str, ...]) -> bool:
    """Whether a place in the model is a place in the tree, parts that shorthands add (`""`, a 0) passed over."""
    rest: Iterator[int | str] = iter(loc)
    part = next(rest, None)
    for step in place:
        if step == part:
            part = next(rest, None)
        elif step not in ("", 0):
            return False
    return part is None


def _zone(tree: Map) -> str:
    zone = tree.get("zone")
    if not isinstance(zone, str) or not zone:
        return "UTC"
    from headway.contract.instants import zone_of
    from headway.contract.mistake import Mistake

    try:
        zone_of(zone)
    except Mistake:
        return "UTC"  # the field itself is reported
    return zone


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    """By place, errors that were found twice (through `like`) once."""
    unique = {(found.code, found.where, found.problem): found for found in reversed(list(findings))}
    return sorted(unique.values(), key=lambda found: (found.where is None, found.where or Where("", 0, 0), found.code))
