"""What the engine stands on.

Three ports, so that a simulation or a test can stand in for the machine, the disk and the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from headway._core import Curve, GrowthQueue, Limiter, MeterReading, MeterSpec, PathSpec
from headway.ledger.moves import Move


class WallClock(Protocol):
    """The machine's clocks, as they are: whether to believe them is `suspicion`'s to say."""

    def utc_ms(self) -> int:
        """Wall time, UTC since 1970; may jump."""
        ...

    def utc_ns(self) -> int:
        """The same to the nanosecond: milliseconds of two clocks, each rounded down, say nothing finer than two."""
        ...

    def boot_ms(self) -> int:
        """The clock that runs through suspend and never jumps; starts anew with the machine."""
        ...

    def boot_id(self) -> str:
        """Which start of the machine `boot_ms` counts from."""
        ...

    def synchronised(self) -> bool:
        """Whether the kernel says that wall time is kept by a time server."""
        ...


class Store(Protocol):
    """Where moves go before they take effect: the ledger's writer, or the ledger itself where there is one thread."""

    def commit(self, move: Move) -> tuple[int, ...]:
        """Writes a move whole; LedgerStopped where it could not, and nothing of it is written."""
        ...

    def beat(self, utc_ms: int, boot_ms: int) -> None:
        """Writes a sign of life; the same errors."""
        ...


class Publisher(Protocol):
    """Where curves go after that: the core's `Meters`."""

    @property
    def growth(self) -> GrowthQueue: ...
    def declare(self, specs: Sequence[MeterSpec], /) -> None: ...
    def publish(self, curves: Sequence[tuple[str, Curve]], utc_ns: int, /) -> int: ...
    def restore(self, saved: bytes, /) -> None: ...
    def restore_drawn(self, rows: Sequence[tuple[str, str, int, int]], /) -> None: ...
    def limiter(self, spec: PathSpec, /) -> Limiter: ...
    def snapshot(self) -> list[MeterReading]: ...
    def story(self, ref: str, /) -> dict[str, Any] | None: ...
    def save(self) -> bytes: ...
    def close(self) -> None: ...
    def mark_forked(self) -> None: ...
