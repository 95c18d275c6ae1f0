"""What is to be reached: the design's section 10, the row on RLS."""

from __future__ import annotations

from collections.abc import Sequence

from benches.rls import ours
from benches.rls.asks import CASES
from benches.rls.measure import Cost, Paced
from benches.rls.peers import envoyproxy
from benches.target import Target

TIMES = {"grpcio": 10, "grpcio aio": 10, envoyproxy.NAME: 4, "limitador": 2}
"""Peer -> how many times our CPU a decision it should cost at least."""

WITHIN_SHARE = 0.9999
SENT_SHARE = 0.98
"""Of the pace: where h2load falls further behind, the server was asked for less than it says."""


def targets(costs: Sequence[Cost], paced: Sequence[Paced]) -> list[Target]:
    """All bounds that this run can speak of: nothing of a peer that is not there."""
    cpu = {(cost.who, cost.case): cost.cpu_us for cost in costs}
    ratios = [
        Target(f"{who} / headway, {case}", cpu[who, case] / cpu[ours.NAME, case], times, at_least=True)
        for who, times in TIMES.items()
        for case in CASES
        if (who, case) in cpu
    ]
    within = [
        target
        for one in paced
        if one.who == ours.NAME
        for target in (
            Target("answers within 20 ms at 0.8 of the maximum", one.within_share, WITHIN_SHARE, at_least=True),
            Target("sent / 0.8 of the maximum", one.sent_per_s / one.per_s, SENT_SHARE, at_least=True),
        )
    ]
    return ratios + within
