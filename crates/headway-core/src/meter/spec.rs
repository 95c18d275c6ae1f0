//! What a meter is.

use crate::curve::{LEVEL_MAX, Measure, QUOTA_MAX};
use crate::error::Error;
use crate::grain::{PPM_MAX, grains_log2};
use crate::shares::{ShareSpec, fault_of};

/// The most keys a meter may hold: their tables then stay within a few GiB.
const KEYS_MAX: u64 = 100_000_000;

/// What a meter is, for as long as the process lives. See the binding's stub for the fields.
#[derive(Debug, Clone)]
pub struct MeterSpec {
    pub name: String,
    pub measure: Measure,
    pub ceiling_micro: u64,
    /// Of a rate; 0 else.
    pub per_ns: u64,
    pub unit: String,
    pub keys_max: Option<u64>,
    pub scale_ppm: Vec<(String, u64)>,
    pub born_empty: bool,
    pub durable: bool,
    pub chunk_micro: u64,
    pub shares: Vec<ShareSpec>,
}

impl MeterSpec {
    /// A meter like most: without keys, shares or durable draws, full from the start. `per_ns` is a rate's; 0 else.
    pub fn plain(name: &str, measure: Measure, ceiling_micro: u64, per_ns: u64) -> MeterSpec {
        MeterSpec {
            name: name.to_owned(),
            measure,
            ceiling_micro,
            per_ns,
            unit: "unit".to_owned(),
            keys_max: None,
            scale_ppm: vec![],
            born_empty: false,
            durable: false,
            chunk_micro: 0,
            shares: vec![],
        }
    }

    /// Errors: a ceiling no meter holds, scales without keys, durable draws where there are none.
    pub fn checked(self) -> Result<MeterSpec, Error> {
        let name = &self.name;
        let fail = |text: &str| Err(Error::Invalid(format!("meter {name:?}: {text}")));
        if self.name.is_empty() || self.name.len() > 1_024 || self.unit.is_empty() || self.unit.len() > 256 {
            return fail("a name has 1 to 1,024 bytes, a unit 1 to 256");
        }
        match self.measure {
            Measure::Rate => {
                grains_log2(self.ceiling_micro, self.per_ns)?;
            }
            _ if self.per_ns != 0 => return fail("`per_ns` belongs to rates"),
            Measure::Concurrency if self.ceiling_micro > LEVEL_MAX => {
                return fail("the ceiling is over 2^46 micro-units");
            }
            Measure::Quota if self.ceiling_micro > QUOTA_MAX => return fail("the ceiling is over 2^60 micro-units"),
            _ => {}
        }
        if self.keys_max.is_none() && !self.scale_ppm.is_empty() {
            return fail("`scale_ppm` needs keys: set `keys_max`");
        }
        if self.keys_max.is_some_and(|most| most == 0 || most > KEYS_MAX || most < self.scale_ppm.len() as u64) {
            return fail("`keys_max` is 1 to 100,000,000, and at least the number of scaled keys");
        }
        if self.scale_ppm.iter().any(|(_, ppm)| *ppm == 0 || *ppm > PPM_MAX) {
            return fail("a scale is 1 ppm to a million times");
        }
        let mut texts: Vec<&str> = self.scale_ppm.iter().map(|(text, _)| text.as_str()).collect();
        texts.sort_unstable();
        if texts.windows(2).any(|pair| pair[0] == pair[1]) {
            return fail("a key is scaled twice");
        }
        if self.born_empty && self.measure != Measure::Rate {
            return fail(
                "only a rate is born empty: a concurrency holds nothing after a start, a quota restores its count",
            );
        }
        if self.durable
            && (self.measure == Measure::Concurrency || self.measure == Measure::Rate && self.keys_max.is_some())
        {
            return fail("only quotas, and rates without keys, draw from the durable count");
        }
        match fault_of(&self.shares, self.keys_max.is_some()) {
            Some(text) => fail(&text),
            None => Ok(self),
        }
    }
}
