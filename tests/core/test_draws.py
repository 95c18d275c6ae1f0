"""Durable draws: what is admitted was counted by the store before, and a crash forfeits a chunk at most."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from headway._core import Clock, Growth, Meters, MeterSpec
from tests.core.making import MICRO, MINUTE, SECOND, UTC, One, limiter_of, quota, quota_curve, rate, rate_curve


@contextmanager
def ledger(one: One, answer: Callable[[Growth], int] = lambda _: 1) -> Iterator[list[Growth]]:
    """The writer thread: takes batches and answers each item, until the block ends."""
    seen: list[Growth] = []
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            batch = one.meters.growth.take(1_000, 5)
            seen.extend(batch)
            if batch:
                one.meters.growth.answer(batch[0].batch_id, bytes(answer(growth) for growth in batch))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield seen
    finally:
        ended.set()
        writer.join()


def test_a_durable_quota_admits_exactly_its_limit_and_draws_no_more():
    """100 a window, one by one: 100 pass, 100 were drawn, in chunks that shrink towards the end."""
    one = quota(100, durable=True)
    with ledger(one) as seen:
        passed = sum(bool(one.limiter.try_acquire()) for _ in range(120))

    assert 100 == passed
    drawn = [growth.by_micro for growth in seen]
    assert 100 * MICRO == sum(drawn)
    assert 5 * MICRO == max(drawn)
    assert {("quota_draw", "m", "", UTC)} == {(g.kind, g.meter, g.key, g.window_start_ns) for g in seen}


def test_nothing_passes_that_the_store_did_not_grant():
    """Without room there the demand is refused as full, fenced as not durable; neither is charged."""
    one = quota(100, durable=True)
    with ledger(one, lambda _: 0):
        assert "full" == one.limiter.try_acquire().why
    with ledger(one, lambda _: 2):
        assert "not_durable" == one.limiter.try_acquire().why

    assert 0.0 == one.in_use
    with ledger(one):
        assert one.limiter.try_acquire()


def test_a_closed_queue_refuses_what_needs_a_draw_and_lets_what_was_drawn_pass():
    """Five were drawn with the first; the disk is full; four more pass, the fifth waits for the disk."""
    one = quota(100, durable=True)
    with ledger(one):
        assert one.limiter.try_acquire()
    one.meters.growth.close("disk full")

    answers = [one.limiter.try_acquire() for _ in range(5)]

    assert [True] * 4 + [False] == [bool(answer) for answer in answers]
    assert ("not_durable", True) == (answers[4].why, answers[4].retryable)
    one.meters.growth.reopen()
    with ledger(one):
        assert one.limiter.try_acquire()


def test_closing_the_queue_ends_the_wait_for_a_draw_at_once():
    """Nobody takes the draw; it is refused as not durable, and not after the two seconds of patience as drawing."""
    one = quota(100, durable=True)
    answers = []
    asker = threading.Thread(target=lambda: answers.append(one.limiter.try_acquire()))
    asker.start()
    while asker.is_alive():
        one.meters.growth.close("read-only")
        one.meters.growth.reopen()

    assert ["not_durable"] == [answer.why for answer in answers]
    assert [] == one.meters.growth.take(10, 0)


def test_an_answer_for_no_batch_or_of_another_length_is_an_error():
    """And the right one still counts afterwards."""
    one = quota(100, durable=True)
    queue = one.meters.growth
    with pytest.raises(ValueError, match="not out"):
        queue.answer(7, b"\x01")
    asker = threading.Thread(target=one.limiter.try_acquire)
    asker.start()
    while not (batch := queue.take(10, 20)):
        pass
    for wrong in (b"", b"\x01\x01", b"\x03"):
        with pytest.raises(ValueError, match="bytes"):
            queue.answer(batch[0].batch_id, wrong)
    queue.answer(batch[0].batch_id, b"\x01")
    asker.join()

    assert 1.0 == one.in_use
    with pytest.raises(ValueError, match="answered"):
        queue.answer(batch[0].batch_id, b"\x01")


def test_keys_draw_for_themselves():
    """Two tenants, 10 each: each row has its name, each tenant its limit."""
    one = quota(10, durable=True, keys_max=10)
    with ledger(one) as seen:
        passed = {key: sum(bool(one.limiter.try_acquire(1, key)) for _ in range(12)) for key in ("ana", "bo")}

    assert {"ana": 10, "bo": 10} == passed
    drawn = {key: sum(g.by_micro for g in seen if g.key == key) for key in ("ana", "bo")}
    assert {"ana": 10 * MICRO, "bo": 10 * MICRO} == drawn


def test_after_a_crash_all_that_was_drawn_counts_as_used():
    """1 of 5 drawn was used; after the crash 5 are, and the other 95 are drawn anew."""
    meters = Meters(Clock.manual(100 * SECOND))
    meters.declare([MeterSpec("m", "quota", ceiling_micro=100 * MICRO, durable=True)])
    meters.restore_drawn([("m", "", UTC, 5 * MICRO)])
    meters.publish([("m", quota_curve(100))], UTC)
    one = One(meters, limiter_of(meters, "m"))

    with ledger(one):
        passed = sum(bool(one.limiter.try_acquire()) for _ in range(120))

    assert 95 == passed


def test_a_durable_rate_is_never_ahead_of_what_the_store_knows():
    """100 a minute, drawn by instants: after a crash no more passes than came in since the last instant that was granted."""
    one = rate(100, per_ns=MINUTE, durable=True)
    granted: list[int] = []
    with ledger(one) as seen:
        for _ in range(30):
            assert one.limiter.try_acquire()
    granted = [growth.by_micro for growth in seen]
    assert {"rate_mark"} == {growth.kind for growth in seen}
    assert granted == sorted(granted)

    meters = Meters(Clock.manual(5 * SECOND))
    meters.declare([MeterSpec("m", "rate", ceiling_micro=100 * MICRO, per_ns=MINUTE, born="empty", durable=True)])
    meters.restore_drawn([("m", "", 0, granted[-1])])
    meters.publish([("m", rate_curve(100, per_ns=MINUTE))], UTC + 30 * SECOND)
    again = One(meters, limiter_of(meters, "m"))
    with ledger(again):
        passed = sum(bool(again.limiter.try_acquire()) for _ in range(120))

    # 50 came in since; what the marks ahead had granted beyond the 30 is forfeited.
    assert passed == (UTC + 30 * SECOND - granted[-1]) * 100 // MINUTE
    assert 30 + passed <= 100 + 50
