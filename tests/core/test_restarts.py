"""A restart hands out no second burst, and forgets no debt."""

from __future__ import annotations

import pytest

from headway._core import Clock, Meters, MeterSpec
from tests.core.making import MICRO, MINUTE, SECOND, UTC, One, limiter_of, quota_curve, rate, rate_curve


def started(
    saved: bytes | None, *, at_utc: int, born: str = "empty", keys_max: int | None = None, level: int = 10
) -> One:
    """The next process: another boot clock, the same contract of `level` a second and a quota of 10 beside it."""
    meters = Meters(Clock.manual(5 * SECOND))
    meters.declare(
        [
            MeterSpec("m", "rate", ceiling_micro=100 * MICRO, per_ns=SECOND, born=born, keys_max=keys_max),
            MeterSpec("q", "quota", ceiling_micro=100 * MICRO),
        ]
    )
    if saved is not None:
        meters.restore(saved)
    meters.publish([("m", rate_curve(level)), ("q", quota_curve(10))], at_utc)
    return One(meters, limiter_of(meters, "m", keyed=keys_max is not None))


def stopped(one: One) -> bytes:
    one.meters.close()
    return one.meters.save()


def left(one: One, key: str | None = None) -> int:
    """How many single demands pass at once."""
    return sum(bool(one.limiter.try_acquire(1, key)) for _ in range(50))


