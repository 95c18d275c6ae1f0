"""Random histories told to the compiled meters and to their twins at once; the first difference ends one.

Everything comes from the seed: curves that step, climb, fall and pause, bursts that fall below demands, keys with
scales, paths of up to four meters, reservations settled low and high, clocks that stand, jump ahead and step back,
publications in mid-flight with UTC that steps, clean stops, crashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from headway import _core
from tests.model.counts import Quota
from tests.model.curves import MICRO, Plan, Seg
from tests.model.world import Held, Measure, Refusal, Spec, Way, World

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
CEILING: Final = 400 * MICRO
KEYS: Final = ("ana", "bo", "cy", "di")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where core and twin part: the seed, the decision's number, what was asked, and both answers."""

    seed: int
    decision: int
    asked: str
    core: str
    twin: str


@dataclass(slots=True)
class Tally:
    """What histories held, so that a run that tested nothing is seen."""

    decisions: int = 0
    admitted: int = 0
    refused: int = 0
    instants: int = 0
    never: int = 0
    unknown: int = 0
    publications: int = 0
    settled: int = 0
    restarts: int = 0
    crashes: int = 0
    steps_back: int = 0


class _Parted(Exception):
    """Core and twin answered differently."""


class History:
    """One seed's meters, in both, and the turns that are played on them."""

    def __init__(self, seed: int, tally: Tally) -> None:
        self.seed, self.tally = seed, tally
        self.dice = Random(seed)
        self.version = 0
        self.utc_ns = 1_800_000_000 * SECOND + self.dice.randrange(SECOND)
        self.shift_ns = 0  # the twin's clock less the core's: the twin's runs on over restarts
        self.held: list[tuple[Held, _core.Permit]] = []
        self.reserved: list[tuple[Held, _core.Permit]] = []
        # A key that was dropped stays dropped when the clock steps back: it only does where keys are plenty.
        self.clock_steps_back = self.dice.random() < 0.5
        self.specs = [self._spec(index) for index in range(self.dice.randrange(1, 5))]
        self.ways = [self._way() for _ in range(3)]
        self.has_counts = any(spec.measure != "rate" for spec in self.specs)
        self.world = World(self.specs)
        self._start(boot_ns=self.dice.randrange(1_000 * SECOND), born="full")
        self.published_ns = self._publish(everything=True)

    # -- what there is ----------------------------------------------------------------------------------------------

    def _spec(self, index: int) -> Spec:
        dice = self.dice
        measure: Measure = dice.choice(("rate", "rate", "rate", "concurrency", "quota"))
        per_ns = dice.choice((SECOND, SECOND, MINUTE, SECOND // 10)) if measure == "rate" else 0
        scales: dict[str, int] = dict(dice.choice(((), (("di", 4 * MICRO),), (("di", 2 * MICRO), ("cy", MICRO // 2)))))
        is_keyed = dice.random() < 0.5
        return Spec(
            name=f"{index}-{measure}",
            measure=measure,
            grains_log2=_core.grains_log2(CEILING, per_ns) if measure == "rate" else 0,
            per_ns=per_ns,
            is_keyed=is_keyed,
            keys_max=100 if self.clock_steps_back else dice.choice((2 + len(scales), 3 + len(scales), 100)),
            scales=scales if is_keyed else {},
        )

    def _way(self) -> Way:
        chosen = [spec for spec in self.specs if self.dice.random() < 0.8] or self.specs[:1]
        factors = (MICRO, MICRO, MICRO, 2 * MICRO, 250_000, 333_333)
        return Way(
            steps=tuple((spec.name, self.dice.choice(factors)) for spec in chosen),
            cost_ppm=self.dice.choice((MICRO, MICRO, MICRO, MICRO, 3 * MICRO, 700_001)),
            settle_max=0,
        )

    def _start(self, boot_ns: int, born: str, saved: bytes | None = None) -> None:
        """A process begins: the core is built anew; the twin is told by the caller what that means."""
        self.clock = _core.Clock.manual(boot_ns)
        self.core = _core.Meters(self.clock)
        self.core.declare(
            [
                _core.MeterSpec(
                    spec.name,
                    spec.measure,
                    ceiling_micro=CEILING,
                    per_ns=spec.per_ns if spec.measure == "rate" else 0,
                    keys_max=spec.keys_max if spec.is_keyed else None,
                    scale_ppm=tuple(spec.scales.items()),
                    born="empty" if born == "empty" and spec.measure == "rate" else "full",
                )
                for spec in self.specs
            ]
        )
        if saved is not None:
            self.core.restore(saved)
        keyed = {spec.name: spec.is_keyed for spec in self.specs}
        self.limiters = [
            self.core.limiter(
                _core.PathSpec(
                    "contract",
                    f"way-{index}",
                    [(name, factor, keyed[name]) for name, factor in way.steps],
                    cost_ppm=way.cost_ppm,
                    settle_max_micro=way.settle_max * MICRO,
                )
            )
            for index, way in enumerate(self.ways)
        ]

    # -- curves -----------------------------------------------------------------------------------------------------

    def _plan(self, spec: Spec, back_ns: int) -> Plan:
        dice = self.dice
        levels = {"rate": (0, 1, 5, 20, 100, 300), "concurrency": (0, 2, 8, 30, 90), "quota": (0, 9, 50, 200, 400)}[
            spec.measure
        ]
        start_ns = self.utc_ns - back_ns - dice.choice((0, 1, 3 * SECOND))
        level, at_ns, segs = dice.choice(levels) * MICRO + dice.randrange(3), start_ns, []
        for _ in range(dice.randrange(4)):
            end_ns = at_ns + dice.choice((dice.randrange(1, 50), dice.randrange(1, 6 * SECOND)))
            to = level if dice.random() < 0.4 else dice.choice(levels) * MICRO
            segs.append(Seg(at_ns, end_ns, level, to))
            level = to if dice.random() < 0.5 else dice.choice(levels) * MICRO
            at_ns = end_ns
        if not segs or dice.random() < 0.8:
            segs.append(Seg(at_ns, None, level, level))
        burst_ns, window = 0, tuple[int, ...]()
        if spec.measure == "rate":
            burst_ns = dice.choice((0, spec.per_ns // 7, spec.per_ns, spec.per_ns, spec.per_ns, 2 * spec.per_ns))
        if spec.measure == "quota":
            first_ns = self.utc_ns // MINUTE * MINUTE
            window = tuple(first_ns + step * MINUTE for step in range(dice.choice((4, 4, 30))))
        self.version += 1
        return Plan(self.version, tuple(segs), burst_ns, window)

    def _publish(self, *, everything: bool, back_ns: int = 0, born: str = "full") -> int:
        """Tells both a version of some meters; returns the core's instant of it."""
        chosen = [spec for spec in self.specs if everything or self.dice.random() < 0.6]
        plans = {spec.name: self._plan(spec, back_ns) for spec in chosen}
        measures = {spec.name: spec for spec in chosen}
        at_ns = self.core.publish(
            [
                (
                    name,
                    _core.Curve(
                        measures[name].measure,
                        plan.version,
                        f"stage-{plan.version}",
                        [_core.Segment(seg.start_ns, seg.end_ns, seg.from_micro, seg.to_micro) for seg in plan.segs],
                        per_ns=measures[name].per_ns if measures[name].measure == "rate" else 0,
                        burst_ns=plan.burst_ns,
                        window=plan.window,
                    ),
                )
                for name, plan in plans.items()
            ],
            self.utc_ns,
        )
        assert at_ns == self.clock.boot_ns()
        twin_ns = at_ns + self.shift_ns
        self.world.publish(plans, self.utc_ns - twin_ns, twin_ns - back_ns, born="empty" if born == "empty" else "full")
        self.tally.publications += 1
        return at_ns

    # -- turns ------------------------------------------------------------------------------------------------------

    def play(self, turns: int) -> Difference | None:
        """Plays turns until the end or the first difference."""
        for turn in range(turns):
            try:
                self._turn()
            except _Parted as parted:
                return Difference(self.seed, turn, *parted.args)
        return None

    def _turn(self) -> None:
        dice = self.dice
        chance = dice.random()
        if chance < 0.03:
            self._advance(1)
            self.utc_ns += dice.choice((0, 0, 0, 17, SECOND, 40 * SECOND))
            self.published_ns = self._publish(everything=False)
        elif chance < 0.035:
            self._stop_and_start()
        elif chance < 0.04:
            self._crash()
        elif chance < 0.06 and self.clock_steps_back:
            self._step_back()
        elif chance < 0.40:
            self._advance(dice.choice((1, dice.randrange(1_000), dice.randrange(SECOND), dice.randrange(4 * SECOND))))
        self._decide()
        if self.held and dice.random() < 0.4:
            held, permit = self.held.pop(dice.randrange(len(self.held)))
            permit.release()
            self.world.release(held)
        if self.reserved and dice.random() < 0.4:
            held, permit = self.reserved.pop(dice.randrange(len(self.reserved)))
            actual = dice.randrange(held.units + 3)
            permit.settle(actual)
            self.world.settle(held, self.now_ns, actual)
            self.tally.settled += 1

    @property
    def now_ns(self) -> int:
        """The instant, on the twin's clock."""
        return self.clock.boot_ns() + self.shift_ns

    def _advance(self, by_ns: int) -> None:
        self.clock.advance(by_ns)
        self.utc_ns += by_ns

    def _step_back(self) -> None:
        # Counts are read on the newest curve alone; a rate's past stays in the books.
        room_ns = self.clock.boot_ns() - self.published_ns
        back_ns = self.dice.randrange(min(room_ns, SECOND) + 1)
        self.clock.advance(-back_ns)
        self.utc_ns -= back_ns
        self.tally.steps_back += 1

    def _stop_and_start(self) -> None:
        """A clean stop: marks go with it. What is held at once ends with the process."""
        self.core.close()
        saved = self.core.save()
        stop_ns = self.now_ns
        self._forget_permits()
        down_ns = self.dice.choice((1, self.dice.randrange(SECOND), self.dice.randrange(20 * SECOND)))
        self._start(boot_ns=self.dice.randrange(1_000 * SECOND), born="full", saved=saved)
        self.utc_ns += down_ns
        self.shift_ns = stop_ns + down_ns - self.clock.boot_ns()
        self.world.stop_cleanly()
        self.published_ns = self._publish(everything=True, back_ns=down_ns)
        self.tally.restarts += 1

    def _crash(self) -> None:
        """`kill -9`: rates are born empty, quotas keep what their durable count says."""
        self._forget_permits()
        self.utc_ns += self.dice.randrange(1, 20 * SECOND)
        self._start(boot_ns=self.dice.randrange(1_000 * SECOND), born="empty")
        self.shift_ns = 0
        drawn = [
            (name, key or "", used.window_ns, used.micro)
            for name, meter in self.world.meters.items()
            for twin in meter.twins.values()
            if isinstance(twin, Quota)
            for key, used in twin.by_key.items()
        ]
        self.core.restore_drawn(drawn)
        old = self.world
        self.world = World(self.specs)
        for name, meter in self.world.meters.items():
            for key, twin in meter.twins.items():
                before = old.meters[name].twins[key]
                if isinstance(twin, Quota) and isinstance(before, Quota):
                    twin.by_key = before.by_key
        self.published_ns = self._publish(everything=True, born="empty")
        self.tally.crashes += 1

    def _forget_permits(self) -> None:
        self.held.clear()
        self.reserved.clear()

    def _decide(self) -> None:
        dice = self.dice
        index = dice.randrange(len(self.ways))
        way, limiter = self.ways[index], self.limiters[index]
        units = dice.choice((1, 1, 1, 1, 1, 2, 2, 3, 3, 7, 20, 60))
        is_keyed = any(self.world.meters[name].spec.is_keyed for name, _ in way.steps)
        key = dice.choice(KEYS) if is_keyed else None
        holds_slots = any(self.world.meters[name].spec.measure == "concurrency" for name, _ in way.steps)
        reserves = not holds_slots and dice.random() < 0.3
        twin = self.world.try_acquire(way, self.now_ns, units, key)
        core = (limiter.reserve if reserves else limiter.try_acquire)(units, key)
        # The core looks for dead keys when it needs a place, and may have found one at an earlier instant.
        is_fuller = isinstance(twin, Refusal) and twin.why == "too_many_keys" and not _is_crowded(core)
        if is_fuller and self.world.meters[twin.meter].forget_brinks(self.now_ns):
            twin = self.world.try_acquire(way, self.now_ns, units, key)
        self.tally.decisions += 1
        asked = f"way {index}, {units} units, key {key}, at {self.now_ns}"
        if isinstance(twin, Refusal):
            self.tally.refused += 1
            expected = self._said(twin)
            answered = "admitted" if isinstance(core, _core.Permit) else self._heard(core)
        else:
            self.tally.admitted += 1
            expected = "admitted"
            answered = "admitted" if isinstance(core, _core.Permit) else self._heard(core)
            if isinstance(core, _core.Permit) and (reserves or holds_slots):
                (self.reserved if reserves else self.held).append((twin, core))
        if answered != expected:
            raise _Parted(asked, answered, expected)

    def _said(self, refusal: Refusal) -> str:
        when = refusal.retry
        self.tally.instants += isinstance(when, int)
        self.tally.never += when == "never"
        self.tally.unknown += when == "unknown"
        return f"{refusal.why} at {refusal.meter}, earliest {when}"

    def _heard(self, refusal: _core.Refusal) -> str:
        at_ns = refusal.retry_at_ns
        if isinstance(at_ns, int):
            return f"{refusal.why} at {refusal.meter}, earliest {at_ns + self.shift_ns}"
        when = "never" if at_ns is _core.NEVER else "unknown"
        return f"{refusal.why} at {refusal.meter}, earliest {when}"


def _is_crowded(answer: _core.Permit | _core.Refusal) -> bool:
    return isinstance(answer, _core.Refusal) and answer.why == "too_many_keys"


def play(seed: int, turns: int, tally: Tally) -> Difference | None:
    """One history of a seed; its first difference, if any."""
    return History(seed, tally).play(turns)
