//! The data plane as Python starts, routes and ends it. No request comes through here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headway_core::divide;
use headway_core::lease::{Named, Share};
use headway_serve::{Access, Bounds, Credential, Floor, Left, Role, Routes, Start, Tell, Ticking, Tls};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::limiter::Limiter;
use crate::matches::Matches;
use crate::meters::Meters;

const THREADS_MAX: usize = 256;

pub(crate) fn tell_of(word: &str) -> PyResult<Tell> {
    match word {
        "full" => Ok(Tell::Full),
        "public" => Ok(Tell::Public),
        other => Err(PyValueError::new_err(format!("{other:?} is no `tell`: full or public"))),
    }
}

fn path_of(limiter: &Limiter) -> PyResult<Arc<headway_core::Path>> {
    if limiter.bound.is_some() {
        return Err(PyValueError::new_err(
            "a limiter that is bound to a key answers for that key alone: pass it unbound",
        ));
    }
    Ok(Arc::clone(&limiter.path))
}

fn shared(matches: Option<&Matches>) -> Option<Arc<headway_core::Matches>> {
    matches.map(|matches| Arc::clone(&matches.0))
}

/// A contract that checks may ask about, with a limiter for each of its workloads.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct CheckRoute {
    contract: String,
    tell: Tell,
    paths: Vec<Arc<headway_core::Path>>,
    matches: Option<Arc<headway_core::Matches>>,
}

#[pymethods]
impl CheckRoute {
    #[new]
    #[pyo3(signature = (contract, limiters, *, tell = "public", matches = None))]
    fn new(
        contract: String,
        limiters: Vec<PyRef<'_, Limiter>>,
        tell: &str,
        matches: Option<&Matches>,
    ) -> PyResult<CheckRoute> {
        let paths = limiters.iter().map(|limiter| path_of(limiter)).collect::<PyResult<_>>()?;
        Ok(CheckRoute { contract, tell: tell_of(tell)?, paths, matches: shared(matches) })
    }
}

/// A contract that gates may hold a part of, with a limiter for each of its workloads.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct HoldRoute {
    contract: String,
    tell: Tell,
    paths: Vec<Arc<headway_core::Path>>,
    max_hold_ns: i64,
    drain_within_ns: i64,
    tell_http: Tell,
    matches: Option<Arc<headway_core::Matches>>,
    opens: bool,
    floor: Option<Arc<Floor>>,
}

/// A part's units and `per` in ns, 0 for slots, and the largest demand of a part of tokens; all in millionths.
type Part = (u64, u64, u64);

#[pymethods]
impl HoldRoute {
    #[new]
    #[pyo3(signature = (
        contract, limiters, *, tell = "full", tell_http = "public", max_hold_ns = 60_000_000_000,
        drain_within_ns = 5_000_000_000, matches = None, opens = false, gates = None, parts = vec![]
    ))]
    #[allow(clippy::too_many_arguments)] // It is the settings object: named fields, checked once.
    fn new(
        contract: String,
        limiters: Vec<PyRef<'_, Limiter>>,
        tell: &str,
        tell_http: &str,
        max_hold_ns: i64,
        drain_within_ns: i64,
        matches: Option<&Matches>,
        opens: bool,
        gates: Option<Vec<String>>,
        parts: Vec<Vec<Part>>,
    ) -> PyResult<HoldRoute> {
        if max_hold_ns.min(drain_within_ns) < 0 {
            return Err(PyValueError::new_err("nothing is held for less than no time"));
        }
        let paths = limiters.iter().map(|limiter| path_of(limiter)).collect::<PyResult<_>>()?;
        let (tell, tell_http) = (tell_of(tell)?, tell_of(tell_http)?);
        let matches = shared(matches);
        let named = gates.map_or(Named::First, Named::Gates);
        let share = |(units, per_ns, most): Part| Share { units, per_ns, most };
        let of = |is_slots: bool| -> Vec<Share> {
            let measure = parts.iter().find(|parts| parts.first().is_some_and(|part| (part.1 == 0) == is_slots));
            measure.map(|parts| parts.iter().copied().map(share).collect()).unwrap_or_default()
        };
        let floor = (!parts.is_empty()).then(|| Arc::new(Floor { named, slots: of(true), tokens: of(false) }));
        Ok(HoldRoute { contract, tell, paths, max_hold_ns, drain_within_ns, tell_http, matches, opens, floor })
    }
}

