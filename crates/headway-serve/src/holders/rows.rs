//! What of a holder's slots is durable: a row in the ledger for each path and key, ahead of its use.

use std::collections::HashMap;
use std::sync::Arc;

use headway_core::{Booked, Growths, Path};

use super::Name;

/// A row grows by a quarter where it has to, or by what is asked for: few writes, and little that is booked for nobody.
const PARTS: u64 = 4;
const MICRO: i64 = 1_000_000;

/// A path, by name, and a key.
pub(super) type Place = (String, String, Option<Arc<str>>);

pub(super) fn place(path: &Path, key: Option<&Arc<str>>) -> Place {
    (path.spec().contract.clone(), path.spec().workload.clone(), key.cloned())
}

/// How many slots are in use in one place or about to be, and how many are durable.
#[derive(Default)]
struct Row {
    in_use: u64,
    durable: u64,
    growing: Option<(u64, Booked)>,
}

/// Where a row stands that has to cover what is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    Durable,
    Growing,
    /// The ledger does not take it.
    Refused,
}

/// The rows of one holder.
pub(super) struct Rows {
    holder: Name,
    growths: Arc<Growths>,
    all: HashMap<Place, Row>,
}

impl Rows {
    pub(super) fn new(holder: Name, growths: Arc<Growths>) -> Rows {
        Rows { holder, growths, all: HashMap::new() }
    }

    /// What the ledger has already.
    pub(super) fn inherit(&mut self, at: Place, units: u64) {
        self.all.entry(at).or_default().durable += units;
    }

    pub(super) fn add(&mut self, at: Place, units: u64) {
        self.all.entry(at).or_default().in_use += units;
    }

    pub(super) fn take_off(&mut self, at: &Place, units: u64) {
        if let Some(row) = self.all.get_mut(at) {
            row.in_use = row.in_use.saturating_sub(units);
        }
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.all.values().any(|row| row.in_use > 0)
    }

    /// Whether the row of a place covers what is in use there; where it does not it grows.
    pub(super) fn cover(&mut self, at: &Place) -> Cover {
        let Some(row) = self.all.get_mut(at) else { return Cover::Refused };
        if let Some((by, booked)) = &row.growing
            && let Some(is_granted) = booked.outcome()
        {
            row.durable += if is_granted { *by } else { 0 };
            row.growing = None;
            if !is_granted {
                return Cover::Refused;
            }
        }
        if row.in_use <= row.durable {
            return Cover::Durable;
        }
        if row.growing.is_none() {
            let by = (row.in_use - row.durable).max(row.durable / PARTS);
            let Some(booked) = book(&self.growths, self.holder, at, by as i64) else { return Cover::Refused };
            row.growing = Some((by, booked));
        }
        Cover::Growing
    }

    /// Has every row grow that has to; nobody waits for it.
    pub(super) fn cover_all(&mut self) {
        let places: Vec<Place> = self.all.keys().cloned().collect();
        for at in places {
            self.cover(&at);
        }
    }

    /// Takes all rows off, lazily: one that is lost counts as held after a crash, for a while.
    pub(super) fn clear(&mut self) {
        for (at, row) in self.all.drain().filter(|(_, row)| row.durable > 0) {
            drop(book(&self.growths, self.holder, &at, -(row.durable as i64)));
        }
    }
}

fn book(growths: &Growths, holder: Name, (contract, workload, key): &Place, units: i64) -> Option<Booked> {
    let holder = u128::from_be_bytes(holder);
    // Where there are no keys there is none to tell apart.
    let key = key.as_deref().unwrap_or("");
    growths.book(contract, &format!("{workload}\n{holder:032x}\n{key}"), units.saturating_mul(MICRO))
}
