//! The data plane as a whole: its threads, its routes, its end.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use headway_core::divide::Divided;
use headway_core::lease::{self, PartRow, Row};
use headway_core::{Clock, Meters};
use headway_wire::hold::HOLDER_BYTES;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};

use crate::access::Access;
use crate::bounds::Bounds;
use crate::holders::Holders;
use crate::keeping::{Keeping, LeftBehind, part_in};
use crate::routes::Routes;
use crate::seen::Seen;
use crate::tls::Tls;
use crate::unguaranteed::Notes;

/// How often silent gates are looked after.
const SWEEP: Duration = Duration::from_millis(200);
/// How often a demand that waits for a durable draw looks again.
const BREATH: Duration = Duration::from_millis(1);

/// The meters' clock.
pub struct Ticking(pub Arc<dyn Clock + Send + Sync>);

impl Clock for Ticking {
    #[inline]
    fn boot_ns(&self) -> i64 {
        self.0.boot_ns()
    }
}

/// What the run before this one left at gates, as the ledger has it.
#[derive(Debug, Clone, Default)]
pub struct Left {
    /// (contract, workload, holder in hex, key, units) of single demands; the key is empty where there are none.
    pub booked: Vec<(String, String, String, String, u64)>,
    /// (contract, workload, holder in hex, micro-units) of slots that are lent.
    pub lent: Vec<(String, String, String, u64)>,
    /// (contract, workload, micro-units) of rates: what may be on loan.
    pub ceilings: Vec<(String, String, u64)>,
}

/// What a data plane starts with.
pub struct Start {
    pub listen: SocketAddr,
    pub access: Access,
    pub clock: Ticking,
    pub bounds: Bounds,
    /// On which limits are kept; what gates hold of them is written to the same ledger.
    pub meters: Arc<Meters>,
    /// The number of this run: above those of all runs before it over the same ledger.
    pub epoch: u64,
    /// None: what is spoken is not encrypted.
    pub tls: Option<Tls>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) access: Access,
    pub(crate) clock: Arc<Ticking>,
    pub(crate) holders: Holders,
    pub(crate) keeping: Arc<Keeping>,
    pub(crate) unguaranteed: Notes,
    pub(crate) tls: Option<Tls>,
    pub(crate) bounds: Bounds,
    routes: RwLock<Arc<Routes>>,
    /// Gates are heard from then on: one that restates what it has must find its contracts.
    pub(crate) is_routed: AtomicBool,
    pub(crate) in_flight: AtomicUsize,
    /// The number of the next stream that a limit is divided for.
    pub(crate) next_stream: AtomicU64,
    /// Changes with every publish.
    pub(crate) published: watch::Receiver<()>,
    /// Tells it: for as long as this is here.
    _publishes: Arc<dyn Fn() + Send + Sync>,
    /// Told to such streams when the plane closes.
    pub(crate) ends: Notify,
}

impl Shared {
    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// When a request was first seen, and by when it has to be decided; past that, or in too large a crowd, it is late.
pub(crate) struct Asked {
    until: i64,
    is_crowded: bool,
}

impl Asked {
    pub(crate) fn now(shared: &Shared, deadline: Duration) -> Asked {
        let deadline = i64::try_from(deadline.as_nanos()).unwrap_or(i64::MAX);
        let is_crowded = shared.in_flight.load(Ordering::Relaxed) > shared.bounds.in_flight;
        Asked::until(headway_clock::boot_ns().saturating_add(deadline), is_crowded)
    }

    pub(crate) fn until(until: i64, is_crowded: bool) -> Asked {
        Asked { until, is_crowded }
    }

    pub(crate) fn is_late(&self) -> bool {
        self.is_crowded || headway_clock::boot_ns() >= self.until
    }

