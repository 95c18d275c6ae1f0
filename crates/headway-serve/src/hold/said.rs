//! What a gate is told: the facts of a path, and answers.

use headway_core::{Mode, Recall, Refusal, Retry, Why};
use headway_wire::hold::{self as wire, Again, Facts, ToGate};
use headway_wire::{Tell, sentence};

use crate::holders::Kept;
use crate::keeping::terms_of;

pub(super) fn facts_of(id: u64, kept: &Kept) -> Facts {
    let spec = kept.path.spec();
    let mode = match spec.mode {
        Mode::Enforce => wire::Mode::Enforce,
        Mode::Observe => wire::Mode::Observe,
        Mode::Record => wire::Mode::Record,
    };
    let (recall, ends_within_ns) = match spec.recall {
        Recall::Wait => (wire::Asking::Wait, 0),
        Recall::Ask => (wire::Asking::Ask, 0),
        Recall::Idle => (wire::Asking::Idle, 0),
        Recall::End { within_ns } => (wire::Asking::End, within_ns),
    };
    Facts {
        path: id,
        workload: spec.workload.clone(),
        mode: mode.into(),
        has_slots: kept.path.has_slots(),
        needs_key: kept.path.needs_key(),
        units_max: spec.units_max,
        wait_ms: spec.wait_ns / 1_000_000,
        max_hold_ms: (kept.max_hold_ns / 1_000_000).max(0) as u64,
        cost_ppm: spec.cost_ppm,
        has_tokens: kept.path.lending().is_ok_and(|lending| lending.has_blocks()),
        drain_within_ms: terms_of(kept).map_or(0, |_| (kept.drain_within_ns / 1_000_000) as u32),
        recall: recall.into(),
        ends_within_ms: u32::try_from(ends_within_ns / 1_000_000).unwrap_or(u32::MAX),
        opens: kept.opens,
        has_parts: kept.floor.is_some(),
        ..Facts::default()
    }
}

pub(super) fn granted(id: u64, holds: bool) -> ToGate {
    ToGate::Answer(Box::new(wire::Answer { id, granted: true, holds, refused: None }))
}

pub(super) fn refused_as(id: u64, why: Why, text: &str) -> ToGate {
    let refused = wire::Refused { why: why.name().to_owned(), sentence: text.to_owned(), ..wire::Refused::default() };
    ToGate::Answer(Box::new(wire::Answer { id, refused: Some(Box::new(refused)), ..wire::Answer::default() }))
}

pub(super) fn refused(id: u64, refusal: &Refusal, tell: Tell, now: i64) -> ToGate {
    let (again, retry_ns) = match refusal.retry() {
        Retry::At(at) => (Again::In, at.saturating_sub(now).max(0) as u64),
        Retry::Never => (Again::Never, 0),
        Retry::Unknown => (Again::Unknown, 0),
    };
    let is_full = tell == Tell::Full;
    let refused = wire::Refused {
        why: refusal.why.name().to_owned(),
        again: again.into(),
        retry_ns,
        version: refusal.version(),
        stage: if is_full { refusal.stage().to_owned() } else { String::new() },
        meter: if is_full { refusal.meter_name().to_owned() } else { refusal.contract().to_owned() },
        unit: refusal.unit().to_owned(),
        limit_micro: if is_full { refusal.limit_micro() } else { 0 },
        use_micro: if is_full { refusal.use_micro() } else { 0 },
        raises_when: if is_full { refusal.raises_when().to_owned() } else { String::new() },
        sentence: sentence(refusal, tell),
        reference: refusal.reference(),
    };
    ToGate::Answer(Box::new(wire::Answer { id, refused: Some(Box::new(refused)), ..wire::Answer::default() }))
}
