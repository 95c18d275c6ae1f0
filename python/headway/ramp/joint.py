"""Promise 2 in the moment of a move: what all spenders may admit together fits what the upstream guarantees.

For each upstream, the sum over its spenders of what they spend at the highest level their curve has decided is at most
`oversubscribe` times the lowest level that the upstream's own curve has decided. Exact fractions; a move that breaks it
is not made. A move that makes none of the sums larger is never checked: falls always proceed.

Source: design, section 1 (promise 2) and section 5 (keys, bursts, across measures).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from headway.contract.model import Contract, Each, Spend
from headway.ramp.conditions import spell_micro
from headway.ramp.curve import Curve, curve_of
from headway.ramp.links import Links
from headway.ramp.state import RampState

PPM = 1_000_000


def no_room(
    contracts: Mapping[str, Contract],
    states: Mapping[str, RampState],
    links: Links,
    name: str,
    after: RampState,
    now_ms: int,
) -> str | None:
    """Which upstream a move would over-promise, in words; None: the move may be made.

    Args:
        contracts: All contracts by name.
        states: All present states; one without is not running and spends nothing. One whose ramp is over spends what its
            last curve admits, until its state is taken out.
        links: Of these contracts.
        name: Who moves.
        after: Its state after the move.
        now_ms: The instant of the move.
    """
    contract, before = contracts[name], states.get(name)
    for upstream in links.upstreams[name]:
        for dimension in contracts[upstream].constraint:
            spends = [spend for spender, spend in links.spenders[upstream] if spender == name]
            more = _weight(contract, after, spends, contracts[upstream], dimension, now_ms)
            if more is None:
                return f"upstream {upstream} is full: {name} spends it in a way that cannot be weighed"
            less = (
                Fraction(0)
                if before is None
                else _weight(contract, before, spends, contracts[upstream], dimension, now_ms)
            )
            if less is not None and more <= less:
                continue
            reason = _over(contracts, states, links, upstream, dimension, name, more, now_ms)
            if reason is not None:
                return reason
    return None


def _over(
    contracts: Mapping[str, Contract],
    states: Mapping[str, RampState],
    links: Links,
    upstream: str,
    dimension: str,
    mover: str,
    weight: Fraction,
    now_ms: int,
) -> str | None:
    """Why an upstream cannot carry one spender's new weight beside the others'; None: it can."""
    protected, state = contracts[upstream], states.get(upstream)
    if state is None or state.status in ("retired", "superseded"):
        return f"upstream {upstream} is full: it is not running"
    supply = _supply(protected, state, dimension, now_ms)
    total = weight
    for spender in dict.fromkeys(spender for spender, _ in links.spenders[upstream]):
        if spender == mover or spender not in states:
            continue
        spends = [spend for name, spend in links.spenders[upstream] if name == spender]
        other = _weight(contracts[spender], states[spender], spends, protected, dimension, now_ms)
        if other is None:
            return f"upstream {upstream} is full: {spender} spends it in a way that cannot be weighed"
        total += other
    if total <= supply:
        return None
    where = f" in {dimension}" if dimension else ""
    carries, asked = spell_micro(int(supply)), spell_micro(-int(-total // 1))
    return f"upstream {upstream} is full{where}: it carries {carries}, and with this raise {asked} could be asked of it"


def _supply(upstream: Contract, state: RampState, dimension: str, now_ms: int) -> Fraction:
    """What an upstream guarantees, in micro-units (a rate's: per its own `per`), over-subscription included.

    A keyed one guarantees its `total`; without, what a single key may have, because any key may be the one that is spent.
    """
    level = curve_of(upstream, state, now_ms).lowest_micro(dimension, now_ms)
    each = upstream.each
    if each is not None and each.total_micro is not None:
        level = Fraction(each.total_micro[dimension])
    elif each is not None and each.scale_ppm:
        level *= Fraction(min(PPM, *each.scale_ppm.values()), PPM)
    return level * Fraction(upstream.constraint[dimension].oversubscribe_ppm, PPM)


def _weight(
    spender: Contract, state: RampState, spends: list[Spend], upstream: Contract, dimension: str, now_ms: int
) -> Fraction | None:
    """What one spender may ask of one dimension of an upstream, in its micro-units; None: measures that do not meet."""
    curve = curve_of(spender, state, now_ms)
    total = Fraction(0)
    for spend in spends:
        for own, factor_ppm in spend.spends_ppm.items():
            if own not in spender.constraint or _target(own, upstream) != dimension:
                continue
            level = _over_all_keys(spender.each, own, curve, now_ms, upstream.each)
            units = _in_terms_of(spender, own, upstream, dimension, level * Fraction(factor_ppm, PPM), level)
            if units is None:
                return None
            total += units * (1 + spend.retries)
    return total


def _target(own: str, upstream: Contract) -> str:
    """Which dimension of the upstream is spent: its only one, else the one of the same name."""
    return own if len(upstream.constraint) > 1 or own in upstream.constraint else next(iter(upstream.constraint))


def _over_all_keys(each: Each | None, dimension: str, curve: Curve, now_ms: int, upstream: Each | None) -> Fraction:
    """The highest level over all keys that may be live; for an upstream kept per the same key, over the largest one."""
    level = curve.highest_micro(dimension, now_ms)
    if each is None:
        return level
    if upstream is not None and upstream.key == each.key and upstream.total_micro is None:
        return level * Fraction(max(PPM, *each.scale_ppm.values(), PPM), PPM)
    if each.total_micro is not None:
        return Fraction(each.total_micro[dimension])
    return level * (Fraction(sum(each.scale_ppm.values()), PPM) + max(each.count - len(each.scale_ppm), 0))


def _in_terms_of(
    spender: Contract, own: str, upstream: Contract, dimension: str, spent: Fraction, level: Fraction
) -> Fraction | None:
    """What is spent (`level` times its factor) in terms of the upstream's measure; None: measures that do not meet.

    Rates are brought to the upstream's `per`. A rate that spends a concurrency holds each unit for up to `spends` seconds:
    it needs its burst and `L x spends` at once. A quota whose windows do not coincide with the upstream's may be spent
    twice within one of them.
    """
    mine, theirs = spender.constraint[own], upstream.constraint[dimension]
    measures = (mine.measure, theirs.measure)
    if measures == ("concurrency", "concurrency"):
        return spent
    if measures == ("rate", "rate") and isinstance(mine.per, int) and isinstance(theirs.per, int):
        return spent * Fraction(theirs.per, mine.per)
    if measures == ("rate", "concurrency") and isinstance(mine.per, int):
        burst_ms = mine.per if mine.burst_ms is None else mine.burst_ms
        return max(level * Fraction(burst_ms, mine.per), Fraction(PPM)) + spent * Fraction(1_000, mine.per)
    if measures == ("quota", "quota"):
        coincide = (mine.per, mine.zone or spender.zone) == (theirs.per, theirs.zone or upstream.zone)
        return spent if coincide else 2 * spent
    return None


def still_spent_by(states: Mapping[str, RampState], links: Links, name: str) -> tuple[str, ...]:
    """Who spends a contract and has not ended."""
    spenders = dict.fromkeys(spender for spender, _ in links.spenders[name])
    return tuple(one for one in spenders if one in states and states[one].status not in ("retired", "superseded"))


def exposure_micro(
    contracts: Mapping[str, Contract], states: Mapping[str, RampState], links: Links, upstream: str, now_ms: int
) -> Mapping[str, int]:
    """By how much an upstream is over-promised now, by dimension, rounded up; 0 where all fits."""
    protected, state = contracts[upstream], states[upstream]
    exposure: dict[str, int] = {}
    for dimension in protected.constraint:
        total = Fraction(0)
        for spender in dict.fromkeys(spender for spender, _ in links.spenders[upstream]):
            if spender in states:
                spends = [spend for name, spend in links.spenders[upstream] if name == spender]
                total += _weight(contracts[spender], states[spender], spends, protected, dimension, now_ms) or 0
        exposure[dimension] = max(0, -int(-(total - _supply(protected, state, dimension, now_ms)) // 1))
    return exposure
