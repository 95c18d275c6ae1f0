//! What a proxy is told, byte for byte, in every kind of answer.
//!
//! `golden.txt` holds the answers as the derived messages of the protocol encoded them, before they were written by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use headway_core::{Curve, Measure, MeterSpec, Meters, Mode, PathSpec, Segment};
use headway_wire::Tell;
use headway_wire::rls::{Bounds, read};

use super::*;
use crate::routes::RlsRoute;

const SECOND: u64 = 1_000_000_000;
const UNIT: u64 = 1_000_000;
const GOLDEN: &str = include_str!("golden.txt");

struct Still(i64);

impl headway_core::Clock for Still {
    fn boot_ns(&self) -> i64 {
        self.0
    }
}

fn flat(micro: u64) -> Vec<Segment> {
    vec![Segment { start_ns: 0, end_ns: None, from_micro: micro, to_micro: micro }]
}

fn curve(measure: Measure, stage: &str, segments: Vec<Segment>, per_s: u64) -> Arc<Curve> {
    let window = if measure == Measure::Quota { vec![0, 86_400 * SECOND as i64] } else { vec![] };
    let (per_ns, burst_ns) = if measure == Measure::Rate { (per_s * SECOND, SECOND) } else { (0, 0) };
    let (stage, raises_when) = (stage.to_owned(), "after two hours without \"errors\"\n".to_owned());
    Arc::new(Curve { measure, version: 7, stage, segments, per_ns, burst_ns, window, raises_when }.checked().unwrap())
}

fn routes() -> Routes {
    let meters = Meters::default();
    let long = format!("{}-{}", "long", "x".repeat(140));
    let rate = |name: &str| MeterSpec {
        unit: "request".into(),
        ..MeterSpec::plain(name, Measure::Rate, 1_000 * UNIT, SECOND)
    };
    let keyed = MeterSpec { keys_max: Some(100), ..rate("each") };
    let quota = MeterSpec::plain("quota", Measure::Quota, 1_000 * UNIT, 0);
    let minute = MeterSpec { per_ns: 60 * SECOND, ..rate("minute") };
    let all = vec![
        rate("api"),
        rate("up"),
        keyed,
        quota,
        minute,
        rate("shut"),
        rate("unpublished"),
        rate("climb"),
        rate(&long),
    ];
    meters.declare(all).unwrap();
    let climb = vec![
        Segment { start_ns: 0, end_ns: Some(100 * SECOND as i64), from_micro: 2 * UNIT, to_micro: 12 * UNIT },
        Segment { start_ns: 100 * SECOND as i64, end_ns: None, from_micro: 12 * UNIT, to_micro: 12 * UNIT },
    ];
    let of =
        |name: &str, stage: &str, limit: u64| (name.to_owned(), curve(Measure::Rate, stage, flat(limit * UNIT), 1));
    let published = vec![
        of("api", "now", 3),
        of("up", "", 2),
        of("each", "é \"x\"", 2),
        ("quota".to_owned(), curve(Measure::Quota, "day", flat(2 * UNIT), 0)),
        ("minute".to_owned(), curve(Measure::Rate, "now", flat(120 * UNIT), 60)),
        of("shut", "closed", 0),
        ("climb".to_owned(), curve(Measure::Rate, "climbing", climb, 1)),
        of(&long, &"s".repeat(200), 1),
    ];
    meters.publish(published, 0, 0).unwrap();
    let mut rls = vec![];
    let mut add = |value: &str, steps: &[(&str, bool)], tell: Tell, mode: Mode, post_paid: bool| {
        let contract = steps.last().unwrap().0;
        let steps = steps.iter().map(|(name, is_keyed)| ((*name).to_owned(), UNIT, *is_keyed)).collect();
        let spec =
            PathSpec { mode, units_max: 50, settle_max_micro: 5 * UNIT, ..PathSpec::plain(contract, "other", steps) };
        let descriptor = match value.strip_suffix("/each") {
            Some(value) => vec![("to".to_owned(), Some(value.to_owned())), ("user".to_owned(), None)],
            None => vec![("to".to_owned(), Some(value.to_owned()))],
        };
        let path = meters.path(spec).unwrap();
        rls.push(RlsRoute {
            domain: "edge".to_owned(),
            descriptor,
            path,
            matches: None,
            matched: vec![],
            tell,
            post_paid,
            refundable: false,
        });
    };
    let (full, public, enforce) = (Tell::Full, Tell::Public, Mode::Enforce);
    add("api", &[("api", false)], public, enforce, false);
    add("api-full", &[("api", false)], full, enforce, false);
    add("up", &[("up", false), ("minute", false)], full, enforce, false);
    add("up-public", &[("up", false), ("minute", false)], public, enforce, false);
    add("each/each", &[("each", true)], public, enforce, false);
    add("each-full/each", &[("each", true)], full, enforce, false);
    add("quota", &[("quota", false)], full, enforce, false);
    add("shut", &[("shut", false)], full, enforce, false);
    add("unpublished", &[("unpublished", false)], public, enforce, false);
    add("unpublished-full", &[("unpublished", false)], full, enforce, false);
    add("climb", &[("climb", false)], full, enforce, false);
    add("long", &[(&long, false)], full, enforce, false);
    add("watched", &[("api", false)], public, Mode::Observe, false);
    add("post", &[("minute", false)], public, enforce, true);
    Routes::new(vec![], rls, vec![], vec![]).unwrap()
}

