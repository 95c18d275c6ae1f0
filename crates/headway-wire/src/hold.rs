//! `headway.lease.v1.Leases/Hold`: the stream between a gate and its keeper.
//!
//! Durations only, never instants: no clock is compared with another. A message is decoded whole, so its bytes are bounded
//! before (`MESSAGE_MAX`), and what is in it after. Source: interfaces, 4.

mod away;
mod lent;
mod matches;
mod part;

use prost::{Enumeration, Message, Oneof};

use crate::grpc::{Failed, Status};
use crate::protobuf::Unreadable;

pub use away::{Noted, Unguaranteed};
pub use lent::{BLOCKS_MAX, Block, Draw, Lease, ROUND_TRIPS_MAX, Renew, Surrender, Used};
pub use matches::{Match, Wanted, matches_of, said_of};
pub use part::{Claim, Part};

/// The service, as health checks name it.
pub const SERVICE: &str = "headway.lease.v1.Leases";
/// The path of the one call.
pub const HOLD: &str = "/headway.lease.v1.Leases/Hold";

/// The version of the protocol that is spoken here.
pub const PROTOCOL: u32 = 1;
/// Bytes of one message: a gate that comes back restates all it holds in one.
pub const MESSAGE_MAX: usize = 1 << 20;
/// Paths that one gate has open.
pub const PATHS_MAX: usize = 10_000;
/// Slots and reservations that one gate holds.
pub const HELD_MAX: usize = 50_000;
/// Bytes of a contract's or workload's name.
pub const NAME_MAX: usize = 256;
/// Bytes of a key.
pub const KEY_MAX: usize = 4_096;
/// Bytes of a holder's name.
pub const HOLDER_BYTES: usize = 16;

// --- from the gate ---------------------------------------------------------------------------------------------------

#[derive(Clone, PartialEq, Message)]
pub struct FromGate {
    #[prost(oneof = "ToKeeper", tags = "1, 2, 3, 4, 5, 6, 7, 8, 12, 13")]
    pub is: Option<ToKeeper>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum ToKeeper {
    #[prost(message, tag = "1")]
    Hello(Hello),
    #[prost(message, tag = "2")]
    Renew(Renew),
    #[prost(message, tag = "3")]
    Ask(Ask),
    #[prost(message, tag = "4")]
    Settle(Settle),
    #[prost(message, tag = "5")]
    Bye(Bye),
    #[prost(message, tag = "6")]
    Path(Path),
    #[prost(message, tag = "7")]
    Draw(Draw),
    #[prost(message, tag = "8")]
    Alive(Alive),
    #[prost(message, tag = "12")]
    Unguaranteed(Unguaranteed),
    #[prost(message, tag = "13")]
    Claim(Claim),
}

/// The first message of a stream, and the only one of its kind on it.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    /// Made anew by every process that starts, and by every child that is forked.
    #[prost(bytes = "vec", tag = "1")]
    pub holder: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub protocol: u32,
    #[prost(message, repeated, tag = "3")]
    pub held: Vec<Held>,
    #[prost(message, optional, tag = "5")]
    pub process: Option<Process>,
    #[prost(message, repeated, tag = "6")]
    pub paths: Vec<Path>,
}

/// What the gate holds still, by the id it was asked for with. What is not restated it does not have.
#[derive(Clone, PartialEq, Message)]
pub struct Held {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "2")]
    pub path: u64,
    #[prost(uint64, tag = "3")]
    pub units: u64,
    #[prost(string, optional, tag = "4")]
    pub key: Option<String>,
    /// A reservation that was not settled yet, not slots.
    #[prost(bool, tag = "5")]
    pub is_reserved: bool,
}

/// Where to see that the gate's process has ended: true only on the keeper's own machine.
#[derive(Clone, PartialEq, Message)]
pub struct Process {
    #[prost(string, tag = "1")]
    pub boot_id: String,
    /// The inode of its namespace of process ids.
    #[prost(uint64, tag = "2")]
    pub pid_namespace: u64,
    #[prost(uint32, tag = "3")]
    pub pid: u32,
    /// When it was started, in the kernel's ticks: a number that was used again is another process.
    #[prost(uint64, tag = "4")]
    pub started: u64,
}

/// Opens a path: what `id` stands for from now on.
#[derive(Clone, PartialEq, Message)]
pub struct Path {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub contract: String,
    /// None: `other`, or the only one.
    #[prost(string, optional, tag = "3")]
    pub workload: Option<String>,
}

