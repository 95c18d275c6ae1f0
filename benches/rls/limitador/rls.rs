//! In the place of headway-serve's `rls`: the same signature, another decision.
//!
//! limitador is asked as its own server asks it: a context with the descriptors bound as a list, one call that checks and
//! updates, and an answer of the overall code alone, which is what that server says unless told to add headers.

use std::collections::HashMap;
use std::error::Error;
use std::sync::OnceLock;

use headway_wire::rls::{Answer, Ask, Code, Hits};
use limitador::RateLimiter;
use limitador::limit::{Context, Limit, Namespace};

use crate::plane::{Asked, Ticking};
use crate::routes::Routes;

/// Keys that limitador's cache holds.
const KEYS: u64 = 100_000;

enum Decider {
    Limitador(Box<RateLimiter>),
    /// Says OK to everybody: what the shell costs alone.
    Nothing,
}

static DECIDER: OnceLock<Decider> = OnceLock::new();

/// Sets who decides: `limitador` with so many a second for every user of each service, or `nothing`.
pub(crate) fn decide_by(name: &str, domain: &str, limits: &[(String, u64)]) -> Result<(), Box<dyn Error>> {
    let decider = match name {
        "limitador" => {
            let limiter = RateLimiter::new(KEYS);
            for (service, limit) in limits {
                let condition = format!("descriptors[0].service == '{service}'").try_into()?;
                let key = "descriptors[0].user".try_into()?;
                limiter.add_limit(Limit::new(domain, *limit, 1, [condition], [key]));
            }
            Decider::Limitador(Box::new(limiter))
        }
        "nothing" => Decider::Nothing,
        other => return Err(format!("{other:?} decides nothing here: limitador, or nothing").into()),
    };
    DECIDER.set(decider).map_err(|_| "it is set once".into())
}

/// What the shell says of a request that waits; nothing here does.
#[derive(Clone, Copy)]
pub(crate) enum Turn {
    First,
    Again,
}

/// The answer, framed, at once.
pub(crate) fn answer(_: &Routes, _: &Ticking, ask: &Ask<'_>, _: &Asked, _: Turn) -> Option<Vec<u8>> {
    let is_limited = match DECIDER.get().expect("it is set before the first connection") {
        Decider::Nothing => false,
        Decider::Limitador(limiter) => {
            let descriptors = ask.descriptors.iter().map(|one| {
                ask.entries(one).iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
            });
            let mut context = Context::default();
            context.list_binding("descriptors".to_owned(), descriptors.collect::<Vec<HashMap<_, _>>>());
            let hits = match ask.descriptors.first().map(|one| one.hits) {
                Some(Hits::Charge(units)) => units,
                _ => 0,
            };
            let checked = limiter.check_rate_limited_and_update(&Namespace::from(ask.domain), &context, hits);
            checked.expect("the expressions fit the bench's descriptors").limited
        }
    };
    Some(Answer::new(if is_limited { Code::OverLimit } else { Code::Ok }).framed())
}
