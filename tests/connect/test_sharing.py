"""Who gets how much, over a stream: what is agreed within every key, and by weight, is asked demand by demand."""

from __future__ import annotations

import headway
from headway._core import Permit, Refusal
from tests.connect.conftest import Keeper


def test_a_guarantee_and_a_ceiling_of_a_key_hold_for_who_asks_over_a_stream(keeper: Keeper, gate: headway.Connected):
    """Five rooms a house, two of which are guests', and one at most for tours; of the big house's ten four and two."""
    held = []

    def takes(workload: str, house: str) -> int:
        for got in range(20):
            answer = gate.limiter("rooms", workload=workload).try_acquire(key=house)
            if not isinstance(answer, Permit):
                return got
            held.append(answer)
        return 20

    assert [1, 2, 2] == [takes(name, "small") for name in ("tours", "other", "guests")]
    assert [2, 4, 4] == [takes(name, "big") for name in ("tours", "other", "guests")]
    for permit in held:
        permit.release()
    assert 3 == takes("other", "small")
    for permit in held[-3:]:
        permit.release()


def test_a_quota_that_is_divided_by_weight_is_asked_one_by_one(keeper: Keeper, gate: headway.Connected):
    """Nothing of it is lent ahead: what the keeper has counted is what was admitted."""
    for number in range(1, 5):
        assert gate.limiter("exports", workload="web").try_acquire()
        assert number == keeper.in_use("exports")

    answer = gate.limiter("exports").try_acquire(297)
    assert isinstance(answer, Refusal) and "full" == answer.why
