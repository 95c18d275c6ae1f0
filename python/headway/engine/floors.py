"""A contract's floor among the gates that it names: what each may use whatever becomes of the keeper.

All of it is set aside from the beginning, so the meters of such a contract are published without its floor: what is lent,
asked and decided here is the rest. Source: design, section 6.
"""

from __future__ import annotations

from fractions import Fraction

from headway.contract.model import Contract
from headway.engine.specs import MS, per_ms

MICRO = 1_000_000

Part = tuple[int, int, int]
"""Units in millionths; the `per` in which they come, ns, 0 for slots; the largest demand that a part of a rate admits."""


def set_aside_micro(contract: Contract, dimension: str) -> int:
    """What of a dimension's limit is nobody's but the named gates', in micro-units; 0 where none are named."""
    floor = contract.enforce.floor_micro
    return 0 if contract.enforce.gates is None or floor is None else floor[dimension]


def gates_of(contract: Contract) -> tuple[str, ...] | None:
    """The names among which the floor is divided; None: those that come first, or nobody."""
    gates = contract.enforce.gates
    return gates if isinstance(gates, tuple) else None


def parts_of(contract: Contract) -> list[list[Part]]:
    """A part for each gate, of each dimension; empty where the floor is divided among nobody.

    Slots are divided in whole units by largest remainder, the first names first; among those that come first evenly, for who is
    which of them is forgotten by a restart, and what does not divide is nobody's. A rate's floor is divided evenly. Of several
    rates a demand spends at once the slowest part counts. Laws of the contract see to it that no part is nothing.
    """
    many = parts_count(contract)
    if not many:
        return []
    slots = [
        [units * MICRO for units in _whole(set_aside_micro(contract, dimension) // MICRO, many, gates_of(contract))]
        for dimension, constraint in contract.constraint.items()
        if constraint.measure == "concurrency"
    ]
    rates = [dimension for dimension, constraint in contract.constraint.items() if constraint.measure == "rate"]
    parts: list[list[Part]] = []
    if slots:
        parts.append([(min(units), 0, 0) for units in zip(*slots, strict=True)])
    if rates:
        slowest = min(rates, key=lambda one: Fraction(set_aside_micro(contract, one), per_ms(contract.constraint[one])))
        units = set_aside_micro(contract, slowest) // many
        most = min(largest_micro(contract, one, many) for one in rates)
        parts.append([(units, per_ms(contract.constraint[slowest]) * MS, most)] * many)
    return parts


def parts_count(contract: Contract) -> int:
    """Among how many gates the floor is divided; 0: among nobody."""
    gates = contract.enforce.gates
    if gates is None or contract.enforce.floor_micro is None:
        return 0
    return gates["max"] if isinstance(gates, dict) else len(gates)


def largest_micro(contract: Contract, dimension: str, many: int) -> int:
    """The largest demand that one of so many parts of a rate's floor admits, in whole units.

    What the parts hold at once comes off the floor's own burst, less the unit that a meter holds however low its limit is:
    so all together never hold more than the contract's burst.
    """
    constraint = contract.constraint[dimension]
    per = per_ms(constraint)
    burst_ms = constraint.burst_ms if constraint.burst_ms is not None else per
    held_micro = set_aside_micro(contract, dimension) * burst_ms // per
    return max(0, held_micro - MICRO) // many // MICRO * MICRO


def _whole(units: int, many: int, names: tuple[str, ...] | None) -> list[int]:
    each, more = divmod(units, many)
    return [each + (names is not None and place < more) for place in range(many)]
