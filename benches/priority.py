"""`python -m benches.priority --seed 1`: a critical workload while a background one spikes to twelve times its demand.

Virtual time, random arrivals, the compiled meters on a manual clock: minutes of a contract that two workloads share, before,
during and after the spike. Beside the contract as it should be, the same arrivals meet the same limit with priorities left
out, so that the figure is not what any limit would have given. `benches/results/priority-SEED.json` keeps what became of
each; it exits 1 where the critical workload kept less than it was promised, or the background one stood still.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Literal

from benches.provenance import commit_of_checkout
from headway._core import Clock, Curve, Limiter, Meters, MeterSpec, PathSpec, Permit, Segment, ShareSpec

ROOT = Path(__file__).parents[1]
MICRO, SECOND = 1_000_000, 1_000_000_000
PHASE_S = 60
SPIKE = 12
KEPT_PPM = 999_000
"""What the critical workload keeps of its demand at least, over each phase."""

Measure = Literal["rate", "concurrency"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A limit, and what is asked of it: half for critical, a quarter for background, until that spikes."""

    measure: Measure
    limit: int
    hold_s: float = 0.0
    burst_s: float = 1.0

    def per_s(self, workload: str, phase: int) -> float:
        """Arrivals a second: of a rate as many as units, of slots as many as fill a part of them for the time held."""
        part = 0.5 if workload == "critical" else 0.25 * (SPIKE if phase == 1 else 1)
        return part * self.limit / (self.hold_s or 1.0)


SETTINGS = {
    "rate": Setting("rate", 1_000),
    "rate, burst of 100 ms": Setting("rate", 1_000, burst_s=0.1),
    "concurrency": Setting("concurrency", 100, hold_s=0.05),
}


@dataclass(slots=True)
class Phase:
    """What became of one workload's demands in one phase."""

    asked: int = 0
    admitted: int = 0

    @property
    def kept_ppm(self) -> int:
        return MICRO * self.admitted // self.asked if self.asked else MICRO


def played(setting: Setting, seed: int, *, priorities: bool) -> tuple[dict[str, list[Phase]], int]:
    """What became of the demands, phase by phase, and the most that was in use of a concurrency."""
    clock = Clock.manual(0)
    meters, limiters = metered(setting, clock, priorities=priorities)
    phases = {name: [Phase(), Phase(), Phase()] for name in limiters}
    held: list[tuple[int, int, Permit]] = []
    dice, most = Random(seed), 0
    for number, (at_ns, name, hold_ns) in enumerate(arrivals(setting, dice)):
        while held and held[0][0] <= at_ns:
            until_ns, _, permit = heapq.heappop(held)
            clock.advance(until_ns - clock.boot_ns())
            permit.release()
        clock.advance(at_ns - clock.boot_ns())
        phase = phases[name][at_ns // (PHASE_S * SECOND)]
        phase.asked += 1
        answer = limiters[name].try_acquire()
        if isinstance(answer, Permit):
            phase.admitted += 1
            if setting.measure == "concurrency":
                heapq.heappush(held, (at_ns + hold_ns, number, answer))
                most = max(most, len(held))
    for *_, permit in held:
        permit.release()
    meters.close()
    return phases, most


def arrivals(setting: Setting, dice: Random) -> Iterator[tuple[int, str, int]]:
    """(instant, workload, how long it holds) of three phases, in order of time; Poisson, exponential holding."""
    ahead = [(0, "critical"), (0, "background")]
    while ahead:
        at_ns, name = heapq.heappop(ahead)
        per_s = setting.per_s(name, at_ns // (PHASE_S * SECOND))
        next_ns = at_ns + 1 + int(dice.expovariate(per_s) * SECOND)
        if next_ns < 3 * PHASE_S * SECOND:
            heapq.heappush(ahead, (next_ns, name))
        yield at_ns, name, 1 + int(dice.expovariate(1 / setting.hold_s) * SECOND) if setting.hold_s else 0


def metered(setting: Setting, clock: Clock, *, priorities: bool) -> tuple[Meters, dict[str, Limiter]]:
    """One contract, its limit in force, and a limiter for each workload."""
    meters = Meters(clock)
    per_ns = SECOND if setting.measure == "rate" else 0
    shares = [ShareSpec("critical", "critical"), ShareSpec("background", "background")] if priorities else []
    level = setting.limit * MICRO
    meters.declare([MeterSpec("db", setting.measure, ceiling_micro=level, per_ns=per_ns, shares=shares)])
    burst_ns = int(setting.burst_s * SECOND) if per_ns else 0
    curve = Curve(setting.measure, 1, "now", [Segment(0, None, level, level)], per_ns=per_ns, burst_ns=burst_ns)
    meters.publish([("db", curve)], 0)
    steps = [("db", MICRO, False)]
    return meters, {name: meters.limiter(PathSpec("db", name, steps)) for name in ("critical", "background")}


def report(setting: Setting, seed: int) -> dict[str, object]:
    """One setting with priorities and without, in figures."""
    said: dict[str, object] = {"limit": setting.limit, "hold_s": setting.hold_s, "burst_s": setting.burst_s}
    for title, priorities in (("with_priorities", True), ("without", False)):
        phases, most = played(setting, seed, priorities=priorities)
        said[title] = {
            name: [{"asked": one.asked, "admitted": one.admitted, "kept_ppm": one.kept_ppm} for one in each]
            for name, each in phases.items()
        } | ({"most_in_use": most} if setting.measure == "concurrency" else {})
    return said


def faults(setting: Setting, seed: int) -> list[str]:
    """What of the promise was not kept: the critical workload's demand, the limit, or work for the background one."""
    phases, most = played(setting, seed, priorities=True)
    short = [phase for phase, one in enumerate(phases["critical"]) if one.kept_ppm < KEPT_PPM]
    found = [f"critical kept less than {KEPT_PPM} ppm in phase {phase}" for phase in short]
    if most > setting.limit:
        found.append(f"{most} were in use of {setting.limit}")
    # Half the limit is free beside critical: in the spike background has to have most of that, not a trickle.
    spike = sum(one.admitted for one in (phases["critical"][1], phases["background"][1]))
    full = setting.limit / (setting.hold_s or 1.0) * PHASE_S
    if spike < 0.75 * full:
        found.append(f"only {spike} of {full:.0f} that fit were admitted in the spike")
    return found


def main(arguments: list[str]) -> int:
    """Plays every setting, writes the result; 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benches.priority", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args(arguments).seed
    said = {name: report(setting, seed) for name, setting in SETTINGS.items()}
    broken = {name: found for name, setting in SETTINGS.items() if (found := faults(setting, seed))}
    path = ROOT / "benches" / "results" / f"priority-{seed}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"commit": commit_of_checkout(), "date": date, "seed": seed, "broken": broken, "settings": said}
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{len(SETTINGS)} settings, {len(broken)} broken: {path}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
