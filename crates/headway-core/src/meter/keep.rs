//! What a meter keeps over a stop, and what it takes up at a start.

use super::{Meter, lock};
use crate::curve::Measure;
use crate::error::Error;
use crate::installed::Installed;
use crate::saved::{Kept, KeptKey};
use crate::word::{AMOUNT_MAX, Tagged};

impl Meter {
    /// What a clean stop keeps; None for what starts anew anyway, or before the first publish.
    pub(crate) fn kept(&self, now: i64, utc_ns: i64) -> Option<Kept> {
        let curve = self.installed()?;
        let look = self.look(now)?;
        if self.spec.measure == Measure::Concurrency {
            return None;
        }
        let relative = |value: u64| match self.spec.measure {
            Measure::Rate => (value.max(look.k) as i64).wrapping_sub(look.e as i64),
            _ => (Tagged::of(value).amount << self.shift) as i64,
        };
        let keys = self.keys.as_ref().map_or_else(Vec::new, |keys| keys.all(&|value| self.is_alive(value, now)));
        let used = self.one.load().value();
        let is_rate = self.spec.measure == Measure::Rate;
        // Each key keeps the window that it was used in: one that was used before the clock went back is ahead now.
        let tag_of = |value: u64| {
            let held = Tagged::of(value);
            if !is_rate && held.amount > 0 && held.is_after(look.tag) { held.tag } else { look.tag }
        };
        let start_of = |tag: u16| {
            let window = curve.windows.iter().find(|w| w.tag == tag).copied().or_else(|| curve.window_at(now));
            window.map_or(0, |w| w.start_utc)
        };
        let drawn = |key, tag| self.draws.as_ref().map_or(0, |d| d.granted(key, tag)) << self.shift;
        let one = if is_rate || self.is_alive(used, now) { relative(used) } else { 0 };
        Some(Kept {
            utc_ns,
            log2: self.grains.log2,
            k: if is_rate { (look.k - look.on_loan) as i64 - look.e as i64 } else { 0 },
            window_start_utc: start_of(tag_of(used)),
            one,
            drawn: drawn(None, tag_of(used)),
            keys: keys
                .into_iter()
                .map(|(hash, value)| {
                    let tag = tag_of(value);
                    KeptKey {
                        hash,
                        held: relative(value),
                        drawn: drawn(Some(hash), tag),
                        window_start_utc: start_of(tag),
                    }
                })
                .collect(),
            scaled: self.scaled.iter().filter_map(|s| Some((s.text.to_string(), s.meter.kept(now, utc_ns)?))).collect(),
        })
    }

    /// Errors: a curve was published already.
    pub(crate) fn restore(&self, kept: Kept) -> Result<(), Error> {
        for (text, own) in &kept.scaled {
            if let Some(scaled) = self.scaled.iter().find(|s| *s.text == **text) {
                scaled.meter.restore(own.clone())?;
            }
        }
        let mut state = lock(&self.state);
        if state.curve.is_some() {
            return Err(Error::Invalid(format!(
                "meter {:?} has a curve already; restore before publish",
                self.spec.name
            )));
        }
        if let Some(draws) = &self.draws
            && self.spec.measure == Measure::Rate
        {
            // After a clean stop the mark itself is known; the store's mark ahead of it is drawn anew.
            draws.forget_until();
        }
        state.kept = Some(kept);
        Ok(())
    }

    /// A row of the durable count: all that was drawn counts as used (quota); use is certain up to the UTC instant `drawn`
    /// (rate). Beside what `restore` brought, which knows what was used, only the amount drawn is news.
    pub(crate) fn restore_drawn(&self, hash: Option<u64>, window_start_utc: i64, drawn: i64) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.curve.is_some() {
            return Err(Error::Invalid(format!(
                "meter {:?} has a curve already; restore before publish",
                self.spec.name
            )));
        }
        if self.spec.measure == Measure::Rate {
            if state.kept.is_none() {
                // Everything up to that instant is spent, nothing after it: K = M = E there.
                state.kept = Some(Kept { utc_ns: drawn, log2: self.grains.log2, ..Kept::default() });
                if let Some(draws) = &self.draws {
                    draws.know_until(drawn);
                }
            }
            return Ok(());
        }
        let used = u64::try_from(drawn).map_err(|_| Error::invalid("a drawn amount is not below zero"))?;
        let kept = state.kept.get_or_insert_with(Kept::default);
        let (held, told, start) = match hash {
            None => (&mut kept.one, &mut kept.drawn, &mut kept.window_start_utc),
            Some(hash) => {
                let place = kept.keys.iter().position(|key| key.hash == hash).unwrap_or_else(|| {
                    kept.keys.push(KeptKey { hash, ..KeptKey::default() });
                    kept.keys.len() - 1
                });
                let key = &mut kept.keys[place];
                (&mut key.held, &mut key.drawn, &mut key.window_start_utc)
            }
        };
        if window_start_utc < *start {
            return Ok(());
        }
        // What was used is only known of the window that was saved; of one that was not, all drawn is.
        if window_start_utc > *start || *held <= 0 {
            *held = used as i64;
        }
        (*told, *start) = (used, window_start_utc);
        Ok(())
    }

    pub(super) fn take_up(&self, kept: &Kept, new: &Installed) {
        let now = new.since;
        if self.spec.measure == Measure::Rate {
            let e = i128::from(new.entitlement(kept.utc_ns.saturating_sub(new.anchor)));
            let mark =
                |from_e: i64| (e + i128::from(kept.to_grains(from_e, self.grains.log2))).clamp(0, 1 << 61) as u64;
            self.one.carry(mark(kept.one));
            if let Some(keys) = &self.keys {
                for key in &kept.keys {
                    keys.take_up(key.hash, mark(key.held));
                }
            }
            return;
        }
        let Some(present) = new.window_at(now) else { return };
        // A window that was saved is the present one, one ahead, or one that was seen anew since; else it is over.
        let tag_of = |start_utc: i64| {
            let tag = new.windows.iter().find(|w| w.start_utc == start_utc).map_or(present.tag, |w| w.tag);
            (start_utc >= present.start_utc).then_some(tag)
        };
        let count = |micro: i64| (micro.max(0) as u64).div_ceil(1 << self.shift).min(AMOUNT_MAX);
        if let Some(tag) = tag_of(kept.window_start_utc) {
            self.one.carry(Tagged { tag, amount: count(kept.one) }.value());
            if let Some(draws) = &self.draws {
                draws.grant(None, Tagged { tag, amount: kept.drawn >> self.shift });
            }
        }
        let Some(keys) = &self.keys else { return };
        for key in kept.keys.iter().filter(|key| key.held > 0 || key.drawn > 0) {
            let Some(tag) = tag_of(key.window_start_utc) else { continue };
            keys.take_up(key.hash, Tagged { tag, amount: count(key.held) }.value());
            if let Some(draws) = &self.draws {
                draws.grant(Some(key.hash), Tagged { tag, amount: key.drawn >> self.shift });
            }
        }
    }
}
