"""`headway.connect`: every demand is the keeper's to decide, with all that it knows."""

from __future__ import annotations

import asyncio
import threading

import pytest

import headway
from headway import NEVER, UNKNOWN, HeadwayError, Refused
from headway._core import Refusal
from headway.ramp.observations import EventSeen

from .conftest import TOKEN, VIEWER, Keeper


def test_all_processes_together_are_held_to_one_limit(keeper: Keeper, gate: headway.Connected):
    """Four an hour, over two gates and the keeper's own process: the fifth demand is refused wherever it comes from."""
    with headway.connect(keeper.url, token=TOKEN) as other:
        own = keeper.engine.limiter("api")
        answers = [bool(one.try_acquire()) for one in (gate.limiter("api"), other.limiter("api", "web"), own) * 2]

    assert [True] * 4 + [False] * 2 == answers


def test_a_refusal_says_what_the_keeper_knows(keeper: Keeper, gate: headway.Connected):
    """An hour's limit of four: spent, one comes back in a quarter of an hour; the keeper tells the same story by its ref."""
    api = gate.limiter("api", "web")
    for _ in range(4):
        assert api.try_acquire()

    refusal = api.try_acquire()

    assert isinstance(refusal, Refusal)
    assert ("api", "web", "api", "full", "now", "request") == (
        refusal.contract,
        refusal.workload,
        refusal.meter,
        refusal.why,
        refusal.stage,
        refusal.unit,
    )
    assert (4.0, True) == (refusal.limit, 890 < (refusal.retry_after_s or 0) <= 900)
    assert str(refusal).startswith("api is full: 4 of 4 requests an hour.")
    assert keeper.engine.explain_ref(refusal.ref)["workload"] == "web"


def test_a_demand_above_the_burst_never_fits(gate: headway.Connected):
    refusal = gate.limiter("api").try_acquire(5)

    assert isinstance(refusal, Refusal)
    assert ("never_fits", NEVER, False) == (refusal.why, refusal.retry_at_ns, refusal.retryable)


def test_a_raise_is_in_force_at_gates_at_once(keeper: Keeper, gate: headway.Connected):
    db = gate.limiter("db")
    held = [db.try_acquire() for _ in range(6)]
    assert [True] * 5 + [False] == [bool(one) for one in held]

    keeper.engine.receive(EventSeen(0, "1", "ci", "more", "event:ci"))

    held = held[:5] + [db.try_acquire() for _ in range(3)]
    assert [True] * 7 + [False] == [bool(one) for one in held]


def test_slots_are_held_by_scopes_and_weigh_what_their_workload_costs(keeper: Keeper, gate: headway.Connected):
    """A report costs two of five connections: two fit, and with one other the pool is full."""
    reports, db = gate.limiter("db", "reports"), gate.limiter("db")
    with reports, reports, db:
        assert 5 == keeper.in_use("db")
        refusal = db.try_acquire()
        assert not refusal
    assert db.try_acquire()


def test_a_waiter_has_the_slot_as_soon_as_it_is_given_back(gate: headway.Connected):
    """The one slot of `patient` is held; the contract waits 30 s, and the release of another thread ends the wait."""
    patient = gate.limiter("patient")
    held = patient.try_acquire()
    assert held
    got = threading.Event()

    def wait() -> None:
        with patient:
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.wait(0.05)
    held.release()
    waiting.join(10)

    assert got.is_set()


def test_patience_ends_as_told_and_leaves_no_trace(keeper: Keeper, gate: headway.Connected):
    patient = gate.limiter("patient")
    with patient:
        with pytest.raises(Refused) as refused:
            patient.acquire(timeout=0.02)
        assert "timeout" == refused.value.refusal.why
    assert patient.try_acquire()


def test_coroutines_wait_and_are_refused_alike(gate: headway.Connected):
    async def run() -> list[str]:
        patient, seen = gate.limiter("patient"), []
        async with patient:
            seen.append("in")
            try:
                await patient.acquire_async(timeout=0.02)
            except Refused as refused:
                seen.append(refused.refusal.why)
            waiting = asyncio.ensure_future(patient.acquire_async())
            await asyncio.sleep(0)
        permit = await waiting
        permit.release()
        return [*seen, "out"]

    assert ["in", "timeout", "out"] == asyncio.run(run())


def test_a_coroutine_that_is_cancelled_holds_nothing(keeper: Keeper, gate: headway.Connected, until):
    async def run() -> None:
        patient = gate.limiter("patient")
        async with patient:
            waiting = asyncio.ensure_future(patient.acquire_async())
            await asyncio.sleep(0)
            waiting.cancel()

    asyncio.run(run())

    until(lambda: keeper.in_use("patient") == 0)
    assert gate.limiter("patient").try_acquire()


