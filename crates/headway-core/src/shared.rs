//! What all limiters of a process share: whether it still decides, the hash key, the draws, the stories.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::atomics::{AtomicU64, Ordering};
use crate::growth::Growths;
use crate::refusal::Refusal;
use crate::sip::SipKey;
use crate::standing::Standing;

/// Refusals whose story is kept: the last ones whose `ref` somebody asked for.
pub const STORIES_MAX: usize = 4_096;

pub struct Shared {
    pub(crate) standing: Arc<Standing>,
    pub(crate) sip: SipKey,
    pub(crate) growths: Arc<Growths>,
    stories: Mutex<VecDeque<(u32, Refusal)>>,
    next_ref: AtomicU64,
}

impl Shared {
    /// `standing` outlives the rest: a restore makes everything else anew, a fork handler takes no lock to reach it.
    pub(crate) fn new(sip: SipKey, growths: Arc<Growths>, standing: Arc<Standing>) -> Shared {
        // Refs of another process are unlikely to mean something here: they start anywhere.
        let start = sip.hash(b"ref");
        Shared { standing, sip, growths, stories: Mutex::new(VecDeque::new()), next_ref: AtomicU64::new(start) }
    }

    pub fn is_forked(&self) -> bool {
        self.standing.is_forked()
    }

    /// Keeps a refusal's story under a short name: six hexadecimal digits, which repeat after 16 million refs.
    pub(crate) fn tell(&self, refusal: Refusal) -> u32 {
        let count = self.next_ref.fetch_add(1, Ordering::Relaxed);
        // An odd factor makes neighbours look unlike and keeps every name apart.
        let name = (count.wrapping_mul(0x9e_3779) & 0xff_ffff) as u32;
        let mut stories = self.stories.lock().unwrap_or_else(PoisonError::into_inner);
        stories.push_back((name, refusal.named(name)));
        if stories.len() > STORIES_MAX {
            stories.pop_front();
        }
        name
    }

    /// The refusal behind a ref, with or without `hw:`.
    pub fn story(&self, reference: &str) -> Option<Refusal> {
        let name = reference.strip_prefix("hw:").unwrap_or(reference);
        let name = u32::from_str_radix(name, 16).ok().filter(|_| name.len() == 6)?;
        let stories = self.stories.lock().unwrap_or_else(PoisonError::into_inner);
        stories.iter().rev().find(|(known, _)| *known == name).map(|(_, refusal)| refusal.clone())
    }
}
