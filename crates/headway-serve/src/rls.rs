//! Envoy's rate-limit service: all descriptors of a request are one decision.
//!
//! Never UNKNOWN, and no error where the contracts could not be asked: Envoy takes both for a yes. What cannot be decided
//! is OVER_LIMIT for contracts that enforce. Source: protocols/envoy.md, required behaviour of our server.

use headway_core::{Answer, Clock as _, Demand, Key, Refusal, Standing, Stopped, Why, try_together};
use headway_wire::rls::{self, Ask, Code, Hits};
use headway_wire::{rate_limit_fields, refused, retry_after, seen};

use smallvec::{SmallVec, smallvec};

use crate::descriptors::Found;
use crate::plane::{Asked, Ticking};
use crate::routes::{Routes, Target};

/// As many as a request usually has of something are kept without an allocation.
type Few<T> = SmallVec<[T; 2]>;

/// A contract that one of the request's descriptors meets.
struct Met<'a> {
    descriptor: usize,
    target: &'a Target,
    key: Option<Key<'a>>,
    hits: Hits,
}

impl Met<'_> {
    /// What is charged only if all of the request is.
    fn demand(&self) -> Option<Demand<'_>> {
        match self.hits {
            Hits::Charge(units) if !self.target.post_paid => {
                Some(Demand { path: &self.target.path, units, key: self.key })
            }
            _ => None,
        }
    }

    fn refuse(&self, why: Why, clock: &Ticking) -> Answer {
        let units = if let Hits::Charge(units) = self.hits { units } else { 0 };
        self.target.path.refuse(units, self.key, Stopped::by(why, clock.boot_ns()))
    }
}

/// How often a request was decided already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    /// It waited for a durable draw meanwhile: what it only records, and what has to be so before anything is charged,
    /// was done in its first turn.
    Again,
}

/// Answers a request, framed; `asked` says whether there is time left. None: it waits for a durable draw that was asked
/// for now, and is to be answered again in a moment.
pub(crate) fn answer(routes: &Routes, clock: &Ticking, ask: &Ask<'_>, asked: &Asked, turn: Turn) -> Option<Vec<u8>> {
    let met = meet(routes, ask);
    let refused = match (turn == Turn::First).then(|| before(&met, clock, asked)).flatten() {
        Some(refused) => Some(refused),
        None => decide(&met, clock, asked).ok()?,
    };
    Some(say(ask, &met, clock, refused.as_ref()))
}

/// What is done once: what happened already is recorded, and whoever is late, over a limit that is only looked at, or asks
/// for more than ever fits is refused.
fn before(met: &[Met<'_>], clock: &Ticking, asked: &Asked) -> Option<(usize, Refusal)> {
    settle(met, clock);
    shed(met, clock, asked).or_else(|| looked_at(met, clock))
}

fn meet<'a>(routes: &'a Routes, ask: &'a Ask<'_>) -> Few<Met<'a>> {
    let (mut met, mut found) = (Few::new(), Found::new());
    for (descriptor, one) in ask.descriptors.iter().enumerate() {
        for (target, key) in routes.meet(ask.domain, ask.entries(one), &mut found) {
            let key = key.map(|text| target.path.key(text));
            met.push(Met { descriptor, target, key, hits: one.hits });
        }
    }
    met
}

