//! In the place of headway-serve's `rls`: the same signature, another decision.
//!
//! limitador is asked as its own server asks it: a context with the descriptors bound as a list, and one call that checks
//! and updates. The answer is the overall code alone, which is what that server says unless told to add headers; or, from
//! what its counters say, all that headway-serve answers: the status, the headers, the document of a refusal, metadata.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, OnceLock};

use headway_core::{Curve, Measure, Segment, Standing};
use headway_wire::rls::{Answer, Ask, Asked as Told, Code, Hits};
use headway_wire::{Problem, rate_limit_fields};
use limitador::limit::{Context, Limit, Namespace};
use limitador::{CheckResult, RateLimiter};

use crate::plane::{Asked, Ticking};
use crate::routes::Routes;

/// Keys that limitador's cache holds.
const KEYS: u64 = 100_000;

/// How much is said of a decision.
#[derive(Clone, Copy)]
enum Says {
    Code,
    All,
}

enum Decider {
    Limitador(Box<RateLimiter>, Says),
    /// Says OK to everybody: what the shell costs alone.
    Nothing,
}

static DECIDER: OnceLock<Decider> = OnceLock::new();
/// What a standing names its version and stage by.
static CURVE: OnceLock<Arc<Curve>> = OnceLock::new();

/// Sets who decides: `limitador` with so many a second for every user of each service, `told` which is the same and says
/// all there is to say, or `nothing`.
pub(crate) fn decide_by(name: &str, domain: &str, limits: &[(String, u64)]) -> Result<(), Box<dyn Error>> {
    let decider = match name {
        "limitador" | "told" => {
            let limiter = RateLimiter::new(KEYS);
            for (service, limit) in limits {
                let condition = format!("descriptors[0].service == '{service}'").try_into()?;
                let key = "descriptors[0].user".try_into()?;
                let mut limit = Limit::new(domain, *limit, 1, [condition], [key]);
                limit.set_name(service.clone());
                limiter.add_limit(limit);
            }
            Decider::Limitador(Box::new(limiter), if name == "told" { Says::All } else { Says::Code })
        }
        "nothing" => Decider::Nothing,
        other => return Err(format!("{other:?} decides nothing here: limitador, told, or nothing").into()),
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
    Some(match DECIDER.get().expect("it is set before the first connection") {
        Decider::Nothing => Answer::new(Code::Ok).framed(),
        Decider::Limitador(limiter, says) => {
            let checked = decide(limiter, ask);
            match says {
                Says::Code => Answer::new(code(&checked)).framed(),
                Says::All => all(&checked),
            }
        }
    })
}

fn decide(limiter: &RateLimiter, ask: &Ask<'_>) -> CheckResult {
    let descriptors = ask
        .descriptors
        .iter()
        .map(|one| ask.entries(one).iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
    let mut context = Context::default();
    context.list_binding("descriptors".to_owned(), descriptors.collect::<Vec<HashMap<_, _>>>());
    let hits = match ask.descriptors.first().map(|one| one.hits) {
        Some(Hits::Charge(units)) => units,
        _ => 0,
    };
    let checked = limiter.check_rate_limited_and_update(&Namespace::from(ask.domain), &context, hits);
    checked.expect("the expressions fit the bench's descriptors")
}

fn code(checked: &CheckResult) -> Code {
    if checked.limited { Code::OverLimit } else { Code::Ok }
}

/// What headway-serve says, with limitador's numbers in it.
fn all(checked: &CheckResult) -> Vec<u8> {
    let curve = CURVE.get_or_init(|| {
        let segments = vec![Segment::new(0, None, 0, 0).expect("a level of 0 all along is one")];
        let (stage, raises_when, window, measure) = ("now".to_owned(), String::new(), vec![], Measure::Rate);
        Arc::new(Curve { measure, version: 1, stage, segments, per_ns: 0, burst_ns: 0, window, raises_when })
    });
    let nanoseconds = |time: std::time::Duration| time.as_nanos() as u64;
    let standings: Vec<Standing<'_>> = checked
        .counters
        .iter()
        .map(|counter| Standing {
            meter: counter.limit().name().unwrap_or_default(),
            curve: Arc::clone(curve),
            quota: counter.max_value(),
            window_ns: nanoseconds(counter.window()),
            remaining: counter.remaining().unwrap_or(0),
            more_in_ns: counter.expires_in().map_or(0, nanoseconds),
        })
        .collect();
    let tightest = standings.iter().min_by_key(|standing| standing.remaining);
    let mut answer = Answer::new(code(checked));
    answer.status(code(checked), tightest);
    let mut document = String::new();
    if let Some(tightest) = tightest.filter(|_| checked.limited) {
        let seconds = tightest.more_in_s().max(1).to_string();
        answer.header("content-type", "application/problem+json");
        answer.header("cache-control", "no-store");
        answer.header("retry-after", &seconds);
        let mend = ["Try again in ", &seconds, " s."].concat();
        let problem = [tightest.meter, " has no room at the moment."].concat();
        let because = "This limit admits so many a second, and they were admitted already.";
        document = Problem { code: "HW429", status: 429, problem, because, mend }.document();
    }
    if let Some((policies, states)) = rate_limit_fields(&standings) {
        answer.header("ratelimit-policy", &policies);
        answer.header("ratelimit", &states);
    }
    answer.raw_body(document.as_bytes());
    let told = standings.iter().map(|standing| Told {
        contract: standing.meter,
        workload: "other",
        version: Some((standing.curve.version, &standing.curve.stage)),
    });
    answer.metadata(told, None);
    answer.framed()
}
