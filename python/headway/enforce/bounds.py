"""What was let in, held against what was allowed, when instants are only known to lie between two stamps.

A caller stamps the clock just before and just after each decision and each release; when a curve came into force is
known to lie between two instants too. A *certain* violation is one that no choice of instants inside the stamps
explains away; a *possible* one is explained away by some. Whoever counts for themselves needs no meter for this, only
their stamps: that is the point. Pure functions of their arguments, integers throughout.

Source: design, section 1, promise 1; in `(s, t]` a rate admits at most `B(s) + E(t) - E(s)`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from headway.enforce.allowance import Allowance, InForce

__all__ = [
    "InForce",
    "Stamped",
    "Violation",
    "certain_concurrency_violations",
    "certain_quota_violations",
    "certain_rate_violations",
    "possible_concurrency_violations",
    "possible_quota_violations",
    "possible_rate_violations",
]

_FOREVER = 1 << 100


@dataclass(frozen=True, slots=True)
class Stamped:
    """One admitted demand: the decision fell in `[before_ns, after_ns]`, the release in its own two stamps.

    `units_micro` is what it weighs on the meter looked at, cost and factor included. Releases matter to concurrency
    only; None: still held. What was settled counts as settled, what is not yet settled as reserved.
    """

    before_ns: int
    after_ns: int
    units_micro: int
    release_before_ns: int | None = None
    release_after_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """`admitted_micro` came in (concurrency: were in flight) from `from_ns` to `to_ns`, where `allowed_micro` may."""

    from_ns: int
    to_ns: int
    admitted_micro: int
    allowed_micro: int


def certain_rate_violations(
    events: Sequence[Stamped], history: Sequence[InForce], *, per_ns: int, grain_micro: int = 1
) -> list[Violation]:
    """Windows that surely hold more than `B(s) + E(t) - E(s)`: one wherever the excess grows.

    A window is accused of the events whose stamps lie wholly inside it, and allowed what the most generous choice of
    changes gives it. `grain_micro` (>= 0): a meter counts entitlement in grains; so much above is not a violation.
    """
    return _rate(events, Allowance(history, _span(events), per_ns=per_ns, generous=True), grain_micro, certain=True)


def possible_rate_violations(
    events: Sequence[Stamped], history: Sequence[InForce], *, per_ns: int, grain_micro: int = 1
) -> list[Violation]:
    """The same with the largest set of events that may lie in a window, and the least generous choice of changes."""
    return _rate(events, Allowance(history, _span(events), per_ns=per_ns, generous=False), grain_micro, certain=False)


def certain_concurrency_violations(events: Sequence[Stamped], history: Sequence[InForce]) -> list[Violation]:
    """Demands surely in flight together, over the limit at every instant at which the last of them can have come.

    A cut below what is in flight is no violation: only admissions are judged, because a cut drains.
    """
    limit = Allowance(history, _span(events), generous=True)
    held: list[tuple[int, int]] = []  # (surely held until, units), by end
    newest: list[tuple[int, int]] = []  # (-before, surely held until): the last that can have come is on top
    total, found = 0, []
    for event in sorted(events, key=lambda event: event.after_ns):
        at_ns = event.after_ns
        until_ns = _FOREVER if event.release_before_ns is None else event.release_before_ns
        if until_ns <= at_ns:
            continue
        heappush(held, (until_ns, event.units_micro))
        heappush(newest, (-event.before_ns, until_ns))
        total += event.units_micro
        while held[0][0] <= at_ns:
            total -= heappop(held)[1]
        while newest[0][1] <= at_ns:
            heappop(newest)
        last_ns = -newest[0][0]
        allowed = limit.largest_micro(last_ns, at_ns)
        if total > allowed:
            found.append(Violation(last_ns, at_ns, total, allowed))
    return found


def possible_concurrency_violations(events: Sequence[Stamped], history: Sequence[InForce]) -> list[Violation]:
    """Instants at which a demand may have been admitted while all that may have been in flight was over the limit."""
    limit = Allowance(history, _span(events), generous=False)
    waiting = sorted(events, key=lambda event: event.before_ns)
    instants = sorted({at_ns for event in events for at_ns in (event.before_ns, event.after_ns)} | set(limit.cuts))
    held: list[tuple[int, int]] = []
    deciding: list[tuple[int, int]] = []  # (after, before) of decisions whose stamps may cover the instant
    total, index, found = 0, 0, []
    for at_ns in instants:
        while index < len(waiting) and waiting[index].before_ns <= at_ns:
            event = waiting[index]
            until_ns = _FOREVER if event.release_after_ns is None else event.release_after_ns
            heappush(held, (until_ns, event.units_micro))
            heappush(deciding, (event.after_ns, event.before_ns))
            total += event.units_micro
            index += 1
        while held and held[0][0] < at_ns:
            total -= heappop(held)[1]
        while deciding and deciding[0][0] < at_ns:
            heappop(deciding)
        allowed = limit.largest_micro(at_ns, at_ns)
        if deciding and total > allowed:
            found.append(Violation(at_ns, at_ns, total, allowed))
    return found


def certain_quota_violations(
    events: Sequence[Stamped], history: Sequence[InForce], windows: Sequence[int]
) -> list[Violation]:
    """Windows that surely hold more than the largest limit that can have been in force in them.

    windows: starts in ns, ascending, on the stamps' clock; each ends where the next begins, the last one never.
    """
    return _quota(events, Allowance(history, _span(events), generous=True), windows, certain=True)


def possible_quota_violations(
    events: Sequence[Stamped], history: Sequence[InForce], windows: Sequence[int]
) -> list[Violation]:
    """Windows that may hold more than the largest limit that was surely in force in them."""
    return _quota(events, Allowance(history, _span(events), generous=False), windows, certain=False)


def _span(events: Sequence[Stamped]) -> tuple[int, int]:
    return min((e.before_ns for e in events), default=0), max((e.after_ns for e in events), default=0)


def _quota(events: Iterable[Stamped], limit: Allowance, windows: Sequence[int], *, certain: bool) -> list[Violation]:
    found = []
    for start_ns, end_ns in pairwise((*windows, _FOREVER)):
        if certain:
            inside = [event for event in events if start_ns <= event.before_ns and event.after_ns < end_ns]
        else:
            inside = [event for event in events if start_ns <= event.after_ns and event.before_ns < end_ns]
        admitted = sum(event.units_micro for event in inside)
        allowed = limit.largest_micro(start_ns, end_ns - 1)
        if admitted > allowed:
            found.append(Violation(start_ns, max(event.after_ns for event in inside), admitted, allowed))
    return found


def _rate(events: Sequence[Stamped], course: Allowance, grain_micro: int, *, certain: bool) -> list[Violation]:
    """Sweeps the windows' ends upwards; a tree over their starts keeps what each start has let in since."""
    if certain:  # inside [s, t]: before >= s, after <= t
        spans = [(event.before_ns, event.after_ns, event.units_micro) for event in events]
    else:  # touching [s, t]: after >= s, before <= t
        spans = [(event.after_ns, event.before_ns, event.units_micro) for event in events]
    starts = sorted({instant for span in spans for instant in span[:2]} | set(course.cuts))
    tree = _SuffixMaxima(len(starts))
    base = [course.entitled(at_ns, up=not certain) - course.burst(at_ns) for at_ns in starts]
    grain = grain_micro * course.weight
    spans.sort(key=lambda span: span[1])
    done, last_excess, found = 0, 0, []
    for opened, end_ns in enumerate(starts):
        tree.open(opened, base[opened])
        while done < len(spans) and spans[done][1] == end_ns:
            # A possible event may lie past the window's end; then every start up to the end still has it inside.
            tree.add(bisect_left(starts, spans[done][0]), spans[done][2] * course.weight)
            done += 1
        excess = tree.best() - course.entitled(end_ns, up=certain)
        if excess > max(grain, last_excess):
            index = tree.best_index()
            admitted = (tree.best() - base[index]) // course.weight
            found.append(Violation(starts[index], end_ns, admitted, admitted - excess // course.weight))
        last_excess = excess
    return found


class _SuffixMaxima:
    """Values at positions, each `base + everything added at or right of it`, and the largest of those that are open."""

    def __init__(self, count: int) -> None:
        self._leaves = 1 << max(0, (count - 1).bit_length())
        self._sum = [0] * (2 * self._leaves)
        self._base = [-_FOREVER * _FOREVER] * self._leaves
        self._best = [-_FOREVER * _FOREVER] * (2 * self._leaves)

    def open(self, index: int, base: int) -> None:
        """Lets a position count from now on, with what was added before too."""
        self._base[index] = base
        self._lift(index)

    def add(self, index: int, amount: int) -> None:
        """Adds to every position up to and including `index`."""
        self._sum[index + self._leaves] += amount
        self._lift(index)

    def _lift(self, index: int) -> None:
        node = index + self._leaves
        self._best[node] = self._base[index] + self._sum[node]
        while node > 1:
            node //= 2
            left, right = 2 * node, 2 * node + 1
            self._sum[node] = self._sum[left] + self._sum[right]
            self._best[node] = max(self._best[right], self._best[left] + self._sum[right])

    def best(self) -> int:
        """The largest open value."""
        return self._best[1]

    def best_index(self) -> int:
        """Where it stands."""
        node = 1
        while node < self._leaves:
            right = 2 * node + 1
            node = right if self._best[right] == self._best[node] else right - 1
        return node - self._leaves
