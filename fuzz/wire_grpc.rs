//! Any body is one message in its frame, or fails with a status and a message that pass as headers.
#![no_main]

use headway_wire::grpc::{Failed, PREFIX, Status, unframed};
use headway_wire::health;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    match unframed(body, 1_024) {
        Ok(message) => {
            assert!(message.len() <= 1_024 && message.len() + PREFIX == body.len());
            if let Ok(service) = health::read(message) {
                assert!(service.len() <= 256);
            }
        }
        Err(failed) => assert!(passes(&failed)),
    }
    // Whatever a message says, it passes as a header.
    assert!(passes(&Failed::new(Status::Internal, String::from_utf8_lossy(body))));
});

fn passes(failed: &Failed) -> bool {
    failed.encoded_message().bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
