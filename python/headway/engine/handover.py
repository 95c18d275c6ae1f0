"""What the meters are told: curves as they were decided become theirs, and quotas' windows open in time.

Ledger first: nothing is handed over before the move that decided it is committed. Meters live by the time that is
believed, so a clock that jumped brings them no window and no part of a climb, and no fall late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from headway.engine import looking
from headway.engine.board import Board, Place
from headway.engine.ports import Publisher, WallClock
from headway.engine.publish import bends, cautious, core_curves, windows_of
from headway.engine.specs import MS, total_of
from headway.engine.suspicion import Suspicion
from headway.ramp.curve import Curve

ROUNDED_MS = 2
"""What the UTC that is believed may differ from the wall by rounding alone: it is counted on in whole milliseconds."""


class Handover:
    """Hands over. Called by the mover alone, under its lock."""

    def __init__(self, board: Board, publisher: Publisher, clock: WallClock, suspicion: Suspicion) -> None:
        self._board = board
        self._publisher = publisher
        self._clock = clock
        self._suspicion = suspicion
        self._windows_at_ms: dict[str, int] = {}
        self._unpublished: dict[str, Curve] = {}

    def publish(self, curves: Mapping[str, Curve], now_ms: int) -> None:
        """Hands curves to the meters. Where that fails they stay due: the ledger has them already."""
        if not curves:
            return
        self._unpublished |= curves
        board, status, believed_ms = self._board, self._suspicion.status, self._suspicion.believed_ms
        # The ledger took its time since the look: what is planned ahead would come later by as much.
        boot_ms = self._clock.boot_ms()
        utc_ms = self._suspicion.believed_at(boot_ms)
        core, places = [], {}
        for name, decided in self._unpublished.items():
            contract, old = board.contracts[name], board.places.get(name)
            curve = replace(decided, raises_when=looking.words(board, name, now_ms, status))
            # Republishing (another window, other words) is a newer version for the meters, and none for the ledger.
            version = max(curve.version, old.published + 1 if old else 0)
            windows = windows_of(contract, believed_ms, suspect=status.suspect)
            enforced = cautious(curve, now_ms, believed_ms)
            core += core_curves(contract, enforced, version, windows)
            published = Place(
                contract=contract,
                state=board.states[name],
                curve=curve,
                enforced=enforced,
                ahead_ms=utc_ms - boot_ms,
                published=version,
                published_ms=now_ms,
                windows=MappingProxyType(windows),
            )
            # A window more leaves the limit as it was: it is in force since it was decided.
            same = old is not None and old.curve.version == curve.version
            places[name] = replace(published, published_ms=old.published_ms) if old and same else published
        self._publisher.publish(core, self._anchor_ns(utc_ms))
        board.places |= places
        for name, place in places.items():
            opens = [starts[1] for starts in place.windows.values() if len(starts) > 1]
            if opens:
                self._windows_at_ms[name] = min(opens)
            elif place.windows:
                # Under suspicion no window opens; they are looked at again when the clock is trusted.
                self._windows_at_ms.pop(name, None)
        self._unpublished.clear()

    def _anchor_ns(self, utc_ms: int) -> int:
        """What the meters take for now. The wall itself where it is believed, or else they would be a millisecond or two
        apart from it, anew at each publication: a fall that is planned came late by that, a climb early.
        """
        wall_ns = self._clock.utc_ns()
        rounded = not self._suspicion.status.suspect and abs(wall_ns - utc_ms * MS) <= ROUNDED_MS * MS
        return wall_ns if rounded else utc_ms * MS

    def publish_left(self, now_ms: int) -> None:
        """What could not be handed over when it was decided."""
        self.publish(dict(self._unpublished), now_ms)

    def republish(self, names: Sequence[str], now_ms: int) -> None:
        """The same curves, with the windows that are decided by now."""
        self.publish({name: self._board.places[name].curve for name in names}, now_ms)

    def narrow(self, now_ms: int) -> None:
        """The clock jumped. Windows decided ahead would open by a clock that is not believed, and falls would come late by
        as much as it jumped; a climb goes on as it was, no faster.
        """
        narrowed = {
            name: place.curve
            for name, place in self._board.places.items()
            # By the meters' time a fall may still be ahead though by ours it has passed.
            if place.windows or bends(place.curve, place.published_ms)
        }
        self.publish(narrowed, now_ms)

    def trust(self, now_ms: int) -> None:
        """The clock is trusted: the meters take over its time, and windows that waited are due."""
        places = self._board.places
        self.publish({name: one.curve for name, one in places.items() if bends(one.curve, one.published_ms)}, now_ms)
        self._windows_at_ms |= {name: now_ms for name, place in places.items() if place.windows}

    # -- windows

    def windows_at_ms(self) -> int | None:
        """When the next window is to be decided; None: there is none, or opening one waits for the clock."""
        if self._suspicion.status.suspect:
            return None
        return min(self._windows_at_ms.values(), default=None)

    def windows_due(self, now_ms: int) -> list[str]:
        """Contracts with a quota whose window has ended; none while the clock is not trusted."""
        if self._suspicion.status.suspect:
            return []
        return [name for name, at_ms in self._windows_at_ms.items() if at_ms <= now_ms]

    def closed_by(self, names: Sequence[str], now_ms: int) -> dict[str, int]:
        """Of their meters: the start of the oldest window of which draws are still needed, UTC ns."""
        closed: dict[str, int] = {}
        for name in names:
            place = self._board.places[name]
            for dimension, starts in windows_of(place.contract, now_ms, suspect=True).items():
                meter = place.contract.meter(dimension)
                # The window before is kept: a late settle still belongs to it.
                before = place.windows[dimension][0]
                closed |= dict.fromkeys((meter, total_of(meter)), min(before, starts[0]) * MS)
        return closed
