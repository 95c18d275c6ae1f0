"""Numbers of one contract that have to agree: dimensions, periods, bursts, floors, capacities, keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from headway.contract.documents import Authored, Loc
from headway.contract.faults import Finding
from headway.contract.mistake import shown
from headway.contract.model import Bind, Contract, Exception_, Stage
from headway.contract.quantities import Portion, render_decimal, render_duration

__all__ = ["RULES"]

PER_MAX_MS = 31 * 86_400_000
ENTRIES_MAX = 8
"""Entries of a descriptor, as many as the data plane reads of one. More are refused as oversize."""

PPM = 1_000_000
MICRO = 1_000_000
CONCURRENCY_MAX = 2**48 - 1
"""Micro-units: what is in flight shares a word with the curve's version."""

Rule = Callable[[Authored, Contract], Iterator[Finding]]


def _levels(contract: Contract) -> Iterator[tuple[Loc, Stage | Exception_]]:
    """Everything that declares a limit, with its place."""
    for index, stage in enumerate(contract.ramp):
        yield ("ramp", index), stage
    for index, exception in enumerate(contract.exceptions):
        yield ("exceptions", index), exception


def _called(declared: Stage | Exception_) -> str:
    return f"stage {shown(declared.name)}" if isinstance(declared, Stage) else "this exception"


def _in(loc: Loc, dimension: str) -> Loc:
    return (*loc, dimension) if dimension else loc


def dimensions_agree(document: Authored, contract: Contract) -> Iterator[Finding]:
    names = set(contract.constraint)
    maps: list[tuple[Loc, Collection[str]]] = []
    for loc, declared in _levels(contract):
        maps.append(((*loc, "limit"), declared.limit_micro))
        if declared.capacity_micro is not None:
            maps.append(((*loc, "capacity"), declared.capacity_micro))
    maps += [(("upstream", index, "spends"), spend.spends_ppm) for index, spend in enumerate(contract.upstream)]
    if contract.enforce.floor_micro is not None:
        maps.append((("enforce", "floor"), contract.enforce.floor_micro))
    if contract.each is not None and contract.each.total_micro is not None:
        maps.append((("each", "total"), contract.each.total_micro))
    several = names != {""}
    for name, workload in contract.workloads.items():
        for field in ("guarantee", "ceiling"):
            portions: Mapping[str, Portion] = getattr(workload, field) or {}
            # 10%, of requests and of tokens, says the same of both; 10 does not.
            of_each = several and set(portions) == {""} and portions[""].share_ppm is not None
            if portions and not of_each:
                maps.append((("workloads", name, field), portions))
    for loc, given in maps:
        if set(given) == names:
            continue
        shared = ", or a share: 40%" if several and loc[0] == "workloads" else ""
        meant = (
            f"a single value, for `{contract.name}` has one dimension"
            if names == {""}
            else f"a value for each of {', '.join(sorted(names))}{shared}"
        )
        found = "a single value" if set(given) == {""} else "for " + (", ".join(sorted(given)) or "nothing")
        yield document.finding("HW210", f"`{loc[-1]}` is {found}", loc, key=True, mend=f"write {meant}")


def periods_fit_the_measure(document: Authored, contract: Contract) -> Iterator[Finding]:
    for dimension, constraint in contract.constraint.items():
        loc = _in(("constraint",), dimension)
        per = constraint.per
        if constraint.measure == "concurrency":
            if per is not None:
                yield document.finding("HW212", "a concurrency has no `per`", (*loc, "per"), mend="remove `per`")
        elif per is None:
            yield document.finding("HW211", f"this {constraint.measure} has no `per`", (*loc, "measure"))
        elif constraint.measure == "rate" and not isinstance(per, int):
            mend = "write a duration such as 1s, or `measure: quota` if the calendar window is meant"
            yield document.finding("HW212", f"`per: {per}` is a calendar window", (*loc, "per"), mend=mend)
        elif constraint.measure == "rate" and isinstance(per, int) and per > PER_MAX_MS:
            yield document.finding("HW212", f"`per: {render_duration(per)}` is longer than 31 days", (*loc, "per"))
        elif constraint.measure == "quota" and isinstance(per, int):
            mend = "write hour, day, week or month, or `measure: rate` if a sliding period is meant"
            yield document.finding(
                "HW212", f"`per: {render_duration(per)}` is no calendar window", (*loc, "per"), mend=mend
            )


def fields_fit_the_measure(document: Authored, contract: Contract) -> Iterator[Finding]:
    for dimension, constraint in contract.constraint.items():
        for field, name, measures in (
            ("burst_ms", "burst", ("rate",)),
            ("after_crash", "after_crash", ("rate",)),
            ("max_hold_ms", "max_hold", ("concurrency",)),
            ("zone", "zone", ("quota",)),
            ("cost", "cost", ("rate", "quota")),
        ):
            if field in constraint.model_fields_set and constraint.measure not in measures:
                loc = (*_in(("constraint",), dimension), name)
                yield document.finding("HW221", f"a {constraint.measure} has no `{name}`", loc, key=True)


