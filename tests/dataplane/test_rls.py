"""Envoy's rate-limit service: each line of what our server has to do."""

from __future__ import annotations

import json

import pytest

from headway._core import Limiter, MeterSpec, PathReading
from tests.core.making import MICRO, SECOND, rate_curve
from tests.dataplane.conftest import House, Serve
from tests.dataplane.envoy import OK, OVER_LIMIT, descriptor, request

SECOND_UNIT, MINUTE_UNIT = 1, 2


def one(team: str = "search", hits: int | None = None, *, back: bool = False) -> bytes:
    return descriptor({"team": team}, hits, back=back)


@pytest.fixture
def keyed(house: House) -> House:
    """5 a second for every team, under `{team: each}`."""
    house.rate("api", 5, keys_max=100)
    house.bind(house.limiter("api", keyed=True), {"team": None})
    return house


def plain(house: House, name: str, level: int, **route: object) -> Limiter:
    """A rate bound to `{contract: NAME}`."""
    house.rate(name, level)
    limiter = house.limiter(name, settle_max_micro=50 * MICRO)
    house.bind(limiter, {"contract": name}, **route)
    return limiter


def told(name: str, hits: int | None = None, *, back: bool = False) -> bytes:
    return descriptor({"contract": name}, hits, back=back)


# --- never UNKNOWN --------------------------------------------------------------------------------------------------


def test_a_descriptor_is_admitted_until_its_limit(keyed: House) -> None:
    """5 a second for each team: five of search, then no; ads has its own five."""
    with keyed.envoy() as envoy:
        codes = [envoy.ask(request(one())).code for _ in range(6)]
        other = envoy.ask(request(one("ads")))

    assert [OK] * 5 + [OVER_LIMIT] == codes
    assert (OK, [OK]) == (other.code, other.codes)


def test_a_refusal_is_a_whole_answer(keyed: House) -> None:
    """The body and the headers that Envoy passes on: a problem document, RateLimit fields, Retry-After."""
    with keyed.envoy() as envoy:
        assert OK == envoy.ask(request(one(hits=5))).code
        answer = envoy.ask(request(one()))

    (status,) = answer.statuses
    assert (OVER_LIMIT, 5, SECOND_UNIT, "api:now", 0) == (
        status.code,
        status.quota,
        status.unit,
        status.name,
        status.remaining,
    )
    assert SECOND // 5 == status.reset_ns
    assert {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "retry-after": "1",
        "ratelimit-policy": '"api";q=5;w=1',
        "ratelimit": '"api";r=0;t=1',
    } == answer.headers
    said = json.loads(answer.body)
    assert ("api", "full", 429) == (said["contract"], said["why"], said["status"])
    assert "search" not in answer.body.decode()
    assert ("full", said["ref"]) == (answer.metadata["why"], answer.metadata["ref"])


def test_an_admission_says_what_is_left_and_under_which_version(keyed: House) -> None:
    """3 of 5 left: in the status, in the headers; the contract, its stage and version in the metadata."""
    with keyed.envoy() as envoy:
        answer = envoy.ask(request(one(hits=2)))

    assert (3, b"") == (answer.statuses[0].remaining, answer.body)
    assert {"ratelimit-policy": '"api";q=5;w=1', "ratelimit": '"api";r=3;t=1'} == answer.headers
    assert {"contracts": [{"contract": "api", "workload": "other", "version": 1.0, "stage": "now"}]} == answer.metadata


def test_meters_that_are_closed_are_over_limit(keyed: House) -> None:
    """A process that stops decides nothing: that is a no, for every contract."""
    keyed.meters.close()

    with keyed.envoy() as envoy:
        answer = envoy.ask(request(one()))

    assert (OVER_LIMIT, "closed", 503) == (answer.code, answer.metadata["why"], json.loads(answer.body)["status"])


