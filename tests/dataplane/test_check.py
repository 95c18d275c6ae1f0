"""`/check/{contract}`: what fronts ask, and what they are told."""

from __future__ import annotations

import json
from typing import Literal

import http_sfv
import pytest

from headway._core import Matches, Refusal
from headway.enforce.http import answer_of
from headway.server.codes import CODES
from tests.core.making import MICRO, SECOND, rate_curve
from tests.dataplane.conftest import House, Serve


def test_a_check_is_admitted_until_the_limit_and_then_refused(house: House) -> None:
    """2 a second: two pass with their headers, the third is told when to come back."""
    house.rate("api", 2)
    house.check("api", house.limiter("api"))

    with house.http() as front:
        first, second, third = (front.get("/check/api") for _ in range(3))

    assert [200, 200, 429] == [first.status_code, second.status_code, third.status_code]
    assert ('"api";q=2;w=1', '"api";r=1;t=1') == (first.headers["ratelimit-policy"], first.headers["ratelimit"])
    assert (b"", "no-store") == (first.content, first.headers["cache-control"])
    assert ("1", '"api";r=0;t=1') == (third.headers["retry-after"], third.headers["ratelimit"])
    assert "application/problem+json" == third.headers["content-type"]
    said = third.json()
    assert ("api", "full", 429, ["api"]) == (said["contract"], said["why"], said["status"], said["violated-policies"])
    assert said["detail"] == f"api has no room at the moment. Try again in 1 s. [{said['ref']}]"
    story = house.meters.story(said["ref"])
    assert story is not None
    assert "api is full: 2 of 2 requests a second. Try again in about 500 ms." in story["sentence"]


@pytest.mark.parametrize("tell", ["full", "public"])
def test_the_check_says_what_the_middleware_says(house: House, tell: Literal["full", "public"]) -> None:
    """The same refusal through Python and through the data plane: the same headers and the same document but its `ref`."""
    house.rate("db", 2)
    house.rate("api", 5)
    limiter = house.limiter("api", "db", "api")
    house.check("api", limiter, tell=tell)
    assert limiter.try_acquire(2)

    refusal = limiter.probe()
    assert isinstance(refusal, Refusal)
    with house.http() as front:
        response = front.get("/check/api")

    assert 429 == response.status_code
    answer = answer_of(limiter, refusal, tell)
    expected, said = json.loads(answer.body), response.json()
    assert expected.pop("ref") in expected["detail"] and said["ref"] in said["detail"]
    assert expected.pop("detail").partition(" [")[0] == said.pop("detail").partition(" [")[0]
    del said["ref"]
    assert expected == said
    headers = {name.decode(): value.decode() for name, value in answer.headers if name != b"content-length"}
    assert {"ratelimit", "ratelimit-policy", "retry-after", "content-type", "cache-control"} <= headers.keys()
    assert headers.items() <= dict(response.headers).items()


def test_the_fields_are_structured_fields(house: House) -> None:
    """RFC 9651 as another library reads it."""
    house.quota("exports", 10)
    house.check("exports", house.limiter("exports"))

    with house.http() as front:
        response = front.get("/check/exports?units=4")

    policy, state = http_sfv.List(), http_sfv.List()
    policy.parse(response.headers["ratelimit-policy"].encode())
    state.parse(response.headers["ratelimit"].encode())
    assert [("exports", {"q": 10, "w": 60})] == [(item.value, dict(item.params)) for item in policy]
    assert [("exports", {"r": 6, "t": 60})] == [(item.value, dict(item.params)) for item in state]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_units_workload_and_key_are_asked_for_in_the_query(house: House, method: str) -> None:
    """3 of 10 units of key `a b` for the workload `web`: that limiter alone counts them."""
    house.rate("api", 10, keys_max=100)
    web, other = (house.limiter("api", keyed=True, workload=name) for name in ("web", "other"))
    house.check("api", web, other)

    with house.http() as front:
        response = front.request(method, "/check/api", params={"workload": "web", "key": "a b", "units": 3})

    assert (200, '"api";r=7;t=1') == (response.status_code, response.headers["ratelimit"])
    assert (3 * MICRO, 0) == (web.reading().admitted_micro, other.reading().admitted)
    assert ('"api";q=10;w=1', '"api";r=7;t=1') == web.rate_limit_fields("a b")


