//! All meters of a process: declaring, publishing, saving. Rare things; decisions take no lock of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::curve::Curve;
use crate::error::Error;
use crate::far::Far;
use crate::growth::Growths;
use crate::listeners::Listeners;
use crate::meter::{Meter, MeterSpec};
use crate::path::{Path, PathSpec};
use crate::reading::{MeterReading, PathReading};
use crate::saved::Saved;
use crate::shared::Shared;
use crate::sip::SipKey;
use crate::standing::Standing;

/// Meters that a process may declare; paths likewise.
const METERS_MAX: usize = 100_000;

struct Registry {
    meters: HashMap<String, Arc<Meter>>,
    order: Vec<Arc<Meter>>,
    paths: Vec<Weak<Path>>,
    shared: Arc<Shared>,
    /// UTC less the meters' clock, as the last publish said; None before the first.
    anchor: Option<i64>,
}

impl Registry {
    /// A meter, or a ceiling on one.
    fn counting(&self, name: &str) -> Option<&Meter> {
        let whole = self.meters.get(name).map(|meter| &**meter);
        whole.or_else(|| {
            let (meter, _) = name.rsplit_once('@')?;
            self.meters.get(meter)?.with_shares().find(|own| own.spec.name == name)
        })
    }
}

pub struct Meters {
    registry: Mutex<Registry>,
    growths: Arc<Growths>,
    standing: Arc<Standing>,
    published: Listeners,
}

impl Default for Meters {
    fn default() -> Meters {
        let growths = Arc::new(Growths::default());
        let standing = Arc::<Standing>::default();
        let shared = Arc::new(Shared::new(SipKey::random(), Arc::clone(&growths), Arc::clone(&standing)));
        let registry = Registry { meters: HashMap::new(), order: vec![], paths: vec![], shared, anchor: None };
        Meters { registry: Mutex::new(registry), growths, standing, published: Listeners::default() }
    }
}

