//! Problem documents: what a refusal says over HTTP, and what is wrong with a call.
//!
//! Source: RFC 9457; draft-ietf-httpapi-ratelimit-headers-11 for the type of a refusal.

use std::fmt::Write as _;

use headway_core::{Refusal, Why};

use crate::fields::{Tell, concerns_the_caller, retry_after};
use crate::json::{Object, push_decimal};

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Something between a caller and the data plane that the caller can mend; the codes and statuses of `headway explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: &'static str,
    pub status: u16,
    pub problem: String,
    pub because: &'static str,
    pub mend: String,
}

impl Problem {
    /// The `application/problem+json` document.
    pub fn document(&self) -> String {
        Object::new()
            .text("type", &format!("urn:headway:error:{}", self.code))
            .text("title", &self.problem)
            .integer("status", u64::from(self.status))
            .text("detail", self.because)
            .text("code", self.code)
            .text("where", "")
            .text("problem", &self.problem)
            .text("because", self.because)
            .text("mend", &self.mend)
            .end()
    }
}

/// Whether a refusal says nothing about the caller's use: the limit could not be asked, and that is never a yes.
pub fn cannot_decide(why: Why) -> bool {
    matches!(why, Why::Closed | Why::NotPublished | Why::NotDurable | Why::Drawing | Why::Overloaded | Why::CutOff)
}

/// The status and the `application/problem+json` document of a refusal: 429 where a limit is reached, 503 where it could
/// not be asked. `again`: its `Retry-After`, which whoever answers says in a header as well.
pub fn refused(refusal: &Refusal, again: Option<u64>, tell: Tell) -> (u16, String) {
    let (contract, full) = (refusal.contract(), tell == Tell::Full);
    let (status, object) = if cannot_decide(refusal.why) {
        (503, Object::new().text("type", "about:blank").text("title", "The limit cannot be asked now"))
    } else {
        let is_named = full || concerns_the_caller(refusal.meter_name(), contract);
        let violated = if is_named { refusal.meter_name() } else { contract };
        let object = Object::new().text("type", QUOTA_EXCEEDED).text("title", "Over the limit");
        (429, object.texts("violated-policies", &[violated]))
    };
    let reference = refusal.reference();
    let mut object = object
        .integer("status", u64::from(status))
        .text("detail", &said(refusal, again, &reference, tell))
        .text("contract", contract)
        .text("why", refusal.why.name())
        .text("ref", &reference);
    if full {
        object = object
            .text("workload", refusal.workload())
            .number("limit", refusal.limit())
            .number("use", refusal.use_units())
            .text("unit", refusal.unit())
            .integer("version", refusal.version())
            .text("stage", refusal.stage())
            .text("raises_when", refusal.raises_when());
    }
    (status, object.end())
}

/// What is said of a refusal to people.
pub fn sentence(refusal: &Refusal, tell: Tell) -> String {
    said(refusal, if tell == Tell::Full { None } else { retry_after(refusal) }, &refusal.reference(), tell)
}

fn said(refusal: &Refusal, again: Option<u64>, reference: &str, tell: Tell) -> String {
    if tell == Tell::Full {
        return refusal.sentence();
    }
    let contract = refusal.contract();
    let mut text = String::with_capacity(96);
    text.push_str(contract);
    if cannot_decide(refusal.why) {
        text.push_str(" cannot be asked for room at the moment.");
    } else if refusal.why == Why::NeverFits {
        write!(text, " never admits this many at once: {}.", plain(refusal.weight()))
            .expect("a String takes every text");
    } else {
        text.push_str(" has no room at the moment.");
    }
    if let Some(seconds) = again {
        text.push_str(" Try again in ");
        push_decimal(&mut text, seconds);
        text.push_str(" s.");
    }
    text.push_str(" [");
    text.push_str(reference);
    text.push(']');
    text
}

/// A number of units without digits that say nothing.
fn plain(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
