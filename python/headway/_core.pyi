"""The compiled core: curves, meters, and the decision on every demand.

Written by hand and compared with the built module on every run. Units are in the names: `_micro` is a millionth of a
contract's unit (for a rate's level: per `per_ns` of its curve, so that 100 a minute is exact), `_ns` a time span or
instant in nanoseconds, `_ppm` parts per million. UTC instants are nanoseconds since 1970; `boot_ns` is the clock that
runs through suspend.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Literal, NamedTuple, ParamSpec, Self, TypeVar, final

from typing_extensions import disjoint_base

__all__ = [
    "NEVER",
    "UNKNOWN",
    "CheckRoute",
    "Clock",
    "Curve",
    "DataPlane",
    "Forked",
    "Gate",
    "GateReading",
    "GateUse",
    "Growth",
    "GrowthQueue",
    "HoldRoute",
    "LentReading",
    "Limiter",
    "Matches",
    "Measure",
    "MeterReading",
    "MeterSpec",
    "Meters",
    "Mode",
    "Never",
    "PathReading",
    "PathSpec",
    "Permit",
    "Ready",
    "Recall",
    "Refusal",
    "Refused",
    "RlqsRoute",
    "RlsRoute",
    "Segment",
    "ShareSpec",
    "Spans",
    "Ticket",
    "Unknown",
    "__version__",
    "forked",
    "grains_log2",
    "set_ending",
    "set_waiting",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")

Measure = Literal["rate", "concurrency", "quota"]
Mode = Literal["enforce", "observe", "record"]
Recall = Literal["wait", "ask", "idle", "end"]

__version__: str

# --- time ---------------------------------------------------------------------------------------------------------

@final
class Clock:
    """The one clock decisions read. `Clock()` is the machine's; `Clock.manual(...)` stands still until moved."""

    def __new__(cls) -> Clock: ...
    @staticmethod
    def manual(boot_ns: int = 0) -> Clock:
        """A clock for tests and simulations; it only moves by `advance`."""
    @property
    def is_manual(self) -> bool: ...
    def boot_ns(self) -> int:
        """Nanoseconds on the clock that runs through suspend: never ahead of the kernel's, and less than 100 ns behind it."""
    def advance(self, by_ns: int, /) -> None:
        """Moves a manual clock forward (or, in tests of clock steps, back), and wakes the head of every queue of waiters on
        this clock so that it looks again. ValueError on the machine's clock."""

# --- curves -------------------------------------------------------------------------------------------------------

@final
class Segment:
    """A half-open stretch of a curve in UTC: constant where `from_micro == to_micro`, else linear."""

    def __new__(cls, start_ns: int, end_ns: int | None, from_micro: int, to_micro: int) -> Segment: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int | None:
        """None: until the next version; only the last segment may say so, and then it is constant."""
    @property
    def from_micro(self) -> int: ...
    @property
    def to_micro(self) -> int: ...

@final
class Curve:
    """The limit as decided, for one meter. Frozen. Levels are micro-units, for a rate micro-units per `per_ns`.

    `per_ns` is the contract's `per` (100 a minute has level 100_000_000 and per_ns 60e9: the entitlement over one `per` and the
    burst of one `per` are exactly 100). It never changes for a meter. `burst_ns` is the burst as a span of the limit:
    B = max(level x burst_ns / per_ns, one unit).

    Segments touch, in order, without gaps. Before the first the level is that at its start; past a finite last end
    the level stays at `to_micro`. `burst_ns` and `per_ns` are 0 unless the measure is a rate; `window` holds UTC
    starts of the present and the next windows of a quota (ascending), empty otherwise: before the first a quota is shut,
    and a window that was not decided does not open: past the start of the last one what is left of it stays.
    Raises ValueError on gaps, negative levels, or a level that no meter could hold.
    """

    def __new__(
        cls,
        measure: Measure,
        version: int,
        stage: str,
        segments: Sequence[Segment],
        per_ns: int = 0,
        burst_ns: int = 0,
        window: Sequence[int] = (),
        raises_when: str = "",
    ) -> Curve: ...
    @property
    def measure(self) -> Measure: ...
    @property
    def version(self) -> int: ...
    @property
    def stage(self) -> str: ...
    @property
    def segments(self) -> tuple[Segment, ...]: ...
    @property
    def per_ns(self) -> int: ...
    @property
    def burst_ns(self) -> int: ...
    @property
    def window(self) -> tuple[int, ...]: ...
    @property
    def raises_when(self) -> str:
        """What would raise the limit, in words, for refusals (`tell: full`)."""
    def limit_micro(self, utc_ns: int, /) -> int:
        """The level at an instant, rounded down."""