/// A descriptor of Envoy's rate-limit service that meets a limiter.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct RlsRoute {
    domain: String,
    descriptor: Vec<(String, Option<String>)>,
    path: Arc<headway_core::Path>,
    tell: Tell,
    post_paid: bool,
    refundable: bool,
    matches: Option<Arc<headway_core::Matches>>,
    matched: Vec<Arc<headway_core::Path>>,
}

#[pymethods]
impl RlsRoute {
    #[new]
    #[pyo3(
        signature = (
            domain, descriptor, limiter, *, tell = "public", post_paid = false, refundable = false, matches = None,
            matched = vec![]
        ),
        text_signature = "(domain, descriptor, limiter, *, tell='public', post_paid=False, refundable=False, matches=None, matched=())"
    )]
    #[allow(clippy::too_many_arguments)] // It is the settings object: named fields, checked once.
    fn new(
        domain: String,
        descriptor: Vec<(String, Option<String>)>,
        limiter: &Limiter,
        tell: &str,
        post_paid: bool,
        refundable: bool,
        matches: Option<&Matches>,
        matched: Vec<PyRef<'_, Limiter>>,
    ) -> PyResult<RlsRoute> {
        let (path, tell) = (path_of(limiter)?, tell_of(tell)?);
        let matched = matched.iter().map(|limiter| path_of(limiter)).collect::<PyResult<_>>()?;
        Ok(RlsRoute { domain, descriptor, path, tell, post_paid, refundable, matches: shared(matches), matched })
    }
}

/// A bucket of Envoy's quota service that a limiter's rate is divided for.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct RlqsRoute {
    domain: String,
    bucket: BTreeMap<String, String>,
    path: Arc<headway_core::Path>,
    terms: divide::Terms,
}

#[pymethods]
impl RlqsRoute {
    #[new]
    #[pyo3(signature = (domain, bucket, limiter, *, within_ns = 5_000_000_000))]
    fn new(domain: String, bucket: BTreeMap<String, String>, limiter: &Limiter, within_ns: i64) -> PyResult<RlqsRoute> {
        let path = path_of(limiter)?;
        let delay_ns = headway_serve::DELAY.as_nanos() as i64;
        let terms = divide::Terms::within(within_ns, delay_ns).ok_or_else(|| {
            PyValueError::new_err(format!("{within_ns} ns are too short: what is assigned lives at least two seconds"))
        })?;
        Ok(RlqsRoute { domain, bucket, path, terms })
    }
}

/// The check and Envoy's rate-limit service on a socket, answered by threads that never take the interpreter's lock.
#[pyclass(frozen, module = "headway._core")]
pub(crate) struct DataPlane {
    /// None once it is closed.
    plane: Mutex<Option<headway_serve::DataPlane>>,
    address: SocketAddr,
    /// The process it was started in: its threads are nowhere else.
    process: u32,
}

