//! The earliest instant at which a refused demand would fit, exactly, on the curve as published.

use crate::curve::Measure;
use crate::grain::Grains;
use crate::installed::{Installed, Piece, first};
use crate::word::Tagged;

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The first boot ns at which the demand fits if nothing else comes; one ns before it does not.
    At(i64),
    /// Over every burst or level of the curve, now and ahead.
    Never,
    /// Waits for something the curve does not know: a release, a trigger, a window that was not decided, the end of a shut
    /// level.
    Unknown,
}

impl Retry {
    /// The earlier of two instants; one that is known before one that is not.
    pub(crate) fn sooner(self, other: Retry) -> Retry {
        match (self, other) {
            (Retry::At(one), Retry::At(another)) => Retry::At(one.min(another)),
            (Retry::At(_), _) => self,
            _ => other,
        }
    }
}

/// Whether `n` counts fit under some burst or level, now or ahead on the curve. A curve that is shut for good by what it
/// says (a level of 0 all along) says nothing about how large a demand may be: what reopens it decides that.
pub(crate) fn may_ever_fit(curve: &Installed, now: i64, n: u64, shift: u32) -> bool {
    let is_rate = curve.curve.measure == Measure::Rate;
    let mut is_open = is_rate;
    for piece in curve.pieces_from(now) {
        let (from, grains) = (now.max(piece.start), &curve.grains);
        let ends = [from, if piece.line.is_flat() { from } else { piece.last_instant(from, grains) }];
        // Levels and bursts are straight between the ends.
        for at in ends {
            let level = piece.level(at, grains);
            let most = if is_rate { piece.burst(at, grains) } else { level >> shift };
            if n <= most {
                return true;
            }
            is_open |= level > 0;
        }
    }
    !is_open
}

/// What a meter holds beside a demand: a rate's mark, or what is in flight or used in the window that its tag names; and
/// of a rate what is on loan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stood {
    pub(crate) held: Tagged,
    pub(crate) on_loan: u64,
}

/// The first instant at or after `from` at which `n` counts fit beside what the meter holds, if nothing else comes and
/// what is on loan stays so.
pub(crate) fn earliest(curve: &Installed, from: i64, stood: Stood, n: u64, shift: u32) -> Retry {
    let amount = stood.held.amount;
    if !may_ever_fit(curve, from, n, shift) {
        return Retry::Never;
    }
    let found = match curve.curve.measure {
        Measure::Rate => curve.pieces_from(from).iter().find_map(|piece| rate_fits(curve, piece, from, stood, n)),
        Measure::Concurrency => {
            let needed = amount.saturating_add(n);
            curve
                .pieces_from(from)
                .iter()
                .find_map(|piece| level_fits(piece, &curve.grains, from, i64::MAX, needed, shift))
        }
        Measure::Quota => quota_fits(curve, from, stood.held, n, shift),
    };
    found.map_or(Retry::Unknown, Retry::At)
}

/// `max(W, K + on loan) + n ≤ E` is three conditions: `E ≥ W + n` and `E ≥ k + on loan + n`, which stay true once they
/// are, and `B ≥ on loan + n`, which a rising piece reaches once and a falling piece leaves once.
fn rate_fits(curve: &Installed, piece: &Piece, from: i64, stood: Stood, n: u64) -> Option<i64> {
    let grains = &curve.grains;
    let from = from.max(piece.start);
    let needed = stood.held.amount.max(piece.k.saturating_add(stood.on_loan)).checked_add(n)?;
    let n = n.saturating_add(stood.on_loan);
    let due = piece.reached(needed, from, grains)?;
    let last = piece.last_instant(from, grains);
    if piece.burst(due, grains) >= n {
        return Some(due);
    }
    if piece.line.rises() { first(due, last, |at| piece.burst(at, grains) >= n) } else { None }
}

/// The first instant of a piece at which the level is at least `needed`: its start, unless it rises.
fn level_fits(piece: &Piece, grains: &Grains, from: i64, before: i64, needed: u64, shift: u32) -> Option<i64> {
    let from = from.max(piece.start);
    let last = piece.end.min(before) - 1;
    let fits = |at: i64| piece.level(at, grains) >> shift >= needed;
    if from <= last && fits(from) { Some(from) } else { first(from, last, fits) }
}

/// In the window that is open now beside what is used; in the next decided ones with nothing used.
fn quota_fits(curve: &Installed, from: i64, used: Tagged, n: u64, shift: u32) -> Option<i64> {
    let mut start = from;
    loop {
        let window = curve.window_at(start);
        let end = curve.window_after(start).map_or(i64::MAX, |w| w.start);
        // Windows up to the one it is used in are charged with it; a later one begins at nothing.
        let counts = window.is_some_and(|w| w.tag == used.tag || used.is_after(w.tag));
        let needed = if counts { used.amount.saturating_add(n) } else { n };
        if window.is_some() {
            let pieces = curve.pieces_from(start).iter().take_while(|p| p.start < end);
            if let Some(at) =
                pieces.map(|p| level_fits(p, &curve.grains, start, end, needed, shift)).find(Option::is_some).flatten()
            {
                return Some(at);
            }
        }
        if end == i64::MAX {
            return None;
        }
        start = end;
    }
}
