"""Waiting one's turn: first in, first out, bounded, and nobody forgotten."""

from __future__ import annotations

import threading

import pytest

from headway._core import Permit, Refusal, Refused, Ticket
from tests.core.making import MICRO, SECOND, UTC, rate, rate_curve, slots


def ticket_of(answer: Ticket | Refusal) -> Ticket:
    assert isinstance(answer, Ticket)
    return answer


def test_only_the_head_of_the_queue_is_let_in():
    """The second has to wait although there is room for it; when the first has left, it is let in."""
    pool = slots(1)
    held = pool.limiter.try_acquire()
    first, second = ticket_of(pool.limiter.ticket()), ticket_of(pool.limiter.ticket())
    held.release()

    assert second.poll() is None
    permit = first.poll()
    assert isinstance(permit, Permit)
    assert second.poll() is None
    permit.release()
    assert isinstance(second.poll(), Permit)
    assert 0 == pool.limiter.reading().waiting


def test_a_release_rings_the_head_and_leaving_rings_the_next():
    """Each is called once it may look again, with no lock held: the callback may poll."""
    pool = slots(1)
    held = pool.limiter.try_acquire()
    first, second = ticket_of(pool.limiter.ticket()), ticket_of(pool.limiter.ticket())
    rung: list[str] = []
    first.on_wake(lambda: rung.append("first"))
    second.on_wake(lambda: rung.append("second"))
    assert first.poll() is None

    held.release()
    assert ["first"] == rung
    first.leave()
    first.leave()
    assert ["first", "second"] == rung
    assert isinstance(second.poll(), Permit)


def test_the_head_of_a_rate_knows_when_to_look_again():
    """Empty at 10 a second: in 100 ms; a raise to 100 rings, and then it is 10 ms."""
    api = rate(10)
    assert api.limiter.try_acquire(10)
    ticket = ticket_of(api.limiter.ticket())
    rung: list[int] = []
    ticket.on_wake(lambda: rung.append(1))

    assert ticket.poll() is None
    assert 100 * SECOND + SECOND // 10 == ticket.wake_at_ns
    api.meters.publish([("m", rate_curve(100, 2))], UTC)
    assert [1] == rung
    assert ticket.poll() is None
    assert 100 * SECOND + SECOND // 100 == ticket.wake_at_ns
    api.clock.advance(SECOND // 100)
    assert isinstance(ticket.poll(), Permit)


def test_one_waiter_more_than_ten_thousand_is_refused():
    """At the door, as `queue_full`, counted."""
    pool = slots(0)
    tickets = [ticket_of(pool.limiter.ticket()) for _ in range(10_000)]

    refusal = pool.limiter.ticket()

    assert isinstance(refusal, Refusal)
    assert ("queue_full", True) == (refusal.why, refusal.retryable)
    assert {"queue_full": 1} == pool.limiter.reading().refused_by
    tickets.clear()
    assert 0 == pool.limiter.reading().waiting


def test_giving_up_says_what_stood_in_the_way():
    """A timeout, counted; a ticket that has its permit cannot give up."""
    pool = slots(1)
    held = pool.limiter.try_acquire()
    ticket = ticket_of(pool.limiter.ticket())

    refusal = ticket.give_up()

    assert ("timeout", 1.0) == (refusal.why, refusal.use)
    assert 0 == pool.limiter.reading().waiting
    held.release()
    other = ticket_of(pool.limiter.ticket())
    permit = other.poll()
    with pytest.raises(RuntimeError):
        other.give_up()
    assert permit


def test_a_refusal_that_waiting_cannot_mend_is_given_at_once():
    """Over every burst, or closed."""
    api = rate(10)
    never = ticket_of(api.limiter.ticket(11)).poll()
    late = ticket_of(api.limiter.ticket())
    api.meters.close()
    closed = late.poll()

    assert isinstance(never, Refusal)
    assert isinstance(closed, Refusal)
    assert ("never_fits", "closed") == (never.why, closed.why)


def test_a_blocked_thread_gets_the_slot_another_gives_back():
    """Four threads pass one slot on, two hundred times each, and none is lost."""
    pool = slots(1)
    inside: list[int] = []

    def work() -> None:
        for _ in range(200):
            with pool.limiter.acquire(timeout=60):
                inside.append(1)
                assert 1 == len(inside)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 800 == pool.limiter.reading().admitted
    assert 0.0 == pool.in_use


def test_patience_is_counted_on_the_limiters_own_clock():
    """Moving a manual clock past the timeout ends the wait; a patience that is no number is an error."""
    pool = slots(1)
    held = pool.limiter.try_acquire()
    refused: list[str] = []

    def wait() -> None:
        try:
            pool.limiter.acquire(timeout=30)
        except Refused as error:
            refused.append(error.refusal.why)

    thread = threading.Thread(target=wait)
    thread.start()
    while not pool.limiter.reading().waiting:
        pass
    pool.clock.advance(31 * SECOND)
    thread.join()

    assert held
    assert ["timeout"] == refused
    with pytest.raises(ValueError, match="number"):
        pool.limiter.acquire(timeout=float("nan"))


def test_without_patience_a_refusal_is_raised_at_once():
    """`acquire`, `with` and decorated functions alike; the function is not called."""
    api = rate(1)
    called: list[int] = []
    guarded = api.limiter(lambda: called.append(1))
    guarded()

    for demand in (api.limiter.acquire, api.limiter.__enter__, guarded):
        with pytest.raises(Refused) as caught:
            demand()
        assert ("full", "HW531") == (caught.value.refusal.why, caught.value.code)
        assert str(caught.value).startswith("api is full: 1 of 1 request a second.")
    assert [1] == called


def test_who_waits_for_a_key_does_not_stand_before_another_key():
    """ana's line does not hold up bo."""
    pool = slots(1, keys_max=5)
    held = pool.limiter.try_acquire(1, "ana")
    waiting = ticket_of(pool.limiter.ticket(1, "ana"))

    assert waiting.poll() is None
    assert pool.limiter.acquire(1, "bo", timeout=5)
    held.release()
    assert isinstance(waiting.poll(), Permit)
    assert MICRO == pool.meters.snapshot()[0].limit_micro
