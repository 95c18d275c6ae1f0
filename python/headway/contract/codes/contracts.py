"""Faults of one contract in itself: the four questions, its numbers, its conditions. Of HW2xx; HW307 and HW308 are the proof's."""

from __future__ import annotations

from headway.contract.codes.code import Code

__all__ = ["CONTRACTS"]

CONTRACTS: dict[str, Code] = {
    "HW201": Code(
        "nobody stresses it",
        "a contract answers four questions; this leaves open what stresses the constraint",
        "name the workloads (at least `workloads: {other: {}}`), or let a contract spend it under `upstream`",
        "contract: api    # without workloads, spent by nothing",
    ),
    "HW202": Code(
        "a later stage without a trigger",
        "a contract answers four questions; this leaves open what must be true before the limit grows",
        "add `when:` with a date, a soak, an event, a metric, a requirement or an approval",
        "ramp: [{stage: now, limit: 1}, {stage: later, limit: 2}]",
    ),
    "HW203": Code(
        "a first stage with a trigger",
        "the first stage is the limit in force from the beginning; nothing comes before it that could wait",
        "remove `when` and `climb` there, or add a stage before it",
        "ramp: [{stage: now, limit: 1, when: {approval: dba}}]",
    ),
    "HW204": Code(
        "a stage stands twice",
        "stages are known by name: in approvals, in requirements, in amendments",
        "rename one of them",
        "ramp: [{stage: now, limit: 1}, {stage: now, limit: 2, when: {approval: dba}}]",
    ),
    "HW209": Code(
        "`requires` or `approval` inside `any`",
        "who must agree and what must stand is never one of several choices",
        "move it up, beside `any`",
        "when: {any: [{approval: dba}, {event: x}]}",
    ),
    "HW210": Code(
        "dimensions that differ",
        "limits, floors, totals, capacities, spends, and guarantees and ceilings in amounts name exactly the dimensions of the "
        "constraint",
        "use the names that stand under `constraint`",
        "constraint: {requests: …, tokens: …}\nramp: [{stage: now, limit: {request: 1}}]",
    ),
    "HW211": Code(
        "a rate or quota without `per`",
        "100 is not a rate until it is 100 a second",
        "add `per`: a duration for a rate; hour, day, week or month for a quota",
        "constraint: {measure: rate, unit: request}",
    ),
    "HW212": Code(
        "a `per` of the wrong kind",
        "a rate has a duration, a quota a calendar window, a concurrency neither",
        "write `per: 1s` (up to 31d) for a rate, `per: day` for a quota, nothing for a concurrency",
        "constraint: {measure: quota, per: 24h}",
    ),
    "HW213": Code(
        "a concurrency bound where no end is seen",
        "RLS and RLQS never tell when a request ended, so a slot would never come back",
        "bind a rate or a quota there; bind a concurrency through the library or a gateway",
        "enforce: {bind: [{rls: {domain: edge, descriptor: {service: orders}}}]}",
    ),
    "HW214": Code(
        "over-subscription without a reason",
        "promising more than there is wants a reason that can be read later",
        "add `because`",
        "constraint: {…, oversubscribe: 1.5}",
    ),
    "HW215": Code(
        "over-subscription below 1",
        "it is the ratio by which spenders may exceed the limit; less than 1 would be a lower limit",
        "write 1 or more, or lower the limit",
        "constraint: {…, oversubscribe: 0.5}",
    ),
    "HW216": Code(
        "a floor over a stage",
        "the floor is what is always there, so no stage can be below it",
        "lower the floor to the lowest stage's limit, or raise that stage",
        "ramp: [{stage: now, limit: 10}]\nenforce: {floor: 20}",
    ),
    "HW217": Code(
        "exceptions that overlap",
        "two limits would be in force at once",
        "let one end before the next begins",
        "exceptions: [{during: 2027-02-06T02:00/04:00Z, …}, {during: 2027-02-06T03:00/05:00Z, …}]",
    ),
    "HW218": Code(
        "exceptions out of order",
        "a list in the order of time is read right by people, too",
        "sort them by their start",
        "exceptions: [{during: 2027-03-06T02:00/04:00Z, …}, {during: 2027-02-06T02:00/04:00Z, …}]",
    ),
    "HW219": Code(
        "an exception above the limit without approval",
        "an exception below the stage's limit is caution; one above is a raise, and somebody has to agree to it",
        "add `approval`, or lower its limit to that of the lowest stage",
        "exceptions: [{during: …, limit: 9000, reason: sale}]",
    ),
    "HW220": Code(
        "a burst below one unit",
        "at the lowest limit this burst would not let a single unit through",
        "write a longer burst",
        "constraint: {measure: rate, per: 1s, burst: 1ms}    # at 100 a second",
    ),
    "HW221": Code(
        "a field that this measure does not have",
        "`burst` and `after_crash` belong to a rate, `max_hold` and `recall` to a concurrency, `cost` to a rate or a quota",
        "remove the field",
        "constraint: {measure: concurrency, burst: 1s}",
    ),
    "HW222": Code(
        "a cost's maximum below its estimate",
        "what is reserved is at most what may be settled",
        "raise `max`, or lower `estimate`",
        "cost: {estimate: 500, max: 100}",
    ),
    "HW223": Code(
        "`each` without a key or a count",
        "the limit holds for each of something, and the proof multiplies by how many there are",
        "write `each: {key: team, count: 40}`",
        "each: {count: 40}",
    ),
    "HW224": Code(
        "more scaled keys than keys",
        "every key in `scale` is one of `count`",
        "raise `count`, or name fewer keys",
        "each: {key: team, count: 1, scale: {a: 2, b: 2}}",
    ),
    "HW228": Code(
        "too many labels",
        "labels go into every metric; 16 is the bound",
        "keep the ones that are searched by",
        "labels: {a: 1, b: 2, …}",
    ),
    "HW232": Code(
        "stages and a growth law",
        "`grow` writes the stages; there is one ramp",
        "keep `ramp` or `grow`",
        "ramp: […]\ngrow: {start: 500, step: 50%, every: 5m, until: 100k}",
    ),
    "HW233": Code(
        "a growth law that does not arrive",
        "a law grows from `start` to `until` in at most 500 stages",
        "let `until` be above `start`, or the steps be larger",
        "grow: {start: 1, step: 1, every: 1s, until: 1M}",
    ),
    "HW234": Code(
        "a growth law for several dimensions",
        "a law grows one number",
        "write the stages out under `ramp`",
        "constraint: {requests: …, tokens: …}\ngrow: {…}",
    ),
    "HW235": Code(
        "a soak that can never pass",
        "use is never strictly above the whole limit",
        "write a share below 100%",
        "soak: {for: 1h, above: 100%}",
    ),
    "HW236": Code(
        "a metric without a bound, or with one that cannot hold",
        "a condition states what is healthy: strictly below one number, strictly above another, or both",
        "add `below` or `above`, of one kind, the first the larger",
        "metric: {query: up, from: prom}",
    ),
    "HW237": Code(
        "a percentage where a number is meant",
        "a query gives a plain number: 10% of it could be 0.1 or 10",
        "write 0.1 if the query gives a ratio, 10 if it gives percent; with `relative: previous` a percentage is right",
        "metric: {query: error_ratio, from: prom, below: 10%}",
    ),
    "HW238": Code(
        "an empty trigger",
        "with nothing to wait for, the next stage would come at once",
        "write a condition, or remove the stage before",
        "when: {}",
    ),
    "HW239": Code(
        "an upstream named twice",
        "it is not said whether the two add up",
        "write one entry with the sum",
        "upstream: [{contract: a, spends: 1}, {contract: a, spends: 2}]",
    ),
    "HW240": Code(
        "a limit above what a meter holds",
        "what is in flight is counted in 48 bits of millionths: a concurrency is at most 281 474 976 units",
        "choose a larger unit",
        "constraint: {measure: concurrency}\nramp: [{stage: now, limit: 1G}]",
    ),
    "HW241": Code(
        "an empty ramp",
        "a contract answers four questions; this leaves open what the limit is",
        "write at least one stage: `ramp: [{stage: now, limit: 100}]`",
        "ramp: []",
    ),
    "HW242": Code(
        "promises out of order",
        "stages come one after the other, so a later one is not there before an earlier one",
        "correct one of the dates",
        "ramp: […, {stage: a, promised: 2027-03-01, …}, {stage: b, promised: 2027-02-01, …}]",
    ),
    "HW243": Code(
        "an old name that is still in use",
        "`was` names what a stage was called before; two stages cannot be the same one",
        "remove `was`, or rename the other stage",
        "ramp: [{stage: a, …}, {stage: b, was: a, …}]",
    ),
    "HW249": Code(
        "a dimension that could be a field",
        "a dimension named like a field of the constraint would be read as that field",
        "rename the dimension",
        "constraint: {per: {measure: rate, per: 1s}}",
    ),
    "HW250": Code(
        "a guarantee above its ceiling",
        "a workload is never promised more than it may take",
        "lower `guarantee`, or raise `ceiling`",
        "workloads: {a: {guarantee: 60%, ceiling: 40%}}",
    ),
    "HW252": Code(
        "an approver named twice",
        "one yes of a group would count for both entries, so the second asks for nothing",
        "write it once; {by: dba, need: 2} asks for two people of the group",
        "approval: [dba, dba]",
    ),
    "HW253": Code(
        "a binding that is not one",
        "each entry of `bind` says one place where traffic meets the contract",
        "write one attachment an entry: `rls`, `rlqs`, `postgres` or `http`",
        "enforce: {bind: [{rls: {…}, postgres: {…}}]}",
    ),
    "HW254": Code(
        "a key that stands nowhere, or where there is none",
        "`each` in a descriptor marks the entry whose value is the key of a contract with `each`",
        "write `each` as the value of exactly one entry if the contract has `each`, of none if it has not",
        "enforce: {bind: [{rls: {domain: edge, descriptor: {team: each}}}]}",
    ),
    "HW255": Code(
        "a contract that cannot be divided exactly",
        "a proxy that is assigned a part of a limit (`rlqs`) decides alone until it expires: with this it could let through "
        "more than was agreed",
        "remove what stands in the way, or bind the contract by `rls`, which asks for every request",
        "enforce: {mode: observe, bind: [{rlqs: {domain: edge, bucket: {name: checkout}}}]}",
    ),
    "HW256": Code(
        "a bucket of two contracts",
        "a proxy reports one bucket once, and is assigned one limit for it",
        "give each contract a bucket of its own",
        "enforce: {bind: [{rlqs: {domain: edge, bucket: {name: checkout}}}]}",
    ),
    "HW257": Code(
        "charges after the fact without a bound",
        "what is charged when a request is over is never refused: only `cost.max` bounds how far one may exceed the limit",
        "give the constraint a `cost` with a `max`, and leave `refundable` to bindings that charge before",
        "constraint: {measure: rate, unit: byte, per: 1s, cost: {estimate: 5k, max: 1M}}",
    ),
    "HW258": Code(
        "a match of `other`",
        "`other` is who no match takes; with a match of its own it would be somebody, and the rest nobody",
        "give the workload a name of its own, and leave `other` without `match`",
        "workloads: {other: {match: {user: guest}}}",
    ),
    "HW259": Code(
        "a match that never wins",
        "the first match wins, in the order in which the workloads are written: an earlier one takes everything that this takes",
        "write the narrower match first, or remove it",
        "workloads: {all: {match: {user: '*'}}, checkout: {match: {user: checkout_*}}}",
    ),
    "HW260": Code(
        "a weight beside each without a total",
        "by weight is divided what many ask for at once, and who asks for how much of it is measured all along; with `each` "
        "that is the `total` over all keys, never one key's limit",
        "give `each` a `total`; within every key write `guarantee`, `ceiling` and `priority`",
        "workloads: {a: {weight: 2}, b: {}}\neach: {key: team, count: 100}",
    ),
    "HW265": Code(
        "a floor that gates could not keep by themselves",
        "a part of a floor is a gate's own, connected or not: it has to be within every limit that it is admitted under, "
        "without asking anybody",
        "remove what stands in the way, or remove `gates`: `floor` stays the level that `abort` falls to",
        "enforce: {gates: [edge-a, edge-b]}    # and no `floor`",
    ),
    "HW290": Code(
        "a field that this version reads and checks, and does not act on yet",
        "running the contract without it would silently do less than was agreed",
        "remove the field to run the contract now, or wait for the version that acts on it",
        "locked: 2027-01-01",
    ),
    "HW307": Code(
        "guarantees that come to more than the limit",
        "what is guaranteed to one workload is nobody else's: together they fit the lowest limit of the ramp",
        "lower a `guarantee`, or raise the first stage",
        "workloads: {a: {guarantee: 60%}, b: {guarantee: 50%}}",
    ),
    "HW308": Code(
        "a limit over its capacity",
        "the thing itself does not hold that much",
        "lower the limit, or say under `capacity` of the stage or exception what will hold then",
        "constraint: {…, capacity: 420}\nramp: [{stage: now, limit: 500}]",
    ),
}
