"""How much a descriptor asks for: hits, probes, charges after the fact, hits given back."""

from __future__ import annotations

import pytest

from tests.core.making import MICRO, SECOND, rate_curve
from tests.dataplane.bound import one, plain, teams, told
from tests.dataplane.conftest import House
from tests.dataplane.envoy import OK, OVER_LIMIT, descriptor, request


@pytest.fixture
def keyed(house: House) -> House:
    """5 a second for every team, under `{team: each}`."""
    teams(house)
    return house


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
    """search took 4 of 5; 64 other teams give 4 back each and have taken none: what search took is still search's."""
    house.rate("api", 5, keys_max=100)
    house.bind(house.limiter("api", keyed=True), {"team": None}, refundable=True)

    with house.envoy() as envoy:
        envoy.ask(request(one("search", 4)))
        others = [envoy.ask(request(one(f"team-{i}", 4, back=True))) for i in range(64)]
        search = envoy.ask(request(one("search", 0)))
        back = envoy.ask(request(one("search", 1, back=True), hits=9))

    assert [1, 2] == [answer.statuses[0].remaining for answer in (search, back)]
    assert {(OK, 5)} == {(answer.code, answer.statuses[0].remaining) for answer in others}


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
