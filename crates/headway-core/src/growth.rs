//! Durable draws: what a meter asks the store to count before it admits.
//!
//! A quota admits only what was drawn and granted, a rate only up to the mark that the store knows of; after a crash all
//! that was drawn counts as used. Draws are asked for ahead, so that only the first one waits for a commit. The ledger's
//! one writer thread takes them in batches and answers. Source: interfaces, 3; design, sections 3 and 6.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::atomics::{AtomicI64, AtomicU64, Ordering};
use crate::curve::Measure;
use crate::error::Error;
use crate::hot::Look;
use crate::keys::Keys;
use crate::listeners::Listeners;
use crate::meter::Meter;
use crate::word::{AMOUNT_MAX, Tagged};

/// Draws that may wait for the writer; beyond it demands are refused as `drawing`.
const PENDING_MAX: usize = 100_000;
/// The parts of a limit or burst that one draw asks for.
const PARTS: u64 = 20;

/// One durable draw, as the writer thread sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    pub batch_id: u64,
    /// `quota_draw`, `rate_mark`, `booking`, `lent_slots` or `loan_ceiling`.
    pub kind: &'static str,
    pub meter: String,
    /// Empty where the meter has no keys.
    pub key: String,
    /// Quota: micro-units. Rate: the UTC ns up to which use becomes durable. Ceiling: the micro-units that it is now.
    pub by_micro: i64,
    pub window_start_ns: i64,
}

/// How a draw ended; demands wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    Pending,
    Granted,
    NoRoom,
    Fenced,
}

#[derive(Debug)]
pub(crate) struct Draw(Mutex<Drawn>);

impl Draw {
    pub(crate) fn outcome(&self) -> Drawn {
        *lock(&self.0)
    }
}

/// Something on its way to being durable, for whoever must not go on before.
pub struct Booked(Arc<Draw>);

impl Booked {
    /// Whether it is; None: not yet answered.
    pub fn outcome(&self) -> Option<bool> {
        match self.0.outcome() {
            Drawn::Pending => None,
            Drawn::Granted => Some(true),
            Drawn::NoRoom | Drawn::Fenced => Some(false),
        }
    }
}

/// What waits for the writer.
enum Item {
    Draw(Pending),
    /// What is out at gates.
    Out {
        kind: &'static str,
        contract: String,
        whose: String,
        micro: i64,
        draw: Arc<Draw>,
    },
}

impl Item {
    fn growth(&self, batch_id: u64) -> Growth {
        match self {
            Item::Draw(pending) => pending.growth(batch_id),
            Item::Out { kind, contract, whose, micro, .. } => Growth {
                batch_id,
                kind,
                meter: contract.clone(),
                key: whose.clone(),
                by_micro: *micro,
                window_start_ns: 0,
            },
        }
    }

    fn end(self, outcome: Drawn) {
        match self {
            Item::Draw(pending) => pending.end(outcome),
            Item::Out { draw, .. } => *lock(&draw.0) = outcome,
        }
    }
}

struct Pending {
    meter: Arc<Meter>,
    key: Option<(u64, String)>,
    /// The window's tag and counts of a quota; a rate's UTC instant.
    grant: Grant,
    window_start_utc: i64,
    draw: Arc<Draw>,
}

#[derive(Debug, Clone, Copy)]
enum Grant {
    Quota(Tagged),
    Mark(i64),
}

impl Pending {
    fn growth(&self, batch_id: u64) -> Growth {
        let (kind, by_micro) = match self.grant {
            Grant::Quota(by) => ("quota_draw", (by.amount << self.meter.shift) as i64),
            Grant::Mark(utc_ns) => ("rate_mark", utc_ns),
        };
        let text = self.key.as_ref().map(|(_, text)| text.as_str()).or(self.meter.own_key.as_deref());
        let key = text.unwrap_or_default().to_owned();
        let meter = self.meter.spec.name.clone();
        Growth { batch_id, kind, meter, key, by_micro, window_start_ns: self.window_start_utc }
    }

