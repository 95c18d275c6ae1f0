"""Changes reach whoever listens, in order; what was missed can be had again; nobody slow holds anybody up."""

from __future__ import annotations

import threading

from headway.engine.subscribe import RING, WAITING, Bus, Subscription


def told(subscription: Subscription) -> list[int]:
    """The ids that wait."""
    return [change.id for change in iter(lambda: subscription.next(0), None)]


def test_changes_come_in_order_from_the_subscription_on():
    """What was before is not told, unless it is asked for."""
    bus = Bus()
    bus.tell("api", "held", 1, {})
    heard = bus.subscribe()
    bus.tell("api", "resumed", 2, {"seq": 7})
    bus.tell("db", "held", 3, {})

    assert [2, 3] == told(heard)


def test_who_comes_back_resumes_behind_what_it_saw():
    """Id 1 was seen: 2 and 3 are told, and no gap; then what is new."""
    bus = Bus()
    for at_ms in range(3):
        bus.tell("api", "held", at_ms, {})

    heard = bus.subscribe(after=1)
    bus.tell("api", "held", 9, {})

    assert heard.gap_after is None
    assert [2, 3, 4] == told(heard)
    assert [] == told(bus.subscribe(after=4))


def test_who_was_away_too_long_is_told_of_the_gap():
    """The ring holds 10,000: who saw the first of 10,005 has missed some; an id from before a restart is ahead of ours."""
    bus = Bus()
    for at_ms in range(RING + 5):
        bus.tell("api", "held", at_ms, {})

    assert 1 == bus.subscribe(after=1).gap_after
    assert bus.subscribe(after=5).gap_after is None
    assert RING == len(told(bus.subscribe(after=5)))
    assert 20_000 == bus.subscribe(after=20_000).gap_after
    assert Bus().subscribe(after=0).gap_after is None


def test_a_listener_that_does_not_listen_keeps_only_the_latest():
    """The bound is one thousand: the oldest go, and the gap in the ids says so."""
    bus = Bus()
    heard = bus.subscribe()
    for at_ms in range(WAITING + 3):
        bus.tell("api", "held", at_ms, {})

    ids = told(heard)
    assert (WAITING, 4, WAITING + 3) == (len(ids), ids[0], ids[-1])


def test_closing_wakes_who_waits_and_ends_the_iteration():
    """From another thread, by the subscriber or by the engine; closing twice does nothing."""
    bus = Bus()
    for end in (lambda one: one.close(), lambda one: bus.close()):
        heard = bus.subscribe()
        seen: list[object] = []
        waiting = threading.Thread(target=lambda heard=heard, seen=seen: seen.extend(heard))
        waiting.start()
        bus.tell("api", "held", 1, {})
        end(heard)
        waiting.join(10)
        assert not waiting.is_alive()
        assert heard.closed
        heard.close()

    assert bus.subscribe().closed
