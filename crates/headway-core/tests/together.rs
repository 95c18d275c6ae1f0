//! Several demands as one decision, and what is charged or given back after one.

use std::cell::Cell;
use std::sync::Arc;

use headway_core::{
    Answer, Clock, Curve, Demand, Measure, MeterSpec, Meters, Mode, Path, PathSpec, Segment, Stopped, Why, try_together,
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const MICRO: u64 = 1_000_000;

struct Stands(Cell<i64>);

impl Clock for Stands {
    fn boot_ns(&self) -> i64 {
        self.0.get()
    }
}

struct House {
    meters: Meters,
    clock: Stands,
}

impl House {
    /// Rates of `level` a second with a burst of one second, by name, without keys.
    fn with(rates: &[(&str, u64)]) -> House {
        let (meters, clock) = (Meters::default(), Stands(Cell::new(100 * SECOND as i64)));
        let spec = |name: &str| MeterSpec::plain(name, Measure::Rate, 1_000 * MICRO, SECOND);
        meters.declare(rates.iter().map(|(name, _)| spec(name)).collect()).unwrap();
        let curves = rates.iter().map(|(name, level)| ((*name).to_owned(), curve(1, *level))).collect();
        meters.publish(curves, 0, clock.boot_ns()).unwrap();
        House { meters, clock }
    }

    fn path(&self, meter: &str, mode: Mode) -> Arc<Path> {
        let steps = vec![(meter.to_owned(), MICRO, false)];
        let spec = PathSpec { mode, settle_max_micro: 50 * MICRO, ..PathSpec::plain(meter, "web", steps) };
        self.meters.path(spec).unwrap()
    }

    fn left(&self, path: &Path) -> u64 {
        path.standings(self.clock.boot_ns(), None).next().unwrap().remaining
    }

    fn charged(&self, meter: &str) -> i64 {
        let all = self.meters.snapshot(self.clock.boot_ns());
        all.iter().find(|reading| reading.meter == meter).unwrap().charged_micro / MICRO as i64
    }

    fn advance(&self, ns: u64) {
        self.clock.0.set(self.clock.0.get() + ns as i64);
    }
}

fn curve(version: u64, level: u64) -> Arc<Curve> {
    let segments = vec![Segment::new(0, None, (level * MICRO) as i64, (level * MICRO) as i64).unwrap()];
    let (stage, window, raises_when) = ("now".to_owned(), vec![], String::new());
    let curve = Curve {
        measure: Measure::Rate,
        version,
        stage,
        segments,
        per_ns: SECOND,
        burst_ns: SECOND,
        window,
        raises_when,
    };
    Arc::new(curve.checked().unwrap())
}

fn demand(path: &Arc<Path>, units: u64) -> Demand<'_> {
    Demand { path, units, key: None }
}

fn why(path: &Arc<Path>, stopped: Stopped) -> Why {
    match path.refuse(1, None, stopped) {
        Answer::Refused(refusal) => refusal.why,
        Answer::Admitted { .. } => panic!("it only looks on"),
    }
}

#[test]
fn a_refusal_of_the_last_demand_leaves_no_trace_on_the_first() {
    // 10 and 2 a second; 3 of each do not fit: both are as before, in use and in what was charged.
    let house = House::with(&[("wide", 10), ("narrow", 2)]);
    let (wide, narrow) = (house.path("wide", Mode::Enforce), house.path("narrow", Mode::Enforce));

    let stopped = try_together(&house.clock, &[demand(&wide, 3), demand(&narrow, 3)], None);

    let (at, stopped) = stopped.unwrap_err();
    assert_eq!((1, Why::NeverFits), (at, why(&narrow, stopped)));
    assert_eq!((10, 2), (house.left(&wide), house.left(&narrow)));
    assert_eq!((0, 0), (house.charged("wide"), house.charged("narrow")));
    assert_eq!((0, 0, 1), (wide.reading().admitted, wide.reading().refused, narrow.reading().refused));
}

#[test]
fn demands_that_all_fit_are_all_charged_and_counted() {
    let house = House::with(&[("wide", 10), ("narrow", 2)]);
    let (wide, narrow) = (house.path("wide", Mode::Enforce), house.path("narrow", Mode::Enforce));

    assert!(try_together(&house.clock, &[demand(&wide, 3), demand(&narrow, 1)], None).is_ok());

    assert_eq!((7, 1), (house.left(&wide), house.left(&narrow)));
    assert_eq!((3, 1), (house.charged("wide"), house.charged("narrow")));
    assert_eq!((3 * MICRO, MICRO), (wide.reading().admitted_micro, narrow.reading().admitted_micro));
}

#[test]
fn two_demands_on_one_meter_are_charged_one_after_the_other() {
    let house = House::with(&[("api", 10)]);
    let path = house.path("api", Mode::Enforce);

    assert_eq!(1, try_together(&house.clock, &[demand(&path, 6), demand(&path, 6)], None).unwrap_err().0);
    assert_eq!(10, house.left(&path));
    assert!(try_together(&house.clock, &[demand(&path, 6), demand(&path, 4)], None).is_ok());
    assert_eq!(0, house.left(&path));
}

#[test]
fn a_contract_that_looks_on_stops_nobody_and_counts_what_it_would_have_refused() {
    let house = House::with(&[("wide", 10), ("narrow", 2)]);
    let (wide, narrow) = (house.path("wide", Mode::Enforce), house.path("narrow", Mode::Observe));

    for order in [[demand(&narrow, 3), demand(&wide, 3)], [demand(&wide, 3), demand(&narrow, 3)]] {
        assert!(try_together(&house.clock, &order, None).is_ok());
    }

    assert_eq!((4, 2), (house.left(&wide), house.left(&narrow)));
    assert_eq!((2, 2), (narrow.reading().admitted, narrow.reading().refused));
    assert!(try_together(&house.clock, &[demand(&narrow, 3), demand(&wide, 5)], None).is_err());
    assert_eq!(2, narrow.reading().refused, "a decision that was refused elsewhere says nothing of it");
}

