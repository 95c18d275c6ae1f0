"""First versions of contracts: all of them or none, and nothing that a later start could not take up."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.contract.faults import Unreadable
from headway.contract.read import read_text
from headway.errors import NotYet, OverPromised, VerbRefused
from headway.ramp.observations import VerbCall
from tests.engine.test_engine import API, POOL
from tests.engine.world import HOUR, MINUTE, START_MS, World, reading_of


@pytest.fixture
def api(tmp_path: Path) -> World:
    return World(tmp_path, API)


def test_more_contracts_than_there_are_meters_are_refused_before_the_ledger_has_them(
    api: World, monkeypatch: pytest.MonkeyPatch
):
    """One meter is left beside api's, and two contracts come: nothing of it is written, and the next start comes up. A
    contract that is retired keeps its meter, as its limit stays enforced.
    """
    monkeypatch.setattr("headway.engine.applying.METERS_MOST", 2)
    api.engine.submit("api", api.verb("retire"))
    before = api.kinds()

    with pytest.raises(VerbRefused, match="no meter left for 2 more contracts") as refused:
        api.engine.apply(reading_of(POOL), actor="user:ana")
    assert "contracts that ended keep theirs" in refused.value.because
    assert (before, ["api"]) == (api.kinds(), api.engine.names())

    api.restart()
    assert (100, True) == (api.limit("api"), bool(api.engine.limiter("api").try_acquire()))


def test_a_retired_contract_is_not_said_to_run_when_it_is_applied_again(api: World):
    api.engine.submit("api", api.verb("retire"))

    outcome = api.engine.apply(reading_of(API), actor="user:ana")

    assert () == outcome.seqs
    assert (
        "nothing to apply: api is retired, and what has ended does not start again by its first version" == outcome.said
    )


def test_a_second_contract_is_applied_while_the_first_runs(api: World):
    """Declared, published and enforced, without a restart; applying the same again does nothing."""
    outcome = api.engine.apply(reading_of(POOL), actor="user:ana", reason="the shop moves in")

    assert ["api", "pool", "shop"] == api.engine.names()
    assert 150 == api.limit("shop")
    assert 2 == len(outcome.seqs)
    assert "the shop moves in" in outcome.entries[0].reason
    assert () == api.engine.apply(reading_of(POOL), actor="user:ana").seqs


def test_other_terms_of_what_runs_are_not_applied_yet(api: World):
    """Amendments come later: a clear error, nothing changed, not even the new contract beside it."""
    changed = API.replace("limit: 100", "limit: 50") + "---" + POOL

    with pytest.raises(NotYet) as raised:
        api.engine.apply(reading_of(changed), actor="user:ana")

    assert "HW520" == raised.value.code
    assert ["api"] == api.engine.names()


def test_first_stages_that_over_promise_are_not_applied(tmp_path: Path):
    """The shop would start at 250 and spend 125 of 100: neither starts, and the ledger stays empty."""
    with pytest.raises(OverPromised, match="pool is full"):
        World(tmp_path, POOL.replace("limit: 150", "limit: 240"))

    world = World(tmp_path, API)
    assert ["api"] == world.engine.names()


def test_a_digest_that_was_not_expected_is_not_applied(api: World):
    """`--expect` applies what was reviewed and nothing else; it names one contract."""
    one = reading_of(API.replace("contract: api", "contract: second"))
    for reading in (one, reading_of(POOL)):
        with pytest.raises(VerbRefused, match="expected"):
            api.engine.apply(reading, actor="user:ana", expect="0" * 64)

    running = api.engine.contract("api")
    assert () == api.engine.apply(reading_of(API), actor="user:ana", expect=running.digest).seqs


@pytest.mark.parametrize(
    "text", ["contract: x\n", API.replace("event: replica.promoted", "metric: {query: up, from: prom, above: 0}")]
)
def test_documents_that_are_wrong_or_cannot_run_yet_are_refused(api: World, text: str):
    """Not valid, or valid and not acted on yet: both say where, and what runs goes on."""
    with pytest.raises(Unreadable):
        api.engine.apply(read_text(text, "x.yaml"), actor="user:ana")

    assert ["applied"] == api.kinds()


def test_a_level_that_no_meter_holds_is_refused_before_the_ledger_has_it(api: World, monkeypatch: pytest.MonkeyPatch):
    """The core refuses the curve: the document is not applied, and a later one of the same name can be."""

    def too_large(*_: object, **__: object) -> None:
        raise ValueError("the level is beyond any meter")

    with monkeypatch.context() as patched:
        patched.setattr("headway.engine.applying.core_curves", too_large)
        with pytest.raises(VerbRefused, match="cannot be enforced"):
            api.engine.apply(reading_of(POOL), actor="user:ana")
    assert 1 == api.engine.ledger().count()

    api.engine.apply(reading_of(POOL), actor="user:ana")
    assert ["api", "pool", "shop"] == api.engine.names()


def test_single_users_raise_alone_and_it_is_recorded(api: World):
    """One person with both tokens may raise; the entry says so."""
    call = VerbCall(0, "override", "token:local", "load test", {"": 150_000_000}, START_MS + HOUR, None, True)

    outcome = api.engine.submit("api", call)

    assert outcome.entries[0].body["single_user"]
    assert 150 == api.limit("api")
    api.run(61 * MINUTE)
    assert 100 == api.limit("api")