    /// Lets others go on before a demand looks again whether its draw has come.
    pub(crate) async fn breathe(&self) {
        tokio::time::sleep(BREATH).await;
    }
}

/// A data plane that serves until it is closed or dropped.
pub struct DataPlane {
    shared: Arc<Shared>,
    address: SocketAddr,
    closing: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

impl DataPlane {
    /// Listens, with no routes yet. Errors: the address cannot be used, or the system has no threads to give.
    pub fn start(start: Start) -> io::Result<DataPlane> {
        let Start { listen, access, clock, bounds, meters, epoch, tls } = start;
        let clock = Arc::new(clock);
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(bounds.threads.max(1))
            .max_blocking_threads(1)
            .thread_name("headway-data")
            .enable_io()
            .enable_time()
            .build()?;
        let keeping = Arc::new(Keeping::new(&meters, Arc::clone(&clock), epoch, runtime.handle().clone()));
        let holders = Holders::new(Arc::clone(meters.growths()), Arc::clone(&clock), Arc::clone(&keeping));
        let (routes, in_flight) = (RwLock::default(), AtomicUsize::new(0));
        let (publishes, published) = watch::channel(());
        let publishes: Arc<dyn Fn() + Send + Sync> = Arc::new(move || publishes.send_replace(()));
        meters.on_publish(&publishes);
        let shared = Arc::new(Shared {
            access,
            clock,
            holders,
            keeping,
            unguaranteed: Notes::default(),
            tls,
            bounds,
            routes,
            is_routed: AtomicBool::new(false),
            in_flight,
            next_stream: AtomicU64::new(0),
            published,
            _publishes: publishes,
            ends: Notify::new(),
        });
        let (closing, told) = watch::channel(false);
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        runtime.spawn(crate::accept::run(listener, Arc::clone(&shared), told.clone()));
        runtime.spawn(crate::rlqs::divide(Arc::clone(&shared), told.clone()));
        runtime.spawn(sweep(Arc::clone(&shared), told));
        Ok(DataPlane { shared, address, closing, runtime: Some(runtime) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts new routes in the place of the old ones. A request is answered by the ones it found.
    ///
    /// `left`, at the first routing, is what gates had when the process before this one ended. It stays held until the gate
    /// restates what it has, or has been silent for its term and `max_hold`. What was of contracts without a route is
    /// nobody's any more. No gate is heard before.
    pub fn route(&self, mut routes: Routes, left: &Left) {
        let now = headway_clock::boot_ns();
        let mut lent: HashMap<(&str, &str), LeftBehind> = HashMap::new();
        for (contract, workload, holder, micro) in &left.lent {
            let Some(name) = name_of(holder) else { continue };
            if let Some((of_tokens, gate)) = part_in(workload) {
                // A floor that is divided is of a contract with one path.
                if let Ok((kept, _)) = routes.hold(contract, None) {
                    let holder = lease::Holder(u128::from_be_bytes(name));
                    let row = PartRow { name: gate.to_owned(), holder };
                    lent.entry((contract, &kept.path.spec().workload)).or_default().parts.push((of_tokens, row));
                }
            } else {
                let row = Row { holder: lease::Holder(u128::from_be_bytes(name)), units: *micro };
                lent.entry((contract, workload)).or_default().rows.push(row);
            }
        }
        for (contract, workload, micro) in &left.ceilings {
            lent.entry((contract, workload)).or_default().ceiling_micro = *micro;
        }
        for ((contract, workload), left) in &lent {
            if let Ok((kept, _)) = routes.hold(contract, Some(workload)) {
                self.shared.keeping.inherit(kept, left);
            }
        }
        for (contract, workload, holder, key, units) in &left.booked {
            if let (Some(name), Ok((kept, _))) = (name_of(holder), routes.hold(contract, Some(workload))) {
                // An empty key is a key, where there are keys.
                let key = kept.path.needs_key().then(|| Arc::from(key.as_str()));
                self.shared.holders.inherit(now, name, kept, key, *units);
            }
        }
        let mut present = self.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.inherit(&present);
        *present = Arc::new(routes);
        drop(present);
        self.shared.is_routed.store(true, Ordering::SeqCst);
    }

    /// (contract, what its division is like) of every limit that is divided here.
    pub fn divided(&self) -> Vec<(String, Divided)> {
        let (routes, now) = (self.shared.routes(), self.shared.clock.boot_ns());
        routes.divisions().map(|division| (division.contract().to_owned(), division.reading(now))).collect()
    }

    /// What gates do, and how long it takes them.
    pub fn seen(&self) -> Seen {
        crate::seen::seen(&self.shared)
    }

    /// (contract, workload, name of the token, demands) that gates admitted while they were cut off, since the last call.
    pub fn unguaranteed(&self) -> Vec<(String, String, String, u64)> {
        self.shared.unguaranteed.take()
    }

    /// Gates that are known: connected, or silent and not yet given up.
    pub fn holders(&self) -> usize {
        self.shared.holders.len()
    }

    /// Takes no more connections, lets requests under way end within `Bounds::closing`, and ends. A second call does
    /// nothing.
    pub fn close(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        runtime.block_on(self.shared.keeping.call_back());
        self.closing.send_replace(true);
        let wait = async { tokio::time::timeout(self.shared.bounds.closing, self.closing.closed()).await };
        // Whoever is not done by then is cut off with the threads.
        let _: Result<(), tokio::time::error::Elapsed> = runtime.block_on(wait);
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// Looks after silent gates until the end.
async fn sweep(shared: Arc<Shared>, mut closing: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => shared.holders.sweep(headway_clock::boot_ns()),
            _ = closing.changed() => return,
        }
    }
}

fn name_of(hex: &str) -> Option<[u8; HOLDER_BYTES]> {
    let digits = hex.as_bytes();
    if digits.len() != 2 * HOLDER_BYTES || !hex.is_ascii() {
        return None;
    }
    let mut name = [0; HOLDER_BYTES];
    for (byte, pair) in name.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(name)
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
