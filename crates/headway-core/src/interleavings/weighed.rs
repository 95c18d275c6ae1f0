//! Demands of workloads whose meter is divided by weight, while a division is due.

use std::num::NonZeroU32;
use std::sync::Arc;

use loom::thread;

use super::model;
use crate::allocator::Priority;
use crate::curve::{Curve, Measure, Segment};
use crate::meter::MeterSpec;
use crate::meters::Meters;
use crate::path::{Path, PathSpec};
use crate::shares::ShareSpec;
use crate::time::Clock;

/// A clock that stands at an instant.
struct At(i64);

impl Clock for At {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

/// A meter of one unit that two workloads of equal weight share, whose parts bind, and their paths; the last division is
/// old at every instant but 0.
fn weighed(measure: Measure) -> [Arc<Path>; 2] {
    let second = 1_000_000_000;
    let per_ns = if measure == Measure::Rate { second } else { 0 };
    let shares = ["web", "reports"]
        .map(|name| ShareSpec { weight: NonZeroU32::new(1), ..ShareSpec::plain(name, Priority::Normal) });
    let meters = Meters::default();
    let spec = MeterSpec { shares: shares.to_vec(), ..MeterSpec::plain("m", measure, 1_000_000, per_ns) };
    meters.declare(vec![spec]).unwrap();
    let segments = vec![Segment { start_ns: 0, end_ns: None, from_micro: 1_000_000, to_micro: 1_000_000 }];
    let window = if measure == Measure::Quota { vec![0, 60 * second as i64] } else { vec![] };
    let (stage, raises_when, burst_ns) = (String::new(), String::new(), per_ns);
    let curve = Curve { measure, version: 1, stage, segments, per_ns, burst_ns, window, raises_when };
    meters.publish(vec![("m".to_owned(), Arc::new(curve))], 0, 0).unwrap();
    let path = |name| meters.path(PathSpec::plain("m", name, vec![("m".to_owned(), 1_000_000, false)])).unwrap();
    ["web", "reports"].map(path)
}

/// Both workloads ask for the only unit at an instant at which a division is due; how many had it.
fn both_ask(paths: &[Arc<Path>; 2], at: i64) -> u64 {
    let [web, reports] = paths.clone();
    let other = thread::spawn(move || u64::from(web.try_now(&At(at), 1, None).is_ok()));
    u64::from(reports.try_now(&At(at), 1, None).is_ok()) + other.join().unwrap()
}

#[test]
fn of_two_weighed_demands_for_the_last_unit_of_a_rate_one_passes_while_parts_are_made() {
    model(|| {
        let paths = weighed(Measure::Rate);
        assert!(paths[0].try_now(&At(0), 1, None).is_ok() && paths[1].try_now(&At(0), 1, None).is_err());
        // A unit came in; parts bind for a second after the refusal, of so slow a rate for longer.
        assert_eq!(1, both_ask(&paths, 1_000_000_000));
        assert_eq!(0, both_ask(&paths, 1_000_000_000));
    });
}

#[test]
fn of_two_weighed_demands_for_the_last_slot_one_passes_while_parts_are_made() {
    model(|| {
        let paths = weighed(Measure::Concurrency);
        assert!(paths[0].try_now(&At(0), 1, None).is_ok() && paths[1].try_now(&At(0), 1, None).is_err());
        paths[0].release(&At(0), 1, None);
        assert_eq!(1, both_ask(&paths, 500_000_000));
    });
}

#[test]
fn of_two_weighed_demands_for_the_last_unit_of_a_quota_one_passes_while_parts_are_made() {
    model(|| {
        let paths = weighed(Measure::Quota);
        assert_eq!(1, both_ask(&paths, 500_000_000));
        assert!(paths.iter().all(|path| path.try_now(&At(1_000_000_000), 1, None).is_err()));
    });
}
