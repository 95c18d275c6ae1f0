"""Growth laws against the published ramp guidance of cloud services, and what every law keeps."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.contract.laws import STAGES, Endless, ladder
from headway.contract.model import Contract, Soak
from headway.contract.quantities import Portion, duration_of, render_decimal
from headway.contract.read import read_text

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "growth-laws.json").read_text(encoding="utf-8"))["cases"]


def grown(law: str) -> Contract:
    text = (
        "contract: api\nowner: team-web\nconstraint: {measure: rate, unit: request, per: 1s}\n"
        f"workloads: {{other: {{}}}}\ngrow: {law}\n"
    )
    return read_text(text).require().contracts["api"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_published_law_gives_its_ladder(case: dict[str, Any]) -> None:
    """The stages, their names, the last level, and how long the whole ladder takes at least."""
    ramp = grown(json.dumps(case["grow"])).ramp

    assert case["steps"] == len(ramp) - 1
    assert case["first"] == [stage.limit_micro[""] / 1_000_000 for stage in ramp[: len(case["first"])]]
    assert case["last"] * 1_000_000 == ramp[-1].limit_micro[""]
    assert [stage.name for stage in ramp] == [render_decimal(stage.limit_micro[""]) for stage in ramp]
    minutes = case["steps"] * duration_of(case["grow"]["every"]) / 60_000
    assert case["reached_after_min"] == pytest.approx(minutes)


def test_each_step_soaks_above_half_of_the_limit_unless_the_law_says_when() -> None:
    soaking = grown("{start: 100, step: 100%, every: 5m, until: 400}")
    asking = grown("{start: 100, step: 100%, every: 5m, until: 400, when: {approval: dba}, climb: 1m}")

    assert soaking.ramp[0].when is None
    assert all(
        s.when and s.when.soak == (Soak.model_validate({"for": "5m", "above": "50%"}),) for s in soaking.ramp[1:]
    )
    assert all(s.when and not s.when.soak and s.when.approval[0].by == "dba" for s in asking.ramp[1:])
    assert [0, 60_000, 60_000] == [stage.climb_ms for stage in asking.ramp]


def test_a_list_of_steps_is_taken_in_turn_and_the_last_one_repeats() -> None:
    ramp = grown("{start: 50, step: [50, 300, 100%], every: 1d, until: 1000}").ramp

    assert ["50", "100", "400", "800", "1000"] == [stage.name for stage in ramp]


def test_a_law_that_does_not_arrive_is_refused() -> None:
    for start, steps, until in ((1, (Portion(amount_micro=1),), 1_000), (5, (Portion(amount_micro=1),), 5), (1, (), 2)):
        with pytest.raises(Endless):
            ladder(start, steps, until)
    with pytest.raises(Endless):
        ladder(1, (Portion(share_ppm=100_000),), 10)  # a tenth of a millionth is nothing


@given(
    st.integers(1, 10**12),
    st.lists(
        st.one_of(
            st.builds(Portion, share_ppm=st.integers(1, 10**7)), st.builds(Portion, amount_micro=st.integers(1, 10**12))
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 10**13),
)
def test_a_ladder_rises_from_start_to_until_within_its_bound_or_is_refused(
    start: int, steps: list[Portion], until: int
) -> None:
    try:
        levels = ladder(start, steps, until)
    except Endless:
        return

    assert (start, until) == (levels[0], levels[-1])
    assert all(low < high for low, high in pairwise(levels))
    assert 2 <= len(levels) <= STAGES
