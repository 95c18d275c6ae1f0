"""Two real Envoys that ask about every request, on one contract that climbs and steps back under real traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attach.shared import SECOND, Keeper, Traffic, envoys, now_ns


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper(20, divided=False)
    yield keeper
    keeper.plane.close()


def test_two_envoys_share_one_limit_through_a_climb_and_a_step_back(keeper: Keeper, tmp_path: Path) -> None:
    """20 a second, in three seconds to 60, then back to 20: no window passes more than `B + ∫ L`, not by one and not for a
    moment after the cut; what passed is what was counted; and the limit is used to its end."""
    traffic = Traffic()
    with envoys(keeper, tmp_path, 2) as urls, traffic.on(urls[0]), traffic.on(urls[1]):
        traffic.reach(40, now_ns())
        climb = keeper.publish(20, climbs_to=60, over_s=3)
        traffic.reach(180, climb)
        back = keeper.publish(20)
        traffic.reach(40, back)

    assert [] == traffic.over(keeper.history)
    assert len(traffic.admitted()) == keeper.counted()
    assert {200, 429} == {one.status for one in traffic.seen}
    # Of the climb's 120, and 60 a second after it, four fifths are had by who asks all the time.
    took_s = (back - climb) / SECOND
    assert len([one for one in traffic.admitted(climb) if one.answered_ns <= back]) >= 0.8 * (60 * took_s - 60)