def recall_is_of_slots(document: Authored, contract: Contract) -> Iterator[Finding]:
    recall = contract.enforce.recall
    measures = {constraint.measure for constraint in contract.constraint.values()}
    if recall not in (None, "wait") and measures and "concurrency" not in measures:
        measure = "quota" if measures == {"quota"} else "rate"
        yield document.finding("HW221", f"a {measure} has no `recall: {recall}`", ("enforce", "recall"))


def over_subscription_is_explained(document: Authored, contract: Contract) -> Iterator[Finding]:
    for dimension, constraint in contract.constraint.items():
        loc = (*_in(("constraint",), dimension), "oversubscribe")
        ratio = render_decimal(constraint.oversubscribe_ppm)
        if constraint.oversubscribe_ppm < 1_000_000:
            yield document.finding("HW215", f"`oversubscribe` is {ratio}", loc)
        elif constraint.oversubscribe_ppm > 1_000_000 and constraint.because is None:
            yield document.finding("HW214", f"`oversubscribe: {ratio}` has no `because`", loc, key=True)


def costs_are_bounded_in_order(document: Authored, contract: Contract) -> Iterator[Finding]:
    for dimension, constraint in contract.constraint.items():
        cost = constraint.cost
        if cost is not None and cost.max_micro < cost.estimate_micro:
            most, estimate = render_decimal(cost.max_micro), render_decimal(cost.estimate_micro)
            problem = f"`max` is {most}, below the estimate of {estimate}"
            yield document.finding("HW222", problem, (*_in(("constraint",), dimension), "cost", "max"))


