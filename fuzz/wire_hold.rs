//! Any bytes are a gate's message within its bounds or are refused, and so a keeper's; what was read reads the same again.
#![no_main]

use headway_wire::hold::{
    BLOCKS_MAX, FromGate, FromKeeper, HELD_MAX, HOLDER_BYTES, KEY_MAX, NAME_MAX, PATHS_MAX, Path, ToKeeper, read,
    read_keeper,
};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|message: &[u8]| {
    if let Ok(is) = read(message) {
        assert!(is_within(&is));
        let again = FromGate { is: Some(is.clone()) }.encode_to_vec();
        assert_eq!(Ok(is), read(&again));
    }
    if let Ok(is) = read_keeper(message) {
        let again = FromKeeper { is: Some(is.clone()) }.encode_to_vec();
        assert_eq!(Ok(is), read_keeper(&again));
    }
});

fn is_within(message: &ToKeeper) -> bool {
    let is_named = |path: &Path| {
        path.contract.len() <= NAME_MAX && path.workload.as_ref().is_none_or(|name| name.len() <= NAME_MAX)
    };
    let is_short = |key: &Option<String>| key.as_ref().is_none_or(|key| key.len() <= KEY_MAX);
    match message {
        ToKeeper::Hello(hello) => {
            hello.holder.len() == HOLDER_BYTES
                && hello.held.len() <= HELD_MAX
                && hello.paths.len() <= PATHS_MAX
                && hello.paths.iter().all(is_named)
                && hello.held.iter().all(|held| is_short(&held.key))
        }
        ToKeeper::Ask(ask) => is_short(&ask.key),
        ToKeeper::Path(path) => is_named(path),
        ToKeeper::Draw(draw) => draw.blocks.len() <= BLOCKS_MAX,
        ToKeeper::Settle(_)
        | ToKeeper::Bye(_)
        | ToKeeper::Alive(_)
        | ToKeeper::Renew(_)
        | ToKeeper::Unguaranteed(_)
        | ToKeeper::Claim(_) => true,
    }
}
