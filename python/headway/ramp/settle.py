"""Several contracts in one go: what is required first, then those that require it, until nothing moves any more.

Also the way of a single move: every evaluation of the engine goes through `settle`, so no raise is made that an upstream
has no room for, and nobody stands on a requirement that fell.
"""

from __future__ import annotations

import heapq
from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, cast

from headway.contract.model import Calendar, Contract
from headway.ramp.decisions import Decisions
from headway.ramp.entries import EntryKind
from headway.ramp.joint import no_room, still_spent_by
from headway.ramp.links import Links, links_of
from headway.ramp.machine import step
from headway.ramp.observations import ClockSuspect, Observation, UpstreamMoved
from headway.ramp.standing import standing_of
from headway.ramp.state import RampState

CHANGES_STAGE: Final[frozenset[EntryKind]] = frozenset({"entered", "stepped_back", "fell", "resumed"})


def settle(
    contracts: Mapping[str, Contract],
    states: Mapping[str, RampState],
    now_ms: int,
    observations: Mapping[str, Sequence[Observation]],
    *,
    calendars: Mapping[str, Calendar],
    clock: ClockSuspect | None = None,
    links: Links | None = None,
) -> dict[str, Decisions]:
    """Evaluate contracts, and those that their moves concern.

    Args:
        contracts: All contracts by name.
        states: The present states of those that run.
        now_ms: UTC.
        observations: Whom to evaluate, with what was observed of each (nothing, when its wake has come).
        calendars: All calendars by name.
        clock: While it says `suspect`, nothing rises anywhere; given to every contract that is evaluated.
        links: Of `contracts`, where they are kept; built here otherwise.

    Returns:
        One `Decisions` for every contract that was evaluated, all for one transaction. Standings are told to everybody here;
        those among `observations` are replaced by what the states say.
    """
    settling = _Settling(contracts, states, now_ms, calendars, clock, links or links_of(contracts))
    for name in observations:
        settling.ask(name)
    while (asked := settling.next()) is not None:
        settling.evaluate(asked, observations.get(asked, ()))
    return settling.decided


class _Settling:
    """One `settle` on its way.

    Each contract enters at most one stage. It ends: an evaluation asks others only when its curve changed, entries are
    bounded by one a contract, and falls by the stages there are.
    """

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        states: Mapping[str, RampState],
        now_ms: int,
        calendars: Mapping[str, Calendar],
        clock: ClockSuspect | None,
        links: Links,
    ) -> None:
        self.contracts, self.now_ms = contracts, now_ms
        # An overlay, not a copy: one reading of use must not cost a walk over ten thousand states.
        self.states: ChainMap[str, RampState] = ChainMap({}, cast(MutableMapping[str, RampState], states))
        self.calendars, self.clock, self.links = calendars, clock, links
        self.decided: dict[str, Decisions] = {}
        self.asked: list[tuple[int, str]] = []
        self.waiting: set[str] = set()

    def ask(self, name: str) -> None:
        if name not in self.waiting and name in self.contracts and name in self.states:
            self.waiting.add(name)
            heapq.heappush(self.asked, (self.links.rank[name], name))

    def next(self) -> str | None:
        if not self.asked:
            return None
        _, name = heapq.heappop(self.asked)
        self.waiting.discard(name)
        return name

    def evaluate(self, name: str, observed: Sequence[Observation]) -> None:
        contract, state, earlier = self.contracts[name], self.states[name], self.decided.get(name)
        told = self.told(name, () if earlier is not None else observed)
        may_enter = earlier is None or not any(entry.kind in CHANGES_STAGE for entry in earlier.entries)
        spent_by = still_spent_by(self.states, self.links, name)
        evaluate = partial(step, contract, state, self.now_ms, told, calendars=self.calendars, spent_by=spent_by)
        decided = evaluate(may_enter=may_enter)
        if decided.curve is not None:
            full = no_room(self.contracts, self.states, self.links, name, decided.state, self.now_ms)
            if full is not None:
                decided = evaluate(may_enter=may_enter, full=full)
        self.states[name] = decided.state
        self.decided[name] = decided if earlier is None else _after(earlier, decided)
        if decided.curve is not None:
            self.ask_concerned(name)

    def told(self, name: str, observed: Sequence[Observation]) -> Sequence[Observation]:
        """What was observed, after the surroundings: where the required ones stand, and whether the clock is trusted."""
        surroundings: list[Observation] = [
            UpstreamMoved(self.now_ms, standing_of(self.contracts[required], self.states[required], self.now_ms))
            for required in self.links.requires[name]
            if required in self.states
        ]
        if self.clock is not None:
            surroundings.append(self.clock)
        happened = [one for one in observed if not isinstance(one, UpstreamMoved | ClockSuspect)]
        return (*surroundings, *happened)

    def ask_concerned(self, name: str) -> None:
        """Those who require it; those who spend it, or spend what it spends: there may be room now."""
        for other in self.links.required_by[name]:
            self.ask(other)
        for other, _ in self.links.spenders[name]:
            self.ask(other)
        for upstream in self.links.upstreams[name]:
            for other, _ in self.links.spenders[upstream]:
                if other != name:
                    self.ask(other)


def _after(earlier: Decisions, later: Decisions) -> Decisions:
    """Two evaluations of one contract as one."""
    return replace(
        later,
        entries=(*earlier.entries, *later.entries),
        curve=later.curve if later.curve is not None else earlier.curve,
    )
