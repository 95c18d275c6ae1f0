"""`kill -9` at any point: what was acknowledged is there, and the state equals the replay.

`HEADWAY_CRASHES` sets how many times (30 unless told); `HEADWAY_SEED` the seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.ledger import Ledger, Move
from headway.ramp.observations import VerbCall
from headway.ramp.state import RampState
from tests.ledger.ramps import Growth, applied, contract_of, moved
from tests.lives import life

CYCLES = int(os.environ.get("HEADWAY_CRASHES", "30"))
SEED = int(os.environ.get("HEADWAY_SEED", "20261124"))

DRAWS_MOST = 10_000_000


Open = Callable[[], Ledger]


@pytest.fixture(params=["file", "postgres"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same ledger each time."""
    if request.param == "file":
        return lambda: Ledger.open(tmp_path / "ledger.db")
    database = request.getfixturevalue("database")
    return lambda: Ledger.shared(database)


def live(opens: Open, acknowledged: int) -> None:
    """A process's life: takes the ledger up, holds and resumes a ramp, draws; says a byte after each commit. Never returns."""
    ledger = opens()
    loaded = ledger.load()
    at_ms = loaded.last_ms + 1
    ledger.begin("boot", at_ms, at_ms)
    contract = contract_of()
    state: RampState | None = loaded.states.get("api")
    if state is None:
        move, state = applied(contract, at_ms)
        ledger.commit(Move(move.entries, move.states, move.versions, targets={("calls", ""): DRAWS_MOST}))
        os.write(acknowledged, b"m")
    while True:
        at_ms += 1
        verb = "hold" if state.held is None else "resume"
        move, state = moved(contract, state, at_ms, [VerbCall(at_ms, verb, "ana", f"at {at_ms}")])
        ledger.commit(move)
        os.write(acknowledged, b"m")
        ledger.draw([Growth(1, "quota_draw", "calls", "", 1, 5)])
        os.write(acknowledged, b"d")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_kill_9_nothing_that_was_acknowledged_is_lost(opens: Open):
    """Life after life on one ledger, each killed somewhere in a commit: the chain is whole after every one, its state is the
    fold, at most the one move that was under way is there without having been acknowledged, and draws are never fewer.
    """
    randomness = random.Random(SEED)
    moves = draws = 0
    for cycle in range(CYCLES):
        heard = life(
            lambda acknowledged: live(opens, acknowledged),
            randomness.randrange(1, 12),
            randomness.randrange(0, 200_000),
        )
        moves += heard.count(b"m")
        draws += heard.count(b"d")

        ledger = opens()
        verdict = ledger.verify()
        drawn = sum(row[3] for row in ledger.begin("check", 1, 1).drawn)

        ledger.close()

        assert verdict.ok, f"cycle {cycle}, seed {SEED}: {verdict.problem}"
        assert verdict.records in (moves, moves + 1), f"cycle {cycle}, seed {SEED}"
        assert drawn in (draws, draws + 1), f"cycle {cycle}, seed {SEED}"
        moves, draws = verdict.records, drawn
