"""The rounds. Interleaved: each round asks every server once in every case, so that a neighbour on the machine slows all
alike; the median of the rounds is what counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benches.rls.asks import CASES, is_admitted
from benches.rls.load import Core, Log, Served, Unfit
from benches.rls.server import Server

ROUNDS_LEAST = 3
FIRST = 2_000
"""Requests from which a round's number of them is taken, and which warm everything up."""

WITHIN_US = 20_000
"""What a proxy waits for: the default time-out of Envoy's rate-limit filter."""

PACE = 0.8
"""Of the most that a server answers in a second."""


@dataclass(frozen=True)
class Cost:
    """One server in one case. Medians over the rounds; `rounds_us` are the sums of all processes, round by round.

    per_s: Answers a second, of the core that serves.
    answer_bytes: The mean of an answer's body, framed: not all say as much.
    """

    who: str
    case: str
    cpu_us: float
    by_process_us: Mapping[str, float]
    per_s: float
    rounds_us: Sequence[float]
    answer_bytes: float


@dataclass(frozen=True)
class Paced:
    """One server asked at a pace of `per_s`; h2load kept up with it if `sent_per_s` is as much.

    A miss is an answer after `WITHIN_US`, none at all, or a shed.
    """

    who: str
    per_s: int
    sent_per_s: float
    asked: int
    late: int
    unanswered: int
    sheds: int
    p50_us: int
    p999_us: int

    @property
    def within_share(self) -> float:
        return 1 - (self.late + self.unanswered + self.sheds) / self.asked


def costs(servers: Sequence[Server], load: Core, rounds: int, seconds: float) -> list[Cost]:
    """Each server in each of its cases, in rounds of about so many seconds each."""
    if rounds < ROUNDS_LEAST:
        raise ValueError(f"a median of fewer than {ROUNDS_LEAST} rounds says little")
    subjects = [(server, case) for case in CASES for server in servers if case in server.cases]
    sizes = [_size(server, case, load, seconds) for server, case in subjects]
    used: list[list[dict[str, float]]] = [[] for _ in subjects]
    runs: list[list[Served]] = [[] for _ in subjects]
    for _ in range(rounds):
        for place, ((server, case), size) in enumerate(zip(subjects, sizes, strict=True)):
            before = server.cpu_ns()
            runs[place].append(load.flood(server, case, size))
            after = server.cpu_ns()
            used[place].append({name: (after[name] - before[name]) / size / 1_000 for name in after})
            _answers(server, case)
    return [
        _cost(server, case, each, served) for (server, case), each, served in zip(subjects, used, runs, strict=True)
    ]


def paced(server: Server, load: Core, most_per_s: float, seconds: float) -> Paced:
    """Asks what is admitted at `PACE` of the most, for so long."""
    per_s = int(PACE * most_per_s)
    shed = server.sheds() if server.sheds else 0
    log = load.pace(server, "admitted", per_s, seconds)
    sheds = (server.sheds() if server.sheds else 0) - shed
    return paced_of(server.who, per_s, log, sheds)


def paced_of(who: str, per_s: int, log: Log, sheds: int) -> Paced:
    """What the log comes to. Unfit where nothing was answered."""
    answered = sorted(lapse for lapse in log.lapses_us if lapse >= 0)
    if not answered:
        raise Unfit(f"{who} answered nothing")
    late = sum(lapse > WITHIN_US for lapse in answered)
    p50, p999 = (answered[int(share * (len(answered) - 1))] for share in (0.5, 0.999))
    asked = len(log.lapses_us)
    return Paced(who, per_s, log.sent_per_s, asked, late, asked - len(answered), sheds, p50, p999)


def _size(server: Server, case: str, load: Core, seconds: float) -> int:
    # What it says at first does not count: a server waits for its socket, may shed what comes in its first moments, and
    # admits once of `closed`.
    is_admitted(server.port, server.token, case)
    load.flood(server, case, FIRST)
    _answers(server, case)
    return max(FIRST, int(load.flood(server, case, FIRST).per_s * seconds))


def _answers(server: Server, case: str) -> None:
    """Whether it still does what the case says. limitador's window of a second may just have begun: then it is asked again."""
    said = [is_admitted(server.port, server.token, case) for _ in range(2)]
    if said[-1] != (case == "admitted"):
        raise Unfit(f"{server.who}, {case}: it was {'admitted' if said[-1] else 'refused'}")


def _cost(server: Server, case: str, used: Sequence[Mapping[str, float]], runs: Sequence[Served]) -> Cost:
    sums = [sum(each.values()) for each in used]
    return Cost(
        server.who,
        case,
        cpu_us=statistics.median(sums),
        by_process_us={name: statistics.median(each[name] for each in used) for name in server.processes},
        per_s=statistics.median(run.per_s for run in runs),
        rounds_us=sums,
        answer_bytes=statistics.median(run.answer_bytes for run in runs),
    )