def test_a_workload_that_is_not_declared_is_other(house: House) -> None:
    """A request may call itself anything: it makes no new limiter, and `other` takes it. Without `other` it is refused."""
    house.rate("api", 10)
    house.rate("db", 10)
    other = house.limiter("api")
    house.check("api", other)
    house.check("db", house.limiter("db", workload="web"))

    with house.http() as front:
        assert [200, 200] == [front.get(f"/check/api{query}").status_code for query in ("?workload=vip", "")]
        lost = front.get("/check/db?workload=vip")

    assert 2 == other.reading().admitted
    assert (404, "HW406") == (lost.status_code, lost.json()["code"])


def test_nginx_is_told_no_with_403(house: House) -> None:
    """`auth_request` makes a 500 of every other no; the headers stay the same."""
    house.rate("api", 1)
    house.check("api", house.limiter("api"))

    with house.http() as front:
        assert 200 == front.get("/check/api?dialect=nginx").status_code
        response = front.get("/check/api?dialect=nginx")

    assert (403, "1") == (response.status_code, response.headers["retry-after"])
    assert '"api";r=0;t=1' == response.headers["ratelimit"]


def test_what_cannot_be_asked_is_503_and_never_a_yes(house: House) -> None:
    """Closed meters: 503, for nginx 403. A contract that only looks on refuses then as well."""
    house.rate("api", 1)
    house.check("api", house.limiter("api", mode="observe"))
    house.meters.close()

    with house.http() as front:
        plain, nginx = front.get("/check/api"), front.get("/check/api?dialect=nginx")

    assert (503, "closed", 403) == (plain.status_code, plain.json()["why"], nginx.status_code)


def test_a_contract_that_looks_on_admits_and_counts(house: House) -> None:
    """1 a second in observe: three pass, two of them counted as what would have been refused."""
    house.rate("api", 1)
    limiter = house.limiter("api", mode="observe")
    house.check("api", limiter)

    with house.http() as front:
        assert [200] * 3 == [front.get("/check/api").status_code for _ in range(3)]

    assert (3, {"full": 2}) == (limiter.reading().admitted, limiter.reading().refused_by)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?units=0", "HW422"),
        ("?units=-1", "HW422"),
        ("?units=1&units=1", "HW422"),
        ("?key=a", "HW422"),
        ("?burst=9", "HW422"),
        ("?dialect=apache", "HW422"),
        ("?key=%zz", "HW422"),
        ("?workload=" + "x" * 300, "HW422"),
        ("?units=101", "HW422"),
        ("/more", "HW410"),
    ],
)
def test_what_a_check_cannot_mean_is_told_and_charges_nothing(house: House, query: str, code: str) -> None:
    """A wrong parameter, a key where there are none, more units than the contract takes: no decision, and no yes."""
    house.rate("api", 1)
    limiter = house.limiter("api", units_max=100)
    house.check("api", limiter)

    with house.http() as front:
        response = front.get(f"/check/api{query}")

    said = response.json()
    assert (code, CODES[code].status) == (said["code"], response.status_code)
    assert "application/problem+json" == response.headers["content-type"]
    assert said["because"] and said["mend"] and said["title"] == said["problem"]
    assert (0, 0) == (limiter.reading().admitted, limiter.reading().refused)


def test_a_contract_with_keys_wants_one(house: House) -> None:
    """No key is a mistake of the front; an empty one is a key that all share who have none."""
    house.rate("api", 1, keys_max=10)
    house.check("api", house.limiter("api", keyed=True))

    with house.http() as front:
        answers = [front.get(f"/check/api{query}").status_code for query in ("", "?key=", "?key=", "?key=a")]

    assert [422, 200, 429, 200] == answers


def test_a_contract_nobody_routed_is_unknown(house: House) -> None:
    """No contract, no path, no method: each told by its own code."""
    with house.http() as front:
        answers = [front.get("/check/api"), front.get("/"), front.get("/check/"), front.get("/v1/contracts")]
        wrong = front.delete("/check/api")

    assert ["HW404", "HW410", "HW410", "HW410"] == [answer.json()["code"] for answer in answers]
    assert (405, "HW411", "GET, POST") == (wrong.status_code, wrong.json()["code"], wrong.headers["allow"])