/// What happened already is recorded whatever else the request asks: hits charged after the fact, and hits given back.
fn settle(met: &[Met<'_>], clock: &Ticking) {
    for one in met {
        match (one.hits, &one.target.receipts) {
            (Hits::Charge(units), _) if one.target.post_paid => {
                one.target.path.charge(clock, units, one.key);
            }
            (Hits::GiveBack(units), Some(receipts)) => {
                receipts.give_back(&one.target.path, clock, one.key, units);
            }
            _ => {}
        }
    }
}

/// The first contract that a probe finds over its limit, or that takes less in one demand than is asked.
fn looked_at(met: &[Met<'_>], clock: &Ticking) -> Option<(usize, Refusal)> {
    for (i, one) in met.iter().enumerate() {
        let is_probed =
            matches!(one.hits, Hits::Probe) || one.target.post_paid && !matches!(one.hits, Hits::GiveBack(_));
        if is_probed && let Answer::Refused(refusal) = one.target.path.probe(clock, 0, one.key) {
            one.target.path.count_probed(&refusal);
            return Some((i, refusal));
        }
        // More than the contract takes in one demand, which in process is a mistake of the caller's, is over it here.
        if let Some(demand) = one.demand()
            && one.target.path.check(demand.units, one.key.map(|key| key.text)).is_err()
            && let Answer::Refused(refusal) = one.refuse(Why::NeverFits, clock)
        {
            return Some((i, refusal));
        }
    }
    None
}

/// A draw is missing, it is asked for, and there is time to wait for it.
struct Waits;

/// Charges all that the request asks for, or nothing: then which of `met` stopped it, and the refusal.
fn decide(met: &[Met<'_>], clock: &Ticking, asked: &Asked) -> Result<Option<(usize, Refusal)>, Waits> {
    let (places, demands): (Few<usize>, Few<Demand<'_>>) =
        met.iter().enumerate().filter_map(|(i, one)| Some((i, one.demand()?))).unzip();
    let mut kept = met.iter().any(|one| one.target.receipts.is_some()).then(Vec::new);
    let Err((at, stopped)) = try_together(clock, &demands, kept.as_mut()) else {
        for (place, reserved) in places.iter().zip(kept.into_iter().flatten()) {
            if let Some(receipts) = &met[*place].target.receipts {
                receipts.keep(met[*place].key, reserved);
            }
        }
        return Ok(None);
    };
    let stopped = match demands[at].path.ask_draw(clock, demands[at].key, stopped) {
        Ok(()) if !asked.is_late() => return Err(Waits),
        Ok(()) => stopped,
        Err(stopped) => stopped,
    };
    Ok(match demands[at].path.refuse(demands[at].units, demands[at].key, stopped) {
        Answer::Refused(refusal) => Some((places[at], refusal)),
        Answer::Admitted { .. } => None,
    })
}

/// Where the time is over, nothing is charged any more: the first contract that enforces refuses for all.
fn shed(met: &[Met<'_>], clock: &Ticking, asked: &Asked) -> Option<(usize, Refusal)> {
    if !asked.is_late() {
        return None;
    }
    met.iter().enumerate().find_map(|(i, one)| {
        let is_refused = one.target.path.is_enforced() && !matches!(one.hits, Hits::GiveBack(_));
        match is_refused.then(|| one.refuse(Why::Overloaded, clock))? {
            Answer::Refused(refusal) => Some((i, refusal)),
            Answer::Admitted { .. } => None,
        }
    })
}

/// One status a descriptor, in their order; what the client is told; what the proxy may log.
fn say(ask: &Ask<'_>, met: &[Met<'_>], clock: &Ticking, stopped: Option<&(usize, Refusal)>) -> Vec<u8> {
    let now = clock.boot_ns();
    let (mut standings, mut ends): (Few<Standing<'_>>, Few<usize>) = (Few::new(), Few::new());
    for one in met {
        standings.extend(seen(&one.target.path, now, one.key.map(|key| key.hash), one.target.tell));
        ends.push(standings.len());
    }
    let of = |i: usize| &standings[i.checked_sub(1).map_or(0, |before| ends[before])..ends[i]];

    let mut statuses: Few<(Code, Option<&Standing<'_>>)> = smallvec![(Code::Ok, None); ask.descriptors.len()];
    for (i, one) in met.iter().enumerate() {
        let (code, tightest) = &mut statuses[one.descriptor];
        let is_over = match stopped {
            Some((at, _)) if *at == i => true,
            // Nothing was charged, so each other one answers for itself.
            Some(_) => would_refuse(one, clock),
            None => false,
        };
        if is_over {
            *code = Code::OverLimit;
        }
        for standing in of(i) {
            if tightest.is_none_or(|least| standing.remaining < least.remaining) {
                *tightest = Some(standing);
            }
        }
    }
    let mut answer = rls::Answer::new(if stopped.is_some() { Code::OverLimit } else { Code::Ok });
    for (code, tightest) in statuses {
        answer.status(code, tightest);
    }
    let document = stopped.map(|(at, refusal)| {
        answer.header("content-type", "application/problem+json");
        answer.header("cache-control", "no-store");
        let again = retry_after(refusal);
        if let Some(seconds) = again {
            answer.header("retry-after", &seconds.to_string());
        }
        refused(refusal, again, met[*at].target.tell).1
    });
    if let Some((policies, states)) = rate_limit_fields(&standings) {
        answer.header("ratelimit-policy", &policies);
        answer.header("ratelimit", &states);
    }
    answer.raw_body(document.as_deref().unwrap_or_default().as_bytes());
    if !met.is_empty() {
        let asked = met.iter().enumerate().map(|(i, one)| {
            let (spec, curve) = (one.target.path.spec(), of(i).first().map(|standing| &standing.curve));
            let version = curve.map(|curve| (curve.version, curve.stage.as_str()));
            rls::Asked { contract: &spec.contract, workload: &spec.workload, version }
        });
        answer.metadata(asked, stopped.map(|(_, refusal)| refusal));
    }
    answer.framed()
}

fn would_refuse(one: &Met<'_>, clock: &Ticking) -> bool {
    let units = match one.hits {
        Hits::Charge(units) if !one.target.post_paid => units,
        Hits::GiveBack(_) => return false,
        _ => 0,
    };
    matches!(one.target.path.probe(clock, units, one.key), Answer::Refused(_))
}

#[cfg(test)]
mod tests;
