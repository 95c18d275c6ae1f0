//! The processor's time-stamp counter, and whether the kernel trusts it.

/// The counter now; orders nothing around it, which is why it is cheap.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it only reads.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// The counter once everything before has happened.
#[cfg(target_arch = "x86_64")]
pub(crate) fn ticks_after() -> u64 {
    // SAFETY: part of what every x86-64 processor has (SSE2).
    unsafe { std::arch::x86_64::_mm_lfence() };
    ticks()
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn ticks() -> u64 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn ticks_after() -> u64 {
    0
}

/// Whether the counter runs evenly through every power state (CPUID says so) and the kernel keeps its own time by it,
/// which it only does as long as all processors agree.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) fn is_trusted() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    const POWER: u32 = 0x8000_0007;
    let is_even =
        std::arch::x86_64::__cpuid(0x8000_0000).eax >= POWER && std::arch::x86_64::__cpuid(POWER).edx & 1 << 8 != 0;
    is_even && std::fs::read(SOURCE).is_ok_and(|name| name.trim_ascii() == b"tsc")
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) fn is_trusted() -> bool {
    false
}
