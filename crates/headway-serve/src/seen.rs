//! What there is to see of gates, read when somebody asks.

use std::collections::BTreeMap;
use std::collections::HashMap;

use headway_core::Clock as _;
use headway_core::lease::Holder;

use crate::gates::Set;
use crate::keeping::LentReading;
use crate::plane::Shared;

/// The gates of one name: one process, or all that have no name of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateReading {
    pub gate: String,
    pub connected: u64,
    /// Since one of them was heard from.
    pub silent_ms: u64,
}

/// What gates of one name do with one workload. Amounts are micro-units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateUse {
    pub gate: String,
    pub contract: String,
    pub workload: String,
    pub admitted: u64,
    pub refused: Vec<(&'static str, u64)>,
    pub in_use_micro: u64,
    pub on_loan_micro: u64,
    pub draining_micro: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub gates: Vec<GateReading>,
    pub uses: Vec<GateUse>,
    pub lent: Vec<LentReading>,
}

pub(crate) fn seen(shared: &Shared) -> Seen {
    let (names, now) = (&shared.holders.gates, shared.clock.boot_ns());
    let mut gates: BTreeMap<String, GateReading> = BTreeMap::new();
    let mut uses: BTreeMap<Set, GateUse> = BTreeMap::new();
    let mut named = HashMap::new();
    for holder in shared.holders.all() {
        let reading = holder.reading(now);
        if let Some(name) = &reading.name {
            let silent_ms = reading.silent_ns.unsigned_abs() / 1_000_000;
            let first = || GateReading { gate: name.to_string(), connected: 0, silent_ms };
            let gate = gates.entry(name.to_string()).or_insert_with(first);
            gate.connected += u64::from(reading.is_connected);
            gate.silent_ms = gate.silent_ms.min(silent_ms);
        }
        for ((contract, workload), asked) in &reading.asked {
            let one = uses.entry(names.set(reading.name.as_ref(), contract, workload)).or_default();
            one.in_use_micro += asked.in_use_micro;
            one.draining_micro += asked.draining_micro;
        }
        named.insert(holder.leaseholder(), reading.name);
    }
    let keepers = shared.keeping.all();
    for lending in &keepers {
        let (contract, workload) = lending.place();
        for held in lending.held().into_iter().filter(|held| held.on_loan > 0) {
            let name: Option<&_> = named.get(&held.holder as &Holder).and_then(Option::as_ref);
            let one = uses.entry(names.set(name, contract, workload)).or_default();
            one.in_use_micro += held.in_flight;
            one.on_loan_micro += held.on_loan;
            one.draining_micro += held.draining;
        }
    }
    for (set, tally) in names.tallies() {
        let one = uses.entry(set).or_default();
        (one.admitted, one.refused) = (tally.admitted(), tally.refused());
    }
    let uses = uses.into_iter().map(|((gate, contract, workload), one)| GateUse {
        gate: gate.to_string(),
        contract,
        workload,
        ..one
    });
    let lent = keepers.iter().map(|lending| lending.reading()).collect();
    Seen { gates: gates.into_values().collect(), uses: uses.collect(), lent }
}
