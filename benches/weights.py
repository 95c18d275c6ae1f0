"""`python -m benches.weights --seed 1`: workloads of unlike weight that ask for more than there is, beside the ideal division.

Virtual time, random arrivals, the compiled meters on a manual clock. For every second the ideal is computed apart, from what
was offered in it: exact weighted max-min. `benches/results/weights-SEED.json` keeps what each workload got and should have
got, from the third second after each change on; it exits 1 where a share was further from the ideal than 2 % of the limit,
or less than 99 % of what was wanted of the limit was used.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Literal

from benches.provenance import commit_of_checkout
from headway._core import Clock, Curve, Limiter, Meters, MeterSpec, PathSpec, Permit, Segment, ShareSpec

ROOT = Path(__file__).parents[1]
MICRO, SECOND = 1_000_000, 1_000_000_000
SETTLED_S = 2
"""Seconds after a change that are not judged."""
APART = 0.02
USED = 0.99


@dataclass(frozen=True, slots=True)
class Setting:
    """A limit, weights, and what each asks for in each phase, as parts of the limit."""

    measure: Literal["rate", "concurrency"]
    limit: int
    weights: tuple[int, ...]
    phases: tuple[tuple[float, ...], ...]
    phase_s: int = 8
    burst_s: float = 1.0
    hold_s: float = 0.05

    def per_s(self, workload: int, at_ns: int) -> float:
        """Arrivals a second."""
        part = self.phases[at_ns // (self.phase_s * SECOND)][workload]
        return part * self.limit / (self.hold_s if self.measure == "concurrency" else 1.0)


RATE, SLOTS = 1_000, 1_000
SETTINGS = {
    "rate, twice the limit, 1 to 3": Setting("rate", RATE, (1, 3), ((1.0, 1.0),)),
    "rate, a quiet one beside two loud ones": Setting("rate", RATE, (1, 1, 1), ((0.2, 0.5, 1.5),)),
    "rate, burst of 100 ms": Setting("rate", RATE, (1, 2, 1), ((0.2, 0.8, 1.5),), burst_s=0.1),
    "rate, a twelvefold spike": Setting("rate", RATE, (3, 1), ((0.5, 0.25), (0.5, 3.0), (0.5, 0.25))),
    "rate, one that comes and goes": Setting(
        "rate", RATE, (1, 1, 2), ((0.3, 1.5, 0.0), (0.3, 1.5, 1.0), (0.3, 1.5, 0.0))
    ),
    "concurrency, twice the limit, 1 to 3": Setting("concurrency", SLOTS, (1, 3), ((1.0, 1.0),)),
    "concurrency, a quiet one beside two loud ones": Setting("concurrency", SLOTS, (1, 1, 1), ((0.2, 0.7, 1.5),)),
    "concurrency, one that comes and goes": Setting(
        "concurrency", SLOTS, (1, 1, 2), ((0.3, 1.5, 0.0), (0.3, 1.5, 1.0), (0.3, 1.5, 0.0))
    ),
}


@dataclass(slots=True)
class Second:
    """What was asked for and had in one second, in units: of slots, on average over it."""

    asked: list[float]
    had: list[float]


@dataclass(slots=True)
class Played:
    seconds: list[Second] = field(default_factory=list)
    most_in_use: int = 0


def ideal(limit: float, wants: Sequence[float], weights: Sequence[int]) -> list[float]:
    """Weighted max-min by filling up: whoever wants less than its part has that, the others divide the rest."""
    shares, left, asking = [0.0] * len(wants), limit, set(range(len(wants)))
    while asking:
        level = left / sum(weights[one] for one in asking)
        content = {one for one in asking if wants[one] <= level * weights[one]}
        if not content:
            return [level * weights[one] if one in asking else shares[one] for one in range(len(wants))]
        for one in content:
            shares[one] = wants[one]
            left -= wants[one]
        asking -= content
    return shares


def played(setting: Setting, seed: int, *, weighed: bool = True) -> Played:
    """Second by second; without weights whoever comes first is served first."""
    clock, dice = Clock.manual(0), Random(seed)
    limiters = metered(setting, clock, weighed=weighed)
    count, span_s = len(setting.weights), setting.phase_s * len(setting.phases)
    result = Played([Second([0.0] * count, [0.0] * count) for _ in range(span_s)])
    held: list[tuple[int, int, int, Permit]] = []
    in_use, since_ns = [0] * count, 0

    def pass_to(at_ns: int) -> None:
        nonlocal since_ns
        if setting.measure == "concurrency":
            while since_ns < at_ns:
                second = since_ns // SECOND
                until_ns = min(at_ns, (second + 1) * SECOND)
                for one in range(count):
                    result.seconds[second].had[one] += in_use[one] * (until_ns - since_ns) / SECOND
                since_ns = until_ns
        clock.advance(at_ns - clock.boot_ns())

    for number, (at_ns, one, hold_ns) in enumerate(arrivals(setting, dice)):
        while held and held[0][0] <= at_ns:
            until_ns, _, whose, permit = heapq.heappop(held)
            pass_to(until_ns)
            in_use[whose] -= 1
            permit.release()
        pass_to(at_ns)
        second = result.seconds[at_ns // SECOND]
        second.asked[one] += hold_ns / SECOND if setting.measure == "concurrency" else 1
        answer = limiters[one].try_acquire()
        if not isinstance(answer, Permit):
            continue
        if setting.measure == "rate":
            second.had[one] += 1
        else:
            in_use[one] += 1
            result.most_in_use = max(result.most_in_use, sum(in_use))
            heapq.heappush(held, (at_ns + hold_ns, number, one, answer))
    for *_, permit in held:
        permit.release()
    return result


def arrivals(setting: Setting, dice: Random) -> Iterator[tuple[int, int, int]]:
    """(instant, workload, how long it holds), in order of time; Poisson, exponential holding."""
    end_ns, phase_ns = setting.phase_s * len(setting.phases) * SECOND, setting.phase_s * SECOND
    ahead = [(0, one) for one in range(len(setting.weights))]
    while ahead:
        at_ns, one = heapq.heappop(ahead)
        per_s = setting.per_s(one, at_ns)
        next_ns = at_ns + 1 + int(dice.expovariate(per_s) * SECOND) if per_s else (at_ns // phase_ns + 1) * phase_ns
        if next_ns < end_ns:
            heapq.heappush(ahead, (next_ns, one))
        if per_s:
            yield at_ns, one, 1 + int(dice.expovariate(1 / setting.hold_s) * SECOND)


def metered(setting: Setting, clock: Clock, *, weighed: bool) -> list[Limiter]:
    """One contract, its limit in force, and a limiter for each workload."""
    meters = Meters(clock)
    names = [f"w{one}" for one in range(len(setting.weights))]
    weights = [weight if weighed else None for weight in setting.weights]
    shares = [ShareSpec(name, weight=weight) for name, weight in zip(names, weights, strict=True)]
    per_ns, level = SECOND if setting.measure == "rate" else 0, setting.limit * MICRO
    meters.declare([MeterSpec("db", setting.measure, ceiling_micro=level, per_ns=per_ns, shares=shares)])
    burst_ns = int(setting.burst_s * SECOND) if per_ns else 0
    curve = Curve(setting.measure, 1, "now", [Segment(0, None, level, level)], per_ns=per_ns, burst_ns=burst_ns)
    meters.publish([("db", curve)], 0)
    return [meters.limiter(PathSpec("db", name, [("db", MICRO, False)])) for name in names]


def judged(setting: Setting, seconds: Sequence[Second]) -> Iterator[tuple[int, Second, list[float]]]:
    """The seconds that are judged, each with the ideal: of slots what is asked for is the phase's, for their sum over one
    second is mostly noise."""
    for number, second in enumerate(seconds):
        if number % setting.phase_s >= SETTLED_S:
            parts = setting.phases[number // setting.phase_s]
            wants = second.asked if setting.measure == "rate" else [part * setting.limit for part in parts]
            yield number, second, ideal(setting.limit, wants, setting.weights)


def faults(setting: Setting, result: Played) -> list[str]:
    """What of the promise was not kept: the limit, the ideal, or work. Below the limit nothing is divided, and who asks
    unevenly has unevenly."""
    found = []
    if result.most_in_use > setting.limit:
        found.append(f"{result.most_in_use} were in use of {setting.limit}")
    contended = [one for one in judged(setting, result.seconds) if sum(one[2]) > 0.999 * setting.limit]
    for number, second, shares in contended:
        for one, (had, share) in enumerate(zip(second.had, shares, strict=True)):
            if abs(had - share) > APART * setting.limit:
                found.append(f"second {number}: w{one} had {had:.0f} and should have had {share:.0f}")
    # Of a rate what one second leaves the next one has: a burst is no loss.
    used = sum(sum(second.had) for _, second, _ in contended)
    if used < USED * setting.limit * len(contended):
        found.append(f"{used:.0f} of {setting.limit * len(contended)} were used")
    return found


def report(setting: Setting, result: Played) -> dict[str, object]:
    """One setting in figures."""
    rows = [
        {"second": number, "had": [round(one) for one in second.had], "ideal": [round(one) for one in shares]}
        for number, second, shares in judged(setting, result.seconds)
    ]
    return {"limit": setting.limit, "weights": setting.weights, "phases": setting.phases, "seconds": rows}


def main(arguments: list[str]) -> int:
    """Plays every setting, writes the result; 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benches.weights", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args(arguments).seed
    results = {name: played(setting, seed) for name, setting in SETTINGS.items()}
    said = {name: report(SETTINGS[name], result) for name, result in results.items()}
    broken = {name: found for name, result in results.items() if (found := faults(SETTINGS[name], result))}
    path = ROOT / "benches" / "results" / f"weights-{seed}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"commit": commit_of_checkout(), "date": date, "seed": seed, "broken": broken, "settings": said}
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{len(SETTINGS)} settings, {len(broken)} broken: {path}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
