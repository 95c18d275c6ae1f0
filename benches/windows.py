"""`python -m benches.windows --seed 1`: workloads of unlike weight that want more of a quota's window than there is, beside
the ideal division of what was asked for in it.

Virtual time, random arrivals, the compiled meters on a manual clock, windows of a minute. `benches/results/windows-SEED.json`
keeps what each workload got of each window and should have got, the first after a start included; it exits 1 where a share
was further from the ideal than 2 % of the limit, less than 99 % of what was wanted of the limit was used, or anything was
over it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from benches.provenance import commit_of_checkout
from benches.weights import APART, MICRO, ROOT, SECOND, USED, ideal
from headway._core import Clock, Curve, Limiter, Meters, MeterSpec, PathSpec, Segment, ShareSpec

WINDOW_S, WINDOWS = 60, 5
LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Setting:
    """Weights, and what each asks for in each half of a window, as parts of the limit a window."""

    weights: tuple[int, ...]
    parts: tuple[float, ...]
    second_half: tuple[float, ...] = ()

    def per_s(self, workload: int, at_ns: int) -> float:
        """Arrivals a second."""
        is_late = at_ns % (WINDOW_S * SECOND) >= WINDOW_S * SECOND // 2
        parts = self.second_half if self.second_half and is_late else self.parts
        return parts[workload] * LIMIT / WINDOW_S


SETTINGS = {
    "twice the limit, 1 to 3": Setting((1, 3), (1.0, 1.0)),
    "a quiet one beside two loud ones": Setting((1, 1, 1), (0.1, 2.0, 4.0)),
    "nine times the limit, by 1 to 2 to 4": Setting((1, 2, 4), (3.0, 3.0, 3.0)),
    "less than there is": Setting((1, 1, 7), (0.3, 0.3, 0.2)),
    "one that stops at half of the window": Setting((1, 1), (0.2, 3.0), (0.0, 3.0)),
}


@dataclass(slots=True)
class Window:
    """What was asked for and had in one."""

    asked: list[int]
    had: list[int]


def played(setting: Setting, seed: int, *, weighed: bool = True) -> list[Window]:
    """Window by window; without weights whoever comes first is served first."""
    clock, dice, count = Clock.manual(0), Random(seed), len(setting.weights)
    limiters = metered(setting, clock, weighed=weighed)
    windows = [Window([0] * count, [0] * count) for _ in range(WINDOWS)]
    for at_ns, one in arrivals(setting, dice):
        clock.advance(at_ns - clock.boot_ns())
        window = windows[at_ns // (WINDOW_S * SECOND)]
        window.asked[one] += 1
        window.had[one] += bool(limiters[one].try_acquire())
    return windows


def arrivals(setting: Setting, dice: Random) -> Iterator[tuple[int, int]]:
    """(instant, workload), in order of time; Poisson."""
    half_ns = WINDOW_S * SECOND // 2
    ahead = [(0, one) for one in range(len(setting.weights))]
    while ahead:
        at_ns, one = heapq.heappop(ahead)
        per_s = setting.per_s(one, at_ns)
        next_ns = at_ns + 1 + int(dice.expovariate(per_s) * SECOND) if per_s else (at_ns // half_ns + 1) * half_ns
        if next_ns < WINDOWS * WINDOW_S * SECOND:
            heapq.heappush(ahead, (next_ns, one))
        if per_s:
            yield at_ns, one


def metered(setting: Setting, clock: Clock, *, weighed: bool) -> list[Limiter]:
    """One contract, its windows decided, and a limiter for each workload."""
    meters, level = Meters(clock), LIMIT * MICRO
    names = [f"w{one}" for one in range(len(setting.weights))]
    weights = zip(names, setting.weights, strict=True)
    shares = [ShareSpec(name, weight=weight if weighed else None) for name, weight in weights]
    meters.declare([MeterSpec("exports", "quota", ceiling_micro=level, shares=shares)])
    starts = [number * WINDOW_S * SECOND for number in range(WINDOWS + 1)]
    meters.publish([("exports", Curve("quota", 1, "now", [Segment(0, None, level, level)], window=starts))], 0)
    return [meters.limiter(PathSpec("exports", name, [("exports", MICRO, False)])) for name in names]


def faults(setting: Setting, windows: list[Window]) -> list[str]:
    """What of the promise was not kept."""
    found = []
    for number, window in enumerate(windows):
        used, wanted = sum(window.had), min(LIMIT, sum(window.asked))
        if used > LIMIT:
            found.append(f"window {number}: {used} of {LIMIT} were used")
        if used < USED * wanted:
            found.append(f"window {number}: {used} of {wanted} that were wanted were used")
        for one, share in enumerate(ideal(LIMIT, window.asked, setting.weights)):
            if abs(window.had[one] - share) > APART * LIMIT:
                found.append(f"window {number}: w{one} had {window.had[one]} and should have had {share:.0f}")
    return found


def main(arguments: list[str]) -> int:
    """Plays every setting, writes the result; 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benches.windows", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args(arguments).seed
    results = {name: played(setting, seed) for name, setting in SETTINGS.items()}
    broken = {name: found for name, result in results.items() if (found := faults(SETTINGS[name], result))}
    said = {
        name: {
            "limit": LIMIT,
            "weights": SETTINGS[name].weights,
            "windows": [
                {
                    "asked": one.asked,
                    "had": one.had,
                    "ideal": [round(share) for share in ideal(LIMIT, one.asked, SETTINGS[name].weights)],
                }
                for one in result
            ],
        }
        for name, result in results.items()
    }
    path = ROOT / "benches" / "results" / f"windows-{seed}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"commit": commit_of_checkout(), "date": date, "seed": seed, "broken": broken, "settings": said}
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{len(SETTINGS)} settings, {len(broken)} broken: {path}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
