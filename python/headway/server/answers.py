"""How a running contract looks from outside, in short: one row of a list, and the page of one contract.

Numbers come twice: `limit` in units for people, `limit_micro` exact for programs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headway.contract.canonical import canonical
from headway.server.plain import plain, units

if TYPE_CHECKING:
    from headway.engine.engine import Running
    from headway.ledger import Loaded
    from headway.ledger.chain import Record


def row_of(running: Running) -> dict[str, Any]:
    """One contract in a list: where it stands at the moment of asking."""
    contract, state = running.contract, running.state
    ahead = contract.ramp[state.stage + 1].name if state.stage + 1 < len(contract.ramp) else None
    return {
        "contract": contract.name,
        "owner": contract.owner,
        "labels": dict(contract.labels),
        "version": running.version,
        "digest": running.digest,
        "terms_digest": state.terms_digest,
        "status": state.status,
        "stage": {"name": contract.ramp[state.stage].name, "index": state.stage, "of": len(contract.ramp)},
        "next_stage": ahead,
        "limit": limits_of(running),
        "held": plain(state.held),
        "overridden": plain(state.overridden),
        "published_ms": running.published_ms,
    }


def page_of(running: Running) -> dict[str, Any]:
    """One contract's page: its row, its document in canonical form, and what its next stage waits for."""
    contract, ahead = running.contract, running.state.stage + 1
    when = contract.ramp[ahead].when if ahead < len(contract.ramp) else None
    return row_of(running) | {
        "document": json.loads(canonical(contract)),
        "ramp": [{"stage": stage.name, "limit_micro": dict(stage.limit_micro)} for stage in contract.ramp],
        "conditions": plain(running.conditions),
        "approval_groups": [need.by for need in when.approval] if when is not None else [],
    }


def entry_of(record: Record) -> dict[str, Any]:
    """One record of the ledger, flat: its place and hash beside the fact."""
    fact = plain(record.entry)
    return {"seq": record.seq, **fact, "version": record.version, "digest": record.digest, "hash": record.hash}


def replayed_of(loaded: Loaded) -> dict[str, Any]:
    """Where the entries lead, contract by contract: the state as it is kept, and `stage_name`, which people know it by."""
    return {
        name: json.loads(state.as_json()) | {"stage_name": loaded.contracts[name].ramp[state.stage].name}
        for name, state in loaded.states.items()
    }


def limits_of(running: Running) -> dict[str, Any]:
    """The limit that meters enforce, by dimension; under the empty name where there is one. `per`: ms, or a calendar window."""
    out: dict[str, Any] = {}
    for dimension, constraint in running.contract.constraint.items():
        micro = running.in_force_micro[dimension]
        out[dimension] = {
            "limit": units(micro),
            "limit_micro": micro,
            "measure": constraint.measure,
            "unit": constraint.unit,
            "per": constraint.per,
        }
    return out
