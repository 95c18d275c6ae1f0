"""The canonical form: one spelling of what was agreed, readable by the reader, and the digests over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headway.contract.canonical import canonical, digest, from_canonical, terms_digest
from headway.contract.faults import Unreadable
from headway.contract.model import Contract
from headway.contract.quantities import render_decimal, render_duration
from headway.contract.read import read_paths, read_text

GOOD = Path(__file__).parents[1] / "contracts" / "good"
API = (GOOD / "smallest.yaml").read_text(encoding="utf-8")


def contract(text: str) -> Contract:
    return next(iter(read_text(text).require().contracts.values()))


@pytest.mark.parametrize("path", sorted(GOOD.iterdir()), ids=lambda path: path.name)
def test_the_canonical_form_of_a_good_contract_is_read_as_the_same_contract(path: Path) -> None:
    for one in read_paths([path]).contracts.values():
        text = canonical(one)
        again = from_canonical(text)

        assert one == again
        assert list(one.workloads) == list(again.workloads)
        assert (text, digest(one), terms_digest(one)) == (canonical(again), digest(again), terms_digest(again))


def test_the_canonical_form_of_the_smallest_contract_is_its_fields_sorted() -> None:
    expected = (
        '{"constraint":{"measure":"rate","per":"1s","unit":"request"},"contract":"api","owner":"team-web",'
        '"ramp":[{"limit":100,"stage":"now"}],"workloads":{"other":{}}}'
    )

    assert expected == canonical(contract(API))
    assert "49693d5423a802169b43bfb2f1641201dec02229732fef211fe3843980830086" == digest(contract(API))


def test_spellings_and_shorthands_of_one_agreement_have_one_digest() -> None:
    short = API.replace("limit: 100}", "limit: 100}, {stage: b, limit: 2k, when: {approval: dba, event: go}}")
    long = API.replace(
        "{stage: now, limit: 100}",
        "{limit: 1e2, stage: 'now'}, {stage: b, climb: 0s, limit: 2000, "
        "when: {event: [{type: go, again: false}], approval: [{by: dba, need: 1, expires: 168h}]}}",
    ).replace("per: 1s", "per: 1000ms")

    assert digest(contract(short)) == digest(contract(long))


@pytest.mark.parametrize(
    ("old", "new", "same_terms"),
    [
        ("owner: team-web\n", "owner: team-web\nabout: mended\n", True),
        ("owner: team-web\n", "owner: team-api\n", True),
        ("owner: team-web\n", "owner: team-web\nenforce: {wait: 1s}\n", True),
        ("limit: 100", "limit: 101", False),
        ("{other: {}}", "{other: {cost: 2}}", False),
        ("per: 1s", "per: 2s", False),
        ("owner: team-web\n", "owner: team-web\nzone: Europe/Berlin\n", False),
        ("owner: team-web\n", "owner: team-web\neach: {key: team, count: 2}\n", False),
        ("owner: team-web\n", "owner: team-web\nguards: {g: {keep: {query: q, below: 1}}}\n", False),
        ("owner: team-web\n", "owner: team-web\nexceptions: [{during: 2027-01-01T00:00/01:00Z, limit: 9, reason: r}]\n", False),
    ],
)  # fmt: skip
def test_mending_the_prose_restarts_nothing_and_changing_the_terms_does(old: str, new: str, same_terms: bool) -> None:
    before, after = contract(API), contract(API.replace(old, new))

    assert digest(before) != digest(after)
    assert same_terms is (terms_digest(before) == terms_digest(after))


def test_the_order_of_workloads_is_part_of_the_agreement() -> None:
    """The first match wins, so swapping two workloads is another contract."""
    one = contract(API.replace("{other: {}}", "{a: {match: {user: x}}, other: {}}"))
    two = contract(API.replace("{other: {}}", "{other: {}, a: {match: {user: x}}}"))

    assert digest(one) != digest(two)
    assert ["other", "a"] == list(from_canonical(canonical(two)).workloads)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "{", '{"contract":"api"}', '{"team":"dba"}', canonical(contract(API)) + "x"]
)
def test_what_is_no_canonical_contract_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        from_canonical(text)


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?", fullmatch=True)
STAGES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
AMOUNTS = st.integers(1, 2**48 - 1).map(render_decimal)
FACTORS = st.integers(1, 10**10).map(render_decimal)
SPANS = st.integers(1, 31 * 86_400_000).map(render_duration)
SHARES = st.integers(0, 999_999).map(lambda ppm: f"{render_decimal(ppm * 100)}%")
TEXTS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=30).filter(
    lambda t: t.strip()
)
ATTRIBUTES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,12}", fullmatch=True)
INSTANTS = st.sampled_from(
    (
        "2026-12-01",
        "2026-12-01T09:00 America/New_York",
        "2027-03-14T02:30 America/New_York",
        "2030-01-01T00:00:01.5+05:45",
    )
)
CONDITIONS = {
    "not_before": INSTANTS,
    "soak": st.fixed_dictionaries({"for": SPANS}, optional={"above": SHARES}),
    "event": TEXTS | st.fixed_dictionaries({"type": TEXTS}, optional={"source": TEXTS, "again": st.just("true")}),
}
WHENS = st.fixed_dictionaries(
    {"approval": st.fixed_dictionaries({"by": NAMES}, optional={"need": st.integers(1, 100), "expires": SPANS})},
    optional={
        **CONDITIONS,
        "any": st.lists(
            st.fixed_dictionaries({"event": TEXTS}, optional={"soak": CONDITIONS["soak"]}), min_size=1, max_size=2
        ),
    },
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    measure = draw(st.sampled_from(("rate", "concurrency", "quota")))
    per = {"rate": draw(SPANS), "quota": draw(st.sampled_from(("hour", "day", "week", "month")))}.get(measure)
    constraint = {"measure": measure, "unit": draw(TEXTS)} | ({"per": per} if per else {})
    stages = draw(st.lists(STAGES, min_size=1, max_size=4, unique=True))
    ramp: list[dict[str, Any]] = [{"stage": stages[0], "limit": draw(AMOUNTS)}]
    ramp += [{"stage": name, "limit": draw(AMOUNTS), "climb": draw(SPANS), "when": draw(WHENS)} for name in stages[1:]]
    workload = st.fixed_dictionaries(
        {},
        optional={
            "cost": FACTORS,
            "guarantee": st.sampled_from(("5%", "12.5%", "33%")),
            "ceiling": AMOUNTS,
            "match": st.dictionaries(
                ATTRIBUTES, TEXTS | st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=3
            ),
        },
    )
    optional = st.fixed_dictionaries(
        {},
        optional={
            "about": TEXTS,
            "zone": st.sampled_from(("UTC", "Europe/Berlin")),
            "labels": st.dictionaries(TEXTS, TEXTS | st.integers(-5, 5), max_size=4),
            "each": st.fixed_dictionaries({"key": NAMES, "count": st.integers(5, 9)}, optional={"total": AMOUNTS}),
            "enforce": st.fixed_dictionaries({}, optional={"wait": SPANS, "mode": st.just("observe")}),
        },
    )
    return {
        "contract": draw(NAMES),
        "owner": draw(NAMES),
        "constraint": constraint,
        "workloads": draw(st.dictionaries(NAMES, workload, min_size=1, max_size=3)),
        "ramp": ramp,
        **draw(optional),
    }


@given(documents())
def test_any_contract_survives_its_canonical_form(document: dict[str, Any]) -> None:
    """Whatever is valid is written once, read again as the same, and written the same."""
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    reading = read_text(text)
    assert () == reading.findings

    (one,) = reading.contracts.values()
    again = from_canonical(canonical(one))

    assert one == again
    assert canonical(one) == canonical(again)
    assert list(one.workloads) == list(again.workloads)
