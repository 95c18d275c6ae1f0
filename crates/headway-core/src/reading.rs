//! What meters and limiters say of themselves: for the engine, `/metrics`, the stream and `RateLimit` headers.

use std::sync::Arc;

use crate::atomics::Ordering;
use crate::counts::Counts;
use crate::curve::{Curve, Measure};
use crate::earliest::{Retry, Stood, earliest};
use crate::grain::{MICRO, micro_of_grains};
use crate::installed::Installed;
use crate::meter::Meter;
use crate::path::Path;
use crate::why::Why;
use crate::word::Tagged;

/// What one meter says at an instant. Each number is exact, their sum is not a cut: decisions go on meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterReading {
    pub meter: String,
    pub measure: &'static str,
    pub version: u64,
    pub stage: String,
    pub boot_ns: i64,
    pub utc_ns: i64,
    pub limit_micro: i64,
    pub use_micro: i64,
    pub burst_micro: i64,
    pub headroom_micro: i64,
    pub charged_micro: i64,
    pub entitled_micro: i64,
    pub keys_live: u64,
    pub window_start_ns: i64,
    pub published_ns: i64,
}

/// Counts of one limiter's decisions since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathReading {
    pub contract: String,
    pub workload: String,
    pub admitted: u64,
    pub admitted_micro: u64,
    pub refused: u64,
    pub refused_micro: u64,
    pub refused_by: Vec<(&'static str, u64)>,
    pub waiting: u64,
    pub dropped_unreleased: u64,
    pub double_released: u64,
    pub settled_above_max: u64,
    pub on_loan_micro: u64,
    pub admitted_elsewhere: u64,
    pub refused_elsewhere: u64,
    pub unguaranteed: u64,
}

/// Where one meter of a path stands for one key, in units of the path's demands.
#[derive(Debug, Clone)]
pub struct Standing<'a> {
    pub meter: &'a str,
    /// The curve in force, for its version and stage.
    pub curve: Arc<Curve>,
    pub quota: u64,
    /// 0 for a concurrency, which has none.
    pub window_ns: u64,
    /// 0 where it is in debt.
    pub remaining: u64,
    /// Until one more fits, of a quota until its window ends; 0 where nobody knows.
    pub more_in_ns: u64,
}

impl Standing<'_> {
    pub fn window_s(&self) -> u64 {
        self.window_ns.div_ceil(1_000 * MICRO)
    }

    pub fn more_in_s(&self) -> u64 {
        self.more_in_ns.div_ceil(1_000 * MICRO)
    }
}

impl Meter {
    /// None before the first publish.
    pub(crate) fn reading(&self, now: i64) -> Option<MeterReading> {
        let (curve, look) = (self.installed()?, self.look(now)?);
        let piece = curve.piece(now);
        let is_rate = self.spec.measure == Measure::Rate;
        let limit_micro = piece.level(now, &self.grains) as i64;
        let (use_micro, headroom_micro, burst_micro) = self.use_of(&curve, now, self.largest(&look))?;
        Some(MeterReading {
            meter: self.spec.name.clone(),
            measure: self.spec.measure.name(),
            version: curve.curve.version,
            stage: curve.curve.stage.clone(),
            boot_ns: now,
            utc_ns: now.saturating_add(curve.anchor),
            limit_micro,
            use_micro,
            burst_micro,
            headroom_micro,
            charged_micro: self.charged_micro(),
            entitled_micro: if is_rate {
                micro_of_grains(i128::from(look.e) - curve.e_first, self.grains.log2)
            } else {
                0
            },
            keys_live: self.keys_live(now) as u64,
            window_start_ns: curve.window_at(now).map_or(0, |w| w.start_utc),
            published_ns: self.published_utc(),
        })
    }

    /// (use, headroom, burst) of a mark or amount, micro-units. None before the first publish.
    fn use_of(&self, curve: &Installed, now: i64, amount: u64) -> Option<(i64, i64, i64)> {
        let look = self.look(now)?;
        if self.spec.measure == Measure::Rate {
            let burst = i128::from(curve.piece(now).burst(now, &self.grains));
            let headroom = i128::from(look.e) - i128::from(amount.max(look.k));
            let micro = |grains| micro_of_grains(grains, self.grains.log2);
            return Some((micro(burst - headroom), micro(headroom), micro(burst)));
        }
        let use_micro = (amount << self.shift) as i64;
        Some((use_micro, (look.limit << self.shift) as i64 - use_micro, 0))
    }

    /// Micro-units charged since the process started, give-backs taken off, keys with a limit of their own included.
    fn charged_micro(&self) -> i64 {
        let ones = |payers: &[(Arc<Counts>, u64)]| -> i128 {
            payers.iter().map(|(counts, one)| i128::from(counts.ones.read()) * i128::from(*one)).sum()
        };
        let own = {
            let payers = self.payers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            ones(&payers) + i128::from(self.charged.load(Ordering::Relaxed))
        };
        let scaled = self.scaled.iter().map(|s| s.meter.in_micro(i128::from(s.meter.charged.load(Ordering::Relaxed))));
        self.in_micro(own).saturating_add(scaled.sum())
    }

