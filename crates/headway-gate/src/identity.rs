//! Who a gate is: a name that no other process has, and where to see that this one has ended.

use std::fs;
use std::io::Read as _;

use headway_wire::hold::{HOLDER_BYTES, Process};

/// A name made anew. Errors: the system has no random bytes to give.
pub(crate) fn name() -> std::io::Result<[u8; HOLDER_BYTES]> {
    let mut bytes = [0; HOLDER_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// This process as the machine it runs on knows it; None where the machine does not tell.
pub(crate) fn process() -> Option<Process> {
    use std::os::unix::fs::MetadataExt as _;

    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    let pid_namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
    let started = Process::started_in(&fs::read_to_string("/proc/self/stat").ok()?)?;
    Some(Process { boot_id, pid_namespace, pid: std::process::id(), started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_the_process_is_this_one() {
        assert_ne!(name().unwrap(), name().unwrap());
        let here = process().unwrap();
        assert_eq!((std::process::id(), true), (here.pid, here.started > 0));
    }
}
