"""What must be true of a ledger after any number of kills, found by reading it alone.

Independent of the machine that wrote it where that is possible: stages, approvals and requirements are counted from the
entries; only the level of each version is computed by the pure `curve_of`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from math import floor
from pathlib import Path

from examples.shop.count import Act, Reading
from examples.shop.verdict import Clocks
from headway.contract.model import Contract, Stage
from headway.ledger import Ledger, Record
from headway.ledger.reading import NOTES
from headway.ramp.curve import Curve, curve_of
from headway.ramp.state import RampState, fold

MOST = 10_000
"""Records read; a history under test has hundreds."""


def is_made(data: Path) -> bool:
    """Whether a data folder's ledger was ever made: before, its file is absent or holds no table at all."""
    if not (data / "ledger.db").exists():
        return False
    with closing(sqlite3.connect(data / "ledger.db")) as database:
        return bool(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def chain_of(data: Path) -> tuple[list[Record], dict[str, Contract]]:
    """All records of a data folder, once the ledger is whole and its states equal the replay.

    Raises headway.HeadwayError where it is not.
    """
    ledger = Ledger.open(data / "ledger.db", read_only=True)
    try:
        loaded = ledger.load()
        return ledger.records(0, MOST), loaded.contracts
    finally:
        ledger.close()


def wrong_ramps(records: Sequence[Record], contracts: Mapping[str, Contract]) -> list[str]:
    """Stages skipped, entered twice, or entered before all they wait for."""
    found: list[str] = []
    for name, contract in contracts.items():
        entered = [record for record in records if record.entry.contract == name and record.entry.kind == "entered"]
        stages = [record.entry.body["stage"] for record in entered]
        if stages != list(range(1, len(stages) + 1)):
            found.append(f"{name} entered its stages as {stages}")
            continue
        for record, stage in zip(entered, contract.ramp[1:], strict=False):
            found += [f"{name} entered {stage.name} {what}" for what in _early(record, stage, records, contracts)]
    return found


def _early(record: Record, stage: Stage, records: Sequence[Record], contracts: Mapping[str, Contract]) -> Iterator[str]:
    """What a stage was entered without."""
    name, at_ms, when = record.entry.contract, record.entry.at_ms, stage.when
    earlier = [one for one in records if one.seq < record.seq]
    own = [one.entry for one in earlier if one.entry.contract == name]
    since_ms = max(entry.at_ms for entry in own if entry.kind in ("applied", "entered"))
    if when is None:
        yield "without a trigger"
        return
    for soak in when.soak:
        if at_ms - since_ms < soak.for_ms:
            yield f"{at_ms - since_ms} ms after the stage before, with a soak of {soak.for_ms} ms"
    for event in when.event:
        if not any(entry.kind == "event" and entry.body["type"] == event.type for entry in own):
            yield f"before {event.type} was seen"
    for need in when.approval:
        if not any(
            entry.kind == "approved" and entry.body["stage"] == stage.name and entry.body["group"] == need.by
            for entry in own
        ):
            yield f"without the approval of {need.by}"
    for other, wanted in when.requires.items():
        index = contracts[other].stage_index(wanted) if isinstance(wanted, str) else None
        reached = [one.entry for one in earlier if one.entry.contract == other and one.entry.kind == "entered"]
        enough = [entry for entry in reached if index is not None and entry.body["stage"] >= index]
        if not enough:
            yield f"before {other} was at {wanted}"
        elif index is not None and at_ms < enough[0].at_ms + contracts[other].ramp[index].climb_ms:
            yield f"while {other} was still climbing to {wanted}"


def forgotten(acts: Sequence[Act], records: Sequence[Record]) -> list[str]:
    """What Headway acknowledged and its ledger does not hold."""
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
    readings: Sequence[Reading], clocks: Clocks, records: Sequence[Record], contracts: Mapping[str, Contract]
) -> list[str]:
    """Limits that a running meter reported above what the ledger had decided by that instant."""
    curves = curves_of(records, contracts)
    found: list[str] = []
    for reading in readings:
        at_ms = clocks.utc_ms(reading.boot_ns + clocks.unsure_ns) + 1
        decided = [curve for decided_ms, curve in curves[reading.meter] if decided_ms <= at_ms]
        # While a limit climbs, the later of two instants allows more; the one just before a cut may still be in force.
        allowed = max((floor(curve.level_micro("", at_ms)) for curve in decided[-2:]), default=0)
        if reading.limit_micro > allowed:
            found.append(f"{reading.meter} was at {reading.limit_micro}, the ledger says {allowed}")
    return found


def curves_of(records: Sequence[Record], contracts: Mapping[str, Contract]) -> dict[str, list[tuple[int, Curve]]]:
    """Every curve of every contract that the entries lead to, with the instant it was decided at."""
    states: dict[str, RampState] = {}
    curves: dict[str, list[tuple[int, Curve]]] = {name: [] for name in contracts}
    for record in records:
        name, before = record.entry.contract, states.get(record.entry.contract)
        if name not in contracts or record.entry.kind in NOTES:
            continue
        state = states[name] = fold(contracts[name], before, record.entry)
        if before is None or state.curve_version != before.curve_version:
            curves[name].append((record.entry.at_ms, curve_of(contracts[name], state, record.entry.at_ms)))
    return curves


def _paired(before: Sequence[Record], now: Sequence[Record]) -> Iterator[tuple[Record, Record | None]]:
    for place, old in enumerate(before):
        yield old, now[place] if place < len(now) else None
