"""The core's matches against their twin: random rules, random things said, and what always holds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headway._core import Matches
from tests.model.matches import Rule, takes, workload_of

NAMES = st.sampled_from(("user", "application", "path"))
PATTERNS = st.text("ab*?é", min_size=1, max_size=7)
VALUES = st.text("abé?*\n", max_size=8)
WANTED = st.lists(
    st.tuples(NAMES, st.lists(PATTERNS, min_size=1, max_size=3)), min_size=1, max_size=3, unique_by=lambda one: one[0]
)
RULES: st.SearchStrategy[list[Rule]] = st.lists(st.tuples(st.sampled_from(("a", "b", "c")), WANTED), max_size=4)
SAID = st.dictionaries(NAMES | st.just("nobody-asks"), VALUES)


@settings(max_examples=2_000, deadline=None)
@given(RULES, SAID)
def test_the_core_and_its_twin_name_the_same_workload(rules: list[Rule], said: dict[str, str]) -> None:
    matches = Matches(rules)

    assert workload_of(rules, said) == matches.workload_of(list(said.items()))
    assert sorted({name for _, wanted in rules for name, _ in wanted}) == list(matches.attributes)


@settings(max_examples=2_000, deadline=None)
@given(PATTERNS, VALUES)
def test_a_pattern_takes_what_its_twin_takes(pattern: str, value: str) -> None:
    taken = Matches([("w", [("user", [pattern])])]).workload_of([("user", value)])

    assert takes(pattern, value) is (taken == "w")


@given(RULES, SAID)
def test_what_nobody_asks_for_makes_no_difference(rules: list[Rule], said: dict[str, str]) -> None:
    asked = [(name, value) for name, value in said.items() if name in Matches(rules).attributes]

    assert Matches(rules).workload_of(list(said.items())) == Matches(rules).workload_of(asked)


def test_a_pattern_of_many_stars_is_looked_at_in_no_time() -> None:
    """Sixty stars, and a value that almost fits: tried in every way it would take longer than the world has."""
    matches = Matches([("w", [("user", ["*a" * 60 + "b"])])])

    assert matches.workload_of([("user", "a" * 1_024)]) is None