# --- meters -------------------------------------------------------------------------------------------------------

@final
class MeterSpec:
    """What a meter is, for as long as the process lives.

    name: `contract`, or `contract.dimension`, or either with `#total` for the limit over all keys.
    ceiling_micro: the highest level any stage, exception or override band declares; with per_ns (rates) it picks the grain.
    keys_max: None for an unkeyed meter; else at most this many live keys, one more is refused as `too_many_keys`.
    scale_ppm: keys whose limit is multiplied, with the factor; they count towards `keys_max`.
    born: `full` for a meter that is new; `empty` after a crash (rates only).
    durable: draws from the growth queue before it admits (quotas; rates without keys and a `per` of a minute or more).
    chunk_micro: how much one durable draw asks for; 0 lets the meter choose (a twentieth of the limit or burst, at least
        one demand).
    unit: the word for refusals, singular ("connection").
    shares: what was agreed with the workloads of its contract; a path finds its own by `shares_as`. At most 1,000, each
        workload once, 64 guarantees that come to no more than all of the limit; with keys of each key's, and
        no weights.
    """

    def __new__(
        cls,
        name: str,
        measure: Measure,
        *,
        ceiling_micro: int,
        per_ns: int = 0,
        unit: str = "unit",
        keys_max: int | None = None,
        scale_ppm: Sequence[tuple[str, int]] = (),
        born: Literal["full", "empty"] = "full",
        durable: bool = False,
        chunk_micro: int = 0,
        shares: Sequence[ShareSpec] = (),
    ) -> MeterSpec: ...
    @property
    def name(self) -> str: ...

@final
class ShareSpec:
    """What was agreed with one workload, on one meter. A part is in ppm of the limit, or in micro-units, not both.

    priority: `background`, `normal`, `critical`. A lower one leaves room for strictly higher ones that are named on the same
        meter: 20 % and 5 % of the level (of a rate: of the burst), in whole units rounded down.
    guarantee: what the others leave of it as long as it is unused. Of a rate it is a part of the limit with that part of the
        burst, in whole units rounded down; of a quota a part of each window. With keys of each key's limit; an amount is
        multiplied by the key's scale.
    ceiling: the most it may have: a limit of its own, asked before the meter's, called `meter@workload`.
    weight: its part of what is contended, beside the weights of its equals in priority; None: 1. Of a quota the part of each
        window, as far as it is on course to use it. Where no workload has one nothing is divided. Not with keys.
    """

    def __new__(
        cls,
        workload: str,
        priority: Literal["background", "normal", "critical"] = "normal",
        *,
        guarantee_ppm: int | None = None,
        guarantee_micro: int | None = None,
        ceiling_ppm: int | None = None,
        ceiling_micro: int | None = None,
        weight: int | None = None,
    ) -> ShareSpec: ...
    @property
    def workload(self) -> str: ...

@final
class PathSpec:
    """One limiter's way through the meters: all or nothing.

    steps: (meter name, factor in ppm, keyed). A demand of n units charges n x cost x factor on each; the order given
        is kept (upstream first, then by name). `keyed` steps need a key.
    cost_ppm: units a demand of this workload weighs (workload `cost`), 1_000_000 is one.
    units_max: above it a demand is a ValueError, not a refusal; 0 is the largest the meters hold.
    settle_max_micro: `cost.max`: the most a reservation may be settled at; 0 for none (settle at most what was reserved).
    wait_ns: how long `acquire` waits where no timeout is told.
    shares_as: the workload as which it shares the meters of its own contract; None: its own name. A workload that a
        meter's `shares` do not name leaves the guarantees of those that they do.
    recall: what happens to slots above a cut. Unless it is `wait` they are asked back of who holds them.
    ends_within_ns: under `end`, how long after it was asked a coroutine's scope is ended.
    """

    def __new__(
        cls,
        contract: str,
        workload: str,
        steps: Sequence[tuple[str, int, bool]],
        *,
        mode: Mode = "enforce",
        cost_ppm: int = 1_000_000,
        units_max: int = 0,
        settle_max_micro: int = 0,
        wait_ns: int = 0,
        shares_as: str | None = None,
        recall: Recall = "wait",
        ends_within_ns: int = 0,
    ) -> PathSpec: ...
    @property
    def contract(self) -> str: ...
    @property
    def workload(self) -> str: ...

