"""What a contract agrees with its workloads, from the document to the decision, over stages, stops and crashes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headway._core import Permit
from headway.engine.shares import ceilings_micro, shares_of
from headway.errors import VerbRefused
from tests.engine.world import MINUTE, World, reading_of

DB = """
contract: orders-db
owner: team-storage
constraint: {measure: concurrency, unit: connection}
workloads:
  checkout: {priority: critical, guarantee: 40%}
  reports: {priority: background, ceiling: 25%}
  other: {}
ramp:
  - {stage: now, limit: 100}
  - {stage: later, limit: 200, when: {event: go}}
"""

EXPORTS = """
contract: exports
owner: team-web
constraint: {measure: quota, unit: export, per: day}
workloads: {reports: {ceiling: 20}, mails: {ceiling: 50%}, other: {}}
ramp:
  - {stage: now, limit: 100}
  - {stage: later, limit: 200, when: {event: go}}
"""

TOKENS = """
contract: model-api
owner: team-ml
constraint:
  calls: {measure: concurrency, unit: call}
  daily: {measure: quota, unit: call, per: day}
workloads:
  chat: {guarantee: {calls: 4, daily: 30%}}
  batch: {ceiling: {calls: 50%, daily: 5}}
  other: {}
ramp: [{stage: now, limit: {calls: 10, daily: 100}}]
"""

TEAMS = """
contract: exports
owner: team-web
constraint: {measure: quota, unit: export, per: day}
workloads: {checkout: {guarantee: 40%}, reports: {ceiling: 25%}, mails: {ceiling: 5}, other: {}}
each: {key: team, count: 10, scale: {big: 3}, total: 200}
ramp: [{stage: now, limit: 20}]
"""
SEARCH = """
contract: search
owner: team-search
constraint: {measure: rate, unit: query, per: 1s}
workloads: {web: {weight: 3}, reports: {weight: 1}}
each: {key: team, count: 10, total: 100}
ramp: [{stage: now, limit: 100}]
"""

HELD: list[Permit] = []
"""Permits that stay until their test is over."""


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    yield
    HELD.clear()


def takes(world: World, contract: str, workload: str, most: int = 1_000, key: str | None = None) -> int:
    """How many it gets, one by one, until it is refused; slots stay held."""
    limiter = world.engine.limiter(contract, workload)
    for got in range(most):
        answer = limiter.try_acquire(key=key)
        if not isinstance(answer, Permit):
            return got
        HELD.append(answer)
    return most


@contextmanager
def booking(world: World) -> Iterator[None]:
    """The ledger's writer: books what durable meters draw, as long as it is asked."""
    queue, ledger, is_over = world.meters.growth, world.engine.ledger(), threading.Event()

    def book() -> None:
        while not is_over.is_set():
            if batch := queue.take(1_000, 5):
                queue.answer(batch[0].batch_id, ledger.draw(batch))

    writer = threading.Thread(target=book)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def test_a_contract_says_who_goes_first_who_is_sure_and_who_stops_where(tmp_path: Path):
    """Of 100: reports stop at their 25; anybody else leaves checkout's 40 and has 35; checkout has its 40."""
    world = World(tmp_path, DB)

    assert [25, 35] == [takes(world, "orders-db", name) for name in ("reports", "search")]
    assert "checkout goes first" in str(world.engine.limiter("orders-db", "search").try_acquire())
    assert 40 == takes(world, "orders-db", "checkout")


def test_shares_grow_with_the_stage(tmp_path: Path):
    world = World(tmp_path, DB)
    world.engine.receive(world.event("go"))
    world.run(MINUTE)

    assert [50, 70, 80] == [takes(world, "orders-db", name) for name in ("reports", "search", "checkout")]


def test_a_quotas_ceiling_holds_over_a_stop_and_over_a_crash(tmp_path: Path):
    """Reports have their 20 of the day once, whatever becomes of the process. A crash may cost a chunk, never give one."""
    world = World(tmp_path, EXPORTS)
    with booking(world):
        assert [20, 10] == [takes(world, "exports", "reports"), takes(world, "exports", "mails", 10)]
    world.restart()
    with booking(world):
        assert [0, 10] == [takes(world, "exports", "reports"), takes(world, "exports", "mails", 10)]
    world.crash()
    with booking(world):
        assert [0, True] == [takes(world, "exports", "reports"), 25 <= takes(world, "exports", "mails") <= 30]


