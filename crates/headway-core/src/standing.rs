//! Whether this process decides: it is neither closed nor a forked child, and its mandate lasts.

use crate::atomics::{AtomicI64, Ordering};
use crate::why::Why;

/// Stands for every instant: what was closed does not open again.
const CLOSED: i64 = i64::MIN;
const FORKED: i64 = i64::MIN + 1;

/// One word, the instant before which this process decides. Where no mandate has to be renewed it never comes.
#[derive(Debug)]
pub(crate) struct Standing(AtomicI64);

impl Default for Standing {
    fn default() -> Standing {
        Standing(AtomicI64::new(i64::MAX))
    }
}

impl Standing {
    #[inline]
    pub(crate) fn decides(&self, now: i64) -> bool {
        now < self.0.load(Ordering::Relaxed)
    }

    /// Why nothing is decided.
    #[cold]
    pub(crate) fn why(&self) -> Why {
        if self.0.load(Ordering::Relaxed) <= FORKED { Why::Closed } else { Why::CutOff }
    }

    /// Decides before `until` from now on, later or earlier than before; not where it was closed or forked.
    pub(crate) fn decide_until(&self, until: i64) {
        let until = until.max(FORKED + 1);
        // Err: it is closed or forked, and stays so.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |known| (known > FORKED).then_some(until));
    }

    pub(crate) fn close(&self) {
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |known| (known != FORKED).then_some(CLOSED));
    }

    /// Only an atomic store: this runs in a forked child.
    pub(crate) fn fork(&self) {
        self.0.store(FORKED, Ordering::SeqCst);
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.0.load(Ordering::Relaxed) == FORKED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_mandate_to_renew_it_decides_until_it_is_closed() {
        let standing = Standing::default();
        assert!(standing.decides(i64::MAX - 1));

        standing.close();

        assert!(!standing.decides(i64::MIN) && !standing.decides(0));
        assert_eq!(Why::Closed, standing.why());
    }

    #[test]
    fn a_mandate_is_renewed_and_ends_by_itself() {
        let standing = Standing::default();
        standing.decide_until(10);
        assert!(standing.decides(9) && !standing.decides(10));
        assert_eq!(Why::CutOff, standing.why());

        standing.decide_until(20);
        assert!(standing.decides(19));
        standing.decide_until(i64::MIN);
        assert!(!standing.decides(0) && !standing.is_forked());
    }

    #[test]
    fn a_renewal_that_comes_late_opens_nothing_that_was_closed_or_forked() {
        for end in [Standing::close, Standing::fork] {
            let standing = Standing::default();
            end(&standing);
            standing.decide_until(i64::MAX);
            assert!(!standing.decides(0));
            assert_eq!(Why::Closed, standing.why());
        }
    }

    #[test]
    fn a_forked_child_stays_one_when_it_is_closed() {
        let standing = Standing::default();
        standing.fork();
        standing.close();
        assert!(standing.is_forked());
    }
}
