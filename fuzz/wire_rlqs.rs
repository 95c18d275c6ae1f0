//! Any bytes are a report of a proxy's usage within its bounds, or are refused.
#![no_main]

use headway_wire::rlqs::{Bounds, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let bounds = Bounds::default();
    let Ok(reports) = read(message, &bounds) else { return };
    assert!(reports.domain.len() <= bounds.text_bytes && reports.usages.len() <= bounds.usages);
    for usage in &reports.usages {
        assert!(usage.bucket.len() <= bounds.entries);
        assert!(usage.bucket.iter().all(|(key, value)| key.len().max(value.len()) <= bounds.text_bytes));
    }
});