class MeterReading(NamedTuple):
    """What one meter says at an instant. Taken without stopping decisions: each number is exact, their sum is not a cut."""

    meter: str
    measure: str
    version: int
    stage: str
    boot_ns: int
    utc_ns: int
    limit_micro: int
    use_micro: int
    """Rate: spent of the burst, 0 to burst, above it debt; concurrency: in flight; quota: used in the window. Keyed: the
    largest key's, sampled."""
    burst_micro: int
    headroom_micro: int
    """Signed: below zero it is a debt, and drains."""
    charged_micro: int
    """Charged since the process started, give-backs taken off; only differences mean something."""
    entitled_micro: int
    """Entitlement of a rate since the process started; 0 for other measures."""
    keys_live: int
    window_start_ns: int
    published_ns: int
    """UTC instant from which the present curve has been in force here."""

class PathReading(NamedTuple):
    """Counts of one limiter's decisions since the process started."""

    contract: str
    workload: str
    admitted: int
    admitted_micro: int
    refused: int
    refused_micro: int
    refused_by: dict[str, int]
    """By reason; sums to `refused`. In `observe`, what would have been refused (and was admitted)."""
    waiting: int
    dropped_unreleased: int
    double_released: int
    settled_above_max: int
    on_loan_micro: int
    """What is out at gates that decide by themselves: blocks of rates and quotas, and booked slots."""
    admitted_elsewhere: int
    refused_elsewhere: int
    """Demands that gates have decided by themselves, as far as they have told; in none of the counts above."""
    unguaranteed: int
    """Of `admitted_elsewhere`, those that a gate admitted while it was cut off, because its contract is `open` then."""

class Growth(NamedTuple):
    """One durable draw that a meter asks for (`by_micro` > 0) or gives back lazily (< 0)."""

    batch_id: int
    kind: Literal["quota_draw", "rate_mark", "booking", "lent_slots", "loan_ceiling"]
    meter: str
    key: str
    by_micro: int
    window_start_ns: int
    """quota: UTC start of the window drawn for. rate_mark: 0; `by_micro` is then the UTC ns up to which use is durable.
    booking: 0; `meter` is then the contract, `key` the workload, the holder in hex and the key, a line each.
    lent_slots: the same without a key. loan_ceiling: `key` is the workload, `by_micro` what may be on loan from now on."""

@final
class GrowthQueue:
    """Durable draws, for the ledger's one writer thread. See interfaces, 3."""

    def take(self, max_items: int = 1000, wait_ms: int = 50, /) -> list[Growth]:
        """The next batch (all with one `batch_id`), or [] after `wait_ms`. The interpreter's lock is let go while it waits."""
    def answer(self, batch_id: int, ok: bytes, /) -> None:
        """One byte an item: 1 granted, 0 no room, 2 fenced. ValueError for an unknown batch or wrong length."""
    def close(self, reason: str, /) -> None:
        """Every pending and later draw is refused as `not_durable` (disk full, read-only)."""
    def reopen(self) -> None: ...

