"""The judgement: what is over the limit is found, what is within is not accused, upstreams and keys included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from examples.shop.count import Admission, Life, Record
from examples.shop.demo import CONTRACTS
from examples.shop.verdict import Clocks, as_json, in_force, judge
from headway.contract.model import Contract
from headway.contract.read import read_paths
from headway.engine.timeline import Piece

MS, S = 1_000_000, 1_000_000_000
LATE_S = 20
"""All of these histories are over by then."""


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return read_paths([CONTRACTS]).contracts


def piece(start_s: float, end_s: float | None, level: float, version: int = 1, to: float | None = None) -> Piece:
    end_ms = None if end_s is None else int(end_s * 1000)
    first, last = int(level * 1_000_000), int((level if to is None else to) * 1_000_000)
    return Piece("", int(start_s * 1000), end_ms, first, last, "", version, version, "", "", "", int(start_s * 1000))


def pasts(contracts: dict[str, Contract], **changed: Sequence[Piece]) -> dict[str, Sequence[Piece]]:
    """First stages for ever, but for what is `changed`, whose names are spelled with underscores."""
    first = {name: [piece(0, None, one.ramp[0].limit_micro[""] / 1e6)] for name, one in contracts.items()}
    return {**first, **{name.replace("_", "-"): pieces for name, pieces in changed.items()}}


def admitted(
    contract: str, workload: str, at_s: float, *, until_s: float | None = None, key: str | None = None, life: int = 1
) -> Admission:
    """A decision between stamps of 1 ms."""
    at_ns = int(at_s * S)
    freed = None if until_s is None else (int(until_s * S), int(until_s * S) + MS)
    return Admission(life, contract, workload, key, 1, at_ns, at_ns + MS, freed)


def record(admissions: Sequence[Admission], **published: list[tuple[int, int]]) -> Record:
    """One life from 0 to 20 s in which UTC and the boot clock are the same."""
    life = Life(1, 1, 1, 0, 0, LATE_S * S, True)
    seen = {name.replace("_", "-"): versions for name, versions in published.items()}
    return Record((life,), tuple(admissions), {}, ((0, 0),), (), seen, ())


def violations(found: Record, contracts: dict[str, Contract], **changed: Sequence[Piece]) -> dict[str, int]:
    """Certain violations of each contract that has some."""
    judged = judge(found, contracts, pasts(contracts, **changed))
    return {name: one.certain for name, one in judged.items() if one.certain}


def test_six_connections_of_six_are_within(contracts: dict[str, Contract]):
    """All held at once, and a seventh when one is back."""
    held = [admitted("orders-db", "checkout", 1 + n / 10, until_s=5 + n / 10) for n in range(6)]

    assert {} == violations(record([*held, admitted("orders-db", "checkout", 5.05, until_s=6)]), contracts)


def test_a_seventh_connection_of_six_is_certain(contracts: dict[str, Contract]):
    """Stamps of a millisecond leave no doubt about connections held for seconds."""
    held = [admitted("orders-db", "checkout", 1 + n / 10, until_s=5) for n in range(7)]

    assert {"orders-db": 1} == violations(record(held), contracts)


def test_what_may_have_been_released_in_time_is_not_certain(contracts: dict[str, Contract]):
    """The seventh came between the stamps of a release: perhaps just after it."""
    held = [admitted("orders-db", "checkout", 1 + n / 10, until_s=5) for n in range(6)]
    found = judge(record([*held, admitted("orders-db", "checkout", 5.0002, until_s=6)]), contracts, pasts(contracts))

    assert (0, 1) == (found["orders-db"].certain, min(1, found["orders-db"].possible))


def test_connections_weigh_half_a_worker_beside_reports(contracts: dict[str, Contract]):
    """6 connections keep 3 of 16 workers busy: 13 reports fit beside them, a fourteenth does not."""
    connections = [admitted("orders-db", "browsing", 1 + n / 100, until_s=9) for n in range(6)]
    reports = [admitted("orders-cpu", "reporting", 2 + n / 100, until_s=9) for n in range(13)]

    assert {} == violations(record([*connections, *reports]), contracts)
    one_more = admitted("orders-cpu", "reporting", 3, until_s=9)
    assert {"orders-cpu": 1} == violations(record([*connections, *reports, one_more]), contracts)


def test_a_rate_may_burst_and_no_more(contracts: dict[str, Contract]):
    """40 a second in bursts of 100 ms: 4 at once, then one every 25 ms."""
    paced = [admitted("shop-api", "browsing", 1 + max(0, n - 3) * 0.026) for n in range(40)]

    assert {} == violations(record(paced), contracts)
    assert {"shop-api": 1} == violations(record([admitted("shop-api", "browsing", 1) for _ in range(5)]), contracts)


def test_a_second_burst_after_a_restart_is_found(contracts: dict[str, Contract]):
    """Two lives within 20 ms, each with a burst of 4: together they are over, whoever forgot."""
    first = [admitted("shop-api", "browsing", 1) for _ in range(4)]
    second = [admitted("shop-api", "browsing", 1.02, life=2) for _ in range(4)]
    lives = (Life(1, 1, 1, 0, 0, int(1.01 * S), False), Life(2, 2, 1, int(1.015 * S), 0, LATE_S * S, True))

    assert "shop-api" in violations(replace(record([*first, *second]), lives=lives), contracts)


def test_what_a_killed_life_held_is_gone_at_the_next_birth(contracts: dict[str, Contract]):
    """6 connections die with their process at 2 s; the next life may hold 6 of its own."""
    first = [admitted("orders-db", "checkout", 1 + n / 10) for n in range(6)]
    second = [admitted("orders-db", "checkout", 3 + n / 10, life=2, until_s=9) for n in range(6)]
    lives = (Life(1, 1, 1, 0, 0, 2 * S, False), Life(2, 2, 1, int(2.5 * S), 0, LATE_S * S, True))

    found = judge(replace(record([*first, *second]), lives=lives), contracts, pasts(contracts))

    assert (0, 0) == (found["orders-db"].certain, found["orders-db"].possible)


def test_a_quota_holds_for_each_tenant_and_acme_has_three_times_as_much(contracts: dict[str, Contract]):
    """20 for birch, 60 for acme; one more of either is over."""
    birch = [admitted("tenant-exports", "reporting", 1 + n / 10, key="birch") for n in range(20)]
    acme = [admitted("tenant-exports", "reporting", 1 + n / 10, key="acme") for n in range(60)]

    assert {} == violations(record([*birch, *acme]), contracts)
    more = admitted("tenant-exports", "reporting", 9, key="birch")
    assert {"tenant-exports": 1} == violations(record([*birch, *acme, more]), contracts)
    more = admitted("tenant-exports", "reporting", 9, key="acme")
    assert {"tenant-exports": 1} == violations(record([*birch, *acme, more]), contracts)


def test_a_raise_counts_from_its_decision_and_not_before(contracts: dict[str, Contract]):
    """6 to 16 at 3 s: a seventh connection at 4 s is within, one at 2 s is not."""
    raised = [piece(0, 3, 6), piece(3, None, 16, version=2)]
    held = [admitted("orders-db", "checkout", 1 + n / 100, until_s=9) for n in range(6)]
    later = record([*held, admitted("orders-db", "checkout", 4, until_s=9)], orders_db=[(1, 0), (2, 3 * S)])
    early = record([*held, admitted("orders-db", "checkout", 2, until_s=9)], orders_db=[(1, 0), (2, 3 * S)])

    assert {} == violations(later, contracts, orders_db=raised)
    assert {"orders-db": 1} == violations(early, contracts, orders_db=raised)


def test_a_cut_counts_from_when_it_was_seen_in_force(contracts: dict[str, Contract]):
    """16 to 6, decided at 3 s and seen at 3.2 s: in between a seventh connection may still have been within."""
    cut = [piece(0, 3, 16), piece(3, None, 6, version=2)]
    held = [admitted("orders-db", "checkout", 1 + n / 100, until_s=9) for n in range(6)]
    seen = [(1, 0), (2, int(3.2 * S))]

    between = record([*held, admitted("orders-db", "checkout", 3.1, until_s=9)], orders_db=seen)
    assert {} == violations(between, contracts, orders_db=cut)
    after = record([*held, admitted("orders-db", "checkout", 3.3, until_s=9)], orders_db=seen)
    assert {"orders-db": 1} == violations(after, contracts, orders_db=cut)


def test_a_climb_is_judged_along_its_line(contracts: dict[str, Contract]):
    """From 40 to 80 over 10 s: 52 in the second from 2 s are within (48 to 52 a second and a burst), 60 are not."""
    climb = [piece(0, 0.001, 40), piece(0.001, 10, 40, version=2, to=80), piece(10, None, 80, version=2)]
    within = [admitted("shop-api", "browsing", 2 + n / 50) for n in range(52)]
    beyond = [admitted("shop-api", "browsing", 2 + n / 60) for n in range(60)]

    assert {} == violations(record(within), contracts, shop_api=climb)
    assert "shop-api" in violations(record(beyond), contracts, shop_api=climb)


def test_changes_known_only_roughly_are_put_one_after_the_other(contracts: dict[str, Contract]):
    """A raise decided 1 ms after another, both seen 5 ms later: what either allows is allowed from its decision on."""
    past = [piece(0, 3, 6), piece(3, 3.001, 16, version=2), piece(3.001, None, 24, version=3)]
    found = record([], orders_db=[(1, 0), (3, int(3.006 * S))])

    history = in_force(past, contracts["orders-db"], found, Clocks.of(found.clocks))

    assert [6_000_000, 16_000_000, 24_000_000] == [curve.segments[0][2] for curve in history]
    instants = [instant for curve in history for instant in (curve.earliest_ns, curve.latest_ns)]
    assert sorted(instants) == instants
    assert history[2].earliest_ns <= 3_001 * MS


def test_without_an_instant_on_both_clocks_nothing_is_judged(contracts: dict[str, Contract]):
    """A count that cannot be laid beside the timeline is no proof of anything."""
    with pytest.raises(ValueError, match="both clocks"):
        judge(replace(record([]), clocks=()), contracts, pasts(contracts))


def test_a_reading_of_the_clocks_that_was_interrupted_moves_nothing():
    """UTC 5 s ahead, read four times a second; once 40 ms passed between the two readings: not half a millisecond of it
    is taken over. A drift that stays is."""
    instants = [(at_ms * MS, at_ms * MS + 5 * S) for at_ms in range(0, 10_000, 250)]
    interrupted = [*instants[:20], (instants[20][0] + 40 * MS, instants[20][1]), *instants[21:]]
    drifting = [(boot_ns, utc_ns + place * MS // 10) for place, (boot_ns, utc_ns) in enumerate(instants)]

    assert Clocks(5 * S, 1 * MS) == Clocks.of(instants) == Clocks.of(interrupted) == Clocks.of(interrupted[::-1])
    assert 2 * MS < Clocks.of(drifting).unsure_ns < 3 * MS


def test_a_contract_nobody_asked_is_judged_too(contracts: dict[str, Contract]):
    """It stands in the result with zeros."""
    found = as_json(judge(record([]), contracts, pasts(contracts)))

    assert sorted(contracts) == sorted(found)
    assert {0} == {one[count] for one in found.values() for count in ("admitted", "refused", "certain_violations")}


def test_each_visitor_has_a_burst_of_its_own_and_no_second_one(contracts: dict[str, Contract]):
    """10 lookups at once for each of two visitors are within; 10 more of one, half a second later, are not."""
    both = [admitted("visitor-lookups", "browsing", 1, key=visitor) for visitor in ("ann", "bot") for _ in range(10)]

    assert {} == violations(record(both), contracts)
    again = [admitted("visitor-lookups", "browsing", 1.5, key="bot", life=2) for _ in range(10)]
    lives = (Life(1, 1, 1, 0, 0, int(1.1 * S), False), Life(2, 2, 1, int(1.4 * S), 0, LATE_S * S, True))
    assert "visitor-lookups" in violations(replace(record([*both, *again]), lives=lives), contracts)
