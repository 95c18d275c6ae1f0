"""Real Envoys on one contract that is divided among them, with the printed configuration: a raise, a cut, a server that goes.

What they let through is held against `B + ∫ L` by the requests' own times: one counts for a window only if it was sent and
answered within it, so that what is found over is over for certain.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from headway._core import Curve, DataPlane, Meters, MeterSpec, PathSpec, RlqsRoute, Segment
from headway.attach import FRONTS, Attachment
from headway.server.access import Access, Credential, sha256_of
from tests.attach.fronts import application, free_port, running

TOKEN = "a-gate's-token"
BUCKET = {"name": "checkout"}
MICRO, SECOND = 1_000_000, 1_000_000_000
WITHIN_S = 5
"""`drain_within`: by then an unplanned cut is in force everywhere."""

UNTIL_S = 30


@dataclass
class Traffic:
    """Callers that ask as fast as they are answered, until told to stop: when each request went out, came back, and how."""

    seen: list[tuple[float, float, int]] = field(default_factory=list)

    @contextmanager
    def on(self, url: str, callers: int = 3) -> Iterator[None]:
        stop = threading.Event()

        def call() -> None:
            with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
                while not stop.wait(0.01):
                    sent = time.monotonic()
                    status = client.get("/").status_code
                    self.seen.append((sent, time.monotonic(), status))

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def admitted(self, since: float = 0.0) -> list[tuple[float, float]]:
        return [(sent, back) for sent, back, status in list(self.seen) if status == 200 and sent >= since]

    def reach(self, count: int, since: float) -> None:
        """Waits until so many went through after an instant."""
        self.wait(lambda: len(self.admitted(since)) >= count)

    def wait(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + UNTIL_S
        while not done():
            assert time.monotonic() < until, "it never came to that"
            threading.Event().wait(0.02)


def over(admitted: Sequence[tuple[float, float]], levels: Sequence[tuple[float, int]]) -> float:
    """How many more than `B + ∫ L` were certainly let through in the worst window; at most 0 where none was.

    Args:
        admitted: (sent, answered) of each.
        levels: (from when, level a second), ascending; the burst is a second's worth.
    """

    def area(at: float) -> float:
        ends = [start for start, _ in levels[1:]] + [float("inf")]
        return sum(level * max(0.0, min(at, end) - start) for (start, level), end in zip(levels, ends, strict=True))

    def burst(at: float) -> int:
        return next(level for start, level in reversed(levels) if start <= at)

    by_answer = sorted(admitted, key=lambda one: one[1])
    worst = float("-inf")
    for start in {sent for sent, _ in admitted}:
        count, base = 0, burst(start) - area(start)
        for sent, answered in by_answer:
            if sent >= start:
                count += 1
                worst = max(worst, count - base - area(answered))
    return worst


def test_the_checker_finds_one_too_many() -> None:
    """Ten at once and ten a second after fit a limit of 10; one more does not."""
    fits = [(0.0, 0.0)] * 10 + [(k / 10, k / 10) for k in range(1, 11)]

    assert over(fits, [(0.0, 10)]) <= 1e-9
    assert over([*fits, (1.0, 1.0)], [(0.0, 10)]) > 0.9


class Keeper:
    """A limit on a real clock, divided on a data plane."""

    def __init__(self, level: int) -> None:
        self.meters = Meters()
        self.meters.declare([MeterSpec("checkout", "rate", ceiling_micro=1_000 * MICRO, per_ns=SECOND, unit="request")])
        self.version = 0
        self.levels: list[tuple[float, int]] = []
        self.publish(level)
        access = Access([Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))])
        self.plane = DataPlane(self.meters, credentials=access.hashed())
        limiter = self.meters.limiter(PathSpec("checkout", "other", [("checkout", MICRO, False)]))
        self.plane.routes([], [], [], [], [RlqsRoute("edge", BUCKET, limiter, within_ns=WITHIN_S * SECOND)])

    def publish(self, level: int) -> float:
        """A new limit, now; when that was."""
        self.version += 1
        segment = Segment(0, None, level * MICRO, level * MICRO)
        curve = Curve("rate", self.version, "now", [segment], per_ns=SECOND, burst_ns=SECOND)
        before = time.monotonic()
        self.meters.publish([("checkout", curve)], time.time_ns())
        self.levels.append((before, level))
        return before


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper(40)
    yield keeper
    keeper.plane.close()


@contextmanager
def envoys(keeper: Keeper, folder: Path, count: int) -> Iterator[list[str]]:
    """So many Envoys with the printed configuration; their URLs."""
    asked = Attachment("checkout", "rate", data_plane=keeper.plane.address, domain="edge", bucket=BUCKET)
    with application() as behind, ExitStack() as stack:
        urls = []
        for number in range(count):
            own = folder / str(number)
            own.mkdir()
            front = running("envoy", FRONTS["envoy"](asked), free_port(), behind.port, own, TOKEN)
            urls.append(stack.enter_context(front))
        yield urls


def test_two_envoys_share_one_limit_through_a_raise_and_a_cut(keeper: Keeper, tmp_path: Path) -> None:
    """40 a second, 80, then 20 without warning: neither the two together nor any window passes more, but for the cut's
    five seconds; and most of the limit is used."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 2) as urls, traffic.on(urls[0]), traffic.on(urls[1]):
        start = time.monotonic()
        traffic.reach(80, start)
        raised = keeper.publish(80)
        traffic.wait(lambda: keeper.plane.divided()[0][3] >= 60)
        traffic.reach(240, raised)
        cut = keeper.publish(20)
        traffic.wait(lambda: keeper.plane.divided()[0][3] <= 20)
        told = time.monotonic()
        traffic.wait(lambda: time.monotonic() >= cut + WITHIN_S)
        traffic.reach(100, cut + WITHIN_S)
        streams = keeper.plane.divided()[0][1]

    assert 2 == streams
    assert told - cut < 2.0, "it is pushed, and not waited for"
    drained = [keeper.levels[0], keeper.levels[1], (cut + WITHIN_S, 20)]
    assert over(traffic.admitted(), drained) <= 0


def test_one_envoy_that_wants_it_keeps_most_of_the_limit_busy(keeper: Keeper, tmp_path: Path) -> None:
    """Of 40 a second it is assigned 38."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 1) as urls, traffic.on(urls[0], callers=6):
        traffic.wait(lambda: keeper.plane.divided()[0][3] == 38)
        since = time.monotonic()
        traffic.reach(120, since)
        took = time.monotonic() - since

    assert over(traffic.admitted(), keeper.levels) <= 0
    assert took >= 2.0


def test_without_a_server_assignments_end_and_nothing_passes(keeper: Keeper, tmp_path: Path) -> None:
    """The stream is lost: what was assigned lives its four seconds, and after that the printed configuration denies."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 1) as urls, traffic.on(urls[0]):
        traffic.reach(20, time.monotonic())
        keeper.plane.close()
        closed = time.monotonic()
        traffic.wait(lambda: time.monotonic() >= closed + WITHIN_S + 1)

    assert [] == traffic.admitted(closed + WITHIN_S)