def test_a_clean_stop_takes_up_the_mark_and_counts_the_time_between():
    """10 spent, half a second down: 5 are there."""
    first = started(None, at_utc=UTC, born="full")
    assert 10 == left(first)

    second = started(stopped(first), at_utc=UTC + SECOND // 2)

    assert 5 == left(second)


def test_a_long_downtime_fills_no_more_than_a_burst():
    """An hour later it is full, not more."""
    first = started(None, at_utc=UTC, born="full")
    assert 10 == left(first)

    assert 10 == left(started(stopped(first), at_utc=UTC + 3_600 * SECOND))


def test_keys_are_taken_up_too_and_new_ones_are_full():
    """ana spent all, bo nothing: right after the start ana has nothing, bo and cy everything."""
    first = started(None, at_utc=UTC, born="full", keys_max=9)
    assert 10 == left(first, "ana")

    second = started(stopped(first), at_utc=UTC + 1, keys_max=9)

    assert [0, 10, 10] == [left(second, key) for key in ("ana", "bo", "cy")]


def test_a_debt_survives_the_stop():
    """10 reserved and settled at 20: after a second down the debt is paid, and nothing is there yet."""
    first = rate(10, path={"settle_max_micro": 20 * MICRO})
    first.limiter.reserve(10).settle(20)
    saved = stopped(first)

    second = started(saved, at_utc=UTC + SECOND)

    assert 0 == left(second)
    second.clock.advance(SECOND // 10)
    assert 1 == left(second)


def test_after_a_crash_a_meter_starts_empty():
    """Nothing at once, one after a tenth of a second; every key alike."""
    one = started(None, at_utc=UTC, keys_max=9)

    assert [0, 0] == [left(one, key) for key in ("ana", "bo")]
    one.clock.advance(SECOND // 10)
    assert [1, 1] == [left(one, key) for key in ("ana", "cy")]


def test_a_quota_keeps_its_use_in_its_window_and_not_into_the_next():
    """7 of 10 used; 3 left after a start in the same minute, 10 in the next."""
    for down, expected in ((SECOND, 3), (MINUTE, 10)):
        first = started(None, at_utc=UTC, born="full")
        assert limiter_of(first.meters, "q").try_acquire(7)
        second = started(stopped(first), at_utc=UTC + down)
        limiter = limiter_of(second.meters, "q")
        assert expected == sum(bool(limiter.try_acquire()) for _ in range(20))


def keyed_quota(at_utc: int, saved: bytes | None = None, drawn: list[tuple[str, str, int, int]] | None = None) -> One:
    """A quota of 10 for each key in windows of a minute."""
    meters = Meters(Clock.manual(5 * SECOND))
    meters.declare([MeterSpec("q", "quota", ceiling_micro=100 * MICRO, keys_max=9)])
    if saved is not None:
        meters.restore(saved)
    if drawn is not None:
        meters.restore_drawn(drawn)
    meters.publish([("q", quota_curve(10))], at_utc)
    return One(meters, limiter_of(meters, "q", keyed=True))


def test_each_key_keeps_the_window_it_was_used_in():
    """ana uses 7 in the second minute, the clock steps back into the first, bo uses 8 there; a stop and a start within it.
    In the first minute bo has 2 and ana 3 left: hers is ahead and counts at once. In the second bo has all 10.
    """
    first = keyed_quota(UTC + MINUTE - SECOND)
    first.clock.advance(2 * SECOND)
    assert first.limiter.try_acquire(7, "ana")
    first.clock.advance(-2 * SECOND)
    assert first.limiter.try_acquire(8, "bo")

    second = keyed_quota(UTC + MINUTE - SECOND // 2, stopped(first))

    assert (2, 3) == (left(second, "bo"), left(second, "ana"))
    second.clock.advance(SECOND)
    assert (10, 0) == (left(second, "bo"), left(second, "ana"))


def test_rows_of_two_windows_are_each_of_their_own():
    """After a crash: what ana drew in the minute before is over, what bo drew in this one is used."""
    rows = [("q", "ana", UTC, 9 * MICRO), ("q", "bo", UTC + MINUTE, 4 * MICRO), ("q", "bo", UTC, 10 * MICRO)]
    one = keyed_quota(UTC + MINUTE + SECOND, drawn=rows)

    assert (10, 6) == (left(one, "ana"), left(one, "bo"))


def test_another_grain_takes_marks_up_rounded_towards_spent():
    """The ceiling grew a thousandfold, so marks are coarser: all 10 are still spent."""
    first = started(None, at_utc=UTC, born="full")
    assert 10 == left(first)
    meters = Meters(Clock.manual())
    meters.declare([MeterSpec("m", "rate", ceiling_micro=100_000 * MICRO, per_ns=SECOND)])
    meters.restore(stopped(first))
    meters.publish([("m", rate_curve(10))], UTC + 1)

    assert 0 == left(One(meters, limiter_of(meters, "m")))


def test_bytes_that_save_did_not_write_are_an_error_and_change_nothing():
    """Foreign, empty, cut short, a bit flipped, of another layout: each says so; the meter starts as declared."""
    first = started(None, at_utc=UTC, born="full")
    saved = stopped(first)
    flipped = bytearray(saved)
    flipped[len(saved) // 2] ^= 1
    newer = saved[:7] + b"\x09" + saved[8:]
    for bad in (b"", b"no marks", saved[:-1], bytes(flipped), newer):
        meters = Meters(Clock.manual())
        meters.declare([MeterSpec("m", "rate", ceiling_micro=100 * MICRO, per_ns=SECOND)])
        with pytest.raises(ValueError, match=r"marks|save"):
            meters.restore(bad)
        meters.publish([("m", rate_curve(10))], UTC)
        assert 10 == left(One(meters, limiter_of(meters, "m")))


def test_marks_are_taken_up_before_the_first_publish_or_not_at_all():
    """Later is an error; so is a durable row for a meter that has its curve."""
    one = rate(10)
    saved = stopped(rate(10))
    with pytest.raises(ValueError, match="before"):
        one.meters.restore(saved)
    with pytest.raises(ValueError, match="before"):
        one.meters.restore_drawn([("m", "", 0, UTC)])
    with pytest.raises(KeyError):
        one.meters.restore_drawn([("nobody", "", 0, 1)])
    with pytest.raises(ValueError, match="key"):
        one.meters.restore_drawn([("m", "ana", 0, 1)])
