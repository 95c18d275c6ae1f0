//! The store: rows, the epoch, the ceiling. It answers in order, late, or not at all; what it has answered it keeps.

use std::collections::{BTreeMap, BTreeSet};

use headway_core::lease::{Holder, Outcome, PartRow, Row, Write, WriteKind};

use crate::clock::mutant;

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) epoch: u64,
    rows: BTreeMap<Holder, u64>,
    /// Who has parts of the floor.
    parts: BTreeSet<(String, Holder)>,
    /// Micro-units of a rate that may be on loan.
    loans: u64,
    /// The highest limit of the curve in force, now or later.
    pub(crate) ceiling: u64,
    /// Writes are done in order; the last one is done then.
    pub(crate) busy_until: i64,
}

/// What a keeper finds.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) rows: Vec<Row>,
    pub(crate) loans: u64,
    pub(crate) parts: Vec<PartRow>,
}

impl Store {
    pub(crate) fn commit(&mut self, write: &Write) -> Outcome {
        if write.epoch != self.epoch && !mutant!(NoFence) {
            return Outcome::Fenced;
        }
        let (holder, by) = match write.kind.clone() {
            WriteKind::Mandate => return Outcome::Granted,
            WriteKind::LoanCeiling { to, .. } => {
                self.loans = to;
                return Outcome::Granted;
            }
            WriteKind::Part { name, holder, has, .. } => {
                if has {
                    self.parts.insert((name, holder));
                } else {
                    self.parts.remove(&(name, holder));
                }
                return Outcome::Granted;
            }
            WriteKind::Booking { holder, by, .. } => (holder, by),
        };
        let all: u64 = self.rows.values().sum();
        if by > 0 && all + by.unsigned_abs() > self.ceiling {
            return Outcome::NoRoom;
        }
        let row = self.rows.entry(holder).or_default();
        *row = row.saturating_add_signed(by);
        if *row == 0 {
            self.rows.remove(&holder);
        }
        Outcome::Granted
    }

    /// The transaction that makes a keeper: a new epoch, the rows, what may be on loan, and who has parts of the floor.
    pub(crate) fn take_over(&mut self) -> (u64, Taken) {
        self.epoch += 1;
        let rows = self.rows.iter().map(|(&holder, &units)| Row { holder, units }).collect();
        let parts = self.parts.iter().map(|(name, holder)| PartRow { name: name.clone(), holder: *holder }).collect();
        (self.epoch, Taken { rows, loans: self.loans, parts })
    }
}
