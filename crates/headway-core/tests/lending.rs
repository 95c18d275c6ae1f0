//! What a path lends: blocks of rates and quotas, slots of concurrencies, on every step or on none.

use std::sync::Arc;

use headway_core::allocator::Priority;
use headway_core::{Clock, Curve, Lending, Measure, MeterSpec, Meters, Part, Path, PathSpec, Segment, ShareSpec};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;
const MICRO: u64 = 1_000_000;
const NOW: i64 = 100 * SECOND;

struct Stands(i64);

impl Clock for Stands {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

fn curve(version: u64, measure: Measure, level: u64) -> Arc<Curve> {
    let segments = vec![Segment { start_ns: 0, end_ns: None, from_micro: level * MICRO, to_micro: level * MICRO }];
    let is_rate = measure == Measure::Rate;
    let (per_ns, burst_ns) = if is_rate { (SECOND as u64, SECOND as u64) } else { (0, 0) };
    let window = if measure == Measure::Quota { vec![0, 1_000 * SECOND] } else { vec![] };
    let (stage, raises_when) = (String::new(), String::new());
    Arc::new(Curve { measure, version, stage, segments, per_ns, burst_ns, window, raises_when }.checked().unwrap())
}

fn per_ns(measure: Measure) -> u64 {
    if measure == Measure::Rate { SECOND as u64 } else { 0 }
}

/// Meters of these measures and levels; `m0` is the first.
fn meters(all: &[(Measure, u64)], keyed: bool) -> Meters {
    let meters = Meters::default();
    let spec = |(i, &(measure, level)): (usize, &(Measure, u64))| {
        let plain = MeterSpec::plain(&format!("m{i}"), measure, level.max(1) * MICRO, per_ns(measure));
        MeterSpec { keys_max: keyed.then_some(10), ..plain }
    };
    meters.declare(all.iter().enumerate().map(spec).collect()).unwrap();
    let curves = all.iter().enumerate().map(|(i, &(measure, level))| (format!("m{i}"), curve(1, measure, level)));
    meters.publish(curves.collect(), 0, NOW).unwrap();
    meters
}

fn path(meters: &Meters, steps: &[(usize, u64)], keyed: bool) -> Arc<Path> {
    let steps = steps.iter().map(|&(meter, factor)| (format!("m{meter}"), factor, keyed)).collect();
    meters.path(PathSpec::plain("orders", "web", steps)).unwrap()
}

fn lending(all: &[(Measure, u64)]) -> (Meters, Arc<Path>, Lending) {
    let meters = meters(all, false);
    let steps: Vec<(usize, u64)> = (0..all.len()).map(|i| (i, MICRO)).collect();
    let path = path(&meters, &steps, false);
    let lending = path.lending().unwrap();
    (meters, path, lending)
}

/// How many demands of one unit pass now.
fn passing(path: &Path) -> u64 {
    (0..1_000).find(|_| path.try_now(&Stands(NOW), 1, None).is_err()).unwrap()
}

#[test]
fn what_is_lent_is_not_there_for_demands_of_this_process_and_what_is_dropped_is() {
    let (_meters, path, lending) = lending(&[(Measure::Rate, 10)]);
    let mut loan = lending.lend(NOW, 6 * MICRO, NOW + SECOND).unwrap();
    assert_eq!((4 * MICRO, 6 * MICRO), (lending.lendable(NOW, NOW + SECOND), path.reading().on_loan_micro));
    loan.spent(NOW, 2 * MICRO);
    loan.dropped(NOW, 3 * MICRO);
    assert_eq!((MICRO, MICRO), (loan.left(), path.reading().on_loan_micro));
    loan.end(NOW);
    assert_eq!((7, 0), (passing(&path), path.reading().on_loan_micro));
}

#[test]
fn a_block_is_lent_on_every_meter_of_the_path_or_on_none() {
    let (_meters, path, lending) = lending(&[(Measure::Rate, 8), (Measure::Quota, 4), (Measure::Rate, 8)]);
    assert_eq!(4 * MICRO, lending.lendable(NOW, NOW + SECOND));
    let stopped = lending.lend(NOW, 5 * MICRO, NOW + SECOND).err().unwrap();
    assert_eq!(path.refusal(5, None, stopped).meter_name(), "m1");
    assert_eq!(4 * MICRO, lending.lendable(NOW, NOW + SECOND), "the first meter has its part back");
    let mut loan = lending.lend(NOW, 4 * MICRO, NOW + SECOND).unwrap();
    assert_eq!(0, lending.lendable(NOW, NOW + SECOND));
    loan.dropped(NOW, 3 * MICRO);
    assert_eq!(3, passing(&path));
    loan.end(NOW);
}

#[test]
fn what_a_block_used_of_a_quota_is_used_whatever_becomes_of_its_holder() {
    let (_meters, path, lending) = lending(&[(Measure::Quota, 10)]);
    let loan = lending.lend(NOW, 4 * MICRO, NOW + SECOND).unwrap();
    loan.end(NOW + 9 * SECOND);
    assert_eq!(6, passing(&path));
}

#[test]
fn slots_that_are_booked_are_in_flight_here_until_they_are_given_back() {
    let (_meters, path, lending) = lending(&[(Measure::Concurrency, 10), (Measure::Concurrency, 8)]);
    let mut booked = lending.booked();
    assert!(booked.resize(NOW, 5 * MICRO));
    assert!(!booked.resize(NOW, 9 * MICRO), "the second has room for 8");
    assert_eq!((5 * MICRO, 3), (booked.micro(), passing(&path)));
    path.release(&Stands(NOW), 3, None);
    assert!(booked.resize(NOW, 8 * MICRO) && booked.resize(NOW, MICRO));
    assert_eq!(7, passing(&path));
}

#[test]
fn after_a_cut_nothing_is_lent_until_what_is_out_has_come_back() {
    let (meters, _path, lending) = lending(&[(Measure::Rate, 10)]);
    let mut loan = lending.lend(NOW, 8 * MICRO, NOW + 100 * SECOND).unwrap();
    meters.publish(vec![("m0".into(), curve(2, Measure::Rate, 4))], 0, NOW).unwrap();
    assert_eq!(0, lending.lendable(NOW + 50 * SECOND, NOW + 51 * SECOND));
    loan.dropped(NOW + 50 * SECOND, 6 * MICRO);
    assert_eq!(2 * MICRO, lending.lendable(NOW + 50 * SECOND, NOW + 51 * SECOND));
    loan.end(NOW + 50 * SECOND);
}

#[test]
fn a_refusal_beside_loans_says_when_there_is_room_if_they_stay_out() {
    let (_meters, path, lending) = lending(&[(Measure::Rate, 10)]);
    let loan = lending.lend(NOW, 6 * MICRO, NOW + 100 * SECOND).unwrap();
    assert_eq!(4, passing(&path));
    let stopped = path.try_now(&Stands(NOW), 1, None).err().unwrap();
    let refusal = path.refusal(1, None, stopped);
    assert_eq!((10_000_000, Some(0.1)), (refusal.use_micro(), refusal.retry_after_s()));
    // Five at once are more than the burst leaves beside what is out: that is up to the loan.
    let stopped = path.try_now(&Stands(NOW), 5, None).err().unwrap();
    assert_eq!(None, path.refusal(5, None, stopped).retry_after_s());
    loan.end(NOW);
}

#[test]
fn what_a_fall_has_taken_of_the_room_beside_loans_counts_for_the_retry() {
    let (meters, path, lending) = lending(&[(Measure::Rate, 10)]);
    let loan = lending.lend(NOW, 6 * MICRO, NOW + 100 * SECOND).unwrap();
    // Down to 8 and up again within the instant: of the burst two are gone, and the loan lies above them.
    for (version, level) in [(2, 8), (3, 10)] {
        meters.publish(vec![("m0".into(), curve(version, Measure::Rate, level))], 0, NOW).unwrap();
    }
    let stopped = path.try_now(&Stands(NOW), 3, None).err().unwrap();
    assert_eq!(Some(0.1), path.refusal(3, None, stopped).retry_after_s());
    loan.end(NOW);
}

#[test]
fn what_is_on_loan_at_a_clean_stop_is_spent_at_the_next_start() {
    let (meters, _path, lending) = lending(&[(Measure::Rate, 10)]);
    let loan = lending.lend(NOW, 6 * MICRO, NOW + 100 * SECOND).unwrap();
    let again = Meters::default();
    let saved = meters.save(NOW);
    loan.end(NOW);
    let spec = MeterSpec::plain("m0", Measure::Rate, 10 * MICRO, per_ns(Measure::Rate));
    again.declare(vec![spec]).unwrap();
    again.restore(&saved).unwrap();
    again.publish(vec![("m0".into(), curve(2, Measure::Rate, 10))], 0, NOW).unwrap();
    assert_eq!(4, passing(&path(&again, &[(0, MICRO)], false)));
}

#[test]
fn a_path_with_keys_is_not_lent_and_a_closed_process_lends_nothing() {
    let keyed = path(&meters(&[(Measure::Rate, 10)], true), &[(0, MICRO)], true);
    assert!(keyed.lending().is_err());
    let (meters, _path, lending) = lending(&[(Measure::Rate, 10), (Measure::Concurrency, 10)]);
    meters.close();
    assert!(lending.lend(NOW, MICRO, NOW + SECOND).is_err());
    assert!(!lending.booked().resize(NOW, MICRO));
}

/// A contract of ten of which four are guaranteed to `batch`: what `web` and `batch` lend from.
fn shared(measure: Measure) -> (Meters, [(Arc<Path>, Lending); 2]) {
    let meters = Meters::default();
    let guarantee = Some(Part::Micro(4 * MICRO));
    let shares = vec![ShareSpec { guarantee, ..ShareSpec::plain("batch", Priority::Normal) }];
    let spec = MeterSpec { shares, ..MeterSpec::plain("orders", measure, 10 * MICRO, per_ns(measure)) };
    meters.declare(vec![spec]).unwrap();
    meters.publish(vec![("orders".into(), curve(1, measure, 10))], 0, NOW).unwrap();
    let both = ["web", "batch"].map(|workload| {
        let steps = vec![("orders".to_owned(), MICRO, false)];
        let path = meters.path(PathSpec::plain("orders", workload, steps)).unwrap();
        let lending = path.lending().unwrap();
        (path, lending)
    });
    (meters, both)
}

#[test]
fn what_is_guaranteed_to_another_workload_is_not_lent_and_what_is_lent_to_it_is_of_its_guarantee() {
    for measure in [Measure::Rate, Measure::Quota] {
        let (_meters, [(web, lends), (_, batch)]) = shared(measure);
        assert_eq!((6 * MICRO, 10 * MICRO), (lends.lendable(NOW, NOW), batch.lendable(NOW, NOW)));
        assert!(lends.lend(NOW, 7 * MICRO, NOW + SECOND).is_err());
        let mut loan = batch.lend(NOW, 3 * MICRO, NOW + SECOND).unwrap();
        assert_eq!(6 * MICRO, lends.lendable(NOW, NOW), "one of four is kept back still");
        loan.dropped(NOW, 3 * MICRO);
        loan.end(NOW);
        assert_eq!(6, passing(&web));
    }
}

#[test]
fn slots_that_are_booked_for_a_workload_are_of_its_guarantee() {
    let (_meters, [(web, _), (_, batch)]) = shared(Measure::Concurrency);
    let mut out = batch.booked();
    assert!(out.resize(NOW, 3 * MICRO));
    assert_eq!(6, passing(&web));
    web.release(&Stands(NOW), 6, None);
    assert!(out.resize(NOW, 0));
    assert_eq!(6, passing(&web));
}

proptest! {
    #[test]
    fn whatever_parts_a_block_comes_back_in_what_was_spent_of_it_stays_charged(
        factor in 1u64..3_000_000, micro in 1u64..3_000_000,
        parts in prop::collection::vec((any::<bool>(), 1u64..500_000), 0..12),
    ) {
        let meters = meters(&[(Measure::Rate, 10), (Measure::Quota, 10)], false);
        let lending = path(&meters, &[(0, factor), (1, factor)], false).lending().unwrap();
        let (before, mut loan) = (lending.lendable(NOW, NOW), lending.lend(NOW, micro, NOW + SECOND).unwrap());
        let mut spent = 0;
        for (is_spent, micro) in parts {
            let micro = micro.min(loan.left());
            if is_spent {
                spent += micro;
                loan.spent(NOW, micro);
            } else {
                loan.dropped(NOW, micro);
            }
        }
        let left = loan.left();
        loan.end(NOW);
        let after = lending.lendable(NOW, NOW);
        prop_assert!(before - after >= spent + left, "{} are gone, {} were spent", before - after, spent + left);
        // No more is gone than what rounding up to whole counts costs.
        prop_assert!(before - after <= spent + left + 2 * (MICRO / factor + 1), "{} and {}", before - after, spent + left);
    }
}
