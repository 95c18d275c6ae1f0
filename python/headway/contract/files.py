"""Which files a path stands for, and their bytes: the reader's one way to the file system.

Whatever lies there (links in a circle, pipes, folders of somebody else, names that are not text) ends as a finding at the
path, within the bounds; no OSError comes out, so that a running server that looks again never stumbles over it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from headway.contract.faults import Finding, Where, finding
from headway.contract.text import FILE_BYTES

__all__ = ["FILES", "bytes_of", "files_of", "printable"]

SUFFIXES = (".yaml", ".yml", ".json")
FILES = 100_000
"""Files of one run."""


def files_of(paths: Iterable[str | os.PathLike[str]], findings: list[Finding], *, most: int = FILES) -> list[Path]:
    """The files that paths stand for, each once, in the order of their names within a folder; at most `most`.

    A folder stands for everything below it that ends like a document: names that begin with a dot are passed over, and
    links to folders are not followed, so no circle has no end. What looks like a document and is no file (a pipe, a
    link to nothing) is among them, for `bytes_of` to complain about.
    """
    seen: dict[Path, Path] = {}
    for given in paths:
        path = Path(given)
        if _is_folder(path):
            before = len(findings)
            inside = _below(path, findings, most)
            if not inside and len(findings) == before:
                problem = f"the folder `{printable(path)}` holds no .yaml, .yml or .json file"
                findings.append(finding("HW102", problem, where=Where(printable(path), 1, 1)))
            for found in inside:
                seen.setdefault(found.absolute(), found)
        else:
            seen.setdefault(path.absolute(), path)
        if len(seen) > most:
            findings.append(finding("HW112", f"more than {most} files", where=Where(printable(path), 1, 1)))
            return list(seen.values())[:most]
    return list(seen.values())


def bytes_of(path: Path, findings: list[Finding]) -> bytes | None:
    """A file's bytes, at most one more than the bound: what grows while it is read is refused as well."""
    try:
        if not path.is_file():
            findings.append(_unread(path, "it is not a file" if path.exists() else "it does not exist"))
            return None
        # Not to wait for a writer, should a pipe have taken the file's place meanwhile.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                findings.append(_unread(path, "it is not a file"))
                return None
            if status.st_size <= FILE_BYTES:
                data = file.read(FILE_BYTES + 1)
                if len(data) <= FILE_BYTES:
                    return data
    except OSError as error:
        findings.append(_unread(path, error.strerror or str(error)))
        return None
    where = Where(printable(path), 1, 1)
    findings.append(finding("HW103", f"`{printable(path)}` is larger than 16 MiB", where=where))
    return None


def printable(path: str | os.PathLike[str]) -> str:
    """A path for people and for JSON: bytes that are no text, and characters that no line may hold, as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # Not ours to look at, or no name that can exist: as a file it gets its finding.
        return False


def _below(folder: Path, findings: list[Finding], most: int) -> list[Path]:
    """Documents below a folder, sorted; one more than `most` ends the search. A folder that cannot be read is a finding:
    it may hold a contract. How deep folders lie is bounded by the length of a path.
    """
    found: list[Path] = []
    folders = [folder]
    while folders and len(found) <= most:
        at = folders.pop()
        try:
            with os.scandir(at) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(at / entry.name)
                    elif entry.name.endswith(SUFFIXES) and not _is_folder(at / entry.name):
                        found.append(at / entry.name)
        except OSError as error:
            findings.append(_unread(at, error.strerror or str(error)))
    return sorted(found, key=lambda path: path.parts)


def _unread(path: Path, why: str) -> Finding:
    name = printable(path)
    shown = name if len(name) <= 200 else f"{name[:200]}…"
    return finding("HW105", f"`{shown}` cannot be read: {why}", where=Where(shown, 1, 1))
