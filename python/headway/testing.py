"""For users' tests: contracts over a clock that stands still until it is moved.

    import headway.testing

    def test_the_sixth_mail_waits():
        with headway.testing.open(CONTRACT) as hw:
            mails = hw.limiter("mails")
            hw.fill(mails)

            assert not mails.try_acquire()
            hw.advance(60)
            assert mails.try_acquire()

Engine, ramp, ledger and meters are the real ones; only the clock is not, the ledger lives in memory, and nothing
listens or sleeps. Nothing here needs pytest; a fixture is two lines around `open`.
"""

from __future__ import annotations

import math
import threading
from datetime import UTC, datetime

from headway._core import Clock, GrowthQueue, Limiter, Meters, Permit
from headway.contract.read import read_text
from headway.embedded import Headway
from headway.engine.engine import Engine

MS = 1_000_000
"""Nanoseconds a millisecond."""

ADVANCE_MAX_S = 366 * 86_400
"""The longest single `advance`. The engine looks at least once a second, in tests too: a day takes a while."""

TURNS_MAX = 1_000
"""Turns of the engine at one instant: more means that it would never rest."""

UNITS_MAX = 2**44
"""More units than any limit has."""

BIRTH = datetime(2027, 1, 1, tzinfo=UTC)
"""Where the clock stands unless told: a Friday, the start of a month and of a year."""


def open(text: str, *, at: datetime = BIRTH) -> Rehearsal:
    """Puts the contracts of a text in force, in memory, at an instant.

    Args:
        text: One or more documents in YAML.
        at: Where the clock stands; with a zone, from 1970 on.

    Raises:
        headway.contract.faults.Unreadable: As `headway.open`.
        ValueError: `at` has no zone, or lies before 1970.

    Example:
        >>> import headway.testing
        >>> with headway.testing.open('''
        ...     contract: api
        ...     owner: team-web
        ...     constraint: {measure: rate, unit: request, per: 1s}
        ...     workloads: {other: {}}
        ...     ramp: [{stage: now, limit: 2}]
        ... ''') as hw:
        ...     print(hw.fill(hw.limiter("api")))
        2
    """
    if at.tzinfo is None or at.timestamp() < 0:
        raise ValueError(f"`at` is an instant with a zone, from 1970 on, not {at!r}")
    wall = StandingClock(Clock.manual(), round(at.timestamp() * 1000))
    meters = Meters(wall.core)
    books = _Books(meters.growth)
    try:
        engine = Engine.memory(read_text(text, "contracts in a test"), clock=wall, meters=meters)
    except BaseException:
        books.close()
        raise
    return Rehearsal(engine, wall, books)


class StandingClock:
    """Wall and boot clock of the engine (its `WallClock`), both from one manual clock, so that they never part."""

    def __init__(self, core: Clock, born_ms: int) -> None:
        self.core = core
        self._born_ms = born_ms

    def utc_ms(self) -> int:
        """UTC in milliseconds since 1970."""
        return self._born_ms + self.boot_ms()

    def utc_ns(self) -> int:
        """The same, finer."""
        return self._born_ms * MS + self.core.boot_ns()

    def boot_ms(self) -> int:
        """Milliseconds on the manual clock."""
        return self.core.boot_ns() // MS

    def boot_id(self) -> str:
        """One boot for ever."""
        return "rehearsal"

    def synchronised(self) -> bool:
        """A clock that only we move is right by definition."""
        return True


class Rehearsal(Headway):
    """What `headway.open` returns, with a clock to be moved by hand. For one thread at a time."""

    def __init__(self, engine: Engine, wall: StandingClock, books: _Books) -> None:
        super().__init__(engine)
        self._wall = wall
        self._books = books
        self._taken: list[Permit] = []

    @property
    def now(self) -> datetime:
        """Where the clock stands, in UTC."""
        return datetime.fromtimestamp(self._wall.utc_ms() / 1000, UTC)

    def advance(self, seconds: float) -> None:
        """Moves the clock forward, halting at every instant at which a contract has something to do.

        Args:
            seconds: 0 or more, to the nanosecond, at most `ADVANCE_MAX_S`. With 0, what is due now is done.

        Raises:
            ValueError: Below 0, above the maximum, or not a number.
        """
        if not 0 <= seconds <= ADVANCE_MAX_S:
            raise ValueError(f"a clock is advanced by 0 to {ADVANCE_MAX_S:,} seconds, not {seconds}")
        clock = self._wall.core
        until_ns = clock.boot_ns() + round(seconds * 1e9)
        pause_ms = self._rest()
        while (left_ns := until_ns - clock.boot_ns()) > 0:
            clock.advance(min(left_ns, pause_ms * MS))
            pause_ms = self._rest()

    def fill(self, limiter: Limiter, key: str | None = None) -> int:
        """Takes all that a limiter admits now, so that the next demand is refused. Slots are held until `drain`.

        Args:
            limiter: One of this `Rehearsal`.
            key: Whose limit, where the contract says `each`.

        Returns:
            How many units were taken.

        Raises:
            ValueError: The limiter admits without end: its contract is not enforced (`observe`, `record`).
        """
        total, step = 0, 1
        while step:
            if total > UNITS_MAX:
                raise ValueError(f"{limiter.contract} admits without end: is it in `observe`?")
            answer = limiter.try_acquire(step, key)
            if isinstance(answer, Permit):
                self._taken.append(answer)
                total += step
                step *= 2
            else:
                step //= 2
        return total

    def drain(self) -> None:
        """Releases every slot that `fill` holds."""
        taken, self._taken = self._taken, []
        for permit in taken:
            permit.release()

    def close(self) -> None:
        """Ends the rehearsal; a second time does nothing."""
        super().close()
        self._books.close()

    def __repr__(self) -> str:
        return f"<headway.testing.Rehearsal at {self.now:%Y-%m-%dT%H:%M:%SZ}>"

    def _rest(self) -> int:
        """Lets the engine do all that is due at this instant; until when nothing more will be, in ms, at least 1."""
        for _ in range(TURNS_MAX):
            pause_ms = self.engine.turn()
            if pause_ms > 0:
                return math.ceil(pause_ms)
        raise RuntimeError(f"the engine did not come to rest within {TURNS_MAX} turns at {self.now}")


class _Books:
    """Grants durable draws as a ledger that never fails would, in a thread: the meters bound what they ask for."""

    def __init__(self, growth: GrowthQueue) -> None:
        self._growth = growth
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._grant, name="headway-testing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _grant(self) -> None:
        while not self._closed.is_set():
            batch = self._growth.take()
            if batch:
                self._growth.answer(batch[0].batch_id, b"\x01" * len(batch))
