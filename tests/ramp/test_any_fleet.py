"""Any fleet, any order of moves: no spender rises while its upstream is over, and who waits for room gets it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headway.contract.model import Contract
from headway.ramp.curve import curve_of
from headway.ramp.joint import exposure_micro
from headway.ramp.observations import EventSeen, Observation
from tests.ramp.ramps import HOUR, T0, contract, instant, override, second, verb_call
from tests.ramp.test_settle import Fleet

NAMES = ("cluster", "web", "api", "batch")
levels = st.integers(1, 60)


@st.composite
def fleets(draw: st.DrawFn) -> list[Contract]:
    """A cluster of 100, then 150 or 80 in a climb, and three that spend it; each may require it, or climb, on events."""
    start = draw(st.integers(1, 40)) * HOUR
    exceptions = [
        {
            "during": f"{instant(start)}/{instant(start + 3 * HOUR)}",
            "limit": str(draw(st.integers(20, 90))),
            "reason": "move",
        }
    ]
    second_stage = second(climb="2h", limit=draw(st.sampled_from(["150", "80"])), event="ready")
    found = [contract({"stage": "one", "limit": "100"}, second_stage, name="cluster", exceptions=exceptions)]
    for name in NAMES[1:]:
        when: dict[str, Any] = {"event": "ready"}
        if draw(st.booleans()):
            when["requires"] = {"cluster": draw(st.sampled_from(["two", "70", "100"]))}
        stages = [
            {"stage": "one", "limit": str(draw(st.integers(1, 33)))},
            second(climb=draw(st.sampled_from(["0", "5h"])), limit=str(draw(levels)), **when),
            {"stage": "three", "limit": str(draw(levels)), "when": {"event": "ready"}},
        ]
        spend = {
            "contract": "cluster",
            "spends": draw(st.sampled_from(["0.5", "1"])),
            "retries": draw(st.integers(0, 1)),
        }
        found.append(contract(*stages, name=name, upstream=[spend]))
    return found


moves = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["ready", "override", "hold", "resume", "step_back", "abort", "nothing"]),
        st.integers(1, 5 * HOUR),
        st.integers(0, 200),
    ),
    max_size=25,
)


@given(fleets(), moves)
def test_no_spender_rises_while_its_upstream_is_over(
    agreed: list[Contract], history: list[tuple[str, str, int, int]]
) -> None:
    """After any settling in which a spender's highest decided level grew, all spenders together fit the cluster's lowest."""
    fleet, now_ms = Fleet(*agreed), 0
    for number, (name, what, after_ms, level) in enumerate(history):
        before = highest(fleet, now_ms)
        now_ms += after_ms
        fleet.at(
            now_ms,
            {
                one: (observed(what, now_ms, level, number),) if one == name and what != "nothing" else ()
                for one in NAMES
            },
        )

        after = highest(fleet, now_ms)
        if any(after[one] > before[one] for one in NAMES[1:]):
            assert {"": 0} == exposure_micro(fleet.contracts, fleet.states, fleet.links, "cluster", T0 + now_ms)


@given(fleets(), moves)
def test_a_settling_leaves_nothing_to_settle(agreed: list[Contract], history: list[tuple[str, str, int, int]]) -> None:
    """Settled again at the same instant, nothing moves but a ramp that catches up, one stage an evaluation."""
    fleet, now_ms = Fleet(*agreed), 0
    for number, (name, what, after_ms, level) in enumerate(history):
        now_ms += after_ms
        fleet.at(
            now_ms,
            {
                one: (observed(what, now_ms, level, number),) if one == name and what != "nothing" else ()
                for one in NAMES
            },
        )
        catching_up = {one for one, decided in fleet.last.items() if decided.wake_at_ms == T0 + now_ms}

        fleet.at(now_ms)

        if not catching_up:
            assert [] == [entry for decided in fleet.last.values() for entry in decided.entries]


def observed(what: str, now_ms: int, level: int, number: int) -> Observation:
    if what == "ready":
        return EventSeen(T0 + now_ms, str(number), "ci", "ready", "event:ci")
    if what == "override":
        return override(now_ms, level, now_ms + 2 * HOUR, second="user:bob")
    return verb_call(now_ms, what)  # type: ignore[arg-type]  # one of the verbs drawn above


def highest(fleet: Fleet, now_ms: int) -> dict[str, int]:
    return {
        name: int(curve_of(fleet.contracts[name], state, T0).highest_micro("", T0 + now_ms))
        for name, state in fleet.states.items()
    }
