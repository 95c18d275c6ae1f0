//! What people read of a refusal, number first. Source: design, section 6.

use std::fmt::Write as _;

use super::Refusal;
use crate::curve::Measure;
use crate::grain::MICRO;
use crate::path::{Parted, is_own};
use crate::why::Why;

impl Refusal {
    /// What people read, number first. Source: design, section 6.
    pub fn sentence(&self) -> String {
        if let Some(told) = &self.told {
            return told.sentence.clone();
        }
        let contract = self.contract();
        let mut text = match self.why {
            Why::NotPublished => format!("{contract} has no limit in force yet, so nothing is admitted."),
            Why::Closed => format!("{contract} is closed: this process is shutting down."),
            Why::Overloaded => format!("{contract} could not be asked in time: too much is asked at once."),
            Why::CutOff => format!("{contract} cannot be asked: its keeper does not answer."),
            Why::TooManyKeys => {
                let most = self.meter().and_then(|meter| meter.spec.keys_max).unwrap_or(0);
                format!("{contract} has {} live keys, which is all it may have.", grouped(most as f64))
            }
            Why::Drawing => format!("{contract} waits for its ledger to count what it hands out."),
            Why::NotDurable => format!("{contract} cannot count durably now, so it hands out nothing more."),
            Why::QueueFull => {
                let most = crate::waiting::WAITERS_MAX as f64;
                format!("{contract} is full, and {} wait already.", grouped(most))
            }
            Why::NeverFits => {
                format!("{contract} never admits {} at once: {}.", self.amount_of(self.weight()), self.bound())
            }
            Why::Full | Why::Timeout if self.is_shut() => {
                let name = if self.is_upstream() { self.meter_name() } else { contract };
                format!("{name} admits nothing now: the limit is {}.", self.amount_of(0.0))
            }
            Why::Full | Why::Timeout if self.is_upstream() => {
                format!("{} is full, and {contract} spends it: {}.", self.meter_name(), self.numbers())
            }
            Why::Full | Why::Timeout if self.is_ceiling() => {
                format!("{} has all it may have of {contract}: {}.", self.workload(), self.numbers())
            }
            Why::Full | Why::Timeout if let Some(parted) = &self.parted => {
                let (whole, part) = (self.numbers(), self.part_of_limit(parted));
                let (workload, Parted { weight, of, .. }) = (self.workload(), parted);
                format!(
                    "{contract} is full for {workload}: {whole}. Its part is {part} for now: weight {weight} of {of}."
                )
            }
            Why::Full | Why::Timeout => match self.goes_first() {
                Some(first) => {
                    format!("{contract} is full for {}: {}. {first} goes first.", self.workload(), self.numbers())
                }
                None => format!("{contract} is full: {}.", self.numbers()),
            },
        };
        match self.retry_after_s() {
            Some(seconds) if self.why != Why::Closed => {
                write!(text, " Try again in about {}.", span(seconds)).expect("a String takes every text");
            }
            _ => {}
        }
        write!(text, " [{}]", self.reference()).expect("a String takes every text");
        text
    }

    /// Whether the level was 0: not full, but shut.
    fn is_shut(&self) -> bool {
        self.curve().is_some() && self.limit_micro() == 0
    }

    /// Whether another contract's meter stood in the way: one that this contract spends. Those come first on a path.
    fn is_upstream(&self) -> bool {
        !is_own(self.contract(), self.meter_name()) && self.step + 1 < self.path.steps.len()
    }

    /// Whether it was not the limit that stood in the way, but what the workload may have of it.
    fn is_ceiling(&self) -> bool {
        self.meter_name().strip_prefix(self.contract()).is_some_and(|rest| rest.contains('@'))
    }

    /// The workload for which what is free is left; None where too little is free for anybody.
    fn goes_first(&self) -> Option<&str> {
        let step = &self.path.steps[self.step];
        let (sharing, look) = (step.sharing.as_ref()?, self.look?);
        let toll = step.toll(self.key.as_ref().map(|(hash, _)| *hash)).0;
        let is_rate = toll.meter.spec.measure == Measure::Rate;
        let (floor, most) = if is_rate { (look.k, look.e) } else { (0, look.limit) };
        let would_fit = self.amount.max(floor).saturating_add(toll.charge.of(self.units)) <= most;
        sharing.first.as_deref().filter(|_| would_fit)
    }

