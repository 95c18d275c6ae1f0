"""The judgement: the shop's own stamps, held against the limits that Headway's timeline says were in force.

What a demand weighs on each contract is worked out here from the documents alone: a workload's `cost` on its own
contract, times `spends` on an upstream that counts the same way. A violation is certain only if the bound breaks for
every choice of instants inside the stamps, and of the instants at which changes came into force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from examples.shop.count import Admission, Record
from headway.contract.model import Contract
from headway.enforce.bounds import (
    InForce,
    Stamped,
    Violation,
    certain_concurrency_violations,
    certain_quota_violations,
    certain_rate_violations,
    possible_concurrency_violations,
    possible_quota_violations,
    possible_rate_violations,
)
from headway.engine.timeline import Piece

MICRO = 1_000_000
MS = 1_000_000
PPM = 1_000_000

ROUNDED_NS = 1 * MS
"""The timeline tells instants in whole milliseconds."""

NEIGHBOURS = 4
"""Readings of both clocks to either side that are believed together: a second or two of them."""

DAY_MS = 86_400_000

KEPT = 5
"""Violations written out in full for each contract; all are counted."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """How UTC lies on the clock of the stamps: `boot = utc - apart`, `apart` known to `unsure_ns`."""

    apart_ns: int
    unsure_ns: int

    @classmethod
    def of(cls, instants: Sequence[tuple[int, int]]) -> Clocks:
        """From instants (boot, UTC) on both clocks. ValueError without any: then nothing can be judged.

        UTC is read first, so a reading that was interrupted lies below the truth and never above: of some that are
        neighbours the highest is believed. Taken as they are, one of them would move every climb by half of its error.
        """
        apart = [utc_ns - boot_ns for boot_ns, utc_ns in sorted(instants)]
        if not apart:
            raise ValueError("no instant is known on both clocks: the timeline cannot be laid beside the stamps")
        apart = [max(apart[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]) for place in range(len(apart))]
        return cls(apart_ns=(min(apart) + max(apart)) // 2, unsure_ns=(max(apart) - min(apart) + 1) // 2 + ROUNDED_NS)

    def boot_ns(self, utc_ms: int) -> int:
        return utc_ms * MS - self.apart_ns

    def utc_ms(self, boot_ns: int) -> int:
        """Rounded down."""
        return (boot_ns + self.apart_ns) // MS


@dataclass(slots=True)
class Judged:
    """What was found of one contract."""

    admitted: int = 0
    refused: int = 0
    certain: int = 0
    possible: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)

    def add(self, meter: str, certain: Sequence[Violation], possible: Sequence[Violation]) -> None:
        self.certain += len(certain)
        self.possible += len(possible)
        for one in certain[: KEPT - len(self.shown)]:
            self.shown.append({"meter": meter, "from_ns": one.from_ns, "to_ns": one.to_ns,
                               "admitted_micro": one.admitted_micro, "allowed_micro": one.allowed_micro})  # fmt: skip


def judge(
    record: Record,
    contracts: Mapping[str, Contract],
    pasts: Mapping[str, Sequence[Piece]],
    *,
    lent: bool = False,
) -> dict[str, Judged]:
    """Judges every contract, upstreams included, over all lives of a count.

    Args:
        record: The shop's count.
        contracts: By name, as they were in force.
        pasts: Each contract's past from the timeline, oldest first, from its first stage on.
        lent: Whether gates decided by themselves: then a fall that was not planned takes its `drain_within`.
    """
    clocks = Clocks.of(record.clocks)
    weighed = _weighed(record, contracts)
    judged: dict[str, Judged] = {}
    for name, contract in contracts.items():
        found = judged[name] = Judged()
        found.admitted = sum(admission.contract == name for admission in record.admissions)
        found.refused = sum(many for (contract_name, _), many in record.refusals.items() if contract_name == name)
        for key, events in weighed[name].items():
            history = in_force(pasts[name], contract, record, clocks, _scale_ppm(contract, key), lent=lent)
            meter = name if key is None else f"{name} [{key}]"
            found.add(meter, *_violations(contract, events, history, clocks))
    return judged


def in_force(
    past: Sequence[Piece],
    contract: Contract,
    record: Record,
    clocks: Clocks,
    scale_ppm: int = PPM,
    *,
    lent: bool = False,
) -> list[InForce]:
    """The curves of one meter on the stamps' clock, each with the two instants between which it came into force.

    A change cannot act before it was decided, and it does act by when the shop saw it, or a later one, published.
    """
    end_ns = max((life.last_ns for life in record.lives), default=0)
    seen = record.published.get(contract.name, [])
    constraint = contract.constraint[""]
    burst_ms = constraint.burst_ms
    if burst_ms is None and constraint.measure == "rate" and isinstance(constraint.per, int):
        burst_ms = constraint.per
    history: list[InForce] = []
    for pieces in _by_version(past):
        segments = tuple(
            (
                clocks.boot_ns(piece.start_ms),
                None if piece.end_ms is None else clocks.boot_ns(piece.end_ms),
                piece.from_micro * scale_ppm // PPM,
                piece.to_micro * scale_ppm // PPM,
            )
            for piece in pieces
        )
        earliest_ns = segments[0][0] - clocks.unsure_ns
        latest_ns = min((at_ns for version, at_ns in seen if version >= pieces[0].version), default=end_ns)
        latest_ns = max(earliest_ns, latest_ns)
        if lent and history and segments[0][2] < history[-1].segments[-1][3]:
            latest_ns += contract.enforce.drain_within_ms * MS
        history.append(InForce(earliest_ns, latest_ns, segments, burst_ns=(burst_ms or 0) * MS))
    return _one_after_the_other(history)


def as_json(judged: Mapping[str, Judged]) -> dict[str, Any]:
    """For the result file."""
    return {
        name: {
            "admitted": one.admitted,
            "refused": one.refused,
            "certain_violations": one.certain,
            "possible_violations": one.possible,
            "examples": one.shown,
        }
        for name, one in judged.items()
    }


def _violations(
    contract: Contract, events: Sequence[Stamped], history: Sequence[InForce], clocks: Clocks
) -> tuple[list[Violation], list[Violation]]:
    constraint = contract.constraint[""]
    match constraint.measure:
        case "rate":
            if not isinstance(constraint.per, int):
                raise ValueError(f"{contract.name}: a rate has its `per` in milliseconds, not {constraint.per!r}")
            per_ns = constraint.per * MS
            return (
                certain_rate_violations(events, history, per_ns=per_ns),
                possible_rate_violations(events, history, per_ns=per_ns),
            )
        case "concurrency":
            return certain_concurrency_violations(events, history), possible_concurrency_violations(events, history)
        case "quota":
            windows = _days(events, clocks)
            return certain_quota_violations(events, history, windows), possible_quota_violations(
                events, history, windows
            )


def _weighed(record: Record, contracts: Mapping[str, Contract]) -> dict[str, dict[str | None, list[Stamped]]]:
    """Every admission as it weighs on each contract it spends, by key (None where there are no keys)."""
    weighed: dict[str, dict[str | None, list[Stamped]]] = {name: defaultdict(list) for name in contracts}
    deaths = {number: life.last_ns for number, life in enumerate(record.lives, start=1)}
    births = {number: life.born_ns for number, life in enumerate(record.lives[1:], start=1)}
    for admission in record.admissions:
        # What was held when its life ended was surely held to that life's last stamp, and gone at the next birth.
        freed = admission.freed or (deaths[admission.life], births.get(admission.life))
        for contract, key, micro in _charges(admission, contracts):
            event = Stamped(admission.before_ns, admission.after_ns, micro, *freed)
            weighed[contract][key].append(event)
    return weighed


def _charges(admission: Admission, contracts: Mapping[str, Contract]) -> Iterator[tuple[str, str | None, int]]:
    """(contract, key, micro-units) for each meter that one admission weighs on."""
    contract = contracts[admission.contract]
    cost_ppm = contract.workloads[admission.workload].cost_ppm
    own_micro = -(-admission.units * MICRO * cost_ppm // PPM)
    yield contract.name, admission.key if contract.each else None, own_micro
    for spend in contract.upstream:
        upstream = contracts[spend.contract]
        if upstream.constraint[""].measure == contract.constraint[""].measure:
            yield upstream.name, None, -(-own_micro * spend.spends_ppm[""] // PPM)


def _scale_ppm(contract: Contract, key: str | None) -> int:
    return PPM if contract.each is None or key is None else contract.each.scale_ppm.get(key, PPM)


def _one_after_the_other(history: Sequence[InForce]) -> list[InForce]:
    """Curves whose changes cannot have overlapped, though the instants known of them do by some milliseconds.

    One change is over before the next is decided, so some instant parts them. Where the limit ends higher than it began
    it is taken as early as it can be, else as late: either way what may have been allowed is never less than it was.
    """
    ordered = [history[0]] if history else []
    for place, curve in enumerate(history[1:], start=1):
        last = ordered[-1]
        if curve.earliest_ns < last.latest_ns:
            before = history[place - 2].segments[-1][3] if place > 1 else last.segments[-1][3]
            falls = before > curve.segments[0][2]
            parting_ns = last.latest_ns if falls else max(last.earliest_ns, curve.earliest_ns)
            ordered[-1] = replace(last, latest_ns=parting_ns)
            curve = replace(curve, earliest_ns=parting_ns, latest_ns=max(parting_ns, curve.latest_ns))
        ordered.append(curve)
    return ordered


def _by_version(past: Sequence[Piece]) -> Iterator[list[Piece]]:
    pieces: list[Piece] = []
    for piece in past:
        if pieces and piece.version != pieces[0].version:
            yield pieces
            pieces = []
        pieces.append(piece)
    if pieces:
        yield pieces


def _days(events: Sequence[Stamped], clocks: Clocks) -> list[int]:
    """Starts of the UTC days that hold these events, on the stamps' clock."""
    first = (min(event.before_ns for event in events) + clocks.apart_ns) // (DAY_MS * MS)
    last = (max(event.after_ns for event in events) + clocks.apart_ns) // (DAY_MS * MS)
    return [clocks.boot_ns(day * DAY_MS) for day in range(first, last + 1)]