def bursts_let_one_through(document: Authored, contract: Contract) -> Iterator[Finding]:
    for dimension, constraint in contract.constraint.items():
        lowest = _lowest(contract, dimension)
        burst, per = constraint.burst_ms, constraint.per
        if burst is None or not isinstance(per, int) or lowest is None or constraint.measure != "rate":
            continue
        if burst * lowest < per * 1_000_000:
            needed = -(-per * 1_000_000 // lowest)
            loc = (*_in(("constraint",), dimension), "burst")
            problem = f"a burst of {render_duration(burst)} is less than one {constraint.unit} at the lowest limit"
            yield document.finding("HW220", problem, loc, mend=f"write at least {render_duration(needed)}")


def limits_are_within_capacity(document: Authored, contract: Contract) -> Iterator[Finding]:
    for loc, declared in _levels(contract):
        own = declared.capacity_micro
        for dimension, limit in declared.limit_micro.items():
            constraint = contract.constraint.get(dimension)
            if constraint is None:
                continue
            capacity = own.get(dimension) if own is not None else constraint.capacity_micro
            if capacity is not None and limit > capacity:
                over = f"over the capacity of {render_decimal(capacity)}"
                problem = f"{_called(declared)} has a limit of {render_decimal(limit)}, {over}"
                yield document.finding("HW308", problem, _in((*loc, "limit"), dimension))


def limits_fit_the_meter(document: Authored, contract: Contract) -> Iterator[Finding]:
    for loc, declared in _levels(contract):
        for dimension, limit in declared.limit_micro.items():
            constraint = contract.constraint.get(dimension)
            if constraint is not None and constraint.measure == "concurrency" and limit > CONCURRENCY_MAX:
                problem = (
                    f"{_called(declared)} has a limit of {render_decimal(limit)}, more than a concurrency's meter holds"
                )
                yield document.finding("HW240", problem, _in((*loc, "limit"), dimension))


def the_floor_is_the_lowest(document: Authored, contract: Contract) -> Iterator[Finding]:
    for dimension, floor in (contract.enforce.floor_micro or {}).items():
        stages = [stage for stage in contract.ramp if dimension in stage.limit_micro]
        lowest = min(stages, key=lambda stage: stage.limit_micro[dimension], default=None)
        if lowest is not None and floor > lowest.limit_micro[dimension]:
            level = render_decimal(lowest.limit_micro[dimension])
            problem = f"the floor of {render_decimal(floor)} is over stage {shown(lowest.name)}, whose limit is {level}"
            yield document.finding("HW216", problem, _in(("enforce", "floor"), dimension))


def scaled_keys_are_among_the_keys(document: Authored, contract: Contract) -> Iterator[Finding]:
    if contract.each is not None and len(contract.each.scale_ppm) > contract.each.count:
        problem = f"{len(contract.each.scale_ppm)} keys are scaled, and there are {contract.each.count}"
        yield document.finding("HW224", problem, ("each", "scale"), key=True)


def guarantees_are_within_ceilings(document: Authored, contract: Contract) -> Iterator[Finding]:
    for name, workload in contract.workloads.items():
        for dimension in contract.constraint:
            low, high = workload.guaranteed(dimension), workload.at_most(dimension)
            if low is None or high is None:
                continue
            shares = low.share_ppm is not None and high.share_ppm is not None and low.share_ppm > high.share_ppm
            amounts = (
                low.amount_micro is not None and high.amount_micro is not None and low.amount_micro > high.amount_micro
            )
            if shares or amounts:
                named = dimension if dimension in (workload.guarantee or {}) else ""
                problem = f"{shown(name)} is guaranteed {low} and may take at most {high}"
                yield document.finding("HW250", problem, _in(("workloads", name, "guarantee"), named))
                break


def guarantees_fit_the_limit(document: Authored, contract: Contract) -> Iterator[Finding]:
    """All guarantees together, at the lowest level of the ramp: what is promised to one cannot be another's.

    The finding stands at the workload with which they come to more than all of it.
    """
    for dimension in contract.constraint:
        lowest, promised_ppm = _lowest(contract, dimension), 0
        for name, workload in contract.workloads.items():
            part = workload.guaranteed(dimension)
            if part is None:
                continue
            if part.share_ppm is not None:
                promised_ppm += part.share_ppm
            elif lowest and part.amount_micro is not None:
                promised_ppm += -(-part.amount_micro * PPM // lowest)
            if promised_ppm > PPM:
                share = render_decimal(promised_ppm * 100)
                of = f" of {dimension}" if dimension else ""
                problem = f"with {shown(name)} the guarantees come to {share}% of the lowest limit{of}"
                named = dimension if dimension in (workload.guarantee or {}) else ""
                yield document.finding("HW307", problem, _in(("workloads", name, "guarantee"), named))
                return


def weights_have_something_to_divide(document: Authored, contract: Contract) -> Iterator[Finding]:
    """Within one key nothing is divided by weight: what each workload asks of each key would have to be measured all along."""
    if contract.each is None or contract.each.total_micro is not None:
        return
    for name, workload in contract.workloads.items():
        if workload.weight is not None:
            problem = f"{shown(name)} has a weight, and `each` has no `total` that it could be one of"
            yield document.finding("HW260", problem, ("workloads", name, "weight"), key=True)


def ends_are_seen_where_slots_are_bound(document: Authored, contract: Contract) -> Iterator[Finding]:
    if not any(constraint.measure == "concurrency" for constraint in contract.constraint.values()):
        return
    for index, bind in enumerate(contract.enforce.bind):
        if bind.kind in ("rls", "rlqs"):
            problem = f"{bind.kind.upper()} never tells when a request of `{contract.name}` ended"
            yield document.finding("HW213", problem, ("enforce", "bind", index, bind.kind), key=True)


def bindings_name_one_place_each(document: Authored, contract: Contract) -> Iterator[Finding]:
    """One attachment an entry; the key of a keyed contract stands in a descriptor once, of another never."""
    for index, bind in enumerate(contract.enforce.bind):
        loc = ("enforce", "bind", index)
        if len(bind.model_fields_set) != 1:
            names = " and ".join(f"`{name}`" for name in Bind.model_fields if name in bind.model_fields_set)
            yield document.finding("HW253", f"this binding has {names or 'no attachment'}", loc)
            continue
        match = bind.rls
        if match is None:
            continue
        where = (*loc, bind.kind, "descriptor")
        if not 1 <= len(match.descriptor) <= ENTRIES_MAX:
            problem = f"a descriptor has 1 to {ENTRIES_MAX} entries, not {len(match.descriptor)}"
            yield document.finding("HW168", problem, where)
            continue
        if contract.each is None and match.keys:
            yield document.finding("HW254", f"`{contract.name}` has no keys, and {shown(match.keys[0])} is one", where)
        elif contract.each is not None and len(match.keys) != 1:
            has = "no entry is" if not match.keys else f"{len(match.keys)} entries are"
            yield document.finding("HW254", f"`{contract.name}` has a limit for each key, and {has} the key", where)


def charges_after_the_fact_are_bounded(document: Authored, contract: Contract) -> Iterator[Finding]:
    """What is charged later is never refused, so each is bounded by `cost.max`, and nothing of it is given back."""
    for index, bind in enumerate(contract.enforce.bind):
        if bind.rls is None or not bind.rls.post_paid:
            continue
        loc = ("enforce", "bind", index, "rls", "post_paid")
        costs = [constraint.cost for constraint in contract.constraint.values()]
        if any(cost is None or cost.max_micro < MICRO for cost in costs):
            problem = f"`{contract.name}` has no `cost` of at least one unit that bounds what a request may be"
            yield document.finding("HW257", problem, loc)
        elif bind.rls.refundable:
            yield document.finding("HW257", "what is charged after the fact is what it was, and not given back", loc)


def _lowest(contract: Contract, dimension: str) -> int | None:
    levels = (declared.limit_micro for _, declared in _levels(contract))
    return min((level[dimension] for level in levels if dimension in level), default=None)


RULES: tuple[Rule, ...] = (
    dimensions_agree,
    periods_fit_the_measure,
    fields_fit_the_measure,
    recall_is_of_slots,
    over_subscription_is_explained,
    costs_are_bounded_in_order,
    bursts_let_one_through,
    limits_are_within_capacity,
    limits_fit_the_meter,
    the_floor_is_the_lowest,
    scaled_keys_are_among_the_keys,
    guarantees_are_within_ceilings,
    guarantees_fit_the_limit,
    weights_have_something_to_divide,
    ends_are_seen_where_slots_are_bound,
    bindings_name_one_place_each,
    charges_after_the_fact_are_bounded,
)
