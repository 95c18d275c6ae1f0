"""What must be true of a ledger after any number of kills, found by reading it alone: whole, only grown, nothing of what
was acknowledged forgotten, no limit above what it had decided.

Stages, approvals and verbs are counted by `ramps`, independent of the machine; only the level of each version is
computed by the pure `curve_of`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import floor
from pathlib import Path

from examples.shop import count
from examples.shop.count import Act, Reading
from examples.shop.verdict import Clocks
from headway.contract.model import Contract
from headway.ledger import Ledger, Record
from headway.ledger.reading import NOTES
from headway.ramp.curve import Curve, curve_of
from headway.ramp.state import RampState, fold
from tests.demo.hand import Given

MOST = 10_000
"""Records read; a history under test has hundreds."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What a ledger holds, found whole."""

    records: tuple[Record, ...]
    contracts: Mapping[str, Contract]
    states: Mapping[str, RampState]


@dataclass(frozen=True, slots=True)
class Decided:
    """A curve, the instant it was decided at, and the boot instants by which meters are sure to live by it."""

    at_ms: int
    curve: Curve
    in_force_ns: tuple[int, ...] = ()


def is_made(data: Path) -> bool:
    """Whether a data folder's ledger was ever made: before, its file is absent or holds no table at all."""
    if not (data / "ledger.db").exists():
        return False
    with closing(sqlite3.connect(data / "ledger.db")) as database:
        return bool(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def chain_of(data: Path) -> Chain:
    """All that a data folder's ledger holds, once it is whole and its states equal the replay.

    Raises headway.HeadwayError where it is not.
    """
    ledger = Ledger.open(data / "ledger.db", read_only=True)
    try:
        loaded = ledger.load()
        return Chain(tuple(ledger.records(0, MOST)), loaded.contracts, loaded.states)
    finally:
        ledger.close()


def forgotten(acts: Sequence[Act], records: Sequence[Record]) -> list[str]:
    """What Headway acknowledged to the demo's own person and its ledger does not hold."""
    entries = [record.entry for record in records]
    found: list[str] = []
    for act in acts:
        kind = {"event": "event", "approval": "approved"}[act.act]
        if not any(
            entry.kind == kind
            and entry.contract == act.contract
            and (not act.stage or entry.body["stage"] == act.stage)
            for entry in entries
        ):
            found.append(f"the {act.act} for {act.contract} {act.stage} was acknowledged and is not in the ledger")
    return found


def rewritten(before: Sequence[Record], now: Sequence[Record]) -> list[str]:
    """Records that were there and are no longer, or say something else."""
    return [f"record {old.seq} was lost or changed" for old, new in _paired(before, now) if new != old]


def limits_above(
    record: count.Record, given: Sequence[Given], records: Sequence[Record], contracts: Mapping[str, Contract]
) -> list[str]:
    """Limits that a running meter reported above what the ledger had decided by that instant.

    A curve that was replaced may still be in force until the newer one is known to be: the shop saw it published, a
    person was answered, or a life was born from a ledger that held it.
    """
    clocks = Clocks.of(record.clocks)
    decided = {
        name: [_known(one, name, record, given, clocks) for one in curves]
        for name, curves in curves_of(records, contracts).items()
    }
    found: list[str] = []
    for reading in record.readings:
        allowed = max((level for level in _allowed(decided[reading.meter], reading, clocks)), default=0)
        if reading.limit_micro > allowed:
            found.append(f"{reading.meter} was at {reading.limit_micro}, the ledger says {allowed}")
    return found


def _allowed(decided: Sequence[Decided], reading: Reading, clocks: Clocks) -> Iterator[int]:
    """The levels that a meter may have had at an instant, the newest first."""
    at_ms = clocks.utc_ms(reading.boot_ns + clocks.unsure_ns) + 1
    for one in reversed([one for one in decided if one.at_ms <= at_ms]):
        # While a limit climbs, the later of two instants allows more.
        yield floor(one.curve.level_micro("", at_ms))
        if any(known_ns < reading.boot_ns for known_ns in one.in_force_ns):
            return


def _known(decided: Decided, name: str, record: count.Record, given: Sequence[Given], clocks: Clocks) -> Decided:
    """With the instants by which this curve, or a newer one, was in force for sure."""
    since_ns = clocks.boot_ns(decided.at_ms) + clocks.unsure_ns
    born = [life.born_ns for life in record.lives if life.born_ns > since_ns]
    published = [
        at_ns
        for version, at_ns in record.published.get(name, ())
        if version >= decided.curve.version and at_ns > since_ns
    ]
    answered = [
        one.answered_ns
        for one in given
        if one.acknowledged and one.answered_ns is not None and _answers(one, name, decided.at_ms)
    ]
    return Decided(decided.at_ms, decided.curve, (*born, *published, *answered))


def _answers(given: Given, name: str, at_ms: int) -> bool:
    """Whether a verb's answer came after a curve was in force: it made it, or was sent when that was decided already."""
    own = any(shown["contract"] == name and shown["at_ms"] == at_ms for shown in given.answer["entries"])
    return own or given.sent_ms > at_ms


def curves_of(records: Sequence[Record], contracts: Mapping[str, Contract]) -> dict[str, list[Decided]]:
    """Every curve of every contract that the entries lead to, oldest first."""
    states: dict[str, RampState] = {}
    curves: dict[str, list[Decided]] = {name: [] for name in contracts}
    for record in records:
        name, before = record.entry.contract, states.get(record.entry.contract)
        if name not in contracts or record.entry.kind in NOTES:
            continue
        state = states[name] = fold(contracts[name], before, record.entry)
        if before is None or state.curve_version != before.curve_version:
            at_ms = record.entry.at_ms
            curves[name].append(Decided(at_ms, curve_of(contracts[name], state, at_ms)))
    return curves


def _paired(before: Sequence[Record], now: Sequence[Record]) -> Iterator[tuple[Record, Record | None]]:
    for place, old in enumerate(before):
        yield old, now[place] if place < len(now) else None