#[pymethods]
impl DataPlane {
    #[new]
    #[pyo3(
        signature = (
            meters, listen = "127.0.0.1:0", *, credentials, threads = 2, connections = 1_024, per_peer = 256,
            in_flight = 4_096, deadline_ms = 10, check_deadline_ms = 1_000, idle_ms = 120_000, off_loopback = false, tls = None,
            epoch = 1
        ),
        text_signature = "(meters, listen='127.0.0.1:0', *, credentials, threads=2, connections=1024, per_peer=256, in_flight=4096, deadline_ms=10, check_deadline_ms=1000, idle_ms=120000, off_loopback=False, tls=None, epoch=1)"
    )]
    #[allow(clippy::too_many_arguments)] // It is the settings object: named fields, checked once.
    fn new(
        py: Python<'_>,
        meters: &Meters,
        listen: &str,
        credentials: Vec<(String, Vec<u8>, Vec<String>)>,
        threads: usize,
        connections: usize,
        per_peer: usize,
        in_flight: usize,
        deadline_ms: u64,
        check_deadline_ms: u64,
        idle_ms: u64,
        off_loopback: bool,
        tls: Option<(Vec<u8>, Vec<u8>)>,
        epoch: u64,
    ) -> PyResult<DataPlane> {
        let listen: SocketAddr = listen.parse().map_err(|_| {
            PyValueError::new_err(format!("{listen:?} is no IP address with a port, as 127.0.0.1:7701"))
        })?;
        let tls = tls
            .map(|(certificate, key)| Tls::from_pem(&certificate, &key))
            .transpose()
            .map_err(PyValueError::new_err)?;
        if !listen.ip().is_loopback() && !off_loopback && tls.is_none() {
            return Err(PyValueError::new_err(format!(
                "{listen} is not of this machine alone, and tokens would cross the network in the clear"
            )));
        }
        let bounds_are_some = connections > 0 && per_peer > 0 && in_flight > 0 && idle_ms > 0;
        if !(1..=THREADS_MAX).contains(&threads) || !bounds_are_some {
            let most = format!("1 to {THREADS_MAX} threads");
            return Err(PyValueError::new_err(format!("a data plane has {most}, and bounds of at least 1")));
        }
        let access = Access::new(credentials.into_iter().map(credential).collect::<PyResult<_>>()?);
        let usual = Bounds::default();
        let (deadline, idle) = (Duration::from_millis(deadline_ms), Duration::from_millis(idle_ms));
        let check_deadline = Duration::from_millis(check_deadline_ms);
        let (first, closing) = (usual.first.min(idle), usual.closing.min(idle));
        let bounds = Bounds {
            threads,
            connections,
            per_peer,
            in_flight,
            deadline,
            check_deadline,
            idle,
            first,
            closing,
            ..usual
        };
        let (clock, meters) = (Ticking(Arc::new(meters.time.clone())), Arc::clone(&meters.inner));
        let start = Start { listen, access, clock, bounds, meters, epoch, tls };
        let plane = py.detach(|| headway_serve::DataPlane::start(start)).map_err(PyOSError::new_err)?;
        let (address, process) = (plane.address(), std::process::id());
        Ok(DataPlane { plane: Mutex::new(Some(plane)), address, process })
    }

    #[getter]
    fn address(&self) -> String {
        self.address.to_string()
    }

    #[getter]
    fn port(&self) -> u16 {
        self.address.port()
    }

    /// Puts routes in the place of those there are, all at once.
    #[pyo3(signature = (checks, rls, holds = vec![], booked = vec![], rlqs = vec![], lent = vec![], ceilings = vec![], /), text_signature = "($self, checks, rls, holds=(), booked=(), rlqs=(), lent=(), ceilings=(), /)")]
    #[allow(clippy::too_many_arguments)] // Lists of one call: all take effect at once.
    fn routes(
        &self,
        checks: Vec<PyRef<'_, CheckRoute>>,
        rls: Vec<PyRef<'_, RlsRoute>>,
        holds: Vec<PyRef<'_, HoldRoute>>,
        booked: Vec<(String, String, String, String, u64)>,
        rlqs: Vec<PyRef<'_, RlqsRoute>>,
        lent: Vec<(String, String, String, u64)>,
        ceilings: Vec<(String, String, u64)>,
    ) -> PyResult<()> {
        let check = |route: &PyRef<'_, CheckRoute>| headway_serve::CheckRoute {
            contract: route.contract.clone(),
            tell: route.tell,
            paths: route.paths.clone(),
            matches: route.matches.clone(),
        };
        let rls_route = |route: &PyRef<'_, RlsRoute>| headway_serve::RlsRoute {
            domain: route.domain.clone(),
            descriptor: route.descriptor.clone(),
            path: Arc::clone(&route.path),
            matches: route.matches.clone(),
            matched: route.matched.clone(),
            tell: route.tell,
            post_paid: route.post_paid,
            refundable: route.refundable,
        };
        let hold = |route: &PyRef<'_, HoldRoute>| headway_serve::HoldRoute {
            contract: route.contract.clone(),
            tell: route.tell,
            paths: route.paths.clone(),
            max_hold_ns: route.max_hold_ns,
            drain_within_ns: route.drain_within_ns,
            tell_http: route.tell_http,
            matches: route.matches.clone(),
            opens: route.opens,
            floor: route.floor.as_ref().map(Arc::clone),
        };
        let rlqs_route = |route: &PyRef<'_, RlqsRoute>| headway_serve::RlqsRoute {
            domain: route.domain.clone(),
            bucket: route.bucket.clone(),
            path: Arc::clone(&route.path),
            terms: route.terms,
        };
        let routes = Routes::new(
            checks.iter().map(check).collect(),
            rls.iter().map(rls_route).collect(),
            holds.iter().map(hold).collect(),
            rlqs.iter().map(rlqs_route).collect(),
        );
        let routes = routes.map_err(PyValueError::new_err)?;
        if let Some(plane) = &*self.plane.lock().unwrap_or_else(PoisonError::into_inner) {
            plane.route(routes, &Left { booked, lent, ceilings });
        }
        Ok(())
    }

    /// (contract, streams, denied, assigned a second, booked a second) of every limit that is divided.
    fn divided(&self) -> Vec<(String, u64, u64, u64, u64)> {
        let plane = self.plane.lock().unwrap_or_else(PoisonError::into_inner);
        let all = plane.as_ref().map(headway_serve::DataPlane::divided).unwrap_or_default();
        all.into_iter()
            .map(|(contract, one)| (contract, one.streams, one.denied, one.assigned_per_s, one.booked_per_s))
            .collect()
    }

    /// Gates, what each does with each workload, and what is lent.
    fn seen<'py>(&self, py: Python<'py>) -> PyResult<crate::seen::Lists<'py>> {
        let read = || {
            let plane = self.plane.lock().unwrap_or_else(PoisonError::into_inner);
            plane.as_ref().map(headway_serve::DataPlane::seen).unwrap_or_default()
        };
        crate::seen::lists(py, py.detach(read))
    }

    /// (contract, workload, name of the token, demands) that gates admitted while they were cut off, since the last call.
    fn unguaranteed(&self) -> Vec<(String, String, String, u64)> {
        let plane = self.plane.lock().unwrap_or_else(PoisonError::into_inner);
        plane.as_ref().map(headway_serve::DataPlane::unguaranteed).unwrap_or_default()
    }

    /// Gates that are known: connected, or silent and not yet given up.
    #[getter]
    fn holders(&self) -> usize {
        self.plane.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, headway_serve::DataPlane::holders)
    }

    /// Takes no more connections, lets requests under way end, and ends its threads. Again: nothing.
    fn close(&self, py: Python<'_>) {
        let plane = self.plane.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut plane) = plane {
            if self.process == std::process::id() {
                py.detach(move || plane.close());
            } else {
                // A forked child has no such threads, and whatever they held stays held.
                std::mem::forget(plane);
            }
        }
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.plane.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

fn credential((name, sha256, roles): (String, Vec<u8>, Vec<String>)) -> PyResult<Credential> {
    let role = |word: &String| {
        Role::named(word)
            .ok_or_else(|| PyValueError::new_err(format!("{word:?} is no role: viewer, operator, approver or gate")))
    };
    let roles = roles.iter().map(role).collect::<PyResult<_>>()?;
    let sha256 = sha256.try_into();
    let sha256 = sha256.map_err(|_| PyValueError::new_err(format!("the hash of token {name:?} is not a SHA-256")))?;
    Ok(Credential { name, sha256, roles })
}
