//! The one clock of a process: the line in force in a seqlock, and what asks the kernel where the line ends.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence};

use crate::counter::{is_trusted, ticks, ticks_after};
use crate::line::{Calibration, Line, Pair};

/// The line in force; `seq` is odd while it is written. A span of 0: ask the kernel.
struct Shown {
    seq: AtomicU64,
    from: AtomicU64,
    start: AtomicI64,
    rate: AtomicU64,
    span: AtomicU64,
}

static SHOWN: Shown = Shown {
    seq: AtomicU64::new(0),
    from: AtomicU64::new(0),
    start: AtomicI64::new(0),
    rate: AtomicU64::new(0),
    span: AtomicU64::new(0),
};
/// None until the first reading.
static CALIBRATION: Mutex<Option<Calibration>> = Mutex::new(None);
/// Every reading is the kernel's from now on.
static IS_OFF: AtomicBool = AtomicBool::new(false);

/// Nanoseconds since the machine started, suspend included; see the crate for how exact.
///
/// Panics where the system has no such clock.
#[inline]
pub fn boot_ns() -> i64 {
    let (seq, line) = SHOWN.line();
    if line.span > 0
        && let Some(now) = line.at(ticks())
        && SHOWN.is_still(seq)
    {
        return now;
    }
    ask()
}

impl Shown {
    #[inline]
    fn line(&self) -> (u64, Line) {
        let seq = self.seq.load(Ordering::Acquire);
        let line = Line {
            from: self.from.load(Ordering::Relaxed),
            start: self.start.load(Ordering::Relaxed),
            rate: self.rate.load(Ordering::Relaxed),
            span: self.span.load(Ordering::Relaxed),
        };
        (seq, line)
    }

    /// Whether what was read after `seq` belongs together.
    #[inline]
    fn is_still(&self, seq: u64) -> bool {
        fence(Ordering::Acquire);
        seq & 1 == 0 && self.seq.load(Ordering::Relaxed) == seq
    }

    /// For whoever holds the calibration's lock.
    fn show(&self, line: Line) {
        let seq = self.seq.load(Ordering::Relaxed);
        self.seq.store(seq + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.from.store(line.from, Ordering::Relaxed);
        self.start.store(line.start, Ordering::Relaxed);
        self.rate.store(line.rate, Ordering::Relaxed);
        self.span.store(line.span, Ordering::Relaxed);
        self.seq.store(seq + 2, Ordering::Release);
    }
}

/// Asks the kernel, and starts the next line from its answer.
#[cold]
#[inline(never)]
fn ask() -> i64 {
    if IS_OFF.load(Ordering::Relaxed) {
        return kernel_ns();
    }
    // Who does not get the lock, or was forked while somebody held it, has the kernel's answer all the same.
    let Ok(mut calibration) = CALIBRATION.try_lock() else { return kernel_ns() };
    let calibration = match &mut *calibration {
        Some(known) => known,
        none if is_trusted() => none.insert(Calibration::new(&std::array::from_fn(|_| pair()))),
        None => {
            IS_OFF.store(true, Ordering::Relaxed);
            return kernel_ns();
        }
    };
    let pair = pair();
    SHOWN.show(calibration.line(pair, &SHOWN.line().1));
    if calibration.is_distrusted {
        IS_OFF.store(true, Ordering::Relaxed);
    }
    pair.boot_ns
}

fn pair() -> Pair {
    let before = ticks();
    let boot_ns = kernel_ns();
    Pair { before, boot_ns, after: ticks_after() }
}

/// CLOCK_BOOTTIME counts through suspend, where Linux has it; CLOCK_MONOTONIC does elsewhere (macOS).
fn kernel_ns() -> i64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const ID: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const ID: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of ours; the call writes it and nothing else.
    let failed = unsafe { libc::clock_gettime(ID, &raw mut time) };
    assert_eq!(0, failed, "this system has no clock that runs through suspend");
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenth of a second to measure the rate, then a million readings between two of the kernel's.
    #[test]
    fn no_reading_is_ahead_of_the_kernels_clock() {
        let until = kernel_ns() + 150_000_000;
        while kernel_ns() < until {
            boot_ns();
        }
        for _ in 0..1_000_000 {
            let said = boot_ns();
            let later = kernel_ns();
            assert!(said <= later, "{said} is {} ns ahead", said - later);
        }
    }

    #[test]
    fn threads_read_one_clock() {
        let readings = || (0..200_000).map(|_| (boot_ns(), kernel_ns())).all(|(said, later)| said <= later);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(readings)).collect();
            assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        });
    }
}
