"""What changes something: who may, what it takes, and that a no changes nothing."""

from typing import Any

import pytest

from headway.server.asks import REASON_MOST
from tests.server.conftest import NOW_MS, Callers, World, problem

ORDERS = "/v1/contracts/orders-db"
YES = {"reason": "replica checked", "stage": "replica", "group": "dba"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "replica.promoted"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
YAML = {"content-type": "application/yaml"}
NEW = """\
contract: mail
owner: team-web
constraint: {measure: rate, unit: mail, per: 1m}
workloads: {other: {}}
ramp: [{stage: now, limit: 60}]
"""


@pytest.fixture
def unchanged(world: World) -> Any:
    """Says whether the ledger is as it was."""
    before = world.engine.ledger().count()
    return lambda: world.engine.ledger().count() == before


def limit(world: World) -> int:
    running = world.engine.contract("orders-db")
    return int(running.curve.level_micro("", world.engine.now_ms())) // 1_000_000


def test_an_event_and_an_approval_bring_the_next_stage(callers: Callers, world: World):
    """50 waits for both; with the second of them the stage is entered in the same call, and the limit is 120."""
    accepted = callers["olaf"].post("/v1/events", json=EVENT, headers=STRUCTURED)
    approved = callers["dora"].post(f"{ORDERS}/approve", json=YES)

    assert (202, 200) == (accepted.status_code, approved.status_code)
    assert ({"": 50_000_000}, {"": 120_000_000}) == (approved.json()["before_micro"], approved.json()["after_micro"])
    assert 120 == limit(world)
    entries = callers["vera"].get("/v1/ledger/tail", params={"contract": "orders-db", "most": 3}).json()["entries"]
    assert ["event", "approved", "entered"] == [entry["kind"] for entry in entries]
    assert ["token:olaf", "token:dora", "headway"] == [entry["actor"] for entry in entries]


def test_an_event_that_comes_again_is_accepted_and_counts_once(callers: Callers, world: World):
    """The same source and id, in the other mode: 202, an outcome that says so, no entry."""
    callers["olaf"].post("/v1/events", json=EVENT, headers=STRUCTURED)
    before = world.engine.ledger().count()

    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    again = callers["olaf"].post("/v1/events", headers=headers)

    (outcome,) = again.json()["outcomes"]
    assert (202, [], []) == (again.status_code, outcome["seqs"], outcome["entries"])
    assert outcome["said"].startswith("orders-db counted it already, ")
    assert before == world.engine.ledger().count()


def test_an_event_nobody_asks_for_is_accepted(callers: Callers, unchanged: Any):
    """A pipeline need not know who listens."""
    response = callers["olaf"].post("/v1/events", json=EVENT | {"type": "coffee.ready"}, headers=STRUCTURED)

    assert (202, []) == (response.status_code, response.json()["outcomes"])
    assert unchanged()


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, b"", (400, "HW400")),
        (STRUCTURED, b"{", (400, "HW400")),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]", (415, "HW415")),
        (STRUCTURED, b" " * 70_000, (413, "HW413")),
    ],
)
def test_a_malformed_event_is_refused(callers: Callers, unchanged: Any, headers: Any, body: bytes, expected: Any):
    assert expected == problem(callers["olaf"].post("/v1/events", content=body, headers=headers))
    assert unchanged()


@pytest.mark.parametrize("verb", ["hold", "resume", "advance", "step-back", "abort", "retire"])
def test_a_preview_says_what_it_would_do_and_changes_nothing(callers: Callers, unchanged: Any, verb: str):
    """Also where the answer is that it cannot be done."""
    response = callers["olaf"].post(f"{ORDERS}/{verb}", params={"dry_run": 1}, json={"reason": "only asking"})

    assert response.status_code in (200, 409)
    assert response.json()["said"] if response.is_success else problem(response)
    assert unchanged()


def test_a_hold_is_recorded_with_who_and_why_and_names_its_undo(callers: Callers, world: World):
    outcome = callers["olaf"].post(f"{ORDERS}/hold", json={"reason": "  load test "}).json()

    held = world.engine.contract("orders-db").state.held
    assert held is not None
    assert ("token:olaf", "load test") == (held.by, held.reason)
    assert outcome["undo"].startswith("headway resume orders-db")


def test_retire_is_refused_while_something_spends_it(callers: Callers):
    """`orders-db` spends the cluster, so the cluster stays; what spends may go, and then the cluster may."""
    assert 409 == problem(callers["olaf"].post("/v1/contracts/cluster-cpu/retire", json={"reason": "x"}))[0]
    assert 200 == callers["olaf"].post(f"{ORDERS}/retire", json={"reason": "moved"}).status_code
    assert 200 == callers["olaf"].post("/v1/contracts/cluster-cpu/retire", json={"reason": "moved"}).status_code


