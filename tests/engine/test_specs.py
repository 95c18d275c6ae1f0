"""Contracts as meters and ways: what is charged, how much, in which order; and use as soak reads it."""

from __future__ import annotations

from typing import Any

import pytest

from headway._core import MeterReading
from headway.engine import specs
from headway.engine.use import use_between
from tests.engine.world import reading_of

CHAIN = """
contract: cluster
owner: team-a
constraint: {measure: concurrency, unit: core}
workloads: {other: {}}
ramp: [{stage: now, limit: 1000}]
---
contract: db
owner: team-a
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
upstream: [{contract: cluster, spends: 0.25, retries: 3}]
ramp: [{stage: now, limit: 100}]
---
contract: shop
owner: team-a
constraint: {measure: concurrency, unit: session}
workloads: {checkout: {cost: 2}, other: {}}
upstream: [{contract: db, spends: 0.5}, {contract: cluster, spends: 1}]
enforce: {wait: 2s, mode: observe}
ramp: [{stage: now, limit: 50}]
"""

KEYED = """
contract: calls
owner: team-a
constraint: {requests: {measure: rate, per: 1m}, daily: {measure: quota, per: day}}
workloads: {other: {}}
each: {key: tenant, count: 40, scale: {acme: 4}, total: {requests: 500, daily: 9000}}
ramp: [{stage: now, limit: {requests: 60, daily: 100}}, {stage: more, limit: {requests: 90, daily: 200}, when: {event: x}}]
"""


class Told:
    """What the core would be told."""

    def __init__(self, *names: Any, **fields: Any) -> None:
        self.names, self.fields = names, fields


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Specs that can be looked into; the core's own show nothing."""
    monkeypatch.setattr(specs, "MeterSpec", Told)
    monkeypatch.setattr(specs, "PathSpec", Told)


def path(text: str, name: str, workload: str) -> Any:
    contracts = reading_of(text).contracts
    return specs.path_of(contracts[name], workload, contracts)


def test_a_demand_charges_upstreams_first_and_each_meter_once():
    """Half a connection, a quarter core for each of those, and a core of its own: 1.125 cores; retries are the proof's."""
    way = path(CHAIN, "shop", "checkout")

    assert [("cluster", 1_125_000, False), ("db", 500_000, False), ("shop", 1_000_000, False)] == way.names[2]
    assert ("shop", "checkout") == way.names[:2]
    assert 2_000_000 == way.fields["cost_ppm"]
    assert 0 == way.fields["settle_max_micro"]
    assert 2_000_000_000 == way.fields["wait_ns"]
    assert "observe" == way.fields["mode"]


def test_a_spend_across_measures_is_proven_and_not_metered():
    """A rate that spends connections: the proof weighs it, its demands do not hold any."""
    text = (
        CHAIN
        + """---
contract: api
owner: team-a
constraint: {measure: rate, unit: request, per: 1s}
workloads: {other: {}}
upstream: [{contract: cluster, spends: 0.1}]
ramp: [{stage: now, limit: 10}]
"""
    )
    assert [("api", 1_000_000, False)] == path(text, "api", "other").names[2]


def test_keys_are_charged_beside_their_total():
    """Two dimensions, each by key and over all: four meters, one call."""
    assert [
        ("calls.daily", 1_000_000, True),
        ("calls.daily#total", 1_000_000, False),
        ("calls.requests", 1_000_000, True),
        ("calls.requests#total", 1_000_000, False),
    ] == path(KEYED, "calls", "other").names[2]


def test_a_reservation_may_be_settled_at_its_declared_most():
    """`cost.max` of 8 bounds what is settled, wherever it was estimated."""
    text = KEYED.replace(
        "requests: {measure: rate, per: 1m}", "requests: {measure: rate, per: 1m, cost: {estimate: 2, max: 8}}"
    )

    assert 8_000_000 == path(text, "calls", "other").fields["settle_max_micro"]


def test_an_upstream_is_charged_by_key_only_where_it_is_the_same_key():
    """A tenant's demand is its tenant's upstream, too; without that key only what is over all keys is charged."""
    spender = """---
contract: front
owner: team-a
constraint: {requests: {measure: rate, per: 1m}, daily: {measure: quota, per: day}}
workloads: {other: {}}
each: {key: tenant, count: 40}
upstream: [{contract: calls, spends: {requests: 1, daily: 2}}]
ramp: [{stage: now, limit: {requests: 1, daily: 2}}]
"""
    same = path(KEYED + spender, "front", "other").names[2]
    assert ("calls.daily", 2_000_000, True) in same
    assert ("calls.daily#total", 2_000_000, False) in same

    other = path(KEYED + spender.replace("each: {key: tenant, count: 40}\n", ""), "front", "other").names[2]
    assert ["calls.daily#total", "calls.requests#total", "front.daily", "front.requests"] == [step[0] for step in other]


