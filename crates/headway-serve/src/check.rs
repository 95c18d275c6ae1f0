//! The check: one demand of one workload, answered as the ASGI middleware answers.

use headway_core::{Answer, Clock as _, Refusal, Standing, Stopped, Why};
use headway_wire::check::{Check, Dialect, wrong};
use headway_wire::{Problem, Tell, rate_limit_fields, refused, retry_after, told};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response};

use crate::plane::{Asked, Ticking};
use crate::reply::{Reply, problem_headers, whole};
use crate::routes::Routes;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The `ref` of a refusal, for fronts that hand on headers and no body.
const REF: HeaderName = HeaderName::from_static("headway-ref");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// A request that has it is refused and charged nothing: by it `headway attach --test` sees whether a front refuses. Whoever
/// else sends it turns himself away.
pub(crate) const TEST: HeaderName = HeaderName::from_static("headway-test");

/// The refusal of a test. Errors: no such contract or workload.
pub(crate) fn tested(routes: &Routes, check: &Check<'_>) -> Result<Response<Reply>, Problem> {
    routes.check(&check.contract, check.workload.as_deref())?;
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    headers.insert(REF, HeaderValue::from_static("test"));
    Ok(whole(check.dialect.status(429), headers, ""))
}

/// Errors: no such contract or workload, a key missing or too many, units over what the contract takes.
pub(crate) async fn answer(
    routes: &Routes,
    clock: &Ticking,
    check: &Check<'_>,
    asked: &Asked,
) -> Result<Response<Reply>, Problem> {
    let (path, tell) = routes.check(&check.contract, check.workload.as_deref())?;
    path.check(check.units, check.key.as_deref()).map_err(|error| wrong(error.to_string()))?;
    let key = check.key.as_deref().map(|text| path.key(text));
    let hash = key.map(|key| key.hash);
    let decided = if asked.is_late() && path.is_enforced() {
        path.refuse(check.units, key, Stopped::by(Why::Overloaded, clock.boot_ns()))
    } else {
        loop {
            let Err(stopped) = path.try_now(clock, check.units, key) else { break Answer::Admitted { holds: false } };
            match path.ask_draw(clock, key, stopped) {
                Ok(()) if !asked.is_late() => asked.breathe().await,
                Ok(()) => break path.refuse(check.units, key, stopped),
                Err(stopped) => break path.refuse(check.units, key, stopped),
            }
        }
    };
    let seen = told(path, clock.boot_ns(), hash, tell);
    Ok(match decided {
        Answer::Admitted { .. } => {
            let mut headers = HeaderMap::with_capacity(3);
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            tell_limits(&mut headers, &seen);
            whole(200, headers, "")
        }
        Answer::Refused(refusal) => refusing(&refusal, tell, check.dialect, &seen),
    })
}

/// A refusal, in the words of the front that asked.
pub(crate) fn refusing(refusal: &Refusal, tell: Tell, dialect: Dialect, seen: &[Standing<'_>]) -> Response<Reply> {
    let again = retry_after(refusal);
    let (status, mut document) = refused(refusal, again, tell);
    let mut headers = problem_headers();
    headers.insert(REF, HeaderValue::from_str(&refusal.reference()).expect("a ref is a header's"));
    if dialect == Dialect::Nginx {
        // nginx shows nobody this body, and closes the connection rather than read it.
        document.clear();
        headers.remove(CONTENT_TYPE);
    }
    if let Some(seconds) = again {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    tell_limits(&mut headers, seen);
    whole(dialect.status(status), headers, document)
}

fn tell_limits(headers: &mut HeaderMap, seen: &[Standing<'_>]) {
    if let Some((policies, states)) = rate_limit_fields(seen) {
        let value = |text| HeaderValue::from_str(text).expect("structured fields are a header's");
        headers.insert(POLICY, value(&policies));
        headers.insert(STATE, value(&states));
    }
}