    fn in_micro(&self, counts: i128) -> i64 {
        if self.spec.measure == Measure::Rate {
            micro_of_grains(counts, self.grains.log2)
        } else {
            i64::try_from(counts << self.shift).unwrap_or(i64::MAX)
        }
    }

    /// The keys that press, most used first: (key, use, limit) in micro-units; of those whose text is known.
    pub(crate) fn pressing(&self, now: i64, most: usize) -> Vec<(String, i64, i64)> {
        let Some(curve) = self.installed() else { return vec![] };
        let own = |hash: u64| {
            let look = self.look(now)?;
            self.use_of(&curve, now, self.amount(Some(hash), &look)).map(|(used, ..)| used)
        };
        let limit = curve.piece(now).level(now, &self.grains) as i64;
        let texts = self.texts().into_iter();
        let mut rows: Vec<_> = texts.filter_map(|(hash, text)| Some((text.to_string(), own(hash)?, limit))).collect();
        for scaled in &self.scaled {
            if let (Some(curve), Some(look)) = (scaled.meter.installed(), scaled.meter.look(now)) {
                let used =
                    scaled.meter.use_of(&curve, now, scaled.meter.amount(None, &look)).map_or(0, |(used, ..)| used);
                rows.push((scaled.text.to_string(), used, curve.piece(now).level(now, &scaled.meter.grains) as i64));
            }
        }
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows.truncate(most);
        rows
    }
}

impl Path {
    pub fn reading(&self) -> PathReading {
        let counts = &self.counts;
        let read = |count: &crate::atomics::AtomicU64| count.load(Ordering::Relaxed);
        let cost_ppm = self.cost_ppm();
        let micro = |units: u64| units.saturating_mul(cost_ppm);
        let refused_by: Vec<_> = Why::ALL
            .iter()
            .map(|why| (why.name(), counts.refused[*why as usize].read()))
            .filter(|(_, count)| *count > 0)
            .collect();
        let refused: u64 = refused_by.iter().map(|(_, count)| count).sum();
        PathReading {
            contract: self.spec.contract.clone(),
            workload: self.spec.workload.clone(),
            admitted: counts.admitted(),
            admitted_micro: micro(counts.admitted_units()),
            refused,
            refused_micro: micro(refused.saturating_add(read(&counts.refused_more))),
            refused_by,
            waiting: self.waiting() as u64,
            dropped_unreleased: read(&counts.dropped_unreleased),
            double_released: read(&counts.double_released),
            settled_above_max: read(&counts.settled_above_max),
            on_loan_micro: read(&counts.on_loan),
            admitted_elsewhere: read(&counts.admitted_elsewhere),
            refused_elsewhere: read(&counts.refused_elsewhere),
            unguaranteed: read(&counts.unguaranteed),
        }
    }

    /// Where each meter of the path stands for a demand with this key; those without a curve are left out.
    pub fn standings(&self, now: i64, key: Option<u64>) -> impl Iterator<Item = Standing<'_>> {
        self.steps.iter().filter_map(move |step| {
            let (toll, own) = step.toll(key);
            let meter = &toll.meter;
            let (curve, look) = (meter.installed()?, meter.look(now)?);
            let amount = meter.amount(own, &look);
            let free = match meter.spec.measure {
                Measure::Rate => look.e.saturating_sub(amount.max(look.k)),
                _ => look.limit.saturating_sub(amount),
            };
            let left = step.free_for_it(meter, now, key, free, &look);
            let level = u128::from(curve.piece(now).level(now, &meter.grains));
            let (quota, window_ns) = match meter.spec.measure {
                Measure::Rate => {
                    let grains = ((level << meter.grains.log2) / u128::from(MICRO)) as u64;
                    (toll.charge.units_in(grains), curve.curve.per_ns)
                }
                Measure::Concurrency => (toll.charge.units_in(look.limit), 0),
                Measure::Quota => {
                    let ends = curve.window_after(now).map_or(now, |w| w.start);
                    let starts = curve.window_at(now).map_or(now, |w| w.start);
                    (toll.charge.units_in(look.limit), ends.saturating_sub(starts).max(0) as u64)
                }
            };
            let remaining = toll.charge.units_in(left);
            let more = toll.charge.of(remaining.saturating_add(1));
            let more_at = match (meter.spec.measure, curve.window_after(now)) {
                (Measure::Quota, Some(next)) => next.start,
                (Measure::Rate, _) => match earliest(
                    &curve,
                    now,
                    Stood { held: Tagged { tag: 0, amount }, on_loan: look.on_loan },
                    more,
                    0,
                ) {
                    Retry::At(at) => at,
                    _ => now,
                },
                _ => now,
            };
            let more_in_ns = more_at.saturating_sub(now).max(0) as u64;
            let (meter, curve) = (&*meter.spec.name, Arc::clone(&curve.curve));
            Some(Standing { meter, curve, quota, window_ns, remaining, more_in_ns })
        })
    }
}