@final
class Meters:
    """All meters and curves of a process. Publishing and declaring are rare; decisions take no lock of it."""

    def __new__(cls, clock: Clock | None = None) -> Meters: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def growth(self) -> GrowthQueue: ...
    def declare(self, specs: Sequence[MeterSpec], /) -> None:
        """Adds meters; a name declared before is a ValueError. A meter without a curve refuses as `not_published`."""
    def publish(self, curves: Sequence[tuple[str, Curve]], utc_ns: int, /) -> int:
        """Installs curves, all or none. `utc_ns` is what the engine's clock says now: it anchors UTC to the meters' clock.

        A new curve is in force from this call on; up to it the old one stays in the books: entitlement and the
        burst's running maximum are continuous. Only newer versions: an older or equal one is a ValueError, nothing is
        installed. Returns the boot_ns at which they came into force.
        """
    def restore(self, saved: bytes, /) -> None:
        """Takes up what `save` wrote, before the first `publish`. ValueError if it is not ours or of another layout."""
    def save(self) -> bytes:
        """All marks, keys too, for a clean stop. Call after `close()`."""
    def restore_drawn(self, rows: Sequence[tuple[str, str, int, int]], /) -> None:
        """(meter, key, window_start_ns, drawn_micro): what the durable count says, after a crash or instead of `save` for
        quotas. rate_mark rows give the UTC ns instead of an amount."""
    def limiter(self, spec: PathSpec, /) -> Limiter:
        """KeyError for a meter that was not declared."""
    def snapshot(self) -> list[MeterReading]: ...
    def paths(self) -> list[PathReading]: ...
    def keys(self, meter: str, most: int = 10, /) -> list[tuple[str, int, int]]:
        """The keys that press: (key, use_micro, limit_micro), most used first. Only keys whose text is known (scaled keys
        and the last 1,024 refused)."""
    def story(self, ref: str, /) -> dict[str, Any] | None:
        """What was behind a refusal's `ref` (with or without `hw:`); None when it is not, or no longer, known (the last 4,096)."""
    def close(self) -> None:
        """Every later demand is refused as `closed`; waiters wake. Permits that are out may still be released."""
    def decide_until(self, boot_ns: int, /) -> None:
        """This process decides before that instant of its clock, and not from then on: what is asked then is refused as
        `cut_off`, and nothing is lent or assigned. For those who have a mandate that ends; said again with each renewal. Later
        than never: what was closed stays closed."""
    def mark_forked(self) -> None:
        """In a forked child: every demand raises `Forked`; permits that crossed the fork release nothing."""

# --- decisions ----------------------------------------------------------------------------------------------------

@final
class Never:
    """`retry_at_ns` of a demand that does not fit under any burst of the curve. One instance, `NEVER`."""
    def __bool__(self) -> Literal[False]: ...

@final
class Unknown:
    """`retry_at_ns` of a demand that waits for something the curve does not know (a trigger, a release). `UNKNOWN`."""
    def __bool__(self) -> Literal[False]: ...

NEVER: Never
UNKNOWN: Unknown

@final
class Permit:
    """An admission; true. For rates and quotas one shared object; for concurrency it holds a slot until released.

    As a context manager it releases at the end. Dropped unreleased, it is released and counted.
    """

    def __bool__(self) -> Literal[True]: ...
    def __enter__(self) -> Permit: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    @property
    def recalled(self) -> bool:
        """Whether its slots are asked back (`recall: ask`, `idle` or `end`): they are above a cut, and this permit is among the
        newest of its limiter that come to what is above it. False again once others gave enough back."""
    @property
    def lost(self) -> bool:
        """Whether what it held was taken back meanwhile (a lease that ended). Always False in one process."""
    def release(self) -> None:
        """Gives a slot back. A second time does nothing and is counted; for rates and quotas it does nothing."""
    def settle(self, actual: int, /) -> None:
        """Sets what a reservation really cost, in units, at most `cost.max` (more is cut to it and counted), once. Less is
        given back without minting; more is charged as debt. ValueError on a negative number; on a second call RuntimeError."""