def test_meters_say_what_they_are():
    """One a dimension, one more over all keys; a quota draws durably, a keyed rate does not."""
    made = specs.meters_of(reading_of(KEYED).contracts["calls"], born="empty")
    fields = {one.names[0]: one.fields for one in made}  # type: ignore[attr-defined]

    assert ["calls.requests", "calls.requests#total", "calls.daily", "calls.daily#total"] == list(fields)
    requests, daily = fields["calls.requests"], fields["calls.daily"]
    assert (90_000_000, 60_000_000_000, 40) == (requests["ceiling_micro"], requests["per_ns"], requests["keys_max"])
    assert [("acme", 4_000_000)] == requests["scale_ppm"]
    assert ("empty", False) == (requests["born"], requests["durable"])
    assert ("full", True, 0) == (daily["born"], daily["durable"], daily["per_ns"])
    assert 500_000_000 == fields["calls.requests#total"]["ceiling_micro"]


@pytest.mark.parametrize(("per", "durable"), [("1s", False), ("59s", False), ("1m", True), ("1h", True)])
def test_an_unkeyed_rate_of_a_minute_or_more_is_durable(per: str, durable: bool):
    """Below, a crash costs less than a minute's burst; from there on a mark is kept."""
    text = KEYED.replace(
        "{requests: {measure: rate, per: 1m}, daily: {measure: quota, per: day}}", f"{{measure: rate, per: {per}}}"
    )
    text = text[: text.index("each:")] + "ramp: [{stage: now, limit: 100}]\n"
    (spec,) = specs.meters_of(reading_of(text).contracts["calls"], born="full")

    assert durable is spec.fields["durable"]  # type: ignore[attr-defined]


# --- use ---------------------------------------------------------------------------------------------------------


def meter(name: str, measure: str = "rate", **told: int) -> MeterReading:
    fields: dict[str, Any] = dict.fromkeys(MeterReading._fields, 0)
    return MeterReading(**{**fields, "meter": name, "measure": measure, "stage": "now", "version": 1, **told})


def share(text: str, name: str, before: list[MeterReading], after: list[MeterReading]) -> int | None:
    contract = reading_of(text).contracts[name]
    use = use_between(contract, {one.meter: one for one in before}, {one.meter: one for one in after}, 10, 20)
    assert (10, 20) == (use.from_ms, use.at_ms)
    return use.use_ppm


RATE = KEYED.replace(
    "{requests: {measure: rate, per: 1m}, daily: {measure: quota, per: day}}", "{measure: rate, per: 1s}"
)
RATE = RATE[: RATE.index("each:")] + "ramp: [{stage: now, limit: 100}]\n"


def test_use_of_a_rate_is_what_was_charged_over_what_it_was_entitled_to():
    """60 of 100 is 60 %, whatever came before; a give-back of more than was charged is nothing, not less."""
    before = [meter("calls", charged_micro=1_000, entitled_micro=5_000)]

    assert 600_000 == share(RATE, "calls", before, [meter("calls", charged_micro=1_060, entitled_micro=5_100)])
    assert 0 == share(RATE, "calls", before, [meter("calls", charged_micro=900, entitled_micro=5_100)])


def test_no_reading_is_no_use_and_no_evidence():
    """A meter that is new, or a span without entitlement, says nothing."""
    assert share(RATE, "calls", [], [meter("calls", charged_micro=9, entitled_micro=9)]) is None
    assert share(RATE, "calls", [meter("calls")], [meter("calls", charged_micro=9)]) is None


def test_a_sample_stands_for_the_span_by_the_lesser_of_both_ends():
    """90 in flight before and 20 after: for certain only 20 were in flight in between."""
    before = [meter("shop", "concurrency", use_micro=90, limit_micro=100)]
    after = [meter("shop", "concurrency", use_micro=20, limit_micro=100)]

    assert 200_000 == share(CHAIN, "shop", before, after)


def test_the_largest_dimension_counts():
    """Requests at 10 %, the day's quota at 70 %: the contract is used at 70 %."""
    before = [meter("calls.requests#total"), meter("calls.daily", "quota", use_micro=70, limit_micro=100)]
    after = [meter("calls.requests#total", charged_micro=10, entitled_micro=100), before[1]]

    assert 700_000 == share(KEYED, "calls", before, after)


def test_over_keys_without_a_total_the_mean_counts():
    """150 charged by three live keys that might each have had 100: 50 %, never more than the largest."""
    text = RATE.replace("ramp:", "each: {key: tenant, count: 40}\nramp:")
    before = [meter("calls", keys_live=1)]
    after = [meter("calls", charged_micro=150, entitled_micro=100, keys_live=3)]

    assert 500_000 == share(text, "calls", before, after)


def test_meters_are_counted_as_they_are_made():
    """The bound counts what the core is told: dimensions, and totals over all keys."""
    for text in (CHAIN, KEYED):
        for contract in reading_of(text).contracts.values():
            assert len(specs.meters_of(contract, born="full")) == specs.meters_count(contract)