/// A message of the protocol: one field of a tag with bytes in it.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[tag << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// `to,user*hits` for each descriptor; hits 0 for a probe, `-` before them to give them back.
fn request(said: &str) -> Vec<u8> {
    let mut message = field(1, b"edge");
    for one in said.split_whitespace() {
        let (entries, hits) = one.split_once('*').unwrap_or((one, ""));
        let mut descriptor = vec![];
        for (key, value) in ["to", "user"].iter().zip(entries.split(',')) {
            descriptor.extend(field(1, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat()));
        }
        if let Ok(hits) = hits.trim_start_matches('-').parse::<u8>() {
            descriptor.extend(field(3, &[8, hits]));
        }
        if hits.starts_with('-') {
            descriptor.extend([32, 1]);
        }
        message.extend(field(2, &descriptor));
    }
    message
}

fn told_at_once(routes: &Routes, clock: &Ticking, ask: &Ask<'_>, asked: &Asked) -> Vec<u8> {
    answer(routes, clock, ask, asked, Turn::First).expect("nothing here waits")
}

/// The answer with zeros in the place of its refusal's name, which is another one in every process.
fn unnamed(mut answer: Vec<u8>) -> Vec<u8> {
    for i in 0..answer.len().saturating_sub(8) {
        if answer[i..].starts_with(b"hw:") {
            answer[i + 3..i + 9].fill(b'0');
        }
    }
    answer
}

/// All answers of a fresh data plane, a line each: what was asked, and the answer in hexadecimal.
fn played() -> String {
    let (routes, bounds) = (routes(), Bounds::default());
    let asked = [
        "nobody",
        "",
        "api",
        "api api",
        "api",
        "api-full",
        "api nobody",
        "api*0",
        "api*4",
        "api*99",
        "nobody api",
        "up",
        "up*2",
        "up-public",
        "up up-public",
        "up*50",
        "each,ann",
        "each,ann",
        "each,ann",
        "each-full,ann",
        "each,bob each,ann",
        "each,bob*-1",
        "each",
        "quota",
        "quota*2",
        "quota",
        "quota",
        "shut",
        "shut*0",
        "unpublished",
        "unpublished-full",
        "climb*5",
        "climb*13",
        "climb",
        "climb",
        "long",
        "long",
        "watched",
        "watched*9",
        "post*50",
        "post*50",
        "post*50",
        "post",
        "post*0",
        "climb quota each,cleo long up",
    ];
    let mut text = String::new();
    for (i, said) in asked.iter().enumerate() {
        let clock = Ticking(Arc::new(Still((i as i64 / 4) * 100_000_000 + 1)));
        let message = request(said);
        let ask = read(&message, &bounds).unwrap();
        let answer = unnamed(told_at_once(&routes, &clock, &ask, &Asked::until(i64::MAX, false)));
        write!(text, "{said}: ").unwrap();
        for byte in answer {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_answer_has_the_bytes_of_the_derived_messages() {
    let told = played();
    let by_line = |text: &str| -> BTreeMap<usize, String> { text.lines().map(str::to_owned).enumerate().collect() };
    assert_eq!(by_line(GOLDEN), by_line(&told));
}

#[test]
fn a_late_request_is_over_the_limit_for_those_who_enforce() {
    let (routes, clock) = (routes(), Ticking(Arc::new(Still(1))));
    for (said, is_over) in [("api", true), ("watched", false), ("nobody", false)] {
        let message = request(said);
        let ask = read(&message, &Bounds::default()).unwrap();
        let answer = told_at_once(&routes, &clock, &ask, &Asked::until(0, false));
        // The frame, then the overall code: 2 is OVER_LIMIT.
        assert_eq!([8, 1 + u8::from(is_over)], answer[5..7], "{said}");
    }
}