/// One demand.
#[derive(Clone, PartialEq, Message)]
pub struct Ask {
    /// Above every earlier one on this stream.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "2")]
    pub path: u64,
    #[prost(uint64, tag = "3")]
    pub units: u64,
    #[prost(string, optional, tag = "4")]
    pub key: Option<String>,
    /// How long it may queue.
    #[prost(uint32, tag = "5")]
    pub wait_ms: u32,
    #[prost(enumeration = "Kind", tag = "6")]
    pub kind: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Kind {
    Acquire = 0,
    /// An estimate that is settled later.
    Reserve = 1,
    /// What would be answered, charging nothing.
    Probe = 2,
}

/// Ends what was asked for: a slot that is let go, a reservation that really cost `actual`, a demand that gave up.
#[derive(Clone, PartialEq, Message)]
pub struct Settle {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, optional, tag = "2")]
    pub actual: Option<u64>,
}

/// The gate lets go of everything and will not come back under this name.
#[derive(Clone, PartialEq, Message)]
pub struct Bye {}

/// The gate lives. Answered with the same counter.
#[derive(Clone, PartialEq, Message)]
pub struct Alive {
    #[prost(uint64, tag = "1")]
    pub counter: u64,
}

// --- from the keeper -------------------------------------------------------------------------------------------------

#[derive(Clone, PartialEq, Message)]
pub struct FromKeeper {
    #[prost(oneof = "ToGate", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13")]
    pub is: Option<ToGate>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum ToGate {
    #[prost(message, tag = "1")]
    Welcome(Welcome),
    #[prost(message, tag = "2")]
    Lease(Lease),
    #[prost(message, tag = "3")]
    Answer(Box<Answer>),
    #[prost(message, tag = "4")]
    Retire(Retire),
    #[prost(message, tag = "5")]
    Facts(Facts),
    #[prost(message, tag = "6")]
    Block(Block),
    #[prost(message, tag = "7")]
    Surrender(Surrender),
    #[prost(message, tag = "8")]
    Alive(Alive),
    #[prost(message, tag = "9")]
    Recall(Recall),
    #[prost(message, tag = "12")]
    Noted(Noted),
    #[prost(message, tag = "13")]
    Part(Part),
}

/// Slots of a path that were asked for one by one and are asked back, for they are above a cut; 0: no more.
#[derive(Clone, PartialEq, Message)]
pub struct Recall {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(uint64, tag = "2")]
    pub units: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Welcome {
    /// How long what the keeper says holds, counted by the gate from when it sent what was answered.
    #[prost(uint32, tag = "1")]
    pub term_ms: u32,
}

/// What a path is; or, with a code, why there is none.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as it stands on the wire")]
#[derive(Clone, PartialEq, Message)]
pub struct Facts {
    #[prost(uint64, tag = "1")]
    pub path: u64,
    #[prost(string, tag = "2")]
    pub code: String,
    #[prost(string, tag = "3")]
    pub problem: String,
    #[prost(string, tag = "4")]
    pub workload: String,
    #[prost(enumeration = "Mode", tag = "5")]
    pub mode: i32,
    #[prost(bool, tag = "6")]
    pub has_slots: bool,
    #[prost(bool, tag = "7")]
    pub needs_key: bool,
    #[prost(uint64, tag = "8")]
    pub units_max: u64,
    #[prost(uint64, tag = "9")]
    pub wait_ms: u64,
    #[prost(uint64, tag = "10")]
    pub max_hold_ms: u64,
    #[prost(uint64, tag = "11")]
    pub cost_ppm: u64,
    /// Whether an admitted demand spends something, of a rate or quota.
    #[prost(bool, tag = "12")]
    pub has_tokens: bool,
    /// Within which a cut is in force at whoever is lent something; 0: nothing is lent, each demand is asked.
    #[prost(uint32, tag = "13")]
    pub drain_within_ms: u32,
    /// Of a path that names no workload: how what is said of whoever asks tells the contract's apart, in their order.
    #[prost(message, repeated, tag = "20")]
    pub matches: Vec<Match>,
    /// And all there are, sorted.
    #[prost(string, repeated, tag = "21")]
    pub workloads: Vec<String>,
    /// Likewise: whether refusals that are handed on over HTTP say all there is, or what the public may know.
    #[prost(bool, tag = "22")]
    pub tells_all: bool,
    /// What happens to slots above a cut.
    #[prost(enumeration = "Asking", tag = "30")]
    pub recall: i32,
    /// Where scopes are ended: how long after they were asked.
    #[prost(uint32, tag = "31")]
    pub ends_within_ms: u32,
    /// While its keeper has not been heard for longer than anything it said holds, every demand is admitted and told later.
    #[prost(bool, tag = "40")]
    pub opens: bool,
    /// Whether its floor is divided among gates: each may ask for its part.
    #[prost(bool, tag = "41")]
    pub has_parts: bool,
}

/// What happens to slots above a cut: nothing, or those who hold them are asked, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Asking {
    Wait = 0,
    Ask = 1,
    Idle = 2,
    End = 3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Mode {
    Enforce = 0,
    Observe = 1,
    Record = 2,
}

#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(bool, tag = "2")]
    pub granted: bool,
    /// Of what was granted: whether it holds slots, until it is settled.
    #[prost(bool, tag = "3")]
    pub holds: bool,
    /// Of what was not: everything there is to say.
    #[prost(message, optional, boxed, tag = "4")]
    pub refused: Option<Box<Refused>>,
}

