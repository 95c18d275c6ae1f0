"""Weights of a quota: a window is divided by what everybody is on course to want of it, and never left unused for that."""

from __future__ import annotations

import re

import pytest

from benches.windows import SETTINGS, faults, played
from headway._core import Clock, Meters, MeterSpec, PathSpec, Permit, Refusal, ShareSpec
from tests.core.making import MICRO, MINUTE, SECOND, UTC, quota_curve

WEB, REPORTS = ShareSpec("web", weight=3), ShareSpec("reports", weight=1)


class Exports:
    """A contract `db` of 1,000 a minute whose workloads ask a number of times in each tenth of a second."""

    def __init__(self, *shares: ShareSpec, level: int = 1_000) -> None:
        self.clock = Clock.manual(100 * SECOND)
        self.meters = Meters(self.clock)
        self.meters.declare(
            [MeterSpec("db", "quota", ceiling_micro=level * MICRO, unit="request", shares=shares or (WEB, REPORTS))]
        )
        self.publish(level)
        self.limiters = {
            name: self.meters.limiter(PathSpec("db", name, [("db", MICRO, False)]))
            for name in ("web", "reports", *[share.workload for share in shares])
        }

    def publish(self, level: int, version: int = 1) -> None:
        """A limit, in force from now on; windows of a minute."""
        curve = quota_curve(level, version, windows=6)
        self.meters.publish([("db", curve)], UTC + self.clock.boot_ns() - 100 * SECOND)

    def asks(self, span_s: float, **times: int) -> dict[str, int]:
        """How many demands of each were admitted."""
        had = dict.fromkeys(times, 0)
        for _ in range(round(span_s * 10)):
            for name, count in times.items():
                had[name] += sum(bool(self.limiters[name].try_acquire()) for _ in range(count))
            self.clock.advance(SECOND // 10)
        return had


@pytest.mark.parametrize("loud", ["web", "reports"])
def test_a_window_is_divided_by_weight_whoever_asks_more(loud: str) -> None:
    """1,000 a minute, 3 to 1: 750 and 250, though one of the two asks four times as often."""
    times = {"web": 2, "reports": 2} | {loud: 8}
    had = Exports().asks(60, **times)

    assert {"web": pytest.approx(750, abs=2), "reports": pytest.approx(250, abs=2)} == had


def test_who_wants_less_than_its_part_has_it_and_the_others_have_the_rest() -> None:
    """One a second is 60 of the minute, whatever the other asks."""
    exports, had = Exports(ShareSpec("quiet", weight=1), ShareSpec("loud", weight=1)), {"quiet": 0, "loud": 0}
    for _ in range(60):
        for times in ({"quiet": 1, "loud": 9}, {"loud": 81}):
            for name, count in exports.asks(0.1 if "quiet" in times else 0.9, **times).items():
                had[name] += count

    assert 58 <= had["quiet"] <= 60
    assert 1_000 == sum(had.values())


def test_a_lone_asker_has_the_whole_window() -> None:
    assert {"reports": 1_000} == Exports(ShareSpec("web", weight=1_000), REPORTS).asks(60, reports=5)


def test_where_less_is_wanted_than_there_is_nobody_is_refused() -> None:
    """540 of 1,000 in a minute, as unevenly as one may: all of web's at once, and reports' 9 a second after them."""
    exports = Exports()

    assert {"web": 100} == exports.asks(0.1, web=100)
    assert {"reports": 536} == exports.asks(53.6, reports=1)


def test_what_is_kept_for_who_stops_asking_is_there_again_before_the_window_ends() -> None:
    """The web asks for half of a minute and stops; reports ask on, and nothing of the 1,000 is left over."""
    exports = Exports()
    first = exports.asks(30, web=1, reports=5)
    then = exports.asks(30, reports=5)

    assert {"web": 300} == {name: count for name, count in first.items() if name == "web"}
    assert 1_000 == first["web"] + first["reports"] + then["reports"]


def test_for_who_has_not_asked_yet_nothing_is_kept() -> None:
    """A weight is no guarantee: who comes when all is used finds nothing, until the next window."""
    exports = Exports()
    exports.asks(30, reports=5)

    assert {"web": 0} == exports.asks(30, web=5)
    assert exports.asks(60, web=5, reports=5)["web"] == pytest.approx(750, abs=20)


def test_who_asks_again_after_a_silence_is_seen_as_one_that_begins() -> None:
    """One demand each, nothing for a minute, then both at once: 750 and 250 from the first second on."""
    exports = Exports()
    exports.asks(0.1, web=1, reports=1)
    exports.clock.advance(MINUTE - SECOND // 10)

    assert {"web": pytest.approx(750, abs=5), "reports": pytest.approx(250, abs=5)} == exports.asks(
        60, web=2, reports=8
    )


def test_a_cut_divides_what_is_left() -> None:
    """Both used 100 of their parts; of 400 the web may have 300."""
    exports = Exports()
    exports.asks(5, web=2, reports=2)
    exports.publish(400, 2)
    had = exports.asks(55, web=2, reports=2)

    assert {"web": 200, "reports": 0} == had


def test_a_refusal_for_its_part_says_so_and_when_the_next_window_is() -> None:
    exports = Exports()
    exports.asks(20, web=2, reports=2)
    answer = exports.limiters["reports"].try_acquire()

    assert isinstance(answer, Refusal)
    assert ("full", exports.clock.boot_ns() + 40 * SECOND) == (answer.why, answer.retry_at_ns)
    assert "db is full for reports: 650 of 1,000 requests" in str(answer)
    assert " Its part is 250 of 1,000 requests for now: weight 1 of 4. Try again in about 40 s." in str(answer)
    exports.clock.advance(40 * SECOND)
    assert isinstance(exports.limiters["reports"].try_acquire(), Permit)


def test_the_headers_tell_what_is_left_of_a_part() -> None:
    """The web used 300 of a minute's half and will want 300 more, and some for chance; reports have used what that leaves."""
    exports = Exports()
    exports.asks(30, web=1, reports=2)
    fields = [exports.limiters[name].rate_limit_fields(tell="full") for name in ("web", "reports")]
    web, reports = [int(re.search(r";r=(\d+)", one[1]).group(1)) for one in fields if one]  # type: ignore[union-attr]

    assert 300 <= web <= 360
    assert 0 == reports


def test_what_is_settled_lower_is_unused_of_its_own_window_alone() -> None:
    exports = Exports()
    exports.asks(5, web=2, reports=2)
    reserved = exports.limiters["reports"].reserve(100)
    assert not isinstance(reserved, Refusal)
    reserved.settle(0)
    had = exports.asks(55, web=2, reports=2)

    assert {"web": pytest.approx(650, abs=2), "reports": pytest.approx(150, abs=2)} == had
    late = exports.limiters["reports"].reserve(50)
    assert not isinstance(late, Refusal)
    exports.clock.advance(MINUTE)
    late.settle(0)
    assert exports.asks(50, web=2, reports=2)["reports"] == pytest.approx(250, abs=20)


def test_a_guarantee_and_a_priority_stand_above_a_weight() -> None:
    """Checkout's 100 are its own whoever weighs what, and critical takes before normal divides."""
    exports = Exports(ShareSpec("checkout", "critical", guarantee_ppm=100_000), WEB, REPORTS)
    had = exports.asks(50, web=4, reports=4)

    assert 900 == had["web"] + had["reports"]
    assert had["web"] == pytest.approx(3 * had["reports"], abs=4)
    assert {"checkout": 100} == exports.asks(10, checkout=2)


@pytest.mark.parametrize("name", SETTINGS)
def test_random_arrivals_have_of_each_window_what_is_ideal_within_two_percent(name: str) -> None:
    """The first window after a start included; and at least 99 % of what is wanted of the limit is used."""
    assert [] == faults(SETTINGS[name], played(SETTINGS[name], 7))


def test_without_weights_the_same_arrivals_are_served_as_they_come() -> None:
    """Else the tests above would show nothing."""
    setting = SETTINGS["twice the limit, 1 to 3"]

    assert [] != faults(setting, played(setting, 7, weighed=False))
