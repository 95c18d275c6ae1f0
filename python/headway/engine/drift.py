"""Where files and what runs part: the ledger is the truth, a file that differs is drift until it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from headway.contract.canonical import digest
from headway.contract.faults import Finding, Unreadable
from headway.contract.files import files_of
from headway.contract.read import Reading, read_paths
from headway.engine.values import Drift
from headway.ramp.state import RampState

FILES_MOST = 20_000
"""Files whose times are looked at; more are read whenever drift is asked for."""

Signature = tuple[tuple[str, int, int], ...]


class Files:
    """The files an engine was opened with. Read again only when a name, a time or a size changed."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._signature: Signature | None = None
        self._reading: Reading | None = None

    def read(self) -> Reading | None:
        """What they hold now; None where there are none. OSError does not come out: it is a finding."""
        if not self._paths:
            return None
        signature = _signature(self._paths)
        if self._reading is None or signature != self._signature or len(signature) >= FILES_MOST:
            self._reading = read_paths(self._paths)
            self._signature = signature
        return self._reading

    def changed(self) -> bool:
        """Whether they differ from when they were last read. Only looks at times and sizes."""
        return bool(self._paths) and _signature(self._paths) != self._signature


def drift_of(reading: Reading | None, states: Mapping[str, RampState]) -> list[Drift]:
    """What a reading says that does not run, or runs otherwise."""
    if reading is None:
        return []
    found = [
        Drift(
            contract=finding.contract or "",
            where=str(finding.where),
            kind="unreadable",
            running="",
            file="",
            said=f"{finding.code}: {finding.problem}",
        )
        for finding in reading.findings
        if finding.severity == "error"
    ]
    places = {document.name: document.source.file for document in reading.documents if document.kind == "contract"}
    for name, contract in reading.contracts.items():
        state, file = states.get(name), digest(contract)
        if state is None:
            said = f"{name} is in {places[name]} and does not run: headway apply {places[name]}"
            found.append(Drift(name, places[name], "new", "", file, said))
        elif state.digest != file:
            said = f"{name} in {places[name]} differs from version {state.version}, which runs"
            found.append(Drift(name, places[name], "changed", state.digest, file, said))
    return found


def newcomers(reading: Reading, states: Mapping[str, RampState]) -> Reading:
    """The part of a reading that may be applied at once: everything but contracts that run.

    Raises:
        Unreadable: A document is not valid.
    """
    if not reading.ok:
        raise Unreadable(reading.findings)
    documents = tuple(one for one in reading.documents if one.kind != "contract" or one.name not in states)
    return Reading(documents, reading.findings)


def _signature(paths: Sequence[Path]) -> Signature:
    files: list[tuple[str, int, int]] = []
    unread: list[Finding] = []
    for file in files_of(paths, unread, most=FILES_MOST):
        try:
            stat = file.stat()
        except (OSError, ValueError):
            # Gone, not ours to read, or no name at all: the reader says so, here it is only different.
            files.append((str(file), -1, -1))
        else:
            files.append((str(file), stat.st_mtime_ns, stat.st_size))
    return (*files, *((one.problem, -1, -1) for one in unread))