/// A refusal, as the keeper tells it.
#[derive(Clone, PartialEq, Message)]
pub struct Refused {
    /// The cause by its name; `invalid` for a demand that is a mistake, with `sentence` saying which.
    #[prost(string, tag = "1")]
    pub why: String,
    #[prost(enumeration = "Again", tag = "2")]
    pub again: i32,
    /// With `Again::In`.
    #[prost(uint64, tag = "3")]
    pub retry_ns: u64,
    #[prost(uint64, tag = "4")]
    pub version: u64,
    #[prost(string, tag = "5")]
    pub stage: String,
    #[prost(string, tag = "6")]
    pub meter: String,
    #[prost(string, tag = "7")]
    pub unit: String,
    #[prost(uint64, tag = "8")]
    pub limit_micro: u64,
    #[prost(sint64, tag = "9")]
    pub use_micro: i64,
    #[prost(string, tag = "10")]
    pub raises_when: String,
    #[prost(string, tag = "11")]
    pub sentence: String,
    #[prost(string, tag = "12")]
    pub reference: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Again {
    Unknown = 0,
    In = 1,
    Never = 2,
}

impl Process {
    /// When a process was started: the 22nd field of its `stat`; its name, the second, may hold anything but ends with the
    /// last bracket.
    pub fn started_in(stat: &str) -> Option<u64> {
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().nth(19)?.parse().ok()
    }
}

/// This keeper answers no more on this stream: the holder has a newer one, or it is closing. Dial again.
#[derive(Clone, PartialEq, Message)]
pub struct Retire {}

/// A gate's message. Errors: malformed, empty, or with more in it than is taken.
pub fn read(message: &[u8]) -> Result<ToKeeper, Failed> {
    let message = FromGate::decode(message).map_err(|_| Unreadable::Malformed("it is no message of a gate"))?;
    let is = message.is.ok_or(Unreadable::Malformed("it is empty, or of a newer protocol"))?;
    let bound = |is_within: bool, what, most| if is_within { Ok(()) } else { Err(Unreadable::Oversize(what, most)) };
    let path_bound = |path: &Path| {
        let longest = path.contract.len().max(path.workload.as_ref().map_or(0, String::len));
        bound(longest <= NAME_MAX, "bytes of a name", NAME_MAX)
    };
    match &is {
        ToKeeper::Hello(hello) => {
            if hello.holder.len() != HOLDER_BYTES {
                return Err(Unreadable::Malformed("a holder is named by 16 bytes").into());
            }
            if hello.protocol != PROTOCOL {
                let said = format!("version {} of the protocol is not spoken here: {PROTOCOL} is", hello.protocol);
                return Err(Failed::new(Status::Unimplemented, said));
            }
            bound(hello.paths.len() <= PATHS_MAX, "paths", PATHS_MAX)?;
            bound(hello.held.len() <= HELD_MAX, "slots", HELD_MAX)?;
            hello.paths.iter().try_for_each(path_bound)?;
            bound(
                hello.held.iter().filter_map(|held| held.key.as_ref()).all(|key| key.len() <= KEY_MAX),
                "bytes of a key",
                KEY_MAX,
            )?;
        }
        ToKeeper::Path(path) => path_bound(path)?,
        ToKeeper::Ask(ask) => {
            bound(ask.key.as_ref().is_none_or(|key| key.len() <= KEY_MAX), "bytes of a key", KEY_MAX)?;
        }
        ToKeeper::Draw(draw) => {
            bound(draw.blocks.len() <= BLOCKS_MAX, "blocks", BLOCKS_MAX)?;
            bound(draw.round_trips_us.len() <= ROUND_TRIPS_MAX, "round trips", ROUND_TRIPS_MAX)?;
        }
        ToKeeper::Settle(_)
        | ToKeeper::Bye(_)
        | ToKeeper::Alive(_)
        | ToKeeper::Renew(_)
        | ToKeeper::Unguaranteed(_)
        | ToKeeper::Claim(_) => {}
    }
    Ok(is)
}

/// A keeper's message. Errors: malformed, or none that is known here.
pub fn read_keeper(message: &[u8]) -> Result<ToGate, Failed> {
    let message = FromKeeper::decode(message).map_err(|_| Unreadable::Malformed("it is no message of a keeper"))?;
    Ok(message.is.ok_or(Unreadable::Malformed("it is empty, or of a newer protocol"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(is: ToKeeper) -> Vec<u8> {
        FromGate { is: Some(is) }.encode_to_vec()
    }

    fn hello() -> Hello {
        Hello { holder: vec![7; HOLDER_BYTES], protocol: PROTOCOL, ..Hello::default() }
    }

    #[test]
    fn what_a_gate_says_is_read_as_it_was_said() {
        let ask = Ask { id: 9, path: 2, units: 3, key: Some("ana".into()), wait_ms: 7, kind: 1 };
        for is in [
            ToKeeper::Hello(hello()),
            ToKeeper::Ask(ask),
            ToKeeper::Settle(Settle { id: 9, actual: Some(0) }),
            ToKeeper::Bye(Bye {}),
            ToKeeper::Path(Path { id: 2, contract: "api".into(), workload: None }),
            ToKeeper::Alive(Alive { counter: 4 }),
            ToKeeper::Claim(Claim { path: 2, counter: 1, of_tokens: true, admitted: 3, refused: 4 }),
            ToKeeper::Unguaranteed(Unguaranteed { path: 2, admitted: 9, told: 4 }),
            ToKeeper::Renew(Renew { path: 2, want: 3, ..Renew::default() }),
            ToKeeper::Draw(Draw {
                path: 2,
                blocks: vec![Used { seq: 1, ..Used::default() }],
                round_trips_us: vec![700, 0],
                ..Draw::default()
            }),
        ] {
            assert_eq!(Ok(is.clone()), read(&bytes(is)));
        }
    }

    #[test]
    fn another_version_of_the_protocol_is_told_so() {
        let newer = read(&bytes(ToKeeper::Hello(Hello { protocol: PROTOCOL + 1, ..hello() }))).unwrap_err();
        assert_eq!(Status::Unimplemented, newer.status);
        assert!(newer.message.starts_with("version 2 of the protocol is not spoken here"));
    }

    #[test]
    fn a_process_is_told_from_those_that_had_its_number() {
        let of = Process::started_in;
        assert_eq!(Some(77), of("9 (a) b) c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20"));
        assert_eq!([None, None], [of("9 (a"), of("9 (a) R 1")]);
    }

    #[test]
    fn what_is_no_message_or_too_much_of_one_is_an_invalid_argument() {
        let long = Path { id: 1, contract: "x".repeat(NAME_MAX + 1), workload: None };
        let many = Hello { held: vec![Held::default(); HELD_MAX + 1], ..hello() };
        let unnamed = Hello { holder: vec![], ..hello() };
        let key = Ask { key: Some("k".repeat(KEY_MAX + 1)), ..Ask::default() };
        let told = ToKeeper::Draw(Draw { blocks: vec![Used::default(); BLOCKS_MAX + 1], ..Draw::default() });
        let slow = ToKeeper::Draw(Draw { round_trips_us: vec![1; ROUND_TRIPS_MAX + 1], ..Draw::default() });
        let wrong =
            [told, slow, ToKeeper::Path(long), ToKeeper::Hello(many), ToKeeper::Hello(unnamed), ToKeeper::Ask(key)];
        for message in wrong.into_iter().map(bytes).chain([vec![], vec![0xff; 9], b"\x7a\x01a".to_vec()]) {
            assert_eq!(Status::InvalidArgument, read(&message).unwrap_err().status);
        }
    }
}
