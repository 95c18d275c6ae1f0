"""A start never hands out what a run before has used: marks after a clean stop, empty rates after a crash, quotas as drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headway.engine import specs
from headway.errors import Closed
from headway.ledger import Ledger
from tests.engine.test_engine import API
from tests.engine.world import HOUR, SECOND, World

AFTER_CRASH = API.replace("per: 1s}", "per: 1s, after_crash: full}")


@pytest.fixture
def born(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Meters and how they are born, as they are declared."""
    seen: list[tuple[str, str]] = []
    made = specs.MeterSpec

    def watched(name: str, *rest: Any, **told: Any) -> Any:
        seen.append((name, told["born"]))
        return made(name, *rest, **told)

    monkeypatch.setattr(specs, "MeterSpec", watched)
    return seen


def admitted(world: World) -> int:
    """How many of 150 demands are admitted at this instant."""
    limiter = world.engine.limiter("api")
    return sum(bool(limiter.try_acquire()) for _ in range(150))


def test_after_a_crash_a_rate_starts_empty(tmp_path: Path, born: list[tuple[str, str]]):
    """Full burst used, killed, started: no second burst; a second later there is a second's worth."""
    world = World(tmp_path, API)
    assert {("api", "full")} == set(born)
    born.clear()
    world.crash()

    assert {("api", "empty")} == set(born)
    assert ["applied"] == world.kinds()
    assert not world.engine.limiter("api").try_acquire()
    world.clock.advance(SECOND)
    assert 100 == admitted(world)


def test_after_crash_full_is_recorded_each_time(tmp_path: Path, born: list[tuple[str, str]]):
    """Its owner wanted the burst again: it is handed out, and the ledger says that nothing guarantees the limit then."""
    world = World(tmp_path, AFTER_CRASH)
    world.crash()
    world.crash()

    assert {("api", "full")} == set(born)
    assert ["applied", "unguaranteed", "unguaranteed"] == world.kinds()
    assert world.engine.ledger().verify().ok


def test_a_clean_stop_hands_on_its_marks_once(tmp_path: Path):
    """Used 40 of 100, stopped, started at once: 60 are left, not 100. After a crash that follows they are not taken up again."""
    world = World(tmp_path, API)
    limiter = world.engine.limiter("api")
    assert all(limiter.try_acquire() for _ in range(40))

    world.restart()
    assert 60 == admitted(world)
    begun = world.engine.ledger().last_run()

    assert begun is not None
    assert 2 == begun.id
    world.crash()
    assert 0 == admitted(world)
    with world.engine.ledger()._store.read() as connection:
        assert 0 == connection.exec_driver_sql("SELECT count(*) FROM saved_marks").scalar_one()


def test_marks_that_cannot_be_read_are_a_crash(tmp_path: Path):
    """Another layout after an upgrade: rates start empty instead of full, and it starts."""
    world = World(tmp_path, AFTER_CRASH)
    world.engine.close()
    ledger = Ledger.open(world.path)
    with ledger._store.write() as connection:
        connection.exec_driver_sql("UPDATE saved_marks SET marks = ?", (b"\x00garbage",))
    ledger.close()
    world.crash()

    assert "unguaranteed" in world.kinds()


def test_a_restart_goes_on_in_the_middle_of_a_climb(tmp_path: Path):
    """Down for ten minutes of an hour's climb: the limit is where the climb would be, for it was decided."""
    world = World(tmp_path, API.replace("when: {soak: {for: 10m, above: 50%}}", "climb: 1h, when: {event: go}"))
    world.engine.receive(world.event("go"))
    world.run(10 * 60 * SECOND)
    world.crash(away_ms=20 * 60 * SECOND)

    assert 149 <= world.limit("api") <= 151
    world.run(HOUR)
    assert 200 == world.limit("api")


def test_several_stages_that_became_due_while_it_was_down_are_entered_one_by_one(tmp_path: Path):
    """Three dates passed: each stage is entered by an evaluation of its own, none is skipped."""
    stages = "".join(
        f"  - {{stage: s{n}, limit: {200 + n}, when: {{not_before: 2025-12-0{n + 2}T00:00Z}}}}\n" for n in range(3)
    )
    world = World(tmp_path, API[: API.index("  - {stage: soaked")] + stages)
    world.crash(away_ms=10 * 86_400_000)
    assert world.stage("api") in ("s0", "s1")
    world.run(SECOND)

    entered = [one.entry.body["name"] for one in world.engine.ledger().records() if one.entry.kind == "entered"]
    assert ["s0", "s1", "s2"] == entered


def test_a_closed_engine_says_so(tmp_path: Path):
    """Reads, writes and demands after `close`: defined, and closing again does nothing."""
    world = World(tmp_path, API)
    limiter = world.engine.limiter("api")
    world.engine.close()
    world.engine.close()

    with pytest.raises(Closed):
        world.engine.submit("api", world.verb("hold"))
    with pytest.raises(Closed):
        world.engine.explain("api")
    answer = limiter.try_acquire()
    assert not answer
    assert "closed" == answer.why