def test_a_quota_is_counted_durably_over_gates_and_restarts(keeper: Keeper, gate: headway.Connected):
    """300 mails a month: 200 before the keeper is started anew, 100 after, and not one more."""
    mails = gate.limiter("mails")
    before = sum(bool(mails.try_acquire()) for _ in range(200))
    keeper.stop()
    keeper.start()

    after = sum(bool(mails.acquire(timeout=5)) for _ in range(100))

    assert (200, 100, False) == (before, after, bool(mails.try_acquire()))


def test_keys_have_limits_of_their_own_and_estimates_are_settled(gate: headway.Connected):
    """50 tokens a user: 40 reserved and 5 really used leave 45 for her, and 50 for somebody else."""
    tokens = gate.limiter("tokens")
    permit = tokens.reserve(40, key="ana")
    assert permit
    assert not tokens.try_acquire(20, key="ana")

    permit.settle(5)

    assert tokens.try_acquire(45, key="ana")
    assert not tokens.try_acquire(1, key="ana")
    assert tokens.bind("bob").try_acquire(50)


def test_a_contract_that_only_looks_on_counts_and_admits(keeper: Keeper, gate: headway.Connected):
    seen = gate.limiter("seen")

    assert [True] * 3 == [bool(seen.try_acquire()) for _ in range(3)]
    reading = next(one for one in keeper.engine.meters.paths() if one.contract == "seen")
    assert {"full": 2} == reading.refused_by


def test_a_probe_charges_nothing(gate: headway.Connected):
    api = gate.limiter("api")
    assert [True] * 9 == [bool(api.probe(4)) for _ in range(9)]
    assert api.try_acquire(4)
    assert not api.probe(1)


def test_what_does_not_exist_is_an_error_that_says_how_to_mend_it(gate: headway.Connected):
    with pytest.raises(HeadwayError) as unknown:
        gate.limiter("nothing").try_acquire()
    with pytest.raises(HeadwayError) as mistyped:
        gate.limiter("db", "report").try_acquire()

    assert ("HW404", "HW406") == (unknown.value.code, mistyped.value.code)
    assert "it has other, reports" in mistyped.value.problem


@pytest.mark.parametrize(("token", "code"), [("wrong", "HW401"), (VIEWER, "HW403")])
def test_a_token_that_may_not_ask_is_told_so(keeper: Keeper, token: str, code: str):
    with headway.connect(keeper.url, token=token) as gate, pytest.raises(HeadwayError) as denied:
        gate.limiter("api").try_acquire()

    assert code == denied.value.code


def test_demands_that_mean_nothing_are_mistakes(gate: headway.Connected):
    with pytest.raises(ValueError, match="1 to"):
        gate.limiter("api").try_acquire(0)
    with pytest.raises(ValueError, match="limit for each key"):
        gate.limiter("tokens").try_acquire()
    with pytest.raises(ValueError, match="no keys"):
        gate.limiter("api").try_acquire(key="ana")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:7701", "ftp://127.0.0.1:7701", "http://127.0.0.1:7701/v1", "http://me@host", "http://"]
)
def test_a_url_that_is_no_data_plane_is_a_mistake(url: str):
    with pytest.raises(ValueError, match="HOST:PORT of a server"):
        headway.connect(url, token=TOKEN)


def test_without_a_token_there_is_no_way_in(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HEADWAY_TOKEN", raising=False)
    with pytest.raises(ValueError, match="there is no token"):
        headway.connect("http://127.0.0.1:7701")


def test_the_token_is_in_no_repr(gate: headway.Connected):
    gate.limiter("api")
    assert TOKEN not in repr(gate) + repr(gate.limiter("api"))


def test_a_keeper_that_is_not_there_is_a_refusal_that_says_so():
    with headway.connect("http://127.0.0.1:9", token=TOKEN) as gate:
        refusal = gate.limiter("api").try_acquire()

    assert isinstance(refusal, Refusal)
    assert ("cut_off", UNKNOWN, True) == (refusal.why, refusal.retry_at_ns, refusal.undecided)
    assert "api cannot be asked: its keeper does not answer." in str(refusal)


def test_after_close_demands_are_refused_as_closed(gate: headway.Connected):
    api = gate.limiter("api")
    assert api.try_acquire()
    gate.close()
    gate.close()

    refusal = api.try_acquire()
    assert isinstance(refusal, Refusal)
    assert "closed" == refusal.why


def test_a_thousand_waiters_of_two_gates_each_get_their_turn(keeper: Keeper):
    """One slot, two processes' worth of coroutines: everybody is served once, and never two at once."""
    inside: list[int] = []

    async def one(gate: headway.Connected) -> None:
        async with gate.limiter("patient"):
            inside.append(keeper.in_use("patient"))

    async def run() -> None:
        with headway.connect(keeper.url, token=TOKEN) as left, headway.connect(keeper.url, token=TOKEN) as right:
            await asyncio.gather(*(one(left if n % 2 else right) for n in range(1_000)))

    asyncio.run(run())

    assert [1] * 1_000 == inside
