//! Several demands that are one decision: all are taken or none.
//!
//! A proxy asks for everything that a request meets at once. What the earlier demands took is given back by the rule of a
//! path's own undoing, so a refusal of the last one leaves no trace on the first.

use std::sync::Arc;

use super::{Key, Mode, Path, Reserved, Stopped};
use crate::time::Clock;
use crate::why::Why;

/// One of several demands. Units are at least 1.
pub struct Demand<'a> {
    pub path: &'a Arc<Path>,
    pub units: u64,
    pub key: Option<Key<'a>>,
}

/// Takes all demands, or none. An Err names the demand that was stopped; it is not counted yet: `Path::refuse` does.
///
/// A path that only looks on stops nobody: what does not fit there is counted as what would have been refused, once all
/// others are in. `kept` gets what each demand took, in their order.
pub fn try_together(
    clock: &impl Clock,
    demands: &[Demand<'_>],
    kept: Option<&mut Vec<Reserved>>,
) -> Result<(), (usize, Stopped)> {
    if let ([one], None) = (demands, &kept)
        && one.path.is_enforced()
    {
        // The usual request has nothing to undo and nothing to keep.
        return one.path.try_now(clock, one.units, one.key).map_err(|stopped| (0, stopped));
    }
    let mut taken: Vec<(Reserved, Option<Stopped>)> = Vec::with_capacity(demands.len());
    for (i, demand) in demands.iter().enumerate() {
        let mut reserved = demand.path.nothing_reserved(demand.units);
        let attempt = demand.path.attempt(clock, clock.boot_ns(), demand.units, demand.key, Some(&mut reserved.taken));
        let stopped = attempt.err();
        if let Some(stopped) = stopped
            && (demand.path.is_enforced() || stopped.why == Why::Closed)
        {
            for (demand, (reserved, _)) in demands.iter().zip(&taken).rev() {
                demand.path.undo_counted(clock.boot_ns(), demand, reserved);
            }
            return Err((i, stopped));
        }
        taken.push((reserved, stopped));
    }
    for (demand, (_, stopped)) in demands.iter().zip(&taken) {
        if let Some(stopped) = stopped {
            demand.path.look_on(clock, demand, *stopped);
        }
        demand.path.counts.admit(demand.units);
    }
    if let Some(kept) = kept {
        kept.extend(taken.into_iter().map(|(reserved, _)| reserved));
    }
    Ok(())
}

impl Path {
    /// Gives back what one of several demands took; unlike a path's own `undo` it was counted as charged.
    #[cold]
    fn undo_counted(&self, now: i64, demand: &Demand<'_>, reserved: &Reserved) {
        let key = demand.key.map(|k| k.hash);
        self.undo(now, key, &reserved.taken);
        if demand.units != 1 {
            for (step, taken) in self.steps.iter().zip(&reserved.taken) {
                step.toll(key).0.meter.charged.fetch_sub(taken.n as i64, crate::atomics::Ordering::Relaxed);
            }
        }
    }

    /// Counts what would have been refused; a draw that was missing is asked for, for the next one.
    #[cold]
    fn look_on(&self, clock: &impl Clock, demand: &Demand<'_>, stopped: Stopped) {
        if stopped.is_draw() {
            // Whether the store can be asked changes nothing here: nobody waits for it.
            let _: Result<(), Stopped> = self.ask_draw(clock, demand.key, stopped);
        }
        if self.spec.mode != Mode::Record {
            self.counts.refuse(stopped.why, demand.units);
        }
    }
}
