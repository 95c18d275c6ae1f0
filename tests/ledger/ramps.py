"""Small contracts and moves for the ledger's tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headway.contract.canonical import canonical, digest, terms_digest
from headway.contract.model import Contract
from headway.contract.read import read_text
from headway.ledger import Ledger, Move, NewVersion
from headway.ramp.machine import apply_first, step
from headway.ramp.observations import EventSeen, Observation, VerbCall
from headway.ramp.state import RampState

API = """
contract: {name}
owner: team-web
constraint: {{measure: rate, unit: request, per: 1s}}
workloads: {{other: {{}}}}
ramp:
  - {{stage: now, limit: 100}}
  - {{stage: later, limit: 200, climb: 10s, when: {{event: go}}}}
  - {{stage: last, limit: 300, when: {{event: further}}}}
"""


class Growth(NamedTuple):
    """A draw, as the core says it."""

    batch_id: int
    kind: str
    meter: str
    key: str
    by_micro: int
    window_start_ns: int


def contract_of(name: str = "api") -> Contract:
    """A rate of three stages, entered by events."""
    reading = read_text(API.format(name=name), "api.yaml")
    assert not reading.findings
    return reading.contracts[name]


def applied(contract: Contract, at_ms: int) -> tuple[Move, RampState]:
    """The move that applies a contract."""
    digests = (digest(contract), terms_digest(contract))
    decided = apply_first(contract, *digests, 1, "ana", at_ms)
    version = NewVersion(contract.name, 1, *digests, canonical(contract))
    return Move(decided.entries, {contract.name: decided.state}, (version,)), decided.state


def moved(contract: Contract, state: RampState, at_ms: int, observed: Sequence[Observation]) -> tuple[Move, RampState]:
    """The move that follows from what was observed."""
    decided = step(contract, state, at_ms, observed, calendars={})
    return Move(decided.entries, {contract.name: decided.state}), decided.state


def event(at_ms: int, type: str, id: str = "1") -> EventSeen:
    """An event of that type."""
    return EventSeen(at_ms, id, "ci", type, "event:ci")


def hold(at_ms: int, reason: str = "a look at it") -> VerbCall:
    """A person holds the ramp."""
    return VerbCall(at_ms, "hold", "ana", reason)


def filled(ledger: Ledger, name: str = "api") -> RampState:
    """Four moves of one contract, the run's mandate taken; returns where it stands."""
    contract = contract_of(name)
    ledger.begin("boot", 1_000, 1_000)
    move, state = applied(contract, 1_000)
    ledger.commit(move)
    for at_ms, observed in ((2_000, [event(2_000, "go")]), (20_000, []), (21_000, [hold(21_000)])):
        move, state = moved(contract, state, at_ms, observed)
        ledger.commit(move)
    return state