@pytest.mark.parametrize("end", ["abort", "retire"])
@pytest.mark.parametrize("verb", ["hold", "resume", "advance", "step-back"])
def test_a_verb_after_the_end_is_409_and_changes_nothing(callers: Callers, world: World, end: str, verb: str):
    """An ended ramp does not move any more, and says what would start it again."""
    callers["olaf"].post(f"{ORDERS}/{end}", json={"reason": "over"})
    before = world.engine.ledger().count()

    assert (409, "HW510") == problem(callers["olaf"].post(f"{ORDERS}/{verb}", json={"reason": "x"}))
    assert (409, "HW510") == problem(callers["dora"].post(f"{ORDERS}/approve", json=YES))
    assert before == world.engine.ledger().count()


# --- who may ------------------------------------------------------------------------------------------------------

ACTS: list[tuple[str, Any, Any]] = [
    (f"{ORDERS}/hold", {"reason": "x"}, {}),
    (f"{ORDERS}/override", {"reason": "x", "value": 40, "until": "1h"}, {}),
    ("/v1/clock", {"reason": "x"}, {}),
    ("/v1/events", EVENT, STRUCTURED),
]


@pytest.mark.parametrize("token", ["vera", "dora", "gate"])
@pytest.mark.parametrize(("path", "body", "headers"), ACTS)
def test_acts_want_the_role_operator(callers: Callers, unchanged: Any, token: str, path: str, body: Any, headers: Any):
    assert (403, "HW403") == problem(callers[token].post(path, json=body, headers=headers))
    assert unchanged()


def test_apply_wants_the_role_operator(callers: Callers, unchanged: Any):
    assert (403, "HW403") == problem(callers["vera"].post("/v1/apply", content=NEW, headers=YAML))
    assert unchanged()


@pytest.mark.parametrize(("token", "group"), [("vera", "dba"), ("olaf", "dba"), ("gate", "dba"), ("dora", "product")])
def test_an_approval_wants_an_approver_with_that_group(callers: Callers, unchanged: Any, token: str, group: str):
    """An operator is no approver; an approver for dba is none for product."""
    assert (403, "HW403") == problem(callers[token].post(f"{ORDERS}/approve", json=YES | {"group": group}))
    assert unchanged()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"stage": "replcia"}, (404, "HW405")),
        ({"stage": "launch"}, (409, "HW516")),
        ({"stage": "exception:7"}, (404, "HW511")),
        ({"terms": "0" * 64}, (409, "HW512")),
        ({"expect": "0" * 64}, (409, "HW428")),
        ({"terms": "xyz"}, (422, "HW422")),
        ({"terms": "0" * 65}, (422, "HW422")),
        ({"stage": ""}, (422, "HW422")),
        ({"stage": 7}, (422, "HW422")),
        ({"value": 40}, (422, "HW422")),
    ],
)
def test_an_approval_of_something_else_is_refused(callers: Callers, unchanged: Any, change: Any, expected: Any):
    """Another stage, other terms, another version, a field of another verb."""
    assert expected == problem(callers["dora"].post(f"{ORDERS}/approve", json=YES | change))
    assert unchanged()


def test_an_approval_names_the_terms_that_were_read(callers: Callers, world: World):
    """The page gives both digests, whole or their first eight digits; with them the yes counts."""
    page = callers["vera"].get(ORDERS).json()

    response = callers["dora"].post(
        f"{ORDERS}/approve", json=YES | {"terms": page["terms_digest"][:8], "expect": page["digest"]}
    )

    assert 200 == response.status_code
    [given] = world.engine.contract("orders-db").state.approvals
    assert page["terms_digest"] == given.terms_digest


# --- override -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "units"), [(40, 40), ("40", 40), (40.0, 40), ({"": 40}, 40), ("0.5", 0), (0, 0)])
def test_an_override_cuts_until_its_end(callers: Callers, world: World, value: Any, units: int):
    """A cut wants one person. After its hour the stage's limit is back."""
    body = {"reason": "partner maintenance", "value": value, "until": "1h"}

    assert 200 == callers["olaf"].post(f"{ORDERS}/override", json=body).status_code
    assert units == limit(world)

    world.pass_ms(3_600_000)
    assert 50 == limit(world)


def test_an_override_ends_at_an_instant_in_any_zone(callers: Callers, world: World):
    """10:00 in Paris is 09:00 UTC, an hour from now."""
    body = {"reason": "x", "value": 40, "until": "2026-12-01T10:00 Europe/Paris"}

    callers["olaf"].post(f"{ORDERS}/override", json=body)

    overridden = world.engine.contract("orders-db").state.overridden
    assert overridden is not None
    assert NOW_MS + 3_600_000 == overridden.until_ms


