//! Random divisions beside the exact twin, and what a division costs: one line of JSON.
//!
//! `cargo bench -p headway-core --bench shares -- CASES SEED`; `make shares` writes the result down.

#[path = "shares/twin.rs"]
mod twin;

use std::hint::black_box;
use std::num::NonZeroU32;
use std::process::ExitCode;

use headway_core::allocator::{Asks, Party, Priority, Terms, divide};

fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of ours.
    assert_eq!(0, unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) });
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// CPU ns a party, the median of five divisions among so many whose wants and weights are all different.
fn ns_per_party(count: u64) -> i64 {
    let party = |i: u64| Party {
        terms: Terms {
            guarantee: i % 3,
            weight: NonZeroU32::MIN.saturating_add((i * 7_919 % 1_000) as u32),
            ceiling: None,
            priority: Priority::Normal,
        },
        asks: Asks::Want(i * 104_729 % 1_000_003),
    };
    let parties: Vec<Party> = (0..count).map(party).collect();
    let wanted: u64 = parties.iter().map(Party::usable).sum();
    let mut rounds: Vec<i64> = (0..5)
        .map(|turn| {
            let before = cpu_ns();
            black_box(divide(black_box(wanted / 2), &parties, turn));
            (cpu_ns() - before) / count as i64
        })
        .collect();
    rounds.sort_unstable();
    rounds[2]
}

fn main() -> ExitCode {
    // Cargo adds a word of its own.
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [cases, seed] = numbers[..] else {
        eprintln!("say how many cases and from which seed: shares CASES SEED");
        return ExitCode::from(2);
    };
    let tally = twin::play(seed, cases);
    let costs: Vec<String> =
        [100, 10_000, 1_000_000].iter().map(|count| format!("\"{count}\": {}", ns_per_party(*count))).collect();
    println!(
        "{{\"seed\": {seed}, \"cases\": {}, \"levels\": {}, \"parties\": {}, \"guarantees_beyond\": {}, \
         \"fewer_units_than_parties\": {}, \"differences\": {}, \"cpu_ns_per_party\": {{{}}}}}",
        tally.cases,
        tally.levels,
        tally.parties,
        tally.guarantees_beyond,
        tally.fewer_units_than_parties,
        u8::from(tally.difference.is_some()),
        costs.join(", "),
    );
    match tally.difference {
        None => ExitCode::SUCCESS,
        Some(difference) => {
            eprintln!("{difference}");
            ExitCode::FAILURE
        }
    }
}
