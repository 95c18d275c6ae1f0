"""The page of metrics beside what is really printed, and how gates are."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headway._core import GateReading, GateUse, LentReading, Spans
from headway.server.gate_metrics import PlaneReading
from headway.server.metrics import METRICS, exposition

from .conftest import World

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

SPANS = Spans([(1_000, 2), (250_000, 3)], 4, 1_250_000)
"""Two took a millisecond at most, one a quarter of a second, one a second."""

PLANE = PlaneReading(
    [("search", 2, 1, 38, 76)],
    [GateReading("web/1", 1, 250), GateReading("other", 3, 0)],
    [GateUse("web/1", "orders-db", "checkout", 7, {"full": 2}, 3_000_000, 5_000_000, 1_000_000)],
    [LentReading("orders-db", "checkout", 40, 9, SPANS, SPANS, Spans([(1_000, 0), (250_000, 0)], 0, 0))],
)


def said(world: World, plane: PlaneReading = PLANE) -> str:
    return exposition(world.engine, lambda: plane).decode()


@pytest.fixture
def asked(world: World) -> World:
    """`other` has asked beside `checkout`, once in vain: every metric has something to say."""
    other = world.engine.limiter("orders-db", "other")
    assert other.try_acquire(50) and not other.try_acquire(50)
    return world


def rows() -> dict[str, tuple[str, frozenset[str], str, str]]:
    """Type, labels, unit and query of each metric, as the page has them."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `headway_"):
            name, kind, labels, unit, _, query = (cell.strip() for cell in line.strip("|").split("|"))
            found[name.strip("` ")] = (kind, frozenset(re.findall(r"`(\w+)`", labels)), unit, query.strip("` "))
    return found


def test_the_page_has_every_metric_with_the_type_and_labels_that_it_is_printed_with(asked: World) -> None:
    printed = {}
    for family in text_string_to_metric_families(said(asked)):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert family.samples, name
        printed[name] = (family.type, frozenset(labels))

    assert printed == {name: row[:2] for name, row in rows().items()}
    assert set(printed) == set(METRICS)


def test_every_metric_has_a_unit_in_words_and_is_in_its_own_example() -> None:
    for name, (_, _, unit, query) in rows().items():
        assert name in query, name
        assert unit or name == "headway_stage_index", name


def test_a_gate_is_a_label_with_what_it_does(asked: World) -> None:
    text = said(asked)

    place = 'contract="orders-db",gate="web/1"'
    assert 'headway_gate_connected{gate="other"} 3.0' in text
    assert 'headway_gate_silent_seconds{gate="web/1"} 0.25' in text
    assert f'headway_gate_admitted_total{{{place},workload="checkout"}} 7.0' in text
    assert f'headway_gate_refused_total{{{place},reason="full",workload="checkout"}} 2.0' in text
    for name, units in [("in_use", 3), ("on_loan", 5), ("draining", 1)]:
        assert f'headway_gate_{name}{{{place},workload="checkout"}} {units}.0' in text


def test_spans_are_histograms_in_seconds(asked: World) -> None:
    """Four cuts: the slowest is in no bucket but the last."""
    text = said(asked)

    place = 'change="cut",contract="orders-db"'
    assert f'headway_change_seconds_bucket{{{place},le="0.001",workload="checkout"}} 2.0' in text
    assert f'headway_change_seconds_bucket{{{place},le="0.25",workload="checkout"}} 3.0' in text
    assert f'headway_change_seconds_bucket{{{place},le="+Inf",workload="checkout"}} 4.0' in text
    assert f'headway_change_seconds_sum{{{place},workload="checkout"}} 1.25' in text
    assert 'headway_draw_seconds_count{contract="orders-db",workload="checkout"} 4.0' in text
    assert 'headway_draws_total{contract="orders-db",workload="checkout"} 9.0' in text


def test_without_a_data_plane_there_are_no_gates(asked: World) -> None:
    assert "web/1" not in said(asked, PlaneReading())
