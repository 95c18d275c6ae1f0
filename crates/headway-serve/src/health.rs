//! Whether the plane serves: asked once, or watched until it closes. Nobody needs a token for it.

use bytes::Bytes;
use headway_wire::Unreadable;
use headway_wire::grpc::{Failed, Status, framed};
use headway_wire::health::{self as wire, HealthCheckResponse, Serving};
use headway_wire::{hold, rlqs, rls};
use tokio::sync::mpsc;

use crate::accept::Lasting;

/// The first answer, and that of the end.
pub(crate) const ANSWERS_MAX: usize = 2;

fn is_served(service: &str) -> bool {
    ["", rls::SERVICE, rlqs::SERVICE, hold::SERVICE, wire::SERVICE].contains(&service)
}

/// Errors: malformed, or a service that is not served.
pub(crate) fn check(message: &[u8]) -> Result<HealthCheckResponse, Failed> {
    if is_served(wire::read(message)?) {
        Ok(said(Serving::Serving))
    } else {
        Err(Failed::new(Status::NotFound, "no such service is served"))
    }
}

/// What a watch is told first. A service that is unknown may come yet, says the protocol: it is no error.
pub(crate) fn first(message: &[u8]) -> Result<HealthCheckResponse, Unreadable> {
    Ok(said(if is_served(wire::read(message)?) { Serving::Serving } else { Serving::ServiceUnknown }))
}

/// Watches until the plane closes or nobody listens any more. It is no sign of life: its connection ends as an idle one
/// does, and a watch begins anew.
pub(crate) async fn watch(first: HealthCheckResponse, answers: mpsc::Sender<Bytes>, lasting: Lasting) {
    let is_heard = answers.send(framed(&first).into()).await.is_ok();
    tokio::select! {
        () = lasting.closing(), if is_heard => {
            // Nobody is left to tell where it cannot be sent.
            drop(answers.try_send(framed(&said(Serving::NotServing)).into()));
        }
        () = answers.closed() => {}
    }
}

fn said(status: Serving) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
