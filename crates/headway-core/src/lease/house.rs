//! A path over one meter, for the tests of keepers.

use std::sync::Arc;

use crate::curve::{Curve, Measure, Segment};
use crate::meter::MeterSpec;
use crate::meters::Meters;
use crate::path::{Path, PathSpec};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const UNIT: u64 = 1_000_000;

pub(crate) struct House {
    pub(crate) meters: Meters,
    pub(crate) path: Arc<Path>,
    measure: Measure,
    version: u64,
}

impl House {
    /// So many units from time 0 on, of a rate a second with a burst of a second; `falls`: to so many, then.
    pub(crate) fn new(measure: Measure, units: u64, falls: Option<(i64, u64)>) -> House {
        House::made(measure, units, falls, false)
    }

    /// A rate of so many a second, of which no mark was kept: it starts empty.
    pub(crate) fn after_a_crash(units: u64) -> House {
        House::made(Measure::Rate, units, None, true)
    }

    fn made(measure: Measure, units: u64, falls: Option<(i64, u64)>, born_empty: bool) -> House {
        let (meters, is_rate) = (Meters::default(), measure == Measure::Rate);
        let per_ns = if is_rate { SECOND as u64 } else { 0 };
        let spec = MeterSpec { born_empty, ..MeterSpec::plain("m", measure, 100 * UNIT, per_ns) };
        meters.declare(vec![spec]).unwrap();
        let path = meters.path(PathSpec::plain("c", "w", vec![("m".to_owned(), UNIT, false)])).unwrap();
        let mut house = House { meters, path, measure, version: 0 };
        house.publish(0, units, falls);
        house
    }

    pub(crate) fn publish(&mut self, now: i64, units: u64, falls: Option<(i64, u64)>) {
        let flat =
            |start_ns, end_ns, units| Segment { start_ns, end_ns, from_micro: units * UNIT, to_micro: units * UNIT };
        let mut segments = vec![flat(0, falls.map(|f| f.0), units)];
        segments.extend(falls.map(|(at, to)| flat(at, None, to)));
        let (stage, raises_when, measure) = (String::new(), String::new(), self.measure);
        let (per_ns, burst_ns) = if measure == Measure::Rate { (SECOND as u64, SECOND as u64) } else { (0, 0) };
        let window = if measure == Measure::Quota { vec![0, 100 * SECOND] } else { vec![] };
        self.version += 1;
        let version = self.version;
        let curve = Curve { measure, version, stage, segments, per_ns, burst_ns, window, raises_when };
        self.meters.publish(vec![("m".into(), Arc::new(curve.checked().unwrap()))], now, now).unwrap();
    }
}