@pytest.mark.parametrize(
    "change",
    [
        {"value": -1},
        {"value": "-1"},
        {"value": "many"},
        {"value": "1e400"},
        {"value": "10,000"},
        {"value": True},
        {"value": None},
        {"value": {}},
        {"value": {"requests": 5}},
        {"value": "9" * 41},
        {"until": ""},
        {"until": "soon"},
        {"until": "0s"},
        {"until": "367d"},
        {"until": "2026-12-01T10:00"},
        {"until": "2026-11-30T10:00 Europe/Paris"},
        {"until": "2026-02-30T10:00 UTC"},
        {"until": 7200},
        {"second": "olga"},
    ],
)
def test_an_override_without_a_usable_limit_or_end_is_422(callers: Callers, unchanged: Any, change: Any):
    body = {"reason": "x", "value": 40, "until": "1h"} | change

    response = callers["olaf"].post(f"{ORDERS}/override", json=body)

    assert (422, "HW422") == problem(response)
    assert response.json()["fields"]
    assert unchanged()


def test_several_dimensions_are_overridden_by_name(callers: Callers, world: World):
    """One number is not enough where there are two; one of the two by name is."""
    path, body = "/v1/contracts/search/override", {"reason": "x", "until": "1h"}

    assert (422, "HW422") == problem(callers["olaf"].post(path, json=body | {"value": 5}))
    assert 200 == callers["olaf"].post(path, json=body | {"value": {"requests": 5}}).status_code
    overridden = world.engine.contract("search").state.overridden
    assert overridden is not None
    assert {"requests": 5_000_000} == overridden.value_micro


RAISE = {"reason": "launch day", "value": 60, "until": "1h"}


@pytest.mark.parametrize(
    ("second", "status"),
    [(None, 409), ("olaf", 403), ("vera", 403), ("gate", 403), ("stranger", 403), ("olga", 200), ("dora", 200)],
)
def test_a_raise_wants_a_second_person_by_their_own_token(
    callers: Callers, world: World, second: str | None, status: int
):
    """Nobody, oneself, somebody without a right, an unknown token: no. Another operator or an approver: yes, by name."""
    headers = {} if second is None else {"headway-second": second}

    response = callers["olaf"].post(f"{ORDERS}/override", json=RAISE, headers=headers)

    assert status == response.status_code
    assert (60 if status == 200 else 50) == limit(world)
    if status == 200:
        [entry] = [one for one in response.json()["entries"] if one["kind"] == "overridden"]
        assert f"token:{second}" == entry["body"]["second"]
    else:
        problem(response)


def test_the_one_person_of_a_loopback_server_may_raise_and_it_is_recorded(callers: Callers):
    [entry, *_] = callers["solo"].post(f"{ORDERS}/override", json=RAISE).json()["entries"]

    assert (True, None) == (entry["body"]["single_user"], entry["body"]["second"])


# --- bodies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "   "},
        {"reason": None},
        {"reason": 7},
        {"reason": "x" * (REASON_MOST + 1)},
        {"reason": "a\x1b[31mred"},
        {"reason": "one line\nand another"},
        {"reason": "a\x00b"},
        {"reason": "x", "value": 40},
        {"reason": "x", "actor": "user:ana"},
        [],
        "hold",
        None,
    ],
)
def test_a_verb_takes_a_reason_and_nothing_else(callers: Callers, unchanged: Any, body: Any):
    """Nobody names the actor: it is who sends the token."""
    assert (422, "HW422") == problem(callers["olaf"].post(f"{ORDERS}/hold", json=body))
    assert unchanged()


@pytest.mark.parametrize("content", [b"", b"{", b"{'reason': 'x'}", b"\xff", b"[" * 10_000])
def test_a_body_that_is_not_json_is_refused(callers: Callers, unchanged: Any, content: bytes):
    """Empty, cut short, not quite JSON, not UTF-8, nested past any parser's depth."""
    headers = {"content-type": "application/json"}

    assert problem(callers["olaf"].post(f"{ORDERS}/hold", content=content, headers=headers))[0] in (400, 422)
    assert unchanged()


def test_what_was_sent_is_not_repeated(callers: Callers):
    """A secret pasted into the wrong field must not come back in an error, nor end in somebody's log."""
    response = callers["olaf"].post(f"{ORDERS}/hold", json={"reason": {"token": "hw_secret"}})

    assert "hw_secret" not in response.text


@pytest.mark.parametrize("verb", ["explode", "step_back", "Hold", "timeline"])
def test_an_unknown_verb_changes_nothing(callers: Callers, unchanged: Any, verb: str):
    assert callers["olaf"].post(f"{ORDERS}/{verb}", json={"reason": "x"}).status_code in (404, 405, 422)
    assert unchanged()


