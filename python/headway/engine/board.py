"""Where everything stands now: contracts, states, curves, and when each wants to be looked at next.

Only the one who moves contracts writes here; readers take single values, which are frozen, and need no lock.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

from headway.contract.model import Alternative, Calendar, Contract
from headway.errors import UnknownContract
from headway.ramp.curve import Curve
from headway.ramp.decisions import Need
from headway.ramp.entries import Entry
from headway.ramp.links import links_of
from headway.ramp.state import RampState


@dataclass(frozen=True, slots=True)
class Place:
    """One contract as it runs.

    Attributes:
        curve: As decided; `published` is the version that the meters know it by, `published_ms` since when they do.
        enforced: As the meters have it: `curve`, or less while the clock is not trusted.
        ahead_ms: Their UTC less the boot clock, since that publish: they know no other time.
        windows: The starts of the quota windows that are decided, by dimension.
    """

    contract: Contract
    state: RampState
    curve: Curve
    enforced: Curve
    ahead_ms: int
    published: int
    published_ms: int
    windows: Mapping[str, tuple[int, ...]]

    def in_force_micro(self, boot_ms: int) -> dict[str, int]:
        """The limit that the meters enforce at an instant on the boot clock, by dimension."""
        at_ms = boot_ms + self.ahead_ms
        return {one: floor(self.enforced.level_micro(one, at_ms)) for one in self.contract.constraint}


class Board:
    """All places, the links between them, and the heap of wakes.

    Attributes:
        answered: Kinds of bindings that this process answers.
        causes: Contract -> the last entry that changed its limit, and its place in the ledger.
        needs: What the last evaluation of each contract wanted to be told.
    """

    def __init__(self, *, answered: frozenset[str] = frozenset()) -> None:
        self.answered = answered
        self.places: dict[str, Place] = {}
        self.contracts: dict[str, Contract] = {}
        self.states: dict[str, RampState] = {}
        self.calendars: dict[str, Calendar] = {}
        self.causes: dict[str, tuple[int, Entry]] = {}
        self.needs: dict[str, tuple[Need, ...]] = {}
        self.links = links_of({})
        self._wakes: list[tuple[int, str]] = []
        self._wake_at: dict[str, int] = {}
        self._askers: dict[str, set[str]] = {}

    def place(self, name: str) -> Place:
        """One place. UnknownContract, with the nearest names, where there is none."""
        place = self.places.get(name)
        if place is None:
            raise UnknownContract.of(name, self.places)
        return place

    def take_up(self, contracts: Mapping[str, Contract], states: Mapping[str, RampState]) -> None:
        """Contracts more, and where they stand."""
        self.contracts |= contracts
        self.states |= states
        self.links = links_of(self.contracts)
        for contract in contracts.values():
            for event in events_of(contract):
                self._askers.setdefault(event, set()).add(contract.name)

    def askers(self, event: str) -> list[str]:
        """Contracts some stage of which asks for events of a type; sorted."""
        return sorted(self._askers.get(event, ()))

    def wake(self, name: str, at_ms: int | None) -> None:
        """When to look at a contract next; None: only when something is observed."""
        if at_ms is None:
            self._wake_at.pop(name, None)
        elif self._wake_at.get(name) != at_ms:
            self._wake_at[name] = at_ms
            heapq.heappush(self._wakes, (at_ms, name))

    def next_ms(self) -> int | None:
        """The earliest wake."""
        while self._wakes and self._wake_at.get(self._wakes[0][1]) != self._wakes[0][0]:
            heapq.heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None

    def due(self, now_ms: int, most: int) -> list[str]:
        """Takes out, at most, so many contracts whose wake has come."""
        names: list[str] = []
        while len(names) < most and (at_ms := self.next_ms()) is not None and at_ms <= now_ms:
            name = heapq.heappop(self._wakes)[1]
            del self._wake_at[name]
            names.append(name)
        return names


def events_of(contract: Contract) -> set[str]:
    """The types of events that its triggers ask for."""
    types: set[str] = set()
    for stage in contract.ramp:
        if stage.when is not None:
            alternatives: tuple[Alternative, ...] = (stage.when, *stage.when.any)
            types |= {match.type for one in alternatives for match in one.event}
    return types
