//! Any bytes are a rate-limit request within its bounds, or are refused.
#![no_main]

use headway_wire::rls::{Bounds, Hits, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let bounds = Bounds::default();
    let Ok(ask) = read(message, &bounds) else { return };
    assert!(ask.domain.len() <= bounds.text_bytes && ask.descriptors.len() <= bounds.descriptors);
    for descriptor in &ask.descriptors {
        let entries = ask.entries(descriptor);
        assert!(entries.len() <= bounds.entries);
        assert!(entries.iter().all(|(key, value)| key.len().max(value.len()) <= bounds.text_bytes));
        assert!(!matches!(descriptor.hits, Hits::Charge(0) | Hits::GiveBack(0)));
    }
});
