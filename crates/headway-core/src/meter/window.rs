//! A quota's window divided by weight: what is left of it, among those that are on course to use more than there is.
//!
//! What is used up comes back for nobody, and a quota refuses when all of it is gone: too late to share anything. So a
//! division looks ahead. Each workload wants what it used and what it will ask for until the window's end, at the pace at
//! which it was seen to ask; the parts are those of max-min by weight. Who has used its part leaves to its equals what
//! they are on course to use of theirs. As the window runs out that shrinks to nothing, so what was kept for nothing is
//! there again for whoever still asks. Source: design, section 3, *Who gets it*.

use super::division::{Division, Measured, Pace};
use super::{Meter, Portion};
use crate::allocator::{Party, Priority};
use crate::atomics::Ordering;
use crate::grain::MICRO;
use crate::hot::Look;
use crate::installed::Installed;

/// What was asked counts half after this part of a window: an hour's is read off some minutes, and a month's off some days.
const HALF_LIVES: i64 = 8;
/// Who asks unevenly was seen at a pace that is off by chance: so many standard deviations more are kept for it.
const DEVIATIONS: u128 = 2;
/// A part that binds nobody.
const ALL: u64 = u64::MAX;

impl Division {
    pub(super) fn divide_window(
        &self,
        measured: &mut Measured,
        meter: &Meter,
        curve: &Installed,
        now: i64,
        look: &Look,
    ) {
        // Of a window whose end is not decided nobody knows what will be asked in it.
        let ends = curve.window_at(now).zip(curve.window_after(now));
        let Some((start, end)) = ends.map(|(window, next)| (window.start, next.start)) else {
            self.contended_until.store(i64::MIN, Ordering::Relaxed);
            return;
        };
        let span = end - start;
        let half_life = (span / HALF_LIVES).max(1) as u64;
        measured.look(&self.portions, meter, now, half_life);
        let used: Vec<u64> = self.portions.iter().map(|one| one.used(look)).collect();
        let by_others = meter.amount(None, look).saturating_sub(used.iter().sum());
        let amount = meter.units(look.limit.saturating_sub(by_others));
        let wants = used.iter().zip(&measured.paces).map(|(used, pace)| {
            meter.units(used.saturating_add(meter.unit() - 1)).saturating_add(pace.ahead(now, end - now, half_life))
        });
        let level_micro = look.limit << meter.shift;
        let parties: Vec<Party> =
            self.portions.iter().zip(wants).map(|(one, want)| one.party(amount, level_micro, want)).collect();
        let grants = self.beside_the_rooms(amount, meter, look, &parties, measured.turn);
        let mut is_contended = false;
        for priority in [Priority::Critical, Priority::Normal, Priority::Background] {
            let tier = || {
                let all = self.portions.iter().zip(&parties).zip(&grants);
                all.filter(|((one, _), _)| one.spec.priority == priority)
            };
            // What one unit of weight has, where anybody has less than it wants.
            let short = tier().filter(|((_, party), grant)| **grant < party.usable());
            let level = short.map(|((one, _), grant)| (*grant, u64::from(one.weight().get())));
            let level = level.min_by(|(a, by_a), (b, by_b)| {
                (u128::from(*a) * u128::from(*by_b)).cmp(&(u128::from(*b) * u128::from(*by_a)))
            });
            is_contended |= level.is_some();
            for ((one, party), grant) in tier() {
                give(meter, one, *grant, *grant < party.usable(), level);
            }
        }
        self.contended_until.store(if is_contended { i64::MAX } else { i64::MIN }, Ordering::Relaxed);
    }
}

/// Gives one its part. Who has all that it is on course to want may come faster than it was seen to, up to its part by
/// weight; and only what it is on course to want is kept for it.
fn give(meter: &Meter, one: &Portion, grant: u64, wants_more: bool, level: Option<(u64, u64)>) {
    let counts = |units: u64| ((u128::from(units) * u128::from(MICRO)) >> meter.shift) as u64;
    let part = match level {
        None => ALL,
        Some(_) if wants_more => counts(grant),
        Some((of, weight)) => {
            let by_weight = u128::from(of) * u128::from(one.weight().get()) / u128::from(weight);
            counts(u64::try_from(by_weight).unwrap_or(u64::MAX).max(grant))
        }
    };
    one.give(part, wants_more);
    one.keep(counts(grant));
}

impl Pace {
    /// Units that will be asked for in the `left` ns of a window, by what was asked so far.
    fn ahead(&self, now: i64, left: i64, half_life: u64) -> u64 {
        let Some(since) = self.since else { return 0 };
        let left = left.max(0) as u128;
        let age = now.saturating_sub(since).max(1) as u64;
        // Nothing was asked before it began, and an average over that time too would make little of it.
        let seen = 1.0 - (-(age as f64 / half_life as f64)).exp2();
        let micro_per_s = (self.asked.micro_per_s() as f64 / seen).round() as u64;
        let expected = u128::from(micro_per_s) * left / 1_000_000_000;
        let averaged = u128::from(age.min(half_life.saturating_mul(2)));
        let deviation = (expected.saturating_mul(u128::from(MICRO)) / averaged).saturating_mul(left).isqrt();
        u64::try_from((expected + DEVIATIONS * deviation) / u128::from(MICRO)).unwrap_or(u64::MAX)
    }
}