    /// `25 of 100 connections`, `25 of 100 requests a second`.
    fn part_of_limit(&self, parted: &Parted) -> String {
        let micro = self.meter().map_or(0, |meter| parted.micro(meter, self.limit_micro()));
        let (part, limit) = (grouped(micro as f64 / MICRO as f64), self.amount_of(self.limit()));
        match self.meter().map_or(Measure::Quota, |meter| meter.spec.measure) {
            Measure::Rate => format!("{part} of {limit} {}", self.over()),
            _ => format!("{part} of {limit}"),
        }
    }

    fn numbers(&self) -> String {
        let (limit, used) = (self.limit(), self.use_units());
        match self.meter().map_or(Measure::Quota, |meter| meter.spec.measure) {
            Measure::Rate => {
                let burst = self.burst_micro() as f64 / MICRO as f64;
                let over = self.over();
                if (burst - limit).abs() < 1e-6 {
                    format!("{} of {} {over}", grouped(used), self.amount_of(limit))
                } else {
                    let (spent, burst) = (grouped(used), grouped(burst));
                    format!("{} {over}, {spent} of a burst of {burst} spent", self.amount_of(limit))
                }
            }
            Measure::Concurrency if self.is_upstream() || self.is_ceiling() => {
                format!("{} of {}", grouped(used), self.amount_of(limit))
            }
            Measure::Concurrency => {
                let yours = self.yours as f64 * self.path.spec.cost_ppm as f64 / MICRO as f64;
                let (used, limit) = (grouped(used), self.amount_of(limit));
                format!("{used} of {limit}, {} of them yours ({})", grouped(yours), self.workload())
            }
            Measure::Quota => format!("{} of {} in this window", grouped(used), self.amount_of(limit)),
        }
    }

    /// What a demand that never fits is over.
    fn bound(&self) -> String {
        match self.meter().map_or(Measure::Quota, |meter| meter.spec.measure) {
            Measure::Rate => {
                let burst = self.burst_micro() as f64 / MICRO as f64;
                format!("{} {}, in bursts of at most {}", self.amount_of(self.limit()), self.over(), grouped(burst))
            }
            _ => format!("the limit is {}", self.amount_of(self.limit())),
        }
    }

    /// `a second`, `a minute`, `in 90 s`.
    fn over(&self) -> String {
        let per_ns = self.curve().map_or(0, |c| c.curve.per_ns);
        match per_ns / 1_000_000_000 {
            1 => "a second".into(),
            60 => "a minute".into(),
            3_600 => "an hour".into(),
            86_400 => "a day".into(),
            _ => format!("in {}", span(per_ns as f64 / 1e9)),
        }
    }

    fn amount_of(&self, units: f64) -> String {
        let unit = self.unit();
        if (units - 1.0).abs() < 1e-9 { format!("1 {unit}") } else { format!("{} {}", grouped(units), plural(unit)) }
    }
}

/// English plurals of the units people name: request, query, box, address.
fn plural(unit: &str) -> String {
    let ends = |tails: &[&str]| tails.iter().any(|tail| unit.ends_with(tail));
    match unit.strip_suffix('y') {
        Some(stem) if !ends(&["ay", "ey", "oy", "uy"]) => format!("{stem}ies"),
        _ if ends(&["s", "x", "z", "ch", "sh"]) => format!("{unit}es"),
        _ => format!("{unit}s"),
    }
}

/// `1,234` or `2.5`: at most two decimals, none where they say nothing.
fn grouped(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(part) = part {
        out.push('.');
        out.push_str(part);
    }
    out
}

/// `1 ms`, `4 s`, `3 min`, `2 h`, `5 d`: rounded up, so that who waits that long is not too early.
fn span(seconds: f64) -> String {
    let (number, unit) = match seconds {
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    format!("{} {unit}", grouped(number.ceil().max(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_said_in_the_plural() {
        let said = ["request", "query", "box", "day", "address", "batch"].map(plural);
        assert_eq!(["requests", "queries", "boxes", "days", "addresses", "batches"].map(str::to_owned), said);
    }

    #[test]
    fn numbers_are_grouped_and_keep_what_matters() {
        assert_eq!(
            ["1,234,567", "12.5", "0", "-1,000", "100"],
            [1_234_567.0, 12.5, 0.0, -1000.0, 100.001].map(grouped).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn spans_are_rounded_up() {
        assert_eq!(["1 ms", "4 s", "3 min", "1 s"], [0.0001, 3.2, 121.0, 1.0].map(span).each_ref().map(String::as_str));
    }
}
