"""`match` as it is written, and what is said of two matches before anybody asks."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.contract.canonical import canonical, from_canonical
from headway.contract.matching import covers
from headway.contract.model import Contract
from headway.contract.read import read_text
from headway.contract.story import explain_contract
from tests.model.matches import takes

API = """
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s}
workloads: %s
ramp: [{stage: now, limit: 100}]
"""
VALUES = ["".join(letters) for length in range(6) for letters in product("abz", repeat=length)]


def contract(workloads: str) -> Contract:
    return next(iter(read_text(API % workloads).require().contracts.values()))


def test_one_pattern_stands_for_a_list_of_it() -> None:
    one, two = contract("{a: {match: {user: x*}}}"), contract("{a: {match: {user: [x*]}}, other: {}}")

    assert one == two and canonical(one) == canonical(two)
    assert {"user": ("x*",)} == one.workloads["a"].match
    assert '"workloads":{"a":{"match":{"user":"x*"}},"other":{}}' in canonical(one)


def test_where_one_has_a_match_the_rest_is_somebody_too() -> None:
    """`other` takes what no match takes, so it is there: with terms like everybody's unless they are written."""
    assert ["a", "other"] == list(contract("{a: {match: {user: x}}}").workloads)
    assert ["other", "a"] == list(contract("{other: {cost: 2}, a: {match: {user: x}}}").workloads)
    assert ["a"] == list(contract("{a: {}}").workloads)


def test_numbers_and_words_of_yaml_are_patterns_as_they_are_written() -> None:
    assert {"port": ("80",), "on": ("true", "1.0")} == contract(
        "{a: {match: {port: 80, 'on': [true, 1.0]}}}"
    ).workloads["a"].match


def test_the_story_says_who_a_workload_is() -> None:
    told = explain_contract(contract("{a: {match: {user: [x*, y], path: /v1/*}, cost: 2}}")).as_text()

    assert "a: whose user is x* or y and path is /v1/*, each demand counts 2." in told


@settings(max_examples=3_000, deadline=None)
@given(st.text("ab*?", min_size=1, max_size=5), st.text("ab*?", min_size=1, max_size=5))
def test_a_pattern_said_to_cover_another_takes_all_that_it_takes(wide: str, narrow: str) -> None:
    if covers({"u": (wide,)}, {"u": (narrow,)}):
        assert [] == [value for value in VALUES if takes(narrow, value) and not takes(wide, value)]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [("*", "a?"), ("*", "*"), ("a*", "a"), ("a*", "a*b?"), ("?*", "*?"), ("*a*", "ba?"), ("a?", "ab"), ("**", "*?"), ("x", "x")],
)  # fmt: skip
def test_what_plainly_covers_is_seen(wide: str, narrow: str) -> None:
    assert covers({"u": (wide,)}, {"u": (narrow,)})


def test_a_match_covers_another_only_where_it_asks_for_no_more() -> None:
    assert covers({"u": ("a*", "b")}, {"u": ("ab", "b"), "v": ("x",)})
    assert not covers({"u": ("a*",), "v": ("*",)}, {"u": ("ab",)})
    assert not covers({"u": ("a*",)}, {"u": ("ab", "c")})
    assert not covers({"u": ("a",)}, {"u": ("?",)}) and not covers({"u": ("?",)}, {"u": ("*",)})


def test_the_canonical_form_keeps_every_pattern() -> None:
    one = contract("{b: {match: {user: [y, x], header.x-team: '?'}}, a: {match: {user: '*'}}}")

    assert one == from_canonical(canonical(one))
    assert ["b", "a", "other"] == list(from_canonical(canonical(one)).workloads)
