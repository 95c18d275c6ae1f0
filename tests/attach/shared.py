"""A limit on the machine's clock that real Envoys share, traffic through them, and what it certainly had too much of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from headway._core import Curve, DataPlane, Meters, MeterSpec, PathSpec, RlqsRoute, RlsRoute, Segment
from headway.attach import FRONTS, Attachment
from headway.enforce.bounds import InForce, Stamped, Violation, certain_rate_violations
from headway.server.access import Access, Credential, sha256_of
from tests.attach.fronts import application, free_port, running

TOKEN = "a-gate's-token"
BUCKET = {"name": "checkout"}
MICRO, SECOND = 1_000_000, 1_000_000_000
WITHIN_S = 5
"""`drain_within` of what is divided: by then an unplanned cut is in force everywhere."""

UNTIL_S = 30
"""How long a test waits for what is about to come."""


def now_ns() -> int:
    """The clock that decisions are made on, and that requests are stamped with."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Asked:
    """One request: when it went out, when its answer was there, and its status."""

    sent_ns: int
    answered_ns: int
    status: int


@dataclass
class Traffic:
    """Callers that ask as fast as they are answered, until told to stop."""

    seen: list[Asked] = field(default_factory=list)

    @contextmanager
    def on(self, url: str, callers: int = 3) -> Iterator[None]:
        stop = threading.Event()

        def call() -> None:
            with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
                while not stop.wait(0.01):
                    sent = now_ns()
                    status = client.get("/").status_code
                    self.seen.append(Asked(sent, now_ns(), status))

        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def admitted(self, since_ns: int = 0) -> list[Asked]:
        return [one for one in list(self.seen) if one.status == 200 and one.sent_ns >= since_ns]

    def reach(self, count: int, since_ns: int) -> None:
        """Waits until so many went through after an instant."""
        self.wait(lambda: len(self.admitted(since_ns)) >= count)

    def wait(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + UNTIL_S
        while not done():
            assert time.monotonic() < until, "it never came to that"
            threading.Event().wait(0.02)

    def over(self, history: list[InForce]) -> list[Violation]:
        """Windows in which certainly more went through than `B + ∫ L`: each request counts for those that hold it whole."""
        stamped = [Stamped(one.sent_ns, one.answered_ns, MICRO) for one in self.admitted()]
        return certain_rate_violations(stamped, history, per_ns=SECOND)


class Keeper:
    """A rate with a burst of a second, which a data plane divides among Envoys or, if not `divided`, is asked about."""

    def __init__(self, level: int, *, divided: bool) -> None:
        self.meters = Meters()
        self.meters.declare([MeterSpec("checkout", "rate", ceiling_micro=1_000 * MICRO, per_ns=SECOND, unit="request")])
        self.limiter = self.meters.limiter(PathSpec("checkout", "other", [("checkout", MICRO, False)]))
        self.divided = divided
        self.history: list[InForce] = []
        self.publish(level)
        self._port = 0
        self.start()

    def start(self) -> None:
        """A data plane, at the address of the one before it."""
        access = Access([Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))])
        # A machine that runs tests may be slow, and slow is no reason to refuse here.
        self.plane = DataPlane(self.meters, f"127.0.0.1:{self._port}", credentials=access.hashed(), deadline_ms=5_000)
        self._port = self.plane.port
        if self.divided:
            rlqs = [RlqsRoute("edge", BUCKET, self.limiter, within_ns=WITHIN_S * SECOND)]
            self.plane.routes([], [], [], [], rlqs)
        else:
            self.plane.routes([], [RlsRoute("edge", list(BUCKET.items()), self.limiter)])

    def publish(self, level: int, *, climbs_to: int | None = None, over_s: int = 0, within_s: int = 0) -> int:
        """A new limit from now on, in a straight line to another where it climbs; returns now.

        within_s: where a cut is not in force at once, by when it is.
        """
        target = level if climbs_to is None else climbs_to
        before, utc = now_ns(), time.time_ns()
        climb = [] if climbs_to is None else [(0, over_s * SECOND, level * MICRO, target * MICRO)]
        spans = [*climb, (over_s * SECOND, None, target * MICRO, target * MICRO)]
        curve = Curve(
            "rate",
            len(self.history) + 1,
            "now",
            [
                Segment(utc + start, None if end is None else utc + end, first, last)
                for start, end, first, last in spans
            ],
            per_ns=SECOND,
            burst_ns=SECOND,
        )
        self.meters.publish([("checkout", curve)], utc)
        after = max(now_ns(), before + within_s * SECOND)
        on_our_clock = tuple(
            (before + start, None if end is None else before + end, first, last) for start, end, first, last in spans
        )
        self.history.append(InForce(before, after, on_our_clock, burst_ns=SECOND))
        return before

    def counted(self) -> int:
        """What was admitted, as the meter counts."""
        return self.limiter.reading().admitted


@contextmanager
def envoys(keeper: Keeper, folder: Path, count: int) -> Iterator[list[str]]:
    """So many Envoys with the printed configuration; their URLs."""
    bound = {"bucket": BUCKET} if keeper.divided else {"descriptor": BUCKET}
    asked = Attachment("checkout", "rate", data_plane=keeper.plane.address, domain="edge", **bound)
    with application() as behind, ExitStack() as stack:
        urls = []
        for number in range(count):
            own = folder / str(number)
            own.mkdir()
            front = running("envoy", FRONTS["envoy"](asked), free_port(), behind.port, own, TOKEN)
            urls.append(stack.enter_context(front))
        yield urls