def test_a_contract_without_a_limit_in_force_is_over_limit(house: House) -> None:
    """Declared and never published: nothing is known, so nothing is admitted, and the status has no limit to tell."""
    house.declare(MeterSpec("api", "rate", ceiling_micro=MICRO, per_ns=SECOND))
    house.bind(house.limiter("api"), {"contract": "api"})

    with house.envoy() as envoy:
        answer = envoy.ask(request(told("api")))

    assert (OVER_LIMIT, "not_published", "") == (answer.code, answer.metadata["why"], answer.statuses[0].name)


def test_what_comes_too_late_is_over_limit_for_contracts_that_enforce(serve: Serve) -> None:
    """A deadline of 0: nothing is charged, the refusal is `overloaded`; what only looks on is admitted."""
    house = serve(deadline_ms=0)
    house.rate("api", 5)
    enforced, looks_on = house.limiter("api"), house.limiter("api", workload="web", mode="observe")
    house.bind(enforced, {"contract": "api"})
    house.bind(looks_on, {"contract": "web"})

    with house.envoy() as envoy:
        late, seen = envoy.ask(request(told("api"))), envoy.ask(request(told("web")))

    assert (OVER_LIMIT, [OVER_LIMIT], "overloaded") == (late.code, late.codes, late.metadata["why"])
    assert (503, {"overloaded": 1}) == (json.loads(late.body)["status"], enforced.reading().refused_by)
    assert (OK, 4) == (seen.code, seen.statuses[0].remaining)


def test_a_draw_that_does_not_come_in_time_is_over_limit(serve: Serve) -> None:
    """A durable quota whose store is silent; the draw was asked for, and once it is there the next request passes."""
    house = serve()
    house.quota("exports", 10, durable=True)
    house.bind(house.limiter("exports"), {"contract": "exports"})

    with house.envoy() as envoy:
        answer = envoy.ask(request(told("exports")))
        assert (OVER_LIMIT, "drawing") == (answer.code, answer.metadata["why"])
        batch = house.meters.growth.take()
        house.meters.growth.answer(batch[0].batch_id, b"\1" * len(batch))
        answer = envoy.ask(request(told("exports")))

    assert (OK, 10, MINUTE_UNIT, 9) == (
        answer.code,
        answer.statuses[0].quota,
        answer.statuses[0].unit,
        answer.statuses[0].remaining,
    )
    assert 60 * SECOND == answer.statuses[0].reset_ns


# --- requests that ask nothing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", request(), request(domain="")])
def test_a_request_without_descriptors_is_ok_with_none(keyed: House, raw: bytes) -> None:
    """Probes send them."""
    with keyed.envoy() as envoy:
        answer = envoy.ask(raw)

    assert (OK, [], {}, {}, b"") == (answer.code, answer.statuses, answer.headers, answer.metadata, answer.body)


def test_descriptors_that_meet_no_contract_are_ok_and_say_nothing(keyed: House) -> None:
    """Another domain, another key, one entry more: nobody limits them."""
    strange = [descriptor({"user": "a"}), descriptor({"team": "a", "x": "y"}), descriptor({}), one()]

    with keyed.envoy() as envoy:
        mixed = envoy.ask(request(*strange))
        elsewhere = envoy.ask(request(one(), domain="inner"))

    assert ([OK] * 4, [0, 0, 0, 4]) == (mixed.codes, [status.remaining for status in mixed.statuses])
    assert ["", "", "", "api:now"] == [status.name for status in mixed.statuses]
    assert (OK, {}) == (elsewhere.code, elsewhere.headers)


# --- statuses -------------------------------------------------------------------------------------------------------


def test_statuses_have_the_order_of_the_descriptors(house: House) -> None:
    """Three contracts, asked in another order than they were bound."""
    for name, level in (("a", 1), ("b", 2), ("c", 3)):
        plain(house, name, level)

    with house.envoy() as envoy:
        answer = envoy.ask(request(told("c"), told("a"), descriptor({"no": "body"}), told("b")))

    assert [3, 1, 0, 2] == [status.quota for status in answer.statuses]
    assert ["c:now", "a:now", "", "b:now"] == [status.name for status in answer.statuses]
    assert '"c";r=2;t=1, "a";r=0;t=1, "b";r=1;t=1' == answer.headers["ratelimit"]


