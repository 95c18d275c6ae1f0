//! Seeing that a gate's process has ended: for certain, and only on this machine.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use headway_wire::hold::Process;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::holders::Holder;

/// Looks at a process until it is dropped.
pub(crate) struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends a holder when its process does. None where that cannot be seen from here, or so many are watched already: silence
/// alone ends it.
pub(crate) fn watch(process: &Process, holder: &Arc<Holder>, watches: &Arc<Semaphore>) -> Option<Watch> {
    let place = Arc::clone(watches).try_acquire_owned().ok()?;
    let descriptor = seen(process)?;
    let holder = Arc::downgrade(holder);
    let looking = tokio::spawn(async move {
        let _place = place;
        // SAFETY: an `OwnedFd` stays the same open descriptor until it is dropped, with the registration that owns it.
        let Ok(descriptor) = (unsafe { AsyncFd::register(descriptor) }) else { return };
        if descriptor.readable().await.is_ok()
            && let Some(holder) = holder.upgrade()
        {
            holder.end();
        }
    });
    Some(Watch(looking.abort_handle()))
}

/// The process itself, if what was said of it is true here and now: the same machine, the same namespace of process ids,
/// and started when it says. It is looked at after it was opened, so a number that is used again is told apart.
fn seen(process: &Process) -> Option<OwnedFd> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
    if boot_id.trim() != process.boot_id || namespace != process.pid_namespace {
        return None;
    }
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let descriptor = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
    (Process::started_in(&stat)? == process.started).then_some(descriptor)
}
