"""Envoy's rate-limit service: each line of what our server has to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headway._core import Matches, MeterSpec, PathReading
from tests.core.making import MICRO, SECOND
from tests.dataplane.bound import one, plain, teams, told
from tests.dataplane.conftest import House, Serve
from tests.dataplane.envoy import OK, OVER_LIMIT, descriptor, request

SECOND_UNIT, MINUTE_UNIT = 1, 2


@pytest.fixture
def keyed(house: House) -> House:
    """5 a second for every team, under `{team: each}`."""
    teams(house)
    return house


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


# --- who asks -------------------------------------------------------------------------------------------------------

MATCHES = Matches([("shop", [("user", ["shop_*"])]), ("search", [("team", ["search"])])])


def matched(house: House, *, keyed: bool = False, **route: Any) -> None:
    """5 a second for each workload, 1 for the rest. Of a keyed one the key is the team."""
    for name in ("shop", "search", "rest"):
        house.rate(name, 5 if name != "rest" else 1, **({"keys_max": 9} if keyed else {}))
    shop, search, rest = (
        house.limiter("api", name, workload="other" if name == "rest" else name, keyed=keyed)
        for name in ("shop", "search", "rest")
    )
    entries = {"service": "api", "team": None} if keyed else {"service": "api"}
    house.bind(rest, entries, matches=MATCHES, matched=[shop, search], **route)


def test_what_a_descriptor_says_beside_its_binding_names_the_workload(house: House) -> None:
    """Entries that matches look at may stand beside those of the binding, in any order; nothing else may."""
    matched(house)
    said: list[tuple[dict[str, str], int]] = [
        ({"user": "shop_7", "service": "api"}, OK),
        ({"service": "api", "team": "search"}, OK),
        ({"service": "api", "team": "ads"}, OK),
        ({"service": "api"}, OVER_LIMIT),
        ({"service": "api", "user": "shop_7", "agent": "x"}, OK),
    ]
    with house.envoy() as envoy:
        for entries, code in said:
            assert code == envoy.ask(request(descriptor(entries))).code, entries

    counts = {path.workload: (path.admitted, path.refused) for path in house.meters.paths()}
    assert {"shop": (1, 0), "search": (1, 0), "other": (1, 1)} == counts


def test_the_entries_of_a_binding_are_said_too(house: House) -> None:
    """The team is the key, and what a match looks at: search has its workload, and every team its own limit in it."""
    matched(house, keyed=True)
    with house.envoy() as envoy:
        codes = [
            envoy.ask(request(descriptor({"service": "api", "team": team}))).code for team in ("search", "ads", "ads")
        ]
        shops = [
            envoy.ask(request(descriptor({"service": "api", "team": team, "user": "shop_1"}, hits=5))).code
            for team in ("ads", "mail", "ads")
        ]

    assert [OK, OK, OVER_LIMIT] == codes
    assert [OK, OK, OVER_LIMIT] == shops


def test_hits_go_back_to_the_workload_that_was_charged(house: House) -> None:
    """Five of shop's are given back on shop's own account; search has charged none and gets none."""
    matched(house, refundable=True)
    shop, search = {"service": "api", "user": "shop_1"}, {"service": "api", "team": "search"}
    with house.envoy() as envoy:
        assert OK == envoy.ask(request(descriptor(shop, hits=5))).code
        assert OVER_LIMIT == envoy.ask(request(descriptor(shop))).code
        envoy.ask(request(descriptor(search, hits=5, back=True)))
        assert OVER_LIMIT == envoy.ask(request(descriptor(shop))).code
        envoy.ask(request(descriptor(shop, hits=5, back=True)))
        assert OK == envoy.ask(request(descriptor(shop, hits=5))).code