#[test]
fn nothing_is_decided_once_the_meters_are_closed() {
    let house = House::with(&[("api", 10)]);
    let path = house.path("api", Mode::Observe);
    house.meters.close();

    let (_, stopped) = try_together(&house.clock, &[demand(&path, 1), demand(&path, 1)], None).unwrap_err();

    assert_eq!(Why::Closed, why(&path, stopped));
}

#[test]
fn what_is_given_back_is_at_most_what_was_taken() {
    let house = House::with(&[("api", 10)]);
    let path = house.path("api", Mode::Enforce);
    let mut kept = vec![];
    try_together(&house.clock, &[demand(&path, 4)], Some(&mut kept)).unwrap();
    assert!(try_together(&house.clock, &[demand(&path, 2)], None).is_ok());

    let given = [3, 3, 3].map(|units| path.give_back(&house.clock, &mut kept[0], None, units));

    assert_eq!([3, 1, 0], given);
    assert_eq!((8, 2), (house.left(&path), house.charged("api")));
}

#[test]
fn what_was_forgiven_meanwhile_is_not_given_back_again() {
    // 10 of 10 taken, a second passes: all is back. 5 more are taken; giving 10 back now must not undo those 5.
    let house = House::with(&[("api", 10)]);
    let path = house.path("api", Mode::Enforce);
    let mut kept = vec![];
    try_together(&house.clock, &[demand(&path, 10)], Some(&mut kept)).unwrap();
    house.advance(SECOND);
    assert!(try_together(&house.clock, &[demand(&path, 5)], None).is_ok());

    path.give_back(&house.clock, &mut kept[0], None, 10);

    assert_eq!(5, house.left(&path));
}

#[test]
fn what_was_used_is_charged_into_debt_and_drains() {
    // 10 a second and 30 used: 20 of debt, so that one fits again after 2.1 s and not a ns before.
    let house = House::with(&[("api", 10)]);
    let path = house.path("api", Mode::Enforce);

    assert_eq!(30, path.charge(&house.clock, 30, None));

    assert!(matches!(path.probe(&house.clock, 0, None), Answer::Refused(_)));
    house.advance(21 * SECOND / 10 - 1);
    assert!(path.try_now(&house.clock, 1, None).is_err());
    house.advance(1);
    assert!(path.try_now(&house.clock, 1, None).is_ok());
    assert_eq!((31, 31 * MICRO), (house.charged("api"), path.reading().admitted_micro));
}

#[test]
fn a_charge_is_bounded_by_what_may_be_settled() {
    let house = House::with(&[("api", 10)]);
    let path = house.path("api", Mode::Enforce);

    assert_eq!(50, path.charge(&house.clock, u64::MAX, None));

    assert_eq!((50, 1), (house.charged("api"), path.reading().settled_above_max));
}

#[test]
fn a_probe_of_nothing_asks_whether_what_is_used_is_within_the_limit() {
    // Full is within the limit, debt is not, and under a limit of 0 nothing is.
    let house = House::with(&[("api", 10)]);
    let path = house.path("api", Mode::Enforce);
    let is_within = || matches!(path.probe(&house.clock, 0, None), Answer::Admitted { .. });

    path.charge(&house.clock, 10, None);
    assert!(is_within());
    path.charge(&house.clock, 1, None);
    assert!(!is_within());
    house.advance(SECOND);
    assert!(is_within());
    house.meters.publish(vec![("api".to_owned(), curve(2, 0))], SECOND as i64, house.clock.boot_ns()).unwrap();
    assert!(!is_within());
}

proptest! {
    /// Whatever is asked for together, given back or charged later: in no window is more admitted than promise 1 allows, and
    /// a decision that fits is never refused.
    #[test]
    fn giving_back_never_mints(
        turns in prop::collection::vec((0u64..400, 1u64..6, 1u64..6, 0usize..8, 0u64..8), 1..80),
    ) {
        let house = House::with(&[("wide", 10), ("narrow", 4)]);
        let (wide, narrow) = (house.path("wide", Mode::Enforce), house.path("narrow", Mode::Enforce));
        let mut held = vec![];
        let mut net: Vec<(u64, i64)> = vec![];
        let mut at = 0;
        for (passed_ms, one, other, which, back) in turns {
            at += passed_ms;
            house.advance(passed_ms * MICRO);
            let fits = one <= house.left(&wide) && other <= house.left(&narrow);
            let mut kept = vec![];
            let demands = [demand(&wide, one), demand(&narrow, other)];
            let is_in = try_together(&house.clock, &demands, Some(&mut kept)).is_ok();
            prop_assert_eq!(fits, is_in);
            if is_in {
                net.push((at, other as i64));
                held.push((net.len() - 1, kept.pop().unwrap()));
            }
            if !held.is_empty() {
                let index = which % held.len();
                let (of, reserved) = &mut held[index];
                // A demand counts at what it was settled at in the end.
                net[*of].1 -= narrow.give_back(&house.clock, reserved, None, back) as i64;
            }
        }
        for (i, (start, _)) in net.iter().enumerate() {
            let mut sum = 0;
            for (end, units) in &net[i..] {
                sum += units;
                prop_assert!(sum as u64 * 1_000 <= 4_000 + 4 * (end - start), "{sum} in {start}..{end} ms");
            }
        }
    }
}