impl Meters {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn growths(&self) -> &Arc<Growths> {
        &self.growths
    }

    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.registry().shared)
    }

    /// Adds meters, all or none. Errors: a name declared before, a spec that means nothing, too many.
    pub fn declare(&self, specs: Vec<MeterSpec>) -> Result<(), Error> {
        let mut registry = self.registry();
        let mut new: Vec<Arc<Meter>> = vec![];
        for spec in specs {
            let name = spec.name.clone();
            if registry.meters.contains_key(&name) || new.iter().any(|meter| meter.spec.name == name) {
                return Err(Error::Invalid(format!("a meter called {name:?} was declared before")));
            }
            new.push(Arc::new(Meter::new(spec, registry.shared.sip, &self.growths)?));
        }
        if registry.order.len() + new.len() > METERS_MAX {
            return Err(Error::Invalid(format!("a process has at most {METERS_MAX} meters")));
        }
        for meter in new {
            registry.meters.insert(meter.spec.name.clone(), Arc::clone(&meter));
            registry.order.push(meter);
        }
        Ok(())
    }

    /// Installs curves, all or none, in force from `now` on. Errors: an unknown meter, one named twice, another measure,
    /// no newer version, a level that a meter cannot hold. Returns the boot ns from which they are in force.
    pub fn publish(&self, curves: Vec<(String, Arc<Curve>)>, utc_ns: i64, now: i64) -> Result<i64, Error> {
        let mut registry = self.registry();
        let mut found = vec![];
        for (name, curve) in &curves {
            let meter = registry.meters.get(name).ok_or_else(|| Error::UnknownMeter(name.clone()))?;
            if found.iter().any(|(other, _): &(Arc<Meter>, _)| Arc::ptr_eq(other, meter)) {
                return Err(Error::Invalid(format!("meter {name:?} gets two curves at once")));
            }
            meter.may_install(curve)?;
            found.push((Arc::clone(meter), Arc::clone(curve)));
        }
        let anchor = utc_ns.saturating_sub(now);
        registry.anchor = Some(anchor);
        for (meter, curve) in &found {
            meter.install(curve, anchor, now);
        }
        drop(registry);
        for (meter, _) in &found {
            for meter in meter.with_shares() {
                meter.scaled.iter().for_each(|scaled| scaled.meter.bell.ring());
                meter.bell.ring();
            }
        }
        self.published.tell();
        Ok(now)
    }

    /// Calls `told` after every publish, for as long as its owner keeps it.
    pub fn on_publish(&self, told: &Arc<dyn Fn() + Send + Sync>) {
        self.published.add(told);
    }

    /// Errors: a meter that was not declared, a path that means nothing.
    pub fn path(&self, spec: PathSpec) -> Result<Arc<Path>, Error> {
        let mut registry = self.registry();
        let find = |name: &String| registry.meters.get(name).cloned().ok_or_else(|| Error::UnknownMeter(name.clone()));
        let meters = spec.steps.iter().map(|(name, ..)| find(name)).collect::<Result<Vec<_>, _>>()?;
        registry.paths.retain(|path| path.strong_count() > 0);
        if registry.paths.len() >= METERS_MAX {
            return Err(Error::Invalid(format!("a process has at most {METERS_MAX} limiters")));
        }
        let path = Arc::new(Path::new(spec, &meters, Arc::clone(&registry.shared))?);
        registry.paths.push(Arc::downgrade(&path));
        Ok(path)
    }

    /// A path whose demands are decided by `far`. Errors: too many.
    pub fn distant(&self, contract: &str, workload: &str, far: Arc<dyn Far>) -> Result<Arc<Path>, Error> {
        let mut registry = self.registry();
        registry.paths.retain(|path| path.strong_count() > 0);
        if registry.paths.len() >= METERS_MAX {
            return Err(Error::Invalid(format!("a process has at most {METERS_MAX} limiters")));
        }
        let shared = Arc::clone(&registry.shared);
        let path = Arc::new(Path::distant(contract, workload, far, shared));
        registry.paths.push(Arc::downgrade(&path));
        Ok(path)
    }

    fn all_meters(&self) -> Vec<Arc<Meter>> {
        self.registry().order.clone()
    }

    fn all_paths(&self) -> Vec<Arc<Path>> {
        self.registry().paths.iter().filter_map(Weak::upgrade).collect()
    }

    /// Readings of all meters that have a curve, in the order of their declaration.
    pub fn snapshot(&self, now: i64) -> Vec<MeterReading> {
        self.all_meters().iter().filter_map(|meter| meter.reading(now)).collect()
    }

    pub fn paths(&self) -> Vec<PathReading> {
        self.all_paths().iter().map(|path| path.reading()).collect()
    }

    pub fn keys(&self, meter: &str, now: i64, most: usize) -> Result<Vec<(String, i64, i64)>, Error> {
        let found = self.registry().meters.get(meter).cloned();
        Ok(found.ok_or_else(|| Error::UnknownMeter(meter.to_owned()))?.pressing(now, most))
    }

    /// Bytes of a meter's table of keys, and of those that count for its workloads.
    pub fn key_bytes(&self, meter: &str) -> Result<usize, Error> {
        let found = self.registry().meters.get(meter).cloned();
        let found = found.ok_or_else(|| Error::UnknownMeter(meter.to_owned()))?;
        Ok(found.with_shares().filter_map(|meter| meter.keys.as_ref()).map(crate::keys::Keys::bytes).sum())
    }

    // --- stops and starts -------------------------------------------------------------------------------------------

    /// All marks, relative to their curves. Call after `close`.
    pub fn save(&self, now: i64) -> Vec<u8> {
        let (sip, anchor) = {
            let registry = self.registry();
            (registry.shared.sip, registry.anchor)
        };
        let meters = self.all_meters();
        // A meter's own anchor may be older than what was last said of UTC.
        let utc_ns = anchor.map_or(0, |anchor| now.saturating_add(anchor));
        let all = meters.iter().flat_map(|meter| meter.with_shares());
        let kept = all.filter_map(|meter| Some((meter.spec.name.clone(), meter.kept(now, utc_ns)?)));
        Saved { sip, meters: kept.collect() }.to_bytes()
    }

    /// Takes up what `save` wrote. Marks of meters that are no longer declared are let go. Errors: not ours, damaged, or
    /// after a publish, a limiter or a restore: the hash key of keys cannot change under them.
    pub fn restore(&self, bytes: &[u8]) -> Result<(), Error> {
        let saved = Saved::from_bytes(bytes)?;
        let mut registry = self.registry();
        if registry.anchor.is_some() || !registry.paths.is_empty() {
            return Err(Error::invalid("restore before the first publish and the first limiter"));
        }
        let shared = Arc::new(Shared::new(saved.sip, Arc::clone(&self.growths), Arc::clone(&self.standing)));
        // The keys' hashes were made with the saved key, so every meter is made anew with it.
        let mut order = vec![];
        for meter in &registry.order {
            order.push(Arc::new(Meter::new(meter.spec.clone(), saved.sip, &self.growths)?));
        }
        let mut kept: HashMap<String, _> = saved.meters.into_iter().collect();
        for meter in &order {
            for own in meter.with_shares() {
                if let Some(kept) = kept.remove(&own.spec.name) {
                    own.restore(kept)?;
                }
            }
        }
        registry.meters = order.iter().map(|meter| (meter.spec.name.clone(), Arc::clone(meter))).collect();
        registry.order = order;
        registry.shared = shared;
        Ok(())
    }

    /// Rows of the durable count: (meter, key, window start, drawn); see the binding's stub. Errors: an unknown meter, a
    /// key where there are none or none where there are, a negative amount, a meter that has its curve already.
    pub fn restore_drawn(&self, rows: &[(String, String, i64, i64)]) -> Result<(), Error> {
        let registry = self.registry();
        for (name, key, window_start_ns, drawn) in rows {
            let meter = registry.counting(name).ok_or_else(|| Error::UnknownMeter(name.clone()))?;
            if meter.spec.keys_max.is_some() == key.is_empty() {
                return Err(Error::Invalid(format!("meter {name:?}: the row's key {key:?} does not fit it")));
            }
            if let Some(scaled) = meter.scaled.iter().find(|s| *s.text == **key) {
                scaled.meter.restore_drawn(None, *window_start_ns, *drawn)?;
                continue;
            }
            let hash = (!key.is_empty()).then(|| registry.shared.sip.hash(key.as_bytes()));
            meter.restore_drawn(hash, *window_start_ns, *drawn)?;
        }
        Ok(())
    }

    /// Every later demand is refused as `closed`; waiters wake.
    pub fn close(&self) {
        self.standing.close();
        self.all_paths().iter().for_each(|path| path.queue.wake_all());
    }

    /// This process decides before `until`, on the meters' clock, and not from then on: a mandate was renewed, or is to end.
    /// Demands are refused as `cut_off` where it has ended. What was closed stays closed.
    pub fn decide_until(&self, until: i64) {
        self.standing.decide_until(until);
    }

    /// Only an atomic store: this runs in a forked child, where any lock may be held by a thread that is not there.
    pub fn mark_forked(&self) {
        self.standing.fork();
    }

    /// Wakes the heads of all queues: a manual clock has moved.
    pub fn ring_all(&self) {
        self.all_paths().iter().for_each(|path| path.queue.wake_heads());
    }
}
