//! Envoy's rate-limit service: all descriptors of a request are one decision.
//!
//! Never UNKNOWN, and no error where the contracts could not be asked: Envoy takes both for a yes. What cannot be decided
//! is OVER_LIMIT for contracts that enforce. Source: protocols/envoy.md, required behaviour of our server.

use std::sync::Arc;

use headway_core::{Answer, Clock as _, Demand, Key, Refusal, Standing, Stopped, Why, try_together};
use headway_wire::grpc::framed;
use headway_wire::rls::{
    Ask, Code, DescriptorStatus, Duration, HeaderValue, Hits, RateLimit, RateLimitResponse, Struct, Unit, Value,
};
use headway_wire::{rate_limit_fields, refused, retry_after, told};

use crate::plane::{Asked, Ticking};
use crate::routes::{Routes, Target};

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
    Some(framed(&say(ask, &met, clock, refused)))
}

/// What is done once: what happened already is recorded, and whoever is late, over a limit that is only looked at, or asks
/// for more than ever fits is refused.
fn before(met: &[Met<'_>], clock: &Ticking, asked: &Asked) -> Option<(usize, Refusal)> {
    settle(met, clock);
    shed(met, clock, asked).or_else(|| looked_at(met, clock))
}

fn meet<'a>(routes: &'a Routes, ask: &Ask<'a>) -> Vec<Met<'a>> {
    let (mut met, mut found) = (Vec::with_capacity(ask.descriptors.len()), vec![]);
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
    let (places, demands): (Vec<usize>, Vec<Demand<'_>>) =
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
fn say<'a>(ask: &Ask<'_>, met: &'a [Met<'_>], clock: &Ticking, stopped: Option<(usize, Refusal)>) -> RateLimitResponse {
    let now = clock.boot_ns();
    let of = |one: &'a Met<'_>| told(&one.target.path, now, one.key.map(|key| key.hash), one.target.tell);
    let seen: Vec<Vec<Standing<'_>>> = met.iter().map(of).collect();
    let mut statuses: Vec<_> = ask.descriptors.iter().map(|_| DescriptorStatus::default()).collect();
    for status in &mut statuses {
        status.set_code(Code::Ok);
    }
    let mut tightest: Vec<Option<u64>> = vec![None; statuses.len()];
    for (i, (one, seen)) in met.iter().zip(&seen).enumerate() {
        let status = &mut statuses[one.descriptor];
        let is_over = match &stopped {
            Some((at, _)) if *at == i => true,
            // Nothing was charged, so each other one answers for itself.
            Some(_) => would_refuse(one, clock),
            None => false,
        };
        if is_over {
            status.set_code(Code::OverLimit);
        }
        for standing in seen {
            let is_tighter = tightest[one.descriptor].is_none_or(|least| standing.remaining < least);
            if is_tighter {
                tightest[one.descriptor] = Some(standing.remaining);
                tell_limit(status, standing);
            }
        }
    }
    let mut response = RateLimitResponse { statuses, ..RateLimitResponse::default() };
    response.set_overall_code(if stopped.is_some() { Code::OverLimit } else { Code::Ok });
    if let Some((at, refusal)) = &stopped {
        let (_, document) = refused(refusal, met[*at].target.tell);
        response.raw_body = document.into_bytes();
        add(&mut response, "content-type", "application/problem+json");
        add(&mut response, "cache-control", "no-store");
        if let Some(seconds) = retry_after(refusal) {
            add(&mut response, "retry-after", &seconds.to_string());
        }
    }
    let all: Vec<_> = seen.iter().flatten().cloned().collect();
    if let Some((policies, states)) = rate_limit_fields(&all) {
        add(&mut response, "ratelimit-policy", &policies);
        add(&mut response, "ratelimit", &states);
    }
    response.dynamic_metadata = metadata(met, &seen, stopped.as_ref().map(|(_, refusal)| refusal));
    response
}

fn would_refuse(one: &Met<'_>, clock: &Ticking) -> bool {
    let units = match one.hits {
        Hits::Charge(units) if !one.target.post_paid => units,
        Hits::GiveBack(_) => return false,
        _ => 0,
    };
    matches!(one.target.path.probe(clock, units, one.key), Answer::Refused(_))
}

fn tell_limit(status: &mut DescriptorStatus, standing: &Standing<'_>) {
    let saturated = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let mut limit = RateLimit {
        requests_per_unit: saturated(standing.quota),
        name: format!("{}:{}", standing.meter, standing.curve.stage),
        ..RateLimit::default()
    };
    limit.set_unit(Unit::of_window_ns(standing.window_ns));
    status.current_limit = Some(limit);
    status.limit_remaining = saturated(standing.remaining);
    status.duration_until_reset = Some(Duration::of_ns(standing.more_in_ns));
}

fn add(response: &mut RateLimitResponse, key: &str, value: &str) {
    response.response_headers_to_add.push(HeaderValue { key: key.to_owned(), value: value.to_owned() });
}

/// What a proxy may log or route by: who was asked under which version, and why it was refused. None where nobody was.
fn metadata(met: &[Met<'_>], seen: &[Vec<Standing<'_>>], refusal: Option<&Refusal>) -> Option<Struct> {
    if met.is_empty() {
        return None;
    }
    let of = |(one, seen): (&Met<'_>, &Vec<Standing<'_>>)| {
        let spec = one.target.path.spec();
        let curve = seen.first().map(|standing| Arc::clone(&standing.curve));
        let mut fields =
            Struct::of([("contract", Value::text(&spec.contract)), ("workload", Value::text(&spec.workload))]);
        if let Some(curve) = curve {
            fields.fields.insert("version".to_owned(), Value::number(curve.version));
            fields.fields.insert("stage".to_owned(), Value::text(&curve.stage));
        }
        fields
    };
    let contracts = met.iter().zip(seen).map(of).collect();
    let mut fields = Struct::of([("contracts", Value::list(contracts))]);
    if let Some(refusal) = refusal {
        fields.fields.insert("why".to_owned(), Value::text(refusal.why.name()));
        fields.fields.insert("ref".to_owned(), Value::text(refusal.reference()));
    }
    Some(fields)
}

#[cfg(test)]
mod tests;
