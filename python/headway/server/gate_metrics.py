"""What Prometheus reads of gates: by the names they have on the data plane, `CREDENTIAL/NUMBER` or `other`.

Names are bounded there, and given again, so that a fleet that restarts makes no new series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from headway._core import GateReading, GateUse, LentReading, Spans
from headway.server.plain import units

Division: TypeAlias = tuple[str, int, int, int, int]
"""(contract, streams, those told to deny, assigned a second, booked a second) of a contract that is divided."""


class PlaneReading(NamedTuple):
    """What a data plane says of itself; nothing where there is none."""

    divided: Sequence[Division] = ()
    gates: Sequence[GateReading] = ()
    uses: Sequence[GateUse] = ()
    lent: Sequence[LentReading] = ()


GATE_METRICS: Final[dict[str, str]] = {
    "headway_gate_connected": "Gates of that name whose stream stands: 0 or 1, but for `other`.",
    "headway_gate_silent_seconds": "Since a gate of that name was heard from.",
    "headway_gate_admitted_total": "Demands that gates of that name were admitted, or admitted by themselves and told of.",
    "headway_gate_refused_total": "Demands that gates of that name were refused, or refused by themselves and told of.",
    "headway_gate_in_use": "Slots in flight at gates of that name, as last told.",
    "headway_gate_on_loan": "Units booked for gates of that name, or lent and not known to be spent.",
    "headway_gate_draining": "Slots at gates of that name beyond what they may have by now, after a cut or an end.",
    "headway_renewals_total": "Messages of gates about slots that are lent.",
    "headway_draws_total": "Messages of gates about blocks of a rate or quota.",
    "headway_draw_seconds": "From a gate's asking for a block to its having the answer, as the gate's clock has it.",
    "headway_change_seconds": "From a limit's being in force here until all gates that spoke of it in the second before follow.",
}
"""Every metric of gates, with its help text."""

_CHANGES = ("cut", "raise")


def families(plane: PlaneReading) -> Iterator[Metric]:
    """One family each, in the order of `GATE_METRICS`."""
    connected, silent = _gauge("headway_gate_connected", "gate"), _gauge("headway_gate_silent_seconds", "gate")
    for gate in plane.gates:
        connected.add_metric([gate.gate], gate.connected)
        silent.add_metric([gate.gate], gate.silent_ms / 1_000)
    yield from (connected, silent)
    yield from _uses(plane.uses)
    yield from _lent(plane.lent)


def _uses(uses: Sequence[GateUse]) -> Iterator[Metric]:
    place = ("contract", "workload", "gate")
    admitted = _counter("headway_gate_admitted_total", *place)
    refused = _counter("headway_gate_refused_total", *place, "reason")
    in_use, on_loan = _gauge("headway_gate_in_use", *place), _gauge("headway_gate_on_loan", *place)
    draining = _gauge("headway_gate_draining", *place)
    for use in uses:
        label = [use.contract, use.workload, use.gate]
        admitted.add_metric(label, use.admitted)
        for reason, count in sorted(use.refused_by.items()):
            refused.add_metric([*label, reason], count)
        in_use.add_metric(label, units(use.in_use_micro))
        on_loan.add_metric(label, units(use.on_loan_micro))
        draining.add_metric(label, units(use.draining_micro))
    yield from (admitted, refused, in_use, on_loan, draining)


def _lent(lent: Sequence[LentReading]) -> Iterator[Metric]:
    place = ("contract", "workload")
    renewals, draws = _counter("headway_renewals_total", *place), _counter("headway_draws_total", *place)
    trips = _histogram("headway_draw_seconds", *place)
    changes = _histogram("headway_change_seconds", *place, "change")
    for one in lent:
        label = [one.contract, one.workload]
        renewals.add_metric(label, one.renewals)
        draws.add_metric(label, one.draws)
        _add(trips, label, one.round_trips)
        for change, spans in zip(_CHANGES, (one.cuts, one.raises), strict=True):
            _add(changes, [*label, change], spans)
    yield from (renewals, draws, trips, changes)


def _add(family: HistogramMetricFamily, label: list[str], spans: Spans) -> None:
    ends = [(str(end_us / 1_000_000), float(count)) for end_us, count in spans.within]
    family.add_metric(label, [*ends, ("+Inf", float(spans.total))], spans.sum_us / 1_000_000)


def _gauge(name: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, GATE_METRICS[name], labels=labels)


def _counter(name: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, GATE_METRICS[name], labels=labels)


def _histogram(name: str, *labels: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, GATE_METRICS[name], labels=labels)