@final
class Refusal:
    """A refused demand; false. Everything to say about it; numbers are computed when asked for."""

    def __bool__(self) -> Literal[False]: ...
    @property
    def contract(self) -> str: ...
    @property
    def workload(self) -> str: ...
    @property
    def meter(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def why(self) -> str:
        """`full`, `never_fits`, `too_many_keys`, `queue_full`, `timeout`, `drawing`, `not_durable`, `not_published`, `closed`,
        `overloaded`."""
    @property
    def retryable(self) -> bool: ...
    @property
    def units(self) -> float: ...
    @property
    def limit(self) -> float:
        """Units (rate: per `per`)."""
    @property
    def use(self) -> float: ...
    @property
    def limit_micro(self) -> int: ...
    @property
    def use_micro(self) -> int: ...
    @property
    def version(self) -> int:
        """Of the curve that the demand met. One that is asked for later than 16 further curves, and was not given a `ref` before,
        is that of the oldest curve still kept."""
    @property
    def stage(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def retry_at_ns(self) -> int | Never | Unknown:
        """The earliest instant, on the meters' clock, at which the same demand would fit if nothing else came."""
    @property
    def retry_after_s(self) -> float | None:
        """Seconds from the refusal to `retry_at_ns`; None where it never fits or cannot be known."""
    @property
    def raises_when(self) -> str: ...
    @property
    def ref(self) -> str:
        """`hw:` and a short name under which `headway explain` tells the story; recorded when first asked for."""
    @property
    def undecided(self) -> bool:
        """Whether the limit could not be asked, which is never a yes: `closed`, `not_published`, `not_durable`, `drawing`,
        `overloaded`."""
    def sentence(self, tell: Literal["full", "public"], /) -> str:
        """What is said to people; `public` says nothing of other callers or plans."""
    def answer(self, tell: Literal["full", "public"], /) -> tuple[int, int | None, bytes]:
        """Over HTTP: status (429, or 503 where it was not decided), whole seconds of `Retry-After` (None where it never fits or
        nobody knows), the `application/problem+json` document."""
    def __str__(self) -> str:
        """The sentence, number first."""

@disjoint_base
class Refused(Exception):
    """HW531: raised by `acquire`, `with`, decorators. `refusal` says everything."""

    def __new__(cls, refusal: Refusal) -> Self: ...
    def __init__(self, refusal: Refusal) -> None: ...
    @property
    def refusal(self) -> Refusal: ...
    @property
    def code(self) -> str: ...

class Forked(RuntimeError):
    """HW501: this process was forked from the one that holds the engine."""

    def __new__(cls, *args: object) -> Self: ...
    @property
    def code(self) -> str: ...

@final
class Ticket:
    """A place in a limiter's FIFO of waiters, for asynchronous waiting. Leaving is idempotent."""

    def poll(self) -> Permit | Refusal | None:
        """A permit if this ticket is at the head and the demand fits; None to wait on; a refusal that waiting cannot mend."""
    @property
    def wake_at_ns(self) -> int | None:
        """For the head: the earliest instant at which polling again may help; None: wait for a wake-up."""
    def on_wake(self, wake: Callable[[], None], /) -> None:
        """Called from any thread that releases or publishes, with the interpreter's lock held and none of ours."""
    def leave(self) -> None: ...
    def give_up(self) -> Refusal:
        """Leaves without a permit: the refusal (`timeout`, counted) that says what stood in the way. RuntimeError once it has its
        permit."""

@final
class Limiter:
    """A contract's limit as one workload meets it. Thread-safe, lock-free, shared freely."""

    @property
    def contract(self) -> str: ...
    @property
    def workload(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def wait_s(self) -> float: ...
    @property
    def recalled(self) -> int:
        """Units that are asked back now of whoever in this process holds slots of the contract, unless it waits: they are above a
        cut. Of a limiter that is bound to a key, of that key; where a server keeps the limit, of all keys."""
    @property
    def recall(self) -> Recall:
        """What happens to slots above a cut, as the contract says it; `wait` as long as its keeper has not been heard."""
    @property
    def ends_within_s(self) -> float | None:
        """Under `recall: end`: how long after it was asked a coroutine's scope is ended (`drain_within`)."""
    @property
    def clock(self) -> Clock:
        """The clock its meters read: `retry_at_ns` and `Ticket.wake_at_ns` are instants on it."""
    def bind(self, key: str, /) -> Limiter:
        """The same limiter with a key of its own: no look-up on the way."""
    def try_acquire(self, units: int = 1, key: str | None = None) -> Permit | Refusal:
        """Decides now. Never waits for room (a first draw from a durable quota may take one commit)."""
    def probe(self, units: int = 1, key: str | None = None) -> Permit | Refusal:
        """What `try_acquire` would answer, charging nothing. Its permit holds nothing."""
    def reserve(self, estimate: int, key: str | None = None) -> Permit | Refusal:
        """Admits an estimate that `Permit.settle` corrects later."""
    def acquire(self, units: int = 1, key: str | None = None, timeout: float | None = None) -> Permit:
        """Waits its turn, at most `timeout` seconds (None: the contract's `enforce.wait`). Raises `Refused`."""
    def acquire_async(self, units: int = 1, key: str | None = None, timeout: float | None = None) -> Awaitable[Permit]:
        """The same for coroutines; already done where it fits now. Raises `Refused`."""
    def ticket(self, units: int = 1, key: str | None = None, timeout: float | None = None) -> Ticket | Refusal:
        """Queues behind the waiters there are; a refusal `queue_full` past 10,000. Where a keeper decides, in its line.

        timeout: seconds that a keeper may let it queue; None: as long as the contract says.
        """
    def reading(self) -> PathReading: ...
    def rate_limit_fields(
        self, key: str | None = None, *, tell: Literal["full", "public"] = "public"
    ) -> tuple[str, str] | None:
        """The values of `RateLimit-Policy` and `RateLimit` as they stand now, the same names in the same order; None where no
        meter may be told of."""
    def __enter__(self) -> Permit: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __aenter__(self) -> Awaitable[Permit]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Awaitable[None]: ...
    def __call__(self, function: Callable[_P, _R], /) -> Callable[_P, _R]:
        """Decorates a function or a coroutine function: each call holds a permit; raises `Refused`."""

@final
class Ready(Awaitable[Permit]):
    """An awaitable that is already done."""

    def __await__(self) -> Generator[None, None, Permit]: ...

def set_waiting(wait: Callable[[Limiter, int, str | None, float | None], Awaitable[Permit]], /) -> None:
    """Tells `acquire_async` how to wait where a demand does not fit at once (`enforce/waiting.py`)."""

def set_ending(
    enter: Callable[[Limiter], Awaitable[Permit]], leave: Callable[[Limiter, BaseException | None], bool], /
) -> None:
    """Tells `async with` how a scope that may be ended (`recall: end`) begins and ends (`enforce/ending.py`). `leave` is False
    where no such scope was entered."""

def grains_log2(ceiling_micro: int, per_ns: int, /) -> int:
    """The grain of a rate's meter: marks count 2^-g units, so that a u64 lasts for decades at the ceiling."""

# --- what is seen of gates -------------------------------------------------------------------------------------------

class Spans(NamedTuple):
    """How long something took, since the process started."""

    within: list[tuple[int, int]]
    """Upper ends in µs, ascending, each with how many took no longer; what took longer than the last is in `total` alone."""
    total: int
    sum_us: int

class GateReading(NamedTuple):
    """The gates of one name: `CREDENTIAL/NUMBER`, one process; or `other`, all that have no name of their own."""

    gate: str
    connected: int
    silent_ms: int
    """Since one of them was heard from."""

class GateUse(NamedTuple):
    """What the gates of one name do with one workload."""

    gate: str
    contract: str
    workload: str
    admitted: int
    """Since the process started: what they were answered, and what they have told that they decided by themselves."""
    refused_by: dict[str, int]
    in_use_micro: int
    """Slots in flight, as last told."""
    on_loan_micro: int
    """Slots that are booked for them, and what is not known to be spent of their blocks."""
    draining_micro: int
    """Slots that are booked or held beyond what they may have by now, after a cut or an end."""

class LentReading(NamedTuple):
    """What gates say of one workload of which something is lent."""

    contract: str
    workload: str
    renewals: int
    """Messages about slots."""
    draws: int
    """Messages about blocks of a rate or quota."""
    round_trips: Spans
    """From a gate's asking for a block to its having the answer, as the gate's clock has it."""
    cuts: Spans
    """From a lower limit's being in force here to when every gate that spoke of it in the second before follows it."""
    raises: Spans

# --- the data plane ------------------------------------------------------------------------------------------------

@final
class Matches:
    """Which workload asks, by what is said of it: the first match wins.

    rules: (workload, [(attribute, patterns)]) of each workload that has a match, in the order they were declared in. All
        attributes have to be said, and one pattern of each has to take all of what is said: `*` any characters or none, `?`
        one, every other itself.
    ValueError for what means nothing, and beyond 16 attributes and 16 KiB in all, 64 patterns for one, 256 bytes of one.
    """

    def __new__(cls, rules: Sequence[tuple[str, Sequence[tuple[str, Sequence[str]]]]], /) -> Matches: ...
    @property
    def attributes(self) -> list[str]:
        """What is looked at, sorted: nothing else that is said makes a difference."""
    def workload_of(self, said: Sequence[tuple[str, str]], /) -> str | None:
        """The workload whose match takes what is said, as (attribute, value); None: the rest, which is `other`'s. A value of more
        than 1,024 bytes counts as not said. UnicodeEncodeError for one that is no UTF-8.
        """

@final
class CheckRoute:
    """A contract that checks may ask about, with a limiter for each of its workloads; a check that names none, or one that is
    not here, is `other`'s. `matches`: how what a check says of whoever asks names one. ValueError for a limiter that is bound
    to a key.
    """

    def __new__(
        cls,
        contract: str,
        limiters: Sequence[Limiter],
        *,
        tell: Literal["full", "public"] = "public",
        matches: Matches | None = None,
    ) -> CheckRoute: ...

@final
class RlqsRoute:
    """A bucket of Envoy's quota service that a limiter's rate is divided for: the same domain, the same entries of its id.

    within_ns: by when all that was assigned has ended; at least 3 s. A contract that is divided is asked by nobody else: what is
        assigned is spent where it is.
    ValueError for a limiter that is bound to a key, and a shorter `within_ns`.
    """

    def __new__(
        cls, domain: str, bucket: dict[str, str], limiter: Limiter, *, within_ns: int = 5_000_000_000
    ) -> RlqsRoute: ...

@final
class RlsRoute:
    """A descriptor of Envoy's rate-limit service that meets a limiter: the same domain, the same entries in any order.

    descriptor: (key, value) of each entry, None where any value stands and is the demand's key: in one entry if the limiter
        needs a key, in none otherwise. Of one contract the first route that matches speaks; all contracts that match are met.
    post_paid: hits are charged after the fact, into debt, at most `settle_max_micro` each, and never refused; a probe (0 hits)
        asks before.
    refundable: hits may be given back, as far as the last 4,096 charges hold them; elsewhere `is_negative_hits` does nothing.
    matches: a descriptor may have entries beside those too, the attributes that these look at. All its entries are what is said
        of whoever asks: `matched` are the limiters of the workloads that have a match, `limiter` is the rest's.
    ValueError for a limiter that is bound to a key.
    """

    def __new__(
        cls,
        domain: str,
        descriptor: Sequence[tuple[str, str | None]],
        limiter: Limiter,
        *,
        tell: Literal["full", "public"] = "public",
        post_paid: bool = False,
        refundable: bool = False,
        matches: Matches | None = None,
        matched: Sequence[Limiter] = (),
    ) -> RlsRoute: ...

@final
class HoldRoute:
    """A contract that gates (`Gate`) may ask about, with a limiter for each of its workloads, slots included.

    tell: how much refusals say to gates; tell_http: to those that lease over HTTP.
    max_hold_ns: how long a slot may outlive the term of its gate. drain_within_ns: within which a cut is in force at gates that
        are lent a part; below 100 ms nothing is lent.
    matches: how what is said of whoever asks tells the workloads apart: gates are told, and so are leases over HTTP.
    gates: the names among which a floor is divided; None: those that come first. parts: of slots, of tokens or of both, a part
        for each gate: (units, `per` in ns or 0 for slots, largest demand of tokens), units in millionths. The limiter's meters
        are published without them.
    opens: whether a gate that cannot hear its keeper admits everything, and tells of it later.
    """

    def __new__(
        cls,
        contract: str,
        limiters: Sequence[Limiter],
        *,
        tell: Literal["full", "public"] = "full",
        tell_http: Literal["full", "public"] = "public",
        max_hold_ns: int = 60_000_000_000,
        drain_within_ns: int = 5_000_000_000,
        matches: Matches | None = None,
        opens: bool = False,
        gates: Sequence[str] | None = None,
        parts: Sequence[Sequence[tuple[int, int, int]]] = ...,
    ) -> HoldRoute: ...

@final
class Gate:
    """A process' way to the keeper behind a data plane: `HOST:PORT`, and a token with the role gate or operator.

    Nothing is dialled before the first limiter; a broken stream is dialled again; a forked child has a stream and a name of its
    own. ValueError: no address, or a token that is not one word.
    """

    def __new__(cls, address: str, token: str, trusted: Sequence[bytes] | None = None, /) -> Gate:
        """trusted: certificates (DER) of authorities that vouch for the keeper; None: plain HTTP/2."""
    def limiter(self, contract: str, workload: str | None = None, /) -> Limiter:
        """A limiter whose demands the keeper decides; refused as `cut_off` while it cannot be asked. Does not wait for it."""
    def told(self, contract: str, /) -> tuple[Matches, list[str], bool] | None:
        """A contract of which a limiter without a workload was asked for, as its keeper tells it: how what is said of whoever asks
        tells its workloads apart, their names, sorted, and whether refusals that are handed on over HTTP say all there is. Waits
        for the keeper as a first demand does; None where it has not said it and cannot be asked now. HeadwayError as a demand.
        """
    def paths(self) -> list[PathReading]:
        """Counts of every limiter's decisions in this process."""
    def close(self) -> None:
        """Refuses what is asked later as `closed`, and says goodbye where nothing is held. Again: nothing."""

def forked() -> None:
    """In a forked child, before anything else: every gate begins anew there. One atomic addition."""

@final
class DataPlane:
    """The check and Envoy's rate-limit service on a socket, answered by threads that never take the interpreter's lock.

    It listens once it is made, with no routes: every check is HW404, every descriptor is met by nobody. Every call but health
    (`/healthz`, `grpc.health.v1.Health/Check`) needs a token with the role gate or operator.

    listen: an IP address and a port, 0 for any. Another address than loopback's is a ValueError without `tls` or
        `off_loopback`: what is spoken would not be encrypted.
    tls: certificate chain and key, PEM; a ValueError where they are none or do not belong together.
    credentials: (name, SHA-256 of the token, roles) of each token; roles are viewer, operator, approver, gate.
    threads: that answer, 1 to 256. connections: at once, one more is closed. per_peer: of these, from one address (a
        /64 of IPv6), loopback too. in_flight: requests under way at once; more are refused as `overloaded`.
    deadline_ms: from a rate-limit request's first sight to its decision; later, nothing is charged, and contracts that enforce
        refuse as `overloaded`. 0: all are late. check_deadline_ms: the same for a check, which only waits for a durable draw.
    idle_ms: a connection on which no request began or ended for that long is closed; so is, after ten seconds or that long,
        one that has not sent its first.
    epoch: the number of this run, above those of all before it over the same ledger: leases are ordered by it.
    ValueError for what means nothing; OSError where the address cannot be used.
    """

    def __new__(
        cls,
        meters: Meters,
        listen: str = "127.0.0.1:0",
        *,
        credentials: Sequence[tuple[str, bytes, Sequence[str]]],
        threads: int = 2,
        connections: int = 1_024,
        per_peer: int = 256,
        in_flight: int = 4_096,
        deadline_ms: int = 10,
        check_deadline_ms: int = 1_000,
        idle_ms: int = 120_000,
        off_loopback: bool = False,
        tls: tuple[bytes, bytes] | None = None,
        epoch: int = 1,
    ) -> DataPlane: ...
    @property
    def address(self) -> str:
        """Where it listens, or listened: IP address and port."""
    @property
    def port(self) -> int: ...
    @property
    def holders(self) -> int:
        """Gates that are known: connected, or silent and not yet given up."""
    def unguaranteed(self) -> list[tuple[str, str, str, int]]:
        """(contract, workload, name of the token, demands) that gates admitted while they were cut off, since the last call."""
    def divided(self) -> list[tuple[str, int, int, int, int]]:
        """(contract, streams, those told to deny, tokens a second assigned, those that may still be in use) of every limit that
        is divided."""
    def seen(self) -> tuple[list[GateReading], list[GateUse], list[LentReading]]:
        """Gates, what each does with each workload, and what is lent. At most 256 gates have names of their own, and 4,096
        lines of use; the rest is `other`'s."""
    def routes(
        self,
        checks: Sequence[CheckRoute],
        rls: Sequence[RlsRoute],
        holds: Sequence[HoldRoute] = (),
        booked: Sequence[tuple[str, str, str, str, int]] = (),
        rlqs: Sequence[RlqsRoute] = (),
        lent: Sequence[tuple[str, str, str, int]] = (),
        ceilings: Sequence[tuple[str, str, int]] = (),
        /,
    ) -> None:
        """Puts routes in the place of those there are, all at once; a request is answered by the ones it found. No gate is
        heard before.

        booked: at the first call, (contract, workload, holder in hex, key, units) of slots that gates had at a process before
            this one. They stay held until the gate restates what it has, or is silent for its term and `max_hold`.
        lent, ceilings: likewise (contract, workload, holder in hex, micro-units) of slots lent to gates, and (contract, workload,
            micro-units) of what may be on loan of rates.

        ValueError, with nothing changed: a contract, workload or entry twice, a limiter of another contract, a limiter that
        holds slots (nobody would give them back), `each` where there are no keys or none where there are, post-paid hits
        without a bound on their cost or together with `refundable`, a bucket twice, a division of what is no rate on one
        meter without keys, a match of a workload that has no limiter.
        """
    def close(self) -> None:
        """Takes no more connections, lets requests under way end (five seconds at most), and ends its threads. Again: nothing."""
