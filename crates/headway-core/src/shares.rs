//! What was agreed with the workloads of one meter: who goes first, what each is guaranteed, what each may have at most.
//!
//! Source: design, section 2 (`workloads.*`) and section 3, *Who gets it*.

use std::num::NonZeroU32;

use crate::allocator::Priority;
use crate::curve::{Curve, Segment};
use crate::error::Error;
use crate::grain::MICRO;

/// Workloads of one meter; as many as a contract names.
const SHARES_MAX: usize = 1_000;
/// Guarantees on one meter: every decision of the others looks at each of them.
const GUARANTEES_MAX: usize = 64;

/// A part of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Parts per million of whatever the limit is, at most all of it.
    Ppm(u64),
    /// Micro-units (of a rate: in its `per`), or the limit where that is less.
    Micro(u64),
}

impl Part {
    pub(crate) fn of(self, level: u64) -> u64 {
        match self {
            Part::Ppm(ppm) => (u128::from(level) * u128::from(ppm) / u128::from(MICRO)) as u64,
            Part::Micro(most) => level.min(most),
        }
    }

    /// The part of a curve, rounded down to micro-units at the ends of its segments.
    pub(crate) fn of_curve(self, curve: &Curve) -> Curve {
        let segments = curve.segments.iter().flat_map(|segment| self.of_segment(segment)).collect();
        Curve { segments, ..curve.clone() }
    }

    /// A climb past an amount is cut in two where it gets there.
    fn of_segment(self, segment: &Segment) -> Vec<Segment> {
        let Segment { start_ns, end_ns, from_micro: from, to_micro: to } = *segment;
        let whole = Segment { from_micro: self.of(from), to_micro: self.of(to), ..*segment };
        let (Part::Micro(most), Some(end)) = (self, end_ns) else { return vec![whole] };
        if from.max(to) <= most || from.min(to) >= most {
            return vec![whole];
        }
        let (span, rise) = (u128::from((end - start_ns) as u64), u128::from(from.abs_diff(to)));
        let crossing = start_ns + (u128::from(from.abs_diff(most)) * span / rise) as i64;
        let ends = [(start_ns, crossing, whole.from_micro, most), (crossing, end, most, whole.to_micro)];
        ends.into_iter()
            .filter(|(start, end, ..)| start < end)
            .map(|(start_ns, end, from_micro, to_micro)| Segment { start_ns, end_ns: Some(end), from_micro, to_micro })
            .collect()
    }
}

/// What was agreed with one workload. See the binding's stub for the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareSpec {
    pub workload: String,
    pub priority: Priority,
    pub guarantee: Option<Part>,
    pub ceiling: Option<Part>,
    /// Its part of what is contended, beside the weights of its equals in priority; None: 1. Where nobody has one, nothing
    /// is divided.
    pub weight: Option<NonZeroU32>,
}

impl ShareSpec {
    /// A workload like any other, at a priority.
    pub fn plain(workload: &str, priority: Priority) -> ShareSpec {
        ShareSpec { workload: workload.to_owned(), priority, guarantee: None, ceiling: None, weight: None }
    }
}

impl Priority {
    /// Of a meter's limit, in ppm: what is left for whoever goes first.
    pub(crate) fn leaves_ppm(self) -> u64 {
        match self {
            Priority::Background => 200_000,
            Priority::Normal => 50_000,
            Priority::Critical => 0,
        }
    }

    /// Errors: no such priority.
    pub fn named(name: &str) -> Result<Priority, Error> {
        match name {
            "background" => Ok(Priority::Background),
            "normal" => Ok(Priority::Normal),
            "critical" => Ok(Priority::Critical),
            other => Err(Error::invalid(format!("{other:?} is no priority: background, normal or critical"))),
        }
    }
}