def targets(world: World) -> dict[str, int]:
    """What the ledger grants of each meter in one window, a key's own behind a slash."""
    with world.engine.ledger()._store.read() as connection:
        rows = connection.exec_driver_sql("SELECT meter, key, target_micro FROM target").fetchall()
    return {f"{meter}/{key}" if key else meter: micro // 1_000_000 for meter, key, micro in rows}


def test_the_ledger_grants_a_ceiling_what_it_is_of_the_limit(tmp_path: Path):
    world = World(tmp_path, EXPORTS)

    assert {"exports": 100, "exports@reports": 20, "exports@mails": 50} == targets(world)
    world.engine.receive(world.event("go"))
    world.run(MINUTE)
    assert {"exports": 200, "exports@reports": 20, "exports@mails": 100} == targets(world)


def test_of_keys_the_ledger_grants_what_a_ceiling_is_of_each_and_of_a_share_what_it_is_of_all(tmp_path: Path):
    """A share is one of the total too; an amount is a key's, and says nothing of all of them."""
    granted = targets(World(tmp_path, TEAMS))

    assert {"exports": 20, "exports/big": 60, "exports#total": 200} == {
        meter: most for meter, most in granted.items() if "@" not in meter
    }
    assert {
        "exports@reports": 5,
        "exports@reports/big": 15,
        "exports@mails": 5,
        "exports@mails/big": 15,
        "exports#total@reports": 50,
    } == {meter: most for meter, most in granted.items() if "@" in meter}


def test_what_was_agreed_holds_within_every_key_over_a_stop_and_a_crash(tmp_path: Path):
    """Of 20 a team: reports have 5, others 7, checkout its 8. Of 200 over all, reports have 50 whatever the teams."""
    world = World(tmp_path, TEAMS)

    def took(key: str, *workloads: str) -> list[int]:
        return [takes(world, "exports", workload, key=key) for workload in workloads]

    with booking(world):
        assert [5, 5] == took("ana", "reports", "mails")
        assert [15, 21, 24] == took("big", "reports", "search", "checkout")
        assert [[5]] * 6 == [took(f"team {number}", "reports") for number in range(6)]
        assert [0] == took("late", "reports")
    world.restart()
    with booking(world):
        assert [0, 0, 2, 8] == took("ana", "reports", "mails", "search", "checkout")
    world.crash()
    with booking(world):
        assert [0, 0] == took("ana", "reports", "mails")


def test_amounts_of_several_dimensions_are_agreed_for_each(tmp_path: Path):
    """Ten calls at once, a hundred a day: batches have 5 a day, others leave 4 calls and 30 a day to chats."""
    world = World(tmp_path, TOKENS)
    with booking(world):
        assert [5, 1] == [takes(world, "model-api", name) for name in ("batch", "search")]
        HELD.clear()
        for _ in range(20):
            takes(world, "model-api", "search")
            HELD.clear()
        assert "chat goes first" in str(world.engine.limiter("model-api", "search").try_acquire())
        assert [4, 4] == [takes(world, "model-api", "chat", 4), takes(world, "model-api", "chat", 4)]


@pytest.mark.parametrize("workloads", ["{other: {}}", "{checkout: {cost: 2}, other: {}}"])
def test_nothing_agreed_is_nothing_told(workloads: str):
    """A contract whose workloads are all alike has meters as plain as one without workloads."""
    reading = reading_of(DB[: DB.index("workloads")] + f"workloads: {workloads}\n" + DB[DB.index("ramp") :])

    assert [] == shares_of(reading.contracts["orders-db"], "")


def test_beside_each_the_total_is_divided_by_weight(tmp_path: Path):
    """A hundred a second over all teams, 3 to 1: each asks twice that much, for two teams that may have a hundred each."""
    world, had = World(tmp_path, SEARCH), {"web": 0, "reports": 0}
    for ms in range(3_000):
        for name, team in (("reports", "ana"), ("web", "bo")):
            answer = world.engine.limiter("search", name).try_acquire(key=team) if ms % 5 == 0 else None
            had[name] += isinstance(answer, Permit) and ms >= 2_000
        world.clock.advance(1)

    assert {"web": pytest.approx(75, abs=2), "reports": pytest.approx(25, abs=2)} == had


def test_more_ceilings_than_a_demand_may_pass_are_refused_before_the_ledger_has_them(tmp_path: Path):
    """Five dimensions, each with a total: ten meters. Five ceilings of shares are ten more; five amounts are five."""
    names = [f"d{number}" for number in range(5)]
    levels, each = (", ".join(f"{name}: {what}" for name in names) for what in (10, "{measure: concurrency}"))

    def text(ceiling: str) -> str:
        return (
            f"contract: x\nowner: t\nconstraint: {{{each}}}\nworkloads: {{w: {{ceiling: {ceiling}}}, other: {{}}}}\n"
            f"each: {{key: team, count: 4, total: {{{levels}}}}}\nramp: [{{stage: now, limit: {{{levels}}}}}]\n"
        )

    with pytest.raises(VerbRefused) as refused:
        World(tmp_path, text("50%"))
    assert "by w would pass 20 meters, upstreams and ceilings among them, and it may pass 16" in str(
        refused.value.because
    )
    world = World(tmp_path, text("{" + levels + "}"))
    assert 10 == takes(world, "x", "w", key="ana")


def test_a_ceiling_in_units_is_never_above_the_level():
    contract = reading_of(EXPORTS).contracts["exports"]

    assert {"reports": 7, "mails": 3} == ceilings_micro(contract, "", 7)
