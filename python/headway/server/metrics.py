"""What Prometheus reads at `/metrics`: taken from the meters and the engine when asked, kept nowhere.

Labels are bounded by the documents (contracts, meters, workloads, reasons) and by the data plane (gates); a key never
becomes a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from headway.engine.counted import admitted_of, refused_by
from headway.engine.specs import OTHER
from headway.server.gate_metrics import GATE_METRICS, Division, PlaneReading, families
from headway.server.plain import units

if TYPE_CHECKING:
    from headway.engine.engine import Engine

Look: TypeAlias = Callable[[], PlaneReading]
"""Reads a data plane; `PlaneReading` itself where there is none."""

METRICS: Final[dict[str, str]] = {
    "headway_limit": "The limit in force, in units (a rate's: per its `per`); of a keyed meter, of one key.",
    "headway_use": "Units in use: in flight, used in the window, or spent of the burst; of a keyed meter, by one key.",
    "headway_headroom": "Limit less use, in units. Below zero it is a debt, and drains.",
    "headway_debt": "Units over the limit, which drain; of a keyed meter, of the key that is over most.",
    "headway_keys_live": "Keys a meter holds.",
    "headway_admitted_total": "Demands admitted since the process started, those of gates by themselves among them.",
    "headway_refused_total": "Demands refused since the process started; in `observe`, those that would have been.",
    "headway_on_loan": "Units that gates may use without asking, or hold by a lease.",
    "headway_unguaranteed_total": "Demands that cut-off gates admitted because their contract says `when_cut_off: open`.",
    "headway_waiting": "Demands that wait their turn.",
    "headway_unattributed_total": "Demands of `other`, admitted or refused, where a contract names workloads beside it.",
    "headway_never_asked": "1 where nobody has asked the contract for anything since the process started.",
    "headway_divided_streams": "Proxies that a limit is divided among; `denied`: those that may let nothing through.",
    "headway_divided_assigned": "Units a second that proxies are assigned.",
    "headway_divided_booked": "Units a second that proxies may still use, by what they were assigned before.",
    "headway_stage_index": "Index of the present stage; the first is 0.",
    "headway_clock_suspect": "1 while the clock is suspected, and raises wait.",
    "headway_ledger_entries": "Entries in the ledger.",
    **GATE_METRICS,
}
"""Every metric there is, with its help text; `docs/metrics.md` lists the same names."""


class EngineCollector(Collector):
    """Reads an engine once a scrape."""

    def __init__(self, engine: Engine, look: Look) -> None:
        self._engine = engine
        self._look = look

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known only by collecting, and registering must not read the engine."""
        return ()

    def collect(self) -> Iterator[Metric]:
        plane = self._look()
        yield from self._meters()
        yield from self._paths(plane.divided)
        yield from _divisions(plane.divided)
        stage = _gauge("headway_stage_index", "contract")
        for running in self._engine.all():
            stage.add_metric([running.contract.name], running.state.stage)
        yield stage
        suspect = _gauge("headway_clock_suspect")
        suspect.add_metric([], float(self._engine.clock_status().suspect))
        yield suspect
        entries = _gauge("headway_ledger_entries")
        entries.add_metric([], self._engine.ledger().count())
        yield entries
        yield from families(plane)

    def _meters(self) -> Iterator[Metric]:
        limit, use = _gauge("headway_limit", "meter"), _gauge("headway_use", "meter")
        headroom, keys = _gauge("headway_headroom", "meter"), _gauge("headway_keys_live", "meter")
        debt = _gauge("headway_debt", "meter")
        for reading in self._engine.meters.snapshot():
            label = [reading.meter]
            limit.add_metric(label, units(reading.limit_micro))
            use.add_metric(label, units(reading.use_micro))
            headroom.add_metric(label, units(reading.headroom_micro))
            debt.add_metric(label, units(max(0, -reading.headroom_micro)))
            keys.add_metric(label, reading.keys_live)
        yield from (limit, use, headroom, debt, keys)

    def _paths(self, divisions: Sequence[Division]) -> Iterator[Metric]:
        admitted = _counter("headway_admitted_total", "contract", "workload")
        refused = _counter("headway_refused_total", "contract", "workload", "reason")
        waiting = _gauge("headway_waiting", "contract", "workload")
        on_loan = _gauge("headway_on_loan", "contract", "workload")
        unguaranteed = _counter("headway_unguaranteed_total", "contract", "workload")
        unattributed = _counter("headway_unattributed_total", "contract")
        never_asked = _gauge("headway_never_asked", "contract")
        running = [one.contract for one in self._engine.all()]
        shared = {contract.name for contract in running if contract.workloads.keys() > {OTHER}}
        asked: Counter[str] = Counter()
        for path in self._engine.meters.paths():
            label = [path.contract, path.workload]
            let_in, reasons = admitted_of(path), refused_by(path)
            decided = let_in + reasons.total()
            asked[path.contract] += decided + path.waiting
            if path.workload == OTHER and path.contract in shared:
                unattributed.add_metric([path.contract], decided)
            admitted.add_metric(label, let_in)
            on_loan.add_metric(label, units(path.on_loan_micro))
            waiting.add_metric(label, path.waiting)
            unguaranteed.add_metric(label, path.unguaranteed)
            for reason, count in sorted(reasons.items()):
                refused.add_metric([*label, reason], count)
        # What is divided among proxies is asked there, and nobody tells how often.
        divided = {contract for contract, *_ in divisions}
        for contract in running:
            if contract.name not in divided:
                never_asked.add_metric([contract.name], float(asked[contract.name] == 0))
        yield from (admitted, refused, on_loan, unguaranteed, waiting, unattributed, never_asked)


def exposition(engine: Engine, look: Look) -> bytes:
    """All metrics in the text format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(EngineCollector(engine, look))
    return generate_latest(registry)


def _divisions(divisions: Sequence[Division]) -> Iterator[Metric]:
    streams = _gauge("headway_divided_streams", "contract", "state")
    assigned, booked = _gauge("headway_divided_assigned", "contract"), _gauge("headway_divided_booked", "contract")
    for contract, count, denied, assigned_per_s, booked_per_s in divisions:
        streams.add_metric([contract, "assigned"], count - denied)
        streams.add_metric([contract, "denied"], denied)
        assigned.add_metric([contract], assigned_per_s)
        booked.add_metric([contract], booked_per_s)
    yield from (streams, assigned, booked)


def _gauge(name: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name], labels=labels)


def _counter(name: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, METRICS[name], labels=labels)
