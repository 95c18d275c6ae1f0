"""Where the entries of a ledger say each ramp stands, and whether every one of them was in order.

Shares no code with the machine that wrote them: stages, climbs, holds, overrides, approvals and requirements are counted
here from the entries and the documents alone. `walk` says what is out of order; `apart` compares the end with the states
that the ledger keeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from headway.contract.model import Contract, Stage
from headway.ledger import Record
from headway.ramp.entries import Entry
from headway.ramp.facts import OVER
from headway.ramp.state import RampState


@dataclass(slots=True)
class Ramp:
    """One ramp, as far as it was walked.

    Attributes:
        since_ms: When the present stage was entered, from below or from above.
        climb_end_ms: When a climb under way will have ended; None: none is.
        climb_left_ms: What a hold left of a climb; None: none is stopped.
        override: (most, end) of an override in force, micro-units and UTC ms; None: none is.
        approvals: (stage, group, actor) of each that still counts.
    """

    contract: Contract
    since_ms: int
    stage: int = 0
    climb_end_ms: int | None = None
    climb_left_ms: int | None = None
    held: bool = False
    override: tuple[int, int] | None = None
    approvals: list[tuple[str, str, str]] = field(default_factory=list)
    events: set[str] = field(default_factory=set)
    advanced: bool = False
    over: bool = False

    @property
    def name(self) -> str:
        return self.contract.ramp[self.stage].name

    @property
    def arrived(self) -> bool:
        return self.climb_end_ms is None and self.climb_left_ms is None

    @property
    def pressed(self) -> bool:
        return self.override is not None and self.override[0] < self.contract.ramp[self.stage].limit_micro[""]

    def stands_at(self, wanted: str) -> bool:
        """Whether others may rely on its being at a stage."""
        index = self.contract.stage_index(wanted)
        past = index is not None and (self.stage > index or (self.stage == index and self.arrived))
        return past and not self.over and not self.pressed

    def moved(self, stage: int, at_ms: int, climb_ms: int = 0) -> None:
        self.stage, self.since_ms, self.advanced = stage, at_ms, False
        self.climb_end_ms, self.climb_left_ms = (at_ms + climb_ms if climb_ms else None), None


Ramps = dict[str, Ramp]


def walk(records: Sequence[Record], contracts: Mapping[str, Contract]) -> tuple[Ramps, list[str]]:
    """Walks all entries in order.

    Returns:
        Where each ramp stands at the end, and in words every entry that was not in order: a stage skipped, entered twice
        or before all it waits for; a fall that did not happen in the same instant as its reason; a verb that does not fit.
    """
    ramps: Ramps = {}
    found: list[str] = []
    for _, together in groupby(records, key=lambda record: record.entry.at_ms):
        for record in together:
            entry = record.entry
            if entry.contract not in contracts:
                continue
            if entry.kind == "applied":
                if entry.contract in ramps:
                    found.append(f"{entry.contract} was applied twice")
                ramps[entry.contract] = Ramp(contracts[entry.contract], entry.at_ms)
                continue
            ramp = ramps.get(entry.contract)
            if ramp is None:
                found.append(f"{entry.contract} has {entry.kind} before it was applied")
            elif entry.kind in MOVES:
                found += [f"{entry.contract} {what}" for what in MOVES[entry.kind](ramp, entry, ramps)]
        found += [one for ramp in ramps.values() for one in _unsupported(ramp, ramps)]
    return ramps, found


def apart(ramps: Ramps, states: Mapping[str, RampState]) -> list[str]:
    """Where the states that the ledger keeps say something else than the entries do."""
    found = [f"{name} is kept and was never applied" for name in states.keys() - ramps.keys()]
    for name, ramp in ramps.items():
        state = states.get(name)
        if state is None:
            found.append(f"{name} was applied and is not kept")
            continue
        override = state.overridden and (state.overridden.value_micro[""], state.overridden.until_ms)
        both = {
            "stage": (ramp.stage, state.stage),
            "arrived": (ramp.arrived, state.arrived_at_ms is not None),
            "held": (ramp.held, state.held is not None),
            "override": (ramp.override, override),
            "approvals": (
                Counter(ramp.approvals),
                Counter((one.stage, one.group, one.actor) for one in state.approvals),
            ),
            "events": (ramp.events, {one.type for one in state.events}),
            "advanced": (ramp.advanced, state.advanced_by is not None),
            "over": (ramp.over, state.status in OVER),
        }
        found += [
            f"{name}: {what} is {walked} by its entries, and {kept} is kept"
            for what, (walked, kept) in both.items()
            if walked != kept
        ]
    return found


# --- one entry ----------------------------------------------------------------------------------------------------


def _entered(ramp: Ramp, entry: Entry, ramps: Ramps) -> Iterator[str]:
    index = entry.body["stage"]
    if index != ramp.stage + 1:
        yield f"entered stage {index} from stage {ramp.stage}"
    stage = ramp.contract.ramp[index]
    yield from (f"entered {stage.name} {what}" for what in _early(ramp, stage, entry.at_ms, ramps))
    ramp.moved(index, entry.at_ms, stage.climb_ms)


def _early(ramp: Ramp, stage: Stage, at_ms: int, ramps: Ramps) -> Iterator[str]:
    """What a stage was entered without, or in spite of."""
    if ramp.over:
        yield "after its ramp was over"
    if ramp.held:
        yield "while it was held"
    if ramp.pressed:
        yield "while an override pressed it"
    if not ramp.arrived:
        yield f"while it was climbing to {ramp.name}"
    when = stage.when
    if when is None:
        yield "without a trigger"
        return
    for soak in when.soak:
        if at_ms - ramp.since_ms < soak.for_ms and not ramp.advanced:
            yield f"{at_ms - ramp.since_ms} ms after the stage before, with a soak of {soak.for_ms} ms"
    for event in when.event:
        if event.type not in ramp.events:
            yield f"before {event.type} was seen"
    for need in when.approval:
        if not any((name, group) == (stage.name, need.by) for name, group, _ in ramp.approvals):
            yield f"without the approval of {need.by}"
    for other, wanted in when.requires.items():
        if not (isinstance(wanted, str) and other in ramps and ramps[other].stands_at(wanted)):
            yield f"while {other} was not at {wanted}"


def _arrived(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    said_ms = entry.body["arrived_at_ms"]
    if ramp.climb_end_ms is None:
        yield f"arrived at {ramp.name} without climbing"
    elif said_ms != ramp.climb_end_ms or entry.at_ms < said_ms:
        yield f"arrived at {ramp.name} at {said_ms}, its climb ends at {ramp.climb_end_ms}"
    ramp.climb_end_ms = None


def _soaked(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    if any(earned_ms > entry.at_ms - ramp.since_ms for earned_ms in entry.body["earned_ms"]):
        yield f"earned a soak of {entry.body['earned_ms']} ms within {entry.at_ms - ramp.since_ms} ms"


def _event(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    if entry.body["type"] in ramp.events:
        yield f"counted {entry.body['type']} twice"
    ramp.events.add(entry.body["type"])


def _approved(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    given = (entry.body["stage"], entry.body["group"], entry.actor)
    if given in ramp.approvals or ramp.over:
        yield f"took an approval of {given[0]} that counts for nothing"
    ramp.approvals.append(given)


def _held(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    if ramp.held or ramp.over:
        yield "was held, and nothing was left to hold"
    ramp.held = True
    if ramp.climb_end_ms is not None:
        ramp.climb_left_ms = ramp.climb_end_ms - entry.at_ms
        ramp.climb_end_ms = None


def _resumed(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    if not ramp.held or ramp.over:
        yield "was resumed and not held"
    ramp.held = False
    if ramp.climb_left_ms is not None:
        ramp.climb_end_ms = entry.at_ms + ramp.climb_left_ms
        ramp.climb_left_ms = None


def _advanced(ramp: Ramp, _: Entry, __: Ramps) -> Iterator[str]:
    if ramp.advanced or ramp.over:
        yield "was to skip a soak twice"
    ramp.advanced = True


def _stepped_back(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    index = entry.body["stage"]
    if index != ramp.stage - 1 or ramp.over:
        yield f"stepped back to stage {index} from stage {ramp.stage}"
    left = ramp.name
    ramp.approvals = [given for given in ramp.approvals if given[0] != left]
    ramp.moved(index, entry.at_ms)


def _fell(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    index = entry.body["stage"]
    if index >= ramp.stage or ramp.over:
        yield f"fell to stage {index} from stage {ramp.stage}"
    ramp.moved(index, entry.at_ms)


def _overridden(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    if ramp.over:
        yield "was overridden after its ramp was over"
    ramp.override = (entry.body["value_micro"][""], entry.body["until_ms"])


def _override_ended(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    if ramp.override is None or entry.at_ms < ramp.override[1]:
        yield f"ended an override at {entry.at_ms}, which was {ramp.override}"
    if ramp.pressed and ramp.held:
        yield "was raised by the end of an override while it was held"
    ramp.override = None


def _aborted(ramp: Ramp, entry: Entry, _: Ramps) -> Iterator[str]:
    if ramp.over:
        yield "was aborted twice"
    ramp.moved(0, entry.at_ms)
    ramp.over, ramp.held, ramp.override, ramp.approvals = True, False, None, []


MOVES: Mapping[str, Callable[[Ramp, Entry, Ramps], Iterator[str]]] = {
    "entered": _entered,
    "arrived": _arrived,
    "soaked": _soaked,
    "event": _event,
    "approved": _approved,
    "held": _held,
    "resumed": _resumed,
    "advanced": _advanced,
    "stepped_back": _stepped_back,
    "fell": _fell,
    "overridden": _overridden,
    "override_ended": _override_ended,
    "aborted": _aborted,
}
"""What each kind does to a ramp; kinds that are not here move nothing. Nobody retires a contract in these histories."""


def _unsupported(ramp: Ramp, ramps: Ramps) -> Iterator[str]:
    """Requirements of the stages it is in that stand no longer, once all that was decided in one instant is done."""
    for stage in () if ramp.over else ramp.contract.ramp[1 : ramp.stage + 1]:
        for other, wanted in (stage.when.requires if stage.when else {}).items():
            if not (isinstance(wanted, str) and other in ramps and ramps[other].stands_at(wanted)):
                yield f"{ramp.contract.name} stays in {ramp.name} while {other} is not at {wanted}"
