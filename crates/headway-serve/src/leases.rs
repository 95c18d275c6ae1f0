//! Slots over HTTP: `POST /check/{contract}?hold=30s` takes one and names a lease, `DELETE /check/{contract}?lease=…` ends it.
//!
//! No front tells when a request has ended, so a slot that is asked for over HTTP has an end of its own: at most the
//! contract's `max_hold`. A lease is its credential's, in the ledger like any gate's.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use headway_core::{Answer, Clock as _, Stopped, Why};
use headway_wire::Problem;
use headway_wire::check::{Check, wrong};
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response};

use crate::check::refusing;
use crate::holders::{Kept, Lease, Renewed};
use crate::plane::Shared;
use crate::reply::{Reply, whole};

const LEASE: HeaderName = HeaderName::from_static("headway-lease");
const ENDS: HeaderName = HeaderName::from_static("headway-lease-ends-in");

/// Whether a check is of a contract of slots.
pub(crate) fn concerns(shared: &Shared, check: &Check<'_>) -> bool {
    shared.routes().hold(&check.contract, check.workload.as_deref()).is_ok_and(|(kept, _)| kept.path.has_slots())
}

/// Takes a slot, renews a lease, or ends one.
pub(crate) async fn answer(
    shared: &Shared,
    credential: &str,
    method: &Method,
    check: &Check<'_>,
) -> Result<Response<Reply>, Problem> {
    let routes = shared.routes();
    let (kept, _) = routes.hold(&check.contract, check.workload.as_deref())?;
    if !kept.path.has_slots() {
        return Err(wrong("`hold` and `lease` are of concurrencies; this contract counts what passes"));
    }
    let holder = shared.holders.leases(credential);
    let now = shared.clock.boot_ns();
    match (method, check.lease, check.hold) {
        (&Method::DELETE, Some(lease), None) => {
            if holder.end_lease(lease, &check.contract) {
                Ok(whole(204, no_store(), ""))
            } else {
                Err(no_such_lease())
            }
        }
        (&Method::DELETE, ..) => Err(wrong("DELETE ends a lease: name it with `lease`, and nothing else")),
        (_, _, None) => Err(wrong("a slot is held for some time: say how long with `hold`, as in hold=30s")),
        (_, Some(lease), Some(hold)) => {
            let hold = within(kept, hold)?;
            let ends_at = now.saturating_add(hold.as_nanos() as i64);
            match holder.renew_lease(now, lease, ends_at) {
                Renewed::Done => Ok(held(lease, hold)),
                Renewed::Recalled => Err(asked_back()),
                Renewed::NoSuchLease => Err(no_such_lease()),
            }
        }
        (_, None, Some(hold)) => {
            let hold = within(kept, hold)?;
            let path = &kept.path;
            path.check(check.units, check.key.as_deref()).map_err(|error| wrong(error.to_string()))?;
            let key = check.key.as_deref().map(|text| path.key(text));
            // Where it only looks on there is nothing to end.
            let refused = |stopped| match path.refuse(check.units, key, stopped) {
                Answer::Admitted { .. } => held(0, hold),
                Answer::Refused(refusal) => refusing(&refusal, kept.tell_http, check.dialect, &[]),
            };
            if let Err(stopped) = path.try_now(&*shared.clock, check.units, key) {
                return Ok(refused(stopped));
            }
            let lease = RandomState::new().hash_one(now) | 1;
            let ends_at = now.saturating_add(hold.as_nanos() as i64);
            let asked = Lease { id: lease, kept: kept.clone(), units: check.units, ends_at };
            if holder.keep_lease(asked, check.key.as_deref()).await {
                return Ok(held(lease, hold));
            }
            Ok(refused(Stopped::by(Why::NotDurable, shared.clock.boot_ns())))
        }
    }
}

fn within(kept: &Kept, hold: Duration) -> Result<Duration, Problem> {
    let most = Duration::from_nanos(kept.max_hold_ns.max(0) as u64);
    if hold.is_zero() || hold > most {
        return Err(wrong(format!("`hold` is above 0 and at most the contract's max_hold, {} ms", most.as_millis())));
    }
    Ok(hold)
}

fn held(lease: u64, hold: Duration) -> Response<Reply> {
    let mut headers = no_store();
    let name = HeaderValue::try_from(format!("{lease:016x}")).expect("hexadecimal digits are a header's");
    headers.insert(LEASE, name);
    headers.insert(ENDS, HeaderValue::from(hold.as_secs()));
    whole(200, headers, "")
}

fn no_store() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

fn asked_back() -> Problem {
    Problem {
        code: "HW414",
        status: 409,
        problem: "this lease is asked back".to_owned(),
        because: "The limit was cut below what is in flight, and the contract asks slots back.",
        mend: "End the work and the lease; what is still held at its end is given back then.".to_owned(),
    }
}

fn no_such_lease() -> Problem {
    Problem {
        code: "HW412",
        status: 404,
        problem: "this token has no such lease".to_owned(),
        because: "It was ended, its time is over, or another token took it.",
        mend: "Take a slot anew with `hold`; renew a lease before its end.".to_owned(),
    }
}
