"""Real Envoys on one contract that is divided among them, with the printed configuration: a climb, a cut, a server that goes.

What they let through is held against `B + ∫ L` by the requests' own times: one counts for a window only if it was sent and
answered within it, so that what is found over is over for certain.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.enforce.bounds import InForce
from tests.attach.shared import MICRO, SECOND, WITHIN_S, Asked, Keeper, Traffic, envoys, now_ns


def test_the_checker_finds_one_too_many() -> None:
    """Ten at once and ten a second after fit a limit of 10; one more does not."""
    ten = [InForce(0, 0, ((0, None, 10 * MICRO, 10 * MICRO),), burst_ns=SECOND)]
    fits = [Asked(0, 0, 200)] * 10 + [Asked(k * SECOND // 10, k * SECOND // 10, 200) for k in range(1, 11)]

    assert [] == Traffic(fits).over(ten)
    assert [] == Traffic([*fits, Asked(SECOND, SECOND, 429)]).over(ten)
    assert 1 == len(Traffic([*fits, Asked(SECOND, SECOND, 200)]).over(ten))


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper(40, divided=True)
    yield keeper
    keeper.plane.close()


def assigned(keeper: Keeper) -> int:
    """Tokens a second that are assigned now."""
    return keeper.plane.divided()[0][3]


def test_two_envoys_share_one_limit_through_a_climb_and_a_cut(keeper: Keeper, tmp_path: Path) -> None:
    """40 a second, in four seconds to 80, then 20 without warning: neither the two together nor any window passes more, but
    for the cut's five seconds; and most of the limit is used."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 2) as urls, traffic.on(urls[0]), traffic.on(urls[1]):
        traffic.reach(80, now_ns())
        raised = keeper.publish(40, climbs_to=80, over_s=4)
        traffic.wait(lambda: assigned(keeper) >= 60)
        traffic.reach(240, raised)
        cut = keeper.publish(20, within_s=WITHIN_S)
        traffic.wait(lambda: assigned(keeper) <= 20)
        told = now_ns()
        traffic.wait(lambda: now_ns() >= cut + WITHIN_S * SECOND)
        traffic.reach(100, cut + WITHIN_S * SECOND)
        streams = keeper.plane.divided()[0][1]

    assert 2 == streams
    assert told - cut < 2 * SECOND, "it is pushed, and not waited for"
    assert [] == traffic.over(keeper.history)


def test_one_envoy_that_wants_it_keeps_most_of_the_limit_busy(keeper: Keeper, tmp_path: Path) -> None:
    """Of 40 a second it is assigned 38."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 1) as urls, traffic.on(urls[0], callers=6):
        traffic.wait(lambda: assigned(keeper) == 38)
        since = now_ns()
        traffic.reach(120, since)
        took = now_ns() - since

    assert [] == traffic.over(keeper.history)
    assert took >= 2 * SECOND


def test_a_server_that_comes_back_assigns_again_what_has_ended(keeper: Keeper, tmp_path: Path) -> None:
    """The stream is lost: what was assigned lives its four seconds, and after that the printed configuration denies. A server
    that starts at once waits for that, then assigns to the Envoy that dialled it again; nothing is handed out twice."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 1) as urls, traffic.on(urls[0]):
        traffic.reach(20, now_ns())
        keeper.plane.close()
        closed = now_ns()
        keeper.start()
        traffic.wait(lambda: assigned(keeper) > 0)
        again = now_ns()
        traffic.reach(60, again)

    assert again - closed >= 4 * SECOND
    assert [] == traffic.over(keeper.history)


def test_without_a_server_assignments_end_and_nothing_passes(keeper: Keeper, tmp_path: Path) -> None:
    """What was assigned ends by itself within four seconds, and the printed configuration denies for as long as nobody comes."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 1) as urls, traffic.on(urls[0]):
        traffic.reach(20, now_ns())
        keeper.plane.close()
        closed = now_ns()
        traffic.wait(lambda: now_ns() >= closed + (WITHIN_S + 1) * SECOND)

    assert [] == traffic.admitted(closed + WITHIN_S * SECOND)


def test_who_is_told_to_forget_its_bucket_begins_anew_with_its_next_request(keeper: Keeper, tmp_path: Path) -> None:
    """One Envoy falls silent: after fifteen seconds its part is the other's. What it asks then is reported at once, and it
    gets a part again."""
    traffic, second = Traffic(), Traffic()
    with envoys(keeper, tmp_path, 2) as urls, traffic.on(urls[0]):
        with second.on(urls[1]):
            second.reach(20, now_ns())
        traffic.wait(lambda: keeper.plane.divided()[0][1] == 1 and assigned(keeper) >= 30)
        with second.on(urls[1]):
            since = now_ns()
            second.reach(20, since)

    together = Traffic([*traffic.seen, *second.seen])
    assert [] == together.over(keeper.history)
