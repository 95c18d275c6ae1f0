//! What a meter keeps over a stop, and what it takes up at a start.

use super::{Meter, lock};
use crate::curve::Measure;
use crate::error::Error;
use crate::installed::Installed;
use crate::saved::Kept;
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
        // A window that was used before the clock went back is ahead now: what was used is kept for that one, and what was
        // used since goes with it.
        let mut tag = look.tag;
        if self.spec.measure == Measure::Quota {
            for value in keys.iter().map(|(_, value)| *value).chain([used]).map(Tagged::of) {
                tag = if value.amount > 0 && value.is_after(tag) { value.tag } else { tag };
            }
        }
        let window = curve.windows.iter().find(|w| w.tag == tag).copied().or_else(|| curve.window_at(now));
        let one = if is_rate || self.is_alive(used, now) { relative(used) } else { 0 };
        Some(Kept {
            utc_ns,
            log2: self.grains.log2,
            k: if is_rate { look.k as i64 - look.e as i64 } else { 0 },
            window_start_utc: window.map_or(0, |w| w.start_utc),
            one,
            drawn: self.draws.as_ref().map_or(0, |d| d.granted(None, tag)) << self.shift,
            keys: keys
                .into_iter()
                .map(|(hash, value)| {
                    let drawn = self.draws.as_ref().map_or(0, |d| d.granted(Some(hash), tag)) << self.shift;
                    (hash, relative(value), drawn)
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
        let (used, saved) = ((used as i64), state.kept.is_some());
        let kept = state.kept.get_or_insert_with(|| Kept { window_start_utc, ..Kept::default() });
        if kept.window_start_utc != window_start_utc {
            if window_start_utc < kept.window_start_utc {
                return Ok(());
            }
            *kept = Kept { window_start_utc, ..Kept::default() };
        }
        match hash {
            None if saved && kept.one > 0 => kept.drawn = used as u64,
            None => (kept.one, kept.drawn) = (used, used as u64),
            Some(hash) => match kept.keys.iter_mut().find(|(known, ..)| *known == hash) {
                Some(row) if saved => row.2 = used as u64,
                Some(row) => (row.1, row.2) = (used, used as u64),
                None => kept.keys.push((hash, used, used as u64)),
            },
        }
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
                for (hash, from_e, _) in &kept.keys {
                    keys.take_up(*hash, mark(*from_e));
                }
            }
            return;
        }
        // The window that was saved is the present one, one ahead, or one that was seen anew since; else it is over.
        let Some(present) = new.window_at(now) else { return };
        if kept.window_start_utc < present.start_utc {
            return;
        }
        let count = |micro: u64| (micro.div_ceil(1 << self.shift)).min(AMOUNT_MAX);
        let tag = new.windows.iter().find(|w| w.start_utc == kept.window_start_utc).map_or(present.tag, |w| w.tag);
        let tagged = |amount: u64| Tagged { tag, amount };
        self.one.carry(tagged(count(kept.one.max(0) as u64)).value());
        if let Some(draws) = &self.draws {
            draws.grant(None, tagged(kept.drawn >> self.shift));
        }
        if let Some(keys) = &self.keys {
            for (hash, used, drawn) in kept.keys.iter().filter(|(_, used, drawn)| *used > 0 || *drawn > 0) {
                keys.take_up(*hash, tagged(count((*used).max(0) as u64)).value());
                if let Some(draws) = &self.draws {
                    draws.grant(Some(*hash), tagged(*drawn >> self.shift));
                }
            }
        }
    }
}
