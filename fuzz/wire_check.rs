//! Any path and query are a check within its bounds, or a problem that can be said and repeats nothing.
#![no_main]

use headway_wire::check::{KEY_MAX, NAME_MAX, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (contract, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    match read(contract, query) {
        Ok(check) => {
            assert!(check.units > 0 && !contract.contains('/'));
            assert!(check.contract.len() <= NAME_MAX && check.key.is_none_or(|key| key.len() <= KEY_MAX));
            assert!(check.workload.is_none_or(|name| (1..=NAME_MAX).contains(&name.len())));
        }
        Err(problem) => {
            let document = problem.document();
            assert!(document.is_ascii() && document.len() < 1_024 && (400..500).contains(&problem.status));
        }
    }
});