    /// Ends the draw: first the grant, then the outcome, so that who sees `Granted` finds the room.
    fn end(self, outcome: Drawn) {
        let Some(draws) = &self.meter.draws else { return };
        let hash = self.key.as_ref().map(|(hash, _)| *hash);
        if outcome == Drawn::Granted {
            match self.grant {
                Grant::Quota(by) => draws.add(hash, by),
                Grant::Mark(utc_ns) => {
                    draws.know_until(utc_ns);
                    if let Some(curve) = self.meter.installed() {
                        let mark = curve.entitlement(utc_ns.saturating_sub(curve.anchor));
                        self.meter.durable_to.fetch_max(mark, Ordering::SeqCst);
                    }
                }
            }
        }
        lock(&draws.pending).remove(&hash);
        *lock(&self.draw.0) = outcome;
        self.meter.bell.ring();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Asked {
    queue: VecDeque<Item>,
    batches: HashMap<u64, Vec<Item>>,
    next_batch: u64,
    closed: Option<String>,
}

/// The queue between meters and the writer thread.
#[derive(Default)]
pub struct Growths {
    asked: Mutex<Asked>,
    has_asked: Condvar,
    has_answered: Condvar,
    listeners: Listeners,
}

impl Growths {
    /// The next batch of at most `most`, or none after `wait`.
    pub fn take(&self, most: usize, wait: Duration) -> Vec<Growth> {
        let asked = lock(&self.asked);
        let (mut asked, _) = self
            .has_asked
            .wait_timeout_while(asked, wait, |asked| asked.queue.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let count = asked.queue.len().min(most);
        if count == 0 {
            return vec![];
        }
        let batch: Vec<Item> = asked.queue.drain(..count).collect();
        asked.next_batch += 1;
        let id = asked.next_batch;
        let growths = batch.iter().map(|pending| pending.growth(id)).collect();
        asked.batches.insert(id, batch);
        growths
    }

    /// Adds to what a holder has booked of a contract by single demands, or takes off. None: the queue is closed or full.
    pub fn book(&self, contract: &str, holder: &str, by_micro: i64) -> Option<Booked> {
        self.put("booking", contract, holder.to_owned(), by_micro)
    }

    /// Adds to the slots that a holder is lent of a contract's workload, or takes off. None: the queue is closed or full.
    pub fn lend_slots(&self, contract: &str, workload: &str, holder: u128, by_micro: i64) -> Option<Booked> {
        self.put("lent_slots", contract, format!("{workload}\n{holder:032x}"), by_micro)
    }

    /// Sets how many micro-units of a contract's workload may be on loan. None: the queue is closed or full.
    pub fn loan_ceiling(&self, contract: &str, workload: &str, to_micro: u64) -> Option<Booked> {
        self.put("loan_ceiling", contract, workload.to_owned(), i64::try_from(to_micro).ok()?)
    }

    fn put(&self, kind: &'static str, contract: &str, whose: String, micro: i64) -> Option<Booked> {
        let draw = Arc::new(Draw(Mutex::new(Drawn::Pending)));
        let (contract, kept) = (contract.to_owned(), Arc::clone(&draw));
        let mut asked = lock(&self.asked);
        if asked.closed.is_some() || asked.queue.len() >= PENDING_MAX {
            return None;
        }
        asked.queue.push_back(Item::Out { kind, contract, whose, micro, draw: kept });
        self.has_asked.notify_one();
        Some(Booked(draw))
    }

    /// One byte an item: 1 granted, 0 no room, 2 fenced. Errors: an unknown batch, another length, another byte.
    pub fn answer(&self, batch_id: u64, ok: &[u8]) -> Result<(), Error> {
        let batch = {
            let mut asked = lock(&self.asked);
            let length = match asked.batches.get(&batch_id) {
                Some(batch) => batch.len(),
                None => return Err(Error::invalid(format!("batch {batch_id} is not out, or was answered"))),
            };
            if ok.len() != length || ok.iter().any(|byte| *byte > 2) {
                return Err(Error::invalid(format!("batch {batch_id} wants {length} bytes of 0, 1 or 2")));
            }
            asked.batches.remove(&batch_id).unwrap_or_default()
        };
        for (pending, byte) in batch.into_iter().zip(ok) {
            pending.end(match byte {
                1 => Drawn::Granted,
                0 => Drawn::NoRoom,
                _ => Drawn::Fenced,
            });
        }
        self.wake_waiting();
        Ok(())
    }

    /// Refuses every pending and later draw as `not_durable`. What is out with the writer stays answerable.
    pub fn close(&self, reason: &str) {
        let queue = {
            let mut asked = lock(&self.asked);
            asked.closed = Some(reason.to_owned());
            std::mem::take(&mut asked.queue)
        };
        for pending in queue {
            pending.end(Drawn::Fenced);
        }
        self.wake_waiting();
    }

    pub fn reopen(&self) {
        lock(&self.asked).closed = None;
    }

    /// Calls `told` whenever the store has answered, for as long as its owner keeps it.
    pub fn on_answer(&self, told: &Arc<dyn Fn() + Send + Sync>) {
        self.listeners.add(told);
    }

    /// Lets waiting demands look at their draws; the lock orders this after their own look.
    fn wake_waiting(&self) {
        let asked = lock(&self.asked);
        self.has_answered.notify_all();
        drop(asked);
        self.listeners.tell();
    }

    /// Waits for the end of a draw, at most `at_most`.
    pub(crate) fn wait(&self, draw: &Draw, at_most: Duration) -> Drawn {
        let asked = lock(&self.asked);
        let waited = self.has_answered.wait_timeout_while(asked, at_most, |_| draw.outcome() == Drawn::Pending);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        draw.outcome()
    }
}

/// What a durable meter knows of its draws.
pub(crate) struct Draws {
    growths: Arc<Growths>,
    /// What was granted for a window, tagged; by key where there are keys.
    granted: AtomicU64,
    by_key: Option<Keys>,
    latest_tag: AtomicU64,
    /// The UTC instant up to which a rate's use is durable; `i64::MIN` for none.
    until: AtomicI64,
    pending: Mutex<HashMap<Option<u64>, Arc<Draw>>>,
}

impl Draws {
    pub(crate) fn new(growths: Arc<Growths>, keys_max: Option<usize>) -> Draws {
        Draws {
            growths,
            granted: AtomicU64::new(0),
            // Twice as many: a window's keys are dropped a little after the next window's have come.
            by_key: keys_max.map(|most| Keys::new(most.saturating_mul(2))),
            latest_tag: AtomicU64::new(0),
            until: AtomicI64::new(i64::MIN),
            pending: Mutex::new(HashMap::new()),
        }
    }

    /// Counts granted for the window `tag`.
    pub(crate) fn granted(&self, key: Option<u64>, tag: u16) -> u64 {
        let granted = match (&self.by_key, key) {
            (Some(keys), Some(hash)) => Tagged::of(keys.value(hash).value()),
            _ => Tagged::of(self.granted.load(Ordering::Acquire)),
        };
        if granted.tag == tag { granted.amount } else { 0 }
    }

    /// Adds to what was granted; to that of an earlier window nothing, for it is over.
    fn add(&self, key: Option<u64>, by: Tagged) {
        let before = self.granted(key, by.tag);
        self.grant(key, Tagged { tag: by.tag, amount: before.saturating_add(by.amount).min(AMOUNT_MAX) });
    }

    /// Sets what was granted. Only the writer thread and the start come here, one at a time.
    pub(crate) fn grant(&self, key: Option<u64>, granted: Tagged) {
        let latest = Tagged { tag: self.latest_tag.load(Ordering::Acquire) as u16, amount: 0 };
        if !latest.is_after(granted.tag) {
            self.latest_tag.store(u64::from(granted.tag), Ordering::Release);
        }
        let Some((keys, hash)) = self.by_key.as_ref().zip(key) else {
            self.granted.store(granted.value(), Ordering::Release);
            return;
        };
        let tag = granted.tag;
        let is_alive = |value: u64| !Tagged { tag, amount: 0 }.is_after(Tagged::of(value).tag);
        // With no slot left the key's grant is forgotten and drawn again: the store counts too much, never too little.
        keys.with(hash, &is_alive, |word, _| word.replace(word.load(), granted.value()).ok()).unwrap_or(());
    }

    pub(crate) fn known_until(&self) -> Option<i64> {
        let until = self.until.load(Ordering::SeqCst);
        (until > i64::MIN).then_some(until)
    }

    pub(crate) fn know_until(&self, utc_ns: i64) {
        self.until.fetch_max(utc_ns, Ordering::SeqCst);
    }

    pub(crate) fn forget_until(&self) {
        self.until.store(i64::MIN, Ordering::SeqCst);
    }

    /// Asks for what a demand needs, unless that is on its way. None: the queue is closed; Err: it is full.
    pub(crate) fn ask(
        &self,
        meter: &Arc<Meter>,
        key: Option<(u64, &str)>,
        want: u64,
        look: &Look,
        now: i64,
    ) -> Result<Arc<Draw>, Closed> {
        let hash = key.map(|(hash, _)| hash);
        let mut pending = lock(&self.pending);
        if let Some(draw) = pending.get(&hash) {
            return Ok(Arc::clone(draw));
        }
        let Some(curve) = meter.installed() else { return Err(Closed::Full) };
        let (grant, window_start_utc) = if meter.spec.measure == Measure::Rate {
            let burst = curve.piece(now).burst(now, &curve.grains);
            let ahead = want.saturating_add(chunk(meter, burst));
            // Where the curve never gets there, what is entitled now always covers an admitted mark.
            let until = curve.reached(ahead).or_else(|| curve.reached(look.e)).unwrap_or(now);
            (Grant::Mark(until.saturating_add(curve.anchor)), 0)
        } else {
            let granted = self.granted(hash, look.tag);
            let left = look.limit.saturating_sub(granted);
            let by = want.saturating_sub(granted).max(chunk(meter, look.limit).min(left / 4)).min(left);
            let start = curve.windows.iter().find(|w| w.tag == look.tag).map_or(0, |w| w.start_utc);
            (Grant::Quota(Tagged { tag: look.tag, amount: by }), start)
        };
        let draw = Arc::new(Draw(Mutex::new(Drawn::Pending)));
        let item = Pending {
            meter: Arc::clone(meter),
            key: key.map(|(hash, text)| (hash, text.to_owned())),
            grant,
            window_start_utc,
            draw: Arc::clone(&draw),
        };
        let mut asked = lock(&self.growths.asked);
        if asked.closed.is_some() {
            return Err(Closed::NotDurable);
        }
        if asked.queue.len() >= PENDING_MAX {
            return Err(Closed::Full);
        }
        asked.queue.push_back(Item::Draw(item));
        self.growths.has_asked.notify_one();
        drop(asked);
        pending.insert(hash, Arc::clone(&draw));
        Ok(draw)
    }

    /// Asks ahead where less than half a chunk is left of what was granted.
    pub(crate) fn ask_ahead(&self, meter: &Arc<Meter>, key: Option<(u64, &str)>, now: i64) {
        let Some(look) = meter.look(now) else { return };
        let hash = key.map(|(hash, _)| hash);
        let amount = meter.amount(hash, &look);
        let is_low = if meter.spec.measure == Measure::Rate {
            let half = meter.installed().map_or(0, |c| chunk(meter, c.piece(now).burst(now, &c.grains)) / 2);
            meter.durable_to.load(Ordering::Acquire) < amount.max(look.k).saturating_add(half)
        } else {
            let granted = self.granted(hash, look.tag);
            granted < look.limit && granted.saturating_sub(amount) < chunk(meter, look.limit) / 2
        };
        if is_low && !lock(&self.pending).contains_key(&hash) {
            // A closed or full queue is told to the demand that needs the draw, not to the one before it.
            drop(self.ask(meter, key, amount.max(look.k), &look, now));
        }
    }
}

/// Why a draw could not be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    NotDurable,
    Full,
}

/// What one draw asks for: what the spec says, else a twentieth.
fn chunk(meter: &Meter, of: u64) -> u64 {
    match (meter.spec.chunk_micro, meter.spec.measure) {
        (0, _) => of / PARTS,
        (micro, Measure::Rate) => {
            u64::try_from((u128::from(micro) << meter.grains.log2).div_ceil(u128::from(crate::grain::MICRO)))
                .unwrap_or(of)
        }
        (micro, _) => micro.div_ceil(1 << meter.shift),
    }
}
