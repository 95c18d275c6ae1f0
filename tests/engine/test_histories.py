"""Any history: events, approvals, verbs, overrides, load, jumps of the clock, full disks, crashes, in any order."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headway.errors import HeadwayError, LedgerFull
from headway.ledger import Ledger
from tests.engine.test_engine import API, POOL
from tests.engine.test_trouble import Disk
from tests.engine.world import MINUTE, World

NAMES = st.sampled_from(["api", "pool", "shop"])
STAGES = {"api": ["soaked", "promoted", "target"], "pool": ["large"], "shop": ["later", "big"]}
RISES = {"applied", "entered", "resumed", "overridden", "override_ended", "exception_began", "exception_ended"}


class Histories(RuleBasedStateMachine):
    """One ledger, many lives of an engine."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name), API + "---" + POOL)
        self.id = 0
        self.codes: set[str] = set()
        self.before = Fraction(0), Fraction(0)
        self.disk: Disk | None = None

    def teardown(self) -> None:
        self.world.engine.close()
        self.folder.cleanup()

    def tried(self, act: object, name: str) -> None:
        """Done, or refused with a code; never anything else."""
        try:
            self.world.engine.submit(name, act)  # type: ignore[arg-type]
        except HeadwayError as refused:
            self.codes.add(refused.code)

    @rule(minutes=st.integers(0, 20), load=st.sampled_from([0.0, 0.4, 0.7]))
    def time_passes(self, minutes: int, load: float) -> None:
        self.world.run(minutes * MINUTE, {"api": load} if minutes < 4 else None)

    @rule(type=st.sampled_from(["replica.promoted", "go", "weather"]))
    def event(self, type: str) -> None:
        self.id += 1
        try:
            self.world.engine.receive(self.world.event(type, str(self.id)))
        except LedgerFull:
            assert self.disk is not None

    @rule(name=NAMES, place=st.integers(0, 2))
    def approve(self, name: str, place: int) -> None:
        stage = STAGES[name][place % len(STAGES[name])]
        self.tried(self.world.approval(name, stage), name)

    @rule(name=NAMES, verb=st.sampled_from(["hold", "resume", "advance", "step_back"]))
    def verb(self, name: str, verb: str) -> None:
        self.tried(self.world.verb(verb), name)  # type: ignore[arg-type]

    @rule(name=NAMES, value=st.integers(1, 500), minutes=st.integers(1, 30))
    def override(self, name: str, value: int, minutes: int) -> None:
        until_ms = self.world.clock.utc_ms() + minutes * MINUTE
        self.tried(self.world.override(value, until_ms, second="user:bo"), name)

    @rule(by_s=st.integers(-300, 300))
    def the_wall_jumps(self, by_s: int) -> None:
        self.world.clock.jump(by_s * 1_000)

    @rule()
    def crash(self) -> None:
        self.disk = None
        self.world.crash(away_ms=500)

    @rule()
    def clean_restart(self) -> None:
        self.disk = None
        self.world.restart(away_ms=500)

    @rule(full=st.booleans())
    def the_disk(self, full: bool) -> None:
        if full and self.disk is None:
            self.disk = Disk(self.world.engine.ledger())
            self.disk.failing = LedgerFull("full")
            self.world.engine._mover._store = self.disk
        elif self.disk is not None:
            self.disk.failing = LedgerFull("full") if full else None

    @invariant()
    def the_ledger_is_whole_and_its_replay_is_the_state(self) -> None:
        ledger: Ledger = self.world.engine.ledger()
        assert ledger.verify().ok
        states = ledger.replay()
        for name, state in self.world.engine._mover.board.states.items():
            assert state == states[name]

    @invariant()
    def what_is_refused_has_a_code(self) -> None:
        assert all(code.startswith("HW") for code in self.codes)

    @invariant()
    def what_is_enforced_is_what_the_ledger_decided(self) -> None:
        now_ms = self.world.engine._mover._suspicion.utc_ms
        for name, place in self.world.engine._mover.board.places.items():
            assert place.curve.version == place.state.curve_version
            meter = self.world.reading_now(name)
            assert place.published == meter.version
            assert meter.limit_micro <= place.curve.highest_micro("", now_ms)

    @invariant()
    def nothing_was_promised_twice(self) -> None:
        """What the shop may spend of the pool at the limits in force is at most the pool, whatever order things came in.

        Only a fall of the pool itself may end that, by a person's override or step-back; and then the shop never rises.
        """
        places = self.world.engine._mover.board.places
        now_ms = self.world.engine._mover._suspicion.utc_ms
        pool, shop = places["pool"].curve.lowest_micro("", now_ms), places["shop"].curve.highest_micro("", now_ms)
        if shop / 2 > pool:
            pool_before, shop_before = self.before
            assert pool < pool_before or shop <= shop_before
        self.before = pool, shop

    @invariant()
    def stages_are_entered_one_after_the_other(self) -> None:
        for name in STAGES:
            stage = 0
            for record in self.world.engine.ledger().records(0, 10_000, name):
                entry = record.entry
                if entry.kind == "entered":
                    assert entry.body["stage"] == stage + 1
                    stage += 1
                elif entry.kind in ("stepped_back", "fell", "aborted"):
                    assert entry.body["stage"] <= stage
                    stage = entry.body["stage"]


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
