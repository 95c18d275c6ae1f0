"""The live stream's pure half: which changes a client hears when, and how a change looks as a server-sent event.

At most four changes a second reach a client of one contract; what comes faster is folded into the newest, because a
stream shows where things stand, and what happened stands in the ledger.

Source: WHATWG HTML, section 9.2, server-sent events.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from headway.server.plain import plain

SPACING_MS: Final = 250
"""Between two changes of one contract to one client."""

KEEP_ALIVE_MS: Final = 15_000
"""A comment goes out after this much silence, so that proxies and clients know the line is alive."""

KEEP_ALIVE: Final = b": still here\n\n"
RETRY: Final = b"retry: 2000\n\n"


class Change(Protocol):
    """What the engine publishes; ids only grow."""

    @property
    def id(self) -> int: ...
    @property
    def contract(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Due:
    """A change to send now. `resume_id`: everything up to it has been sent or folded, so a client may resume there."""

    change: Change
    resume_id: int
    folded: int


class Pacer:
    """Holds back what comes too fast, one waiting change a contract. The caller's clock is any that never goes back.

    Memory is bounded by the number of contracts: a later change takes the waiting one's place.
    """

    def __init__(self, spacing_ms: int = SPACING_MS) -> None:
        self._spacing_ms = spacing_ms
        self._free_at_ms: dict[str, int] = {}
        self._waiting: dict[str, tuple[Change, int]] = {}
        self._heard_id = 0

    def hear(self, change: Change) -> None:
        """Takes a change in; `due` gives it out."""
        _, folded = self._waiting.pop(change.contract, (change, -1))
        self._waiting[change.contract] = (change, folded + 1)
        self._heard_id = max(self._heard_id, change.id)

    def due(self, now_ms: int) -> list[Due]:
        """What may be sent now, oldest first."""
        ready = [name for name in self._waiting if self._free_at_ms.get(name, now_ms) <= now_ms]
        out: list[Due] = []
        for name in sorted(ready, key=lambda name: self._waiting[name][0].id):
            change, folded = self._waiting.pop(name)
            self._free_at_ms[name] = now_ms + self._spacing_ms
            out.append(Due(change, self._resume_id(), folded))
        if not self._waiting:
            self._free_at_ms = {name: at for name, at in self._free_at_ms.items() if at > now_ms}
        return out

    def wait_ms(self, now_ms: int) -> int | None:
        """Milliseconds until something is due; None while nothing waits."""
        if not self._waiting:
            return None
        return max(0, min(self._free_at_ms.get(name, now_ms) for name in self._waiting) - now_ms)

    def _resume_id(self) -> int:
        """The last id a client has seen for good: just before the oldest that still waits."""
        return min((change.id - 1 for change, _ in self._waiting.values()), default=self._heard_id)


def frame(due: Due, run: str) -> bytes:
    """One server-sent event. JSON keeps to one line, so no text of a contract can begin a field of the stream.

    Args:
        due: What to send.
        run: Which run of the server numbers the changes; ids of another run mean nothing to this one.
    """
    change = due.change
    body = {
        "id": change.id,
        "contract": change.contract,
        "kind": change.kind,
        "at_ms": change.at_ms,
        "folded": due.folded,
        "payload": plain(change.payload),
    }
    text = json.dumps(body, ensure_ascii=True, separators=(",", ":"))
    return f"id: {run}-{due.resume_id}\nevent: change\ndata: {text}\n\n".encode()


GAP: Final = b'event: gap\ndata: {"mend":"read the contracts again; the stream goes on from here"}\n\n'
"""Some changes can no longer be told: what a client knows may be old."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a stream goes on. `after` None: from now. `lost`: what the client saw last is not known any more."""

    after: int | None
    lost: bool


def resume_of(last_event_id: str | None, run: str) -> Resume:
    """Reads a `Last-Event-ID`. One of another run, or of nobody's, is lost: ids start anew with the process."""
    text = (last_event_id or "").strip()
    told_run, _, number = text.rpartition("-")
    if told_run == run and number.isascii() and number.isdigit() and len(number) <= 18:
        return Resume(int(number), lost=False)
    return Resume(None, lost=bool(text))