def test_a_limit_in_debt_has_nothing_remaining(house: House) -> None:
    """30 charged after the fact under 10 a second: 0 left, and one fits again in 2.1 s."""
    plain(house, "api", 10, post_paid=True)

    with house.envoy() as envoy:
        answer = envoy.ask(request(told("api", 30)))

    (status,) = answer.statuses
    assert (OVER_LIMIT, 0, 2 * SECOND + SECOND // 10) == (status.code, status.remaining, status.reset_ns)


def test_the_tightest_of_several_contracts_speaks_for_a_descriptor(house: House) -> None:
    """One descriptor meets two contracts: both are charged, the status is that of the one with the least left."""
    house.rate("wide", 10)
    house.rate("narrow", 3)
    for name in ("wide", "narrow"):
        house.bind(house.limiter(name), {"service": "orders"})

    with house.envoy() as envoy:
        answers = [envoy.ask(request(descriptor({"service": "orders"}))) for _ in range(4)]

    assert [OK, OK, OK, OVER_LIMIT] == [answer.code for answer in answers]
    assert ("narrow:now", 2) == (answers[0].statuses[0].name, answers[0].statuses[0].remaining)
    assert '"wide";r=7;t=1, "narrow";r=0;t=1' == answers[3].headers["ratelimit"]


def test_of_one_contract_the_first_route_that_matches_speaks(house: House) -> None:
    """`{service: orders, team: vip}` before `{service: orders, team: each}`: vip is not charged twice."""
    house.rate("api", 10)
    house.rate("teams", 10, keys_max=10)
    vip = house.limiter("api", workload="vip")
    rest = house.limiter("api", "teams", keyed=True)
    house.bind(vip, {"service": "orders", "team": "vip"})
    house.bind(rest, {"service": "orders", "team": None})

    with house.envoy() as envoy:
        for team in ("vip", "search"):
            assert OK == envoy.ask(request(descriptor([("team", team), ("service", "orders")]))).code

    assert (1, 1) == (vip.reading().admitted, rest.reading().admitted)


def test_nobody_is_told_of_upstreams_and_totals_unless_all_is_told(house: House) -> None:
    """`public`: the contract's own meter; `full`: the upstream too. It stops the request in either case."""
    house.rate("primary", 1)
    house.rate("api", 10)
    for tell in ("public", "full"):
        limiter = house.limiter("api", "primary", "api", workload=tell)
        house.bind(limiter, {"tell": tell}, tell=tell)

    with house.envoy() as envoy:
        assert OK == envoy.ask(request(descriptor({"tell": "public"}))).code
        public, full = (envoy.ask(request(descriptor({"tell": tell}))) for tell in ("public", "full"))

    assert (OVER_LIMIT, '"api";r=9;t=1') == (public.code, public.headers["ratelimit"])
    assert b"primary" not in public.raw
    assert (OVER_LIMIT, "primary:now") == (full.code, full.statuses[0].name)
    assert '"primary";r=0;t=1, "api";r=9;t=1' == full.headers["ratelimit"]
    assert "primary is full, and api spends it" in json.loads(full.body)["detail"]


# --- one decision ---------------------------------------------------------------------------------------------------


def test_all_descriptors_are_charged_or_none(house: House) -> None:
    """The last of three does not fit: the first two are as before, and only what would not fit is OVER_LIMIT."""
    limits = [plain(house, name, level) for name, level in (("a", 10), ("b", 10), ("c", 1))]

    with house.envoy() as envoy:
        assert OK == envoy.ask(request(told("a"), told("b"), told("c"))).code
        refused = envoy.ask(request(told("a"), told("b"), told("c")))
        assert OK == envoy.ask(request(told("a"), told("b"))).code

    assert (OVER_LIMIT, [OK, OK, OVER_LIMIT]) == (refused.code, refused.codes)
    assert [9, 9, 0] == [status.remaining for status in refused.statuses]
    readings: list[PathReading] = [limiter.reading() for limiter in limits]
    assert [(2, 0), (2, 0), (1, 1)] == [(reading.admitted, reading.refused) for reading in readings]


def test_two_descriptors_of_one_limit_fit_together_or_not_at_all(keyed: House) -> None:
    """3 and 3 of 5: neither. Then 3 and 2: both."""
    with keyed.envoy() as envoy:
        refused = envoy.ask(request(one(hits=3), one(hits=3)))
        admitted = envoy.ask(request(one(hits=3), one(hits=2)))

    assert (OVER_LIMIT, 5) == (refused.code, refused.statuses[0].remaining)
    assert (OK, 0) == (admitted.code, admitted.statuses[0].remaining)


def test_a_contract_that_looks_on_never_stops_a_request(house: House) -> None:
    """1 a second in observe beside 10 a second: all pass, two of them counted as what would have been refused."""
    house.rate("watched", 1)
    watched = house.limiter("watched", mode="observe")
    house.bind(watched, {"contract": "watched"})
    plain(house, "api", 10)

    with house.envoy() as envoy:
        assert [OK] * 3 == [envoy.ask(request(told("watched"), told("api"))).code for _ in range(3)]

    assert (3, {"full": 2}) == (watched.reading().admitted, watched.reading().refused_by)


# --- hits -----------------------------------------------------------------------------------------------------------


def test_hits_of_a_descriptor_stand_over_those_of_the_request(keyed: House) -> None:
    """4 for the request, 1 for the first descriptor: 1 and 4 are charged."""
    with keyed.envoy() as envoy:
        answer = envoy.ask(request(one("a", hits=1), one("b"), hits=4))

    assert [4, 1] == [status.remaining for status in answer.statuses]


def test_a_probe_charges_nothing_and_says_whether_use_is_within_the_limit(house: House) -> None:
    """Full is within the limit, debt is not, and under a limit of 0 nothing is."""
    limiter = plain(house, "api", 10, post_paid=True)

    with house.envoy() as envoy:
        probes = [envoy.ask(request(told("api", 0))).code]
        for hits in (10, 1):
            envoy.ask(request(told("api", hits)))
            probes.append(envoy.ask(request(told("api", 0))).code)
        house.meters.clock.advance(SECOND)
        house.publish("api", rate_curve(0, 2))
        probes.append(envoy.ask(request(told("api", 0))).code)

    assert [OK, OK, OVER_LIMIT, OVER_LIMIT] == probes
    assert 11 * MICRO == limiter.reading().admitted_micro


def test_a_probe_that_fails_keeps_everything_else_from_being_charged(house: House) -> None:
    """A request that is refused charges nobody."""
    plain(house, "tokens", 10, post_paid=True)
    api = plain(house, "api", 10)

    with house.envoy() as envoy:
        envoy.ask(request(told("tokens", 20)))
        answer = envoy.ask(request(told("api"), told("tokens", 0)))

    assert (OVER_LIMIT, [OK, OVER_LIMIT], 0) == (answer.code, answer.codes, api.reading().admitted)


def test_a_charge_after_the_fact_is_always_recorded(house: House) -> None:
    """Into debt, and beside a contract that refuses; at most `cost.max` (50) for one, more is cut to it and counted."""
    tokens = plain(house, "tokens", 10, post_paid=True)
    plain(house, "api", 1)

    with house.envoy() as envoy:
        envoy.ask(request(told("tokens", 30)))
        envoy.ask(request(told("tokens", 30), told("api", 5)))
        assert 60 * MICRO == tokens.reading().admitted_micro
        envoy.ask(request(told("tokens", 2**63)))

    assert (110 * MICRO, 1) == (tokens.reading().admitted_micro, tokens.reading().settled_above_max)


def test_what_is_given_back_never_mints(house: House) -> None:
    """10 a second, 4 taken: giving 100 back makes 10 of it again and not one more. What was forgiven is not given twice."""
    limiter = plain(house, "api", 10, refundable=True)

    with house.envoy() as envoy:
        assert 6 == envoy.ask(request(told("api", 4))).statuses[0].remaining
        assert 10 == envoy.ask(request(told("api", 100, back=True))).statuses[0].remaining
        envoy.ask(request(told("api", 10)))
        house.meters.clock.advance(SECOND)
        envoy.ask(request(told("api", 5)))
        assert 10 == envoy.ask(request(told("api", 5, back=True))).statuses[0].remaining
        assert 10 == envoy.ask(request(told("api", 10, back=True))).statuses[0].remaining
        assert 7 == envoy.ask(request(told("api", 3))).statuses[0].remaining

    assert 4 == limiter.reading().admitted


def test_units_of_another_key_are_not_given_back(house: House) -> None:
    """search took 4 of 5; ads gives 4 back and has taken none."""
    house.rate("api", 5, keys_max=100)
    house.bind(house.limiter("api", keyed=True), {"team": None}, refundable=True)

    with house.envoy() as envoy:
        envoy.ask(request(one("search", 4)))
        ads = envoy.ask(request(one("ads", 4, back=True)))
        search = envoy.ask(request(one("search", 0)))
        back = envoy.ask(request(one("search", 1, back=True), hits=9))

    assert [5, 1, 2] == [answer.statuses[0].remaining for answer in (ads, search, back)]
    assert [OK] * 3 == [answer.code for answer in (ads, search, back)]


def test_nothing_is_given_back_where_the_route_does_not_say_so(house: House) -> None:
    """`is_negative_hits` of a caller is no more than a word."""
    plain(house, "api", 10)

    with house.envoy() as envoy:
        envoy.ask(request(told("api", 4)))
        answer = envoy.ask(request(told("api", 4, back=True)))

    assert (OK, 6) == (answer.code, answer.statuses[0].remaining)


def test_what_can_be_given_back_stays_over_a_change_of_routes(house: House) -> None:
    """The engine swaps routes at every change; the charges that are remembered stay with their limiter."""
    plain(house, "api", 10, refundable=True)

    with house.envoy() as envoy:
        envoy.ask(request(told("api", 4)))
        house.plane.routes(house.checks, house.rls)
        assert 10 == envoy.ask(request(told("api", 4, back=True))).statuses[0].remaining


def test_more_hits_than_a_contract_takes_are_over_limit(house: House) -> None:
    """An error would be a yes to Envoy: 2^64 - 1 hits, or more than `units_max`, never fit."""
    house.rate("api", 10)
    limiter = house.limiter("api", units_max=5)
    house.bind(limiter, {"contract": "api"})

    with house.envoy() as envoy:
        answers = [envoy.ask(request(told("api", hits))) for hits in (6, 2**64 - 1)]

    assert [(OVER_LIMIT, "never_fits")] * 2 == [(answer.code, answer.metadata["why"]) for answer in answers]
    assert all("retry-after" not in answer.headers for answer in answers)


def test_a_limit_that_a_request_brings_is_no_limit(keyed: House) -> None:
    """An override of a million a second changes nothing: 5 it is."""
    override = b"\x08\xc0\x84\x3d\x10\x01"

    with keyed.envoy() as envoy:
        answers = [envoy.ask(request(descriptor({"team": "a"}, override=override))) for _ in range(6)]

    assert [OK] * 5 + [OVER_LIMIT] == [answer.code for answer in answers]
    assert {5} == {answer.statuses[0].quota for answer in answers}


def test_keys_beyond_their_number_are_over_limit(house: House) -> None:
    """`count: 2` of live keys: a third team is refused, and the two go on."""
    house.rate("api", 5, keys_max=2)
    house.bind(house.limiter("api", keyed=True), {"team": None})

    with house.envoy() as envoy:
        answers = [envoy.ask(request(one(team))) for team in ("a", "b", "c", "a")]

    assert [OK, OK, OVER_LIMIT, OK] == [answer.code for answer in answers]
    assert "too_many_keys" == answers[2].metadata["why"]