def test_a_demand_waits_for_its_first_draw_and_not_for_ever(serve: Serve) -> None:
    """A durable quota that the store never answers for: refused as `drawing` once the time is over."""
    house = serve(check_deadline_ms=50)
    house.quota("exports", 10, durable=True)
    house.check("exports", house.limiter("exports"))

    with house.http() as front:
        response = front.get("/check/exports")

    assert (503, "drawing") == (response.status_code, response.json()["why"])
    batch = house.meters.growth.take()
    assert ["exports"] == [growth.meter for growth in batch]
    house.meters.growth.answer(batch[0].batch_id, b"\1")
    with house.http() as front:
        assert 200 == front.get("/check/exports").status_code


def test_a_check_that_comes_too_late_is_refused_as_overloaded(serve: Serve) -> None:
    """A deadline of 0: nothing is charged, a contract that looks on admits, and the refusal is counted by its reason."""
    house = serve(check_deadline_ms=0)
    house.rate("api", 1)
    enforced, looks_on = house.limiter("api"), house.limiter("api", workload="web", mode="observe")
    house.check("api", enforced, looks_on)

    with house.http() as front:
        refused, admitted = front.get("/check/api"), front.get("/check/api?workload=web")

    assert (503, "overloaded", 200) == (refused.status_code, refused.json()["why"], admitted.status_code)
    assert {"overloaded": 1} == enforced.reading().refused_by
    assert '"api";r=0;t=1' == admitted.headers["ratelimit"]


def test_a_change_of_limit_is_met_by_the_next_check(house: House) -> None:
    """Routes stay; the curve under them changes."""
    house.rate("api", 1)
    house.check("api", house.limiter("api"))

    with house.http() as front:
        assert [200, 429] == [front.get("/check/api").status_code for _ in range(2)]
        house.publish("api", rate_curve(100, 2))
        house.meters.clock.advance(SECOND)
        assert '"api";q=100;w=1' == front.get("/check/api").headers["ratelimit-policy"]


@pytest.fixture
def told_apart(house: House) -> House:
    """Two workloads with a match, one that is only named, and the rest."""
    house.rate("api", 100)
    matches = Matches([("shop", [("user", ["shop_*"])]), ("eu", [("header.x-region", ["eu", "ch"]), ("user", ["*"])])])
    limiters = [house.limiter("api", workload=name) for name in ("shop", "eu", "nightly", "other")]
    house.check("api", *limiters, matches=matches)
    return house


def admitted(house: House) -> dict[str, int]:
    return {path.workload: path.admitted for path in house.meters.paths() if path.admitted}


def test_a_check_may_say_who_asks_in_place_of_naming_a_workload(told_apart: House) -> None:
    """The first match wins; where none takes what is said, or nothing is said, it is `other`."""
    with told_apart.http() as front:
        for query in (
            "attr.user=shop_7",
            "attr.user=ana%40x&attr.header.x-region=ch",
            "attr.user=ana",
            "",
            "workload=nightly",
        ):
            assert 200 == front.get(f"/check/api?{query}").status_code

    assert {"shop": 1, "eu": 1, "other": 2, "nightly": 1} == admitted(told_apart)


@pytest.mark.parametrize(
    "query",
    [
        "attr.usr=shop_7",
        "attr.user=a&attr.user=b",
        "attr.user=a&workload=shop",
        "attr.=a",
        "attr.user=%ff",
        "attr.user=" + "x" * 1_025,
    ],
)
def test_a_check_that_says_what_nobody_looks_at_or_too_much_is_no_yes(told_apart: House, query: str) -> None:
    """A slip in a front's configuration would make everybody `other`: it is told instead, and nothing is charged."""
    with told_apart.http() as front:
        answer = front.get(f"/check/api?{query}")

    assert (422, "HW422") == (answer.status_code, answer.json()["code"])
    assert {} == admitted(told_apart)


def test_what_is_said_of_a_contract_without_matches_is_told_to_say_nothing(house: House) -> None:
    house.rate("api", 2)
    house.check("api", house.limiter("api"))

    with house.http() as front:
        answer = front.get("/check/api?attr.user=x")
        unknown = front.get("/check/nothing?attr.user=x")

    assert (422, "no workload of the contract has a match") == (answer.status_code, answer.json()["problem"][:39])
    assert "HW404" == unknown.json()["code"]


def test_a_match_of_a_workload_without_a_limiter_is_no_route(house: House) -> None:
    house.rate("api", 2)
    with pytest.raises(ValueError, match='"web" has a match, and no limiter'):
        house.check("api", house.limiter("api"), matches=Matches([("web", [("user", ["x"])])]))