@pytest.mark.parametrize("verb", ["hold", "approve", "override"])
def test_a_verb_on_an_unknown_contract_is_404_with_the_nearest(callers: Callers, unchanged: Any, verb: str):
    body = {"hold": {"reason": "x"}, "approve": YES, "override": {"reason": "x", "value": 1, "until": "1h"}}[verb]
    token = "dora" if verb == "approve" else "olaf"

    response = callers[token].post(f"/v1/contracts/order-db/{verb}", json=body)

    assert (404, "HW404") == problem(response)
    assert "orders-db" in response.json()["mend"]
    assert unchanged()


def test_a_verb_for_another_version_is_refused(callers: Callers, unchanged: Any):
    """The digest that was read is not the one in force: HW428 names the one that is."""
    response = callers["olaf"].post(f"{ORDERS}/hold", json={"reason": "x", "expect": "0" * 64})

    assert (409, "HW428") == problem(response)
    assert callers["vera"].get(ORDERS).json()["digest"] == response.json()["digest"]
    assert unchanged()


# --- apply and the clock ------------------------------------------------------------------------------------------


def test_apply_puts_a_first_version_in_force(callers: Callers, world: World):
    response = callers["olaf"].post("/v1/apply", params={"reason": "first"}, content=NEW, headers=YAML)

    assert 200 == response.status_code
    assert ("mail", "token:olaf") == (
        world.engine.contract("mail").contract.name,
        response.json()["entries"][0]["actor"],
    )
    assert [] == callers["olaf"].post("/v1/apply", content=NEW, headers=YAML).json()["seqs"]


def test_apply_may_link_to_what_runs_already(callers: Callers, world: World):
    """A document that spends cluster-cpu, which is not in it but runs: the names need not be repeated."""
    spender = NEW.replace("ramp:", "upstream: [{contract: cluster-cpu, spends: 0.1}]\nramp:", 1)

    response = callers["olaf"].post("/v1/apply", content=spender, headers=YAML)

    assert 200 == response.status_code, response.json()
    unknown = spender.replace("cluster-cpu", "elsewhere")
    assert 422 == callers["olaf"].post("/v1/apply", content=unknown, headers=YAML).status_code


def test_apply_of_other_terms_is_refused_until_amendments_come(callers: Callers, unchanged: Any, world: World):
    callers["olaf"].post("/v1/apply", content=NEW, headers=YAML)
    before = world.engine.ledger().count()

    response = callers["olaf"].post("/v1/apply", content=NEW.replace("60", "70"), headers=YAML)

    assert (422, "HW520") == problem(response)
    assert before == world.engine.ledger().count()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"contract: x",
        b"ramp: [" * 100,
        NEW.replace("60", "10,000").encode(),
        NEW.encode() + b"\n---\ncontract: y\n",
    ],
)
def test_apply_of_faulty_documents_lists_the_faults_and_applies_none(callers: Callers, unchanged: Any, content: bytes):
    """Also where one of two is sound: all of them or none."""
    response = callers["olaf"].post("/v1/apply", content=content, headers=YAML)

    assert 422 == problem(response)[0]
    assert response.json()["findings"]
    assert unchanged()


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded"])
def test_apply_takes_yaml_and_json_only(callers: Callers, unchanged: Any, kind: str):
    """A form of a page can send a text/plain body without asking; it cannot send this."""
    assert (415, "HW415") == problem(callers["olaf"].post("/v1/apply", content=NEW, headers={"content-type": kind}))
    assert unchanged()


@pytest.mark.parametrize("query", [{"expect": "0" * 64}, {"expect": "xyz"}, {"reason": "x" * 501}])
def test_apply_of_something_else_than_expected_is_refused(callers: Callers, unchanged: Any, query: Any):
    assert problem(callers["olaf"].post("/v1/apply", params=query, content=NEW, headers=YAML))[0] in (409, 422)
    assert unchanged()


def test_a_suspected_clock_lets_cuts_through_and_raises_wait_until_it_is_confirmed(callers: Callers, world: World):
    """The wall jumps an hour: the raise is refused, the cut is not; after a person's word the raise is taken."""
    world.clock.jump(3_600_000)
    world.pass_ms(1_000)
    assert callers["vera"].get("/v1/clock").json()["suspect"]

    assert 409 == problem(callers["solo"].post(f"{ORDERS}/override", json=RAISE))[0]
    assert 200 == callers["olaf"].post(f"{ORDERS}/override", json=RAISE | {"value": 40}).status_code

    assert not callers["olaf"].post("/v1/clock", json={"reason": "ntp is back"}).json()["suspect"]
    assert 200 == callers["solo"].post(f"{ORDERS}/override", json=RAISE).status_code