/// Says what is wrong with the shares of one meter, if anything is.
pub(crate) fn fault_of(shares: &[ShareSpec], keyed: bool) -> Option<String> {
    let guarantees = shares.iter().filter_map(|share| share.guarantee);
    let parts = guarantees.clone().chain(shares.iter().filter_map(|share| share.ceiling));
    if shares.len() > SHARES_MAX || guarantees.clone().count() > GUARANTEES_MAX {
        return Some(format!(
            "at most {SHARES_MAX} workloads share a meter, {GUARANTEES_MAX} of them with a guarantee"
        ));
    }
    if keyed && shares.iter().any(|share| share.weight.is_some()) {
        return Some("weights need a meter without keys".into());
    }
    if parts.clone().any(|part| matches!(part, Part::Ppm(ppm) if ppm > MICRO)) {
        return Some("a part is at most all of the limit, a million ppm".into());
    }
    let ppm: u64 = guarantees.map(|part| if let Part::Ppm(ppm) = part { ppm } else { 0 }).sum();
    if ppm > MICRO {
        return Some(format!("{ppm} ppm of the limit are guaranteed, which is more than all of it"));
    }
    let mut names: Vec<&str> = shares.iter().map(|share| share.workload.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| format!("workload {:?} shares it twice", pair[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Measure;

    fn climb(from: u64, to: u64) -> Curve {
        let segments = vec![
            Segment { start_ns: 0, end_ns: Some(1_000), from_micro: from, to_micro: to },
            Segment { start_ns: 1_000, end_ns: None, from_micro: to, to_micro: to },
        ];
        let (stage, window, raises_when) = (String::new(), vec![], String::new());
        let (measure, version, per_ns, burst_ns) = (Measure::Concurrency, 1, 0, 0);
        Curve { measure, version, stage, segments, per_ns, burst_ns, window, raises_when }.checked().unwrap()
    }

    #[test]
    fn a_share_climbs_with_the_limit() {
        let part = Part::Ppm(400_000).of_curve(&climb(100, 200));
        assert_eq!([40, 60, 80, 80], [0, 500, 1_000, 9_000].map(|at| part.limit_micro(at)));
    }

    /// 150 of a limit that climbs from 100 to 200 in 1,000 ns: the limit until 500 ns, then 150; downwards the mirror.
    #[test]
    fn an_amount_is_the_limit_until_that_is_more() {
        let up = Part::Micro(150).of_curve(&climb(100, 200)).checked().unwrap();
        assert_eq!([100, 125, 150, 150, 150], [0, 250, 500, 750, 2_000].map(|at| up.limit_micro(at)));
        let down = Part::Micro(150).of_curve(&climb(200, 100)).checked().unwrap();
        assert_eq!([150, 150, 150, 125, 100], [0, 250, 500, 750, 2_000].map(|at| down.limit_micro(at)));
    }

    #[test]
    fn an_amount_beside_a_limit_that_never_meets_it_cuts_nothing() {
        assert_eq!(climb(100, 200), Part::Micro(200).of_curve(&climb(100, 200)));
        assert_eq!(climb(7, 7), Part::Micro(7).of_curve(&climb(100, 200)));
    }

    fn share(workload: &str, guarantee: Option<Part>) -> ShareSpec {
        ShareSpec { guarantee, ..ShareSpec::plain(workload, Priority::Normal) }
    }

    #[test]
    fn shares_that_mean_nothing_are_faults() {
        let half = Some(Part::Ppm(500_001));
        assert!(fault_of(&[share("a", half), share("b", half)], false).unwrap().contains("1000002 ppm"));
        assert!(fault_of(&[share("a", None), share("a", None)], false).unwrap().contains("twice"));
        assert_eq!(None, fault_of(&[share("a", half)], true));
        assert!(fault_of(&[share("a", Some(Part::Ppm(1_000_001)))], false).is_some());
        assert!(fault_of(&vec![share("a", None); SHARES_MAX + 1], false).unwrap().contains("at most"));
        assert_eq!(None, fault_of(&[share("a", half), share("b", None)], false));
        assert_eq!(None, fault_of(&[share("a", None)], true));
        let weighed = ShareSpec { weight: NonZeroU32::new(2), ..share("a", None) };
        assert!(fault_of(std::slice::from_ref(&weighed), true).unwrap().contains("weights"));
        assert_eq!(None, fault_of(&[weighed], false));
    }
}
