//! The divider beside proxies that keep token buckets as Envoy does, or worse, and a checker apart from both.
//!
//! The checker knows a limit and a burst: `left` is the least of `B(s) + ∫ L − admitted` over every start of a window.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Bucket, Course, Divider, SECOND, Terms, Told};
use crate::curve::{Curve, Measure, Segment};

const MS: i64 = 1_000_000;
const MICRO: i128 = 1_000_000;
const STEP: i64 = 10 * MS;
const TERMS: Terms = Terms { ttl_s: 4, delay_ns: SECOND };
/// Since the divider's birth, until which nothing is assigned.
const QUIET: i64 = 5 * SECOND;

/// What a new bucket begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refill {
    /// The part that the old one was full to, as Envoy 1.40.
    Ratio,
    /// Full, as before; and what the old one had is drawn as well, as by a thread that has not heard yet.
    Full,
}

/// One proxy: a stream, what is under way to it, its bucket.
struct Proxy {
    stream: u64,
    refill: Refill,
    under_way: VecDeque<(i64, Told)>,
    bucket: Option<Bucket>,
    micro: i128,
    /// Of an old bucket, still drawn in the step in which it was replaced.
    stray: i128,
    expires: i64,
    ttl_ns: i64,
    allowed: u64,
    denied: u64,
    admitted: u64,
}

impl Proxy {
    fn new(stream: u64, refill: Refill, ttl_ns: i64) -> Proxy {
        let under_way = VecDeque::new();
        Proxy {
            stream,
            refill,
            under_way,
            bucket: None,
            micro: 0,
            stray: 0,
            expires: 0,
            ttl_ns,
            allowed: 0,
            denied: 0,
            admitted: 0,
        }
    }

    fn hear(&mut self, now: i64) {
        while self.under_way.front().is_some_and(|(at, _)| *at <= now) {
            let (at, told) = self.under_way.pop_front().expect("just seen");
            let Told::Bucket(new) = told else {
                self.stray += if self.refill == Refill::Full { self.micro } else { 0 };
                (self.bucket, self.micro) = (None, 0);
                continue;
            };
            let lives = self.expires > at;
            let old = self.bucket.filter(|_| lives);
            if old != Some(new) {
                let full = i128::from(new.tokens) * MICRO;
                if let (Some(old), Refill::Ratio) = (old, self.refill) {
                    self.micro = self.micro * i128::from(new.tokens) / i128::from(old.tokens);
                } else {
                    self.stray += if self.refill == Refill::Full { self.micro } else { 0 };
                    self.micro = full;
                }
            }
            (self.bucket, self.expires) = (Some(new), at + self.ttl_ns);
        }
        if self.expires <= now {
            (self.bucket, self.micro) = (None, 0);
        }
    }

    /// One step of so many requests; what is let through.
    fn serve(&mut self, wanted: u64) -> u64 {
        if let Some(bucket) = self.bucket {
            let filled = self.micro + i128::from(bucket.per_s) * i128::from(STEP) / 1_000;
            self.micro = filled.min(i128::from(bucket.tokens) * MICRO);
        }
        let whole = u64::try_from((self.micro + self.stray) / MICRO).expect("small");
        let let_through = whole.min(wanted);
        self.micro = (self.micro + self.stray - i128::from(let_through) * MICRO).min(self.micro);
        self.stray = 0;
        self.allowed += let_through;
        self.denied += wanted - let_through;
        self.admitted += let_through;
        let_through
    }
}

/// What may happen to a proxy in a second.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Wants(u64),
    /// Its connection is lost; what was told last stands until it expires. A new stream asks as much.
    Lost,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => prop_oneof![2 => Just(0), 1 => 1..20u64, 2 => 100..600u64].prop_map(Fate::Wants),
        1 => Just(Fate::Lost),
    ]
}

/// A second of history: what each of the proxies meets.
type Second = [Fate; 4];

struct World {
    course: Course,
    divider: Divider,
    proxies: Vec<Proxy>,
    wants: Vec<u64>,
    streams: u64,
    left: i128,
    least: i128,
    /// Of proxies whose stream was lost: they use what they were told to its end.
    lost: Vec<Proxy>,
    now: i64,
}

impl World {
    fn new(course: Course, proxies: usize, refill: Refill) -> World {
        World::on(TERMS, course, proxies, refill)
    }

    fn on(terms: Terms, course: Course, proxies: usize, refill: Refill) -> World {
        let proxy = |stream| Proxy::new(stream, refill, terms.ttl_ns());
        let proxies: Vec<Proxy> = (0..proxies as u64).map(proxy).collect();
        let streams = proxies.len() as u64;
        let left = course.lowest_burst(0, 0);
        World {
            course,
            divider: Divider::new(terms, 0),
            wants: vec![0; proxies.len()],
            proxies,
            streams,
            left,
            least: left,
            lost: vec![],
            now: 0,
        }
    }

    fn lose(&mut self, i: usize) {
        self.divider.end(self.proxies[i].stream);
        let mut new = Proxy::new(self.streams, self.proxies[i].refill, self.proxies[i].ttl_ns);
        self.streams += 1;
        new.admitted = self.proxies[i].admitted;
        // What is under way to it still arrives, and nothing after.
        self.lost.push(std::mem::replace(&mut self.proxies[i], new));
    }

    fn second(&mut self, delay_ms: u16) {
        for _ in 0..SECOND / STEP {
            self.step(delay_ms);
        }
    }

    fn step(&mut self, delay_ms: u16) {
        let (before, now) = (self.now, self.now + STEP);
        self.now = now;
        let mut admitted = 0;
        for (proxy, wants) in self.proxies.iter_mut().zip(&self.wants) {
            proxy.hear(now);
            // So many a second, a few each step.
            let step = (now / STEP) as u64;
            let wanted = (wants * step / 100) - (wants * (step - 1) / 100);
            admitted += proxy.serve(wanted);
            if now % SECOND == 0 {
                self.divider.report(proxy.stream, now, proxy.allowed, proxy.denied);
                (proxy.allowed, proxy.denied) = (0, 0);
            }
        }
        for proxy in &mut self.lost {
            proxy.hear(now);
            admitted += proxy.serve(1_000);
        }
        self.lost.retain(|proxy| proxy.bucket.is_some() || !proxy.under_way.is_empty());
        let entitled = self.course.entitled(now) - self.course.entitled(before);
        self.left = (self.left + entitled).min(self.course.lowest_burst(now, now)) - i128::from(admitted) * MICRO;
        self.least = self.least.min(self.left);
        if now % (100 * MS) == 0 {
            for (stream, told) in self.divider.round(now, &self.course) {
                let at = now + i64::from(delay_ms) * MS;
                let proxy = self.proxies.iter_mut().find(|proxy| proxy.stream == stream).expect("it is there");
                let at = proxy.under_way.back().map_or(at, |(last, _)| at.max(*last));
                proxy.under_way.push_back((at, told));
            }
        }
    }

    fn admitted(&self) -> u64 {
        self.proxies.iter().map(|proxy| proxy.admitted).sum()
    }
}

fn curve(segments: Vec<Segment>, burst_ms: u64, version: u64) -> Curve {
    Curve {
        measure: Measure::Rate,
        version,
        stage: "s".into(),
        segments,
        per_ns: SECOND as u64,
        burst_ns: burst_ms * MS as u64,
        window: vec![],
        raises_when: String::new(),
    }
    .checked()
    .expect("a curve")
}

fn flat(level: i64, burst_ms: u64) -> Course {
    let segment = Segment::new(0, None, level * 1_000_000, level * 1_000_000).unwrap();
    Course::of_curve(curve(vec![segment], burst_ms, 1), 1_000_000_000, 0)
}

/// A course that steps and climbs, all of it decided beforehand: each piece so many seconds from one level to another.
fn planned(pieces: &[(i64, i64, i64)], burst_ms: u64) -> Course {
    let (mut segments, mut at) = (vec![], 0);
    for (seconds, from, to) in pieces {
        let end = at + seconds * SECOND;
        segments.push(Segment::new(at, Some(end), from * 1_000_000, to * 1_000_000).unwrap());
        at = end;
    }
    let last = pieces.last().map_or(50, |piece| piece.2) * 1_000_000;
    segments.push(Segment::new(at, None, last, last).unwrap());
    Course::of_curve(curve(segments, burst_ms, 1), 1_000_000_000, 0)
}

#[test]
fn nothing_is_assigned_before_what_an_earlier_life_assigned_has_ended() {
    let mut world = World::new(flat(100, 1_000), 1, Refill::Ratio);
    world.wants = vec![500];
    (0..QUIET / SECOND).for_each(|_| world.second(0));
    assert_eq!((0, 1), (world.admitted(), world.divider.reading(world.now).denied));
    (0..3).for_each(|_| world.second(0));
    assert!(world.admitted() > 100);
}

#[test]
fn one_stream_that_wants_it_keeps_nine_tenths_of_the_limit_busy() {
    for level in [20, 100, 900] {
        let mut world = World::new(flat(level, 1_000), 1, Refill::Ratio);
        world.wants = vec![2_000];
        (0..10).for_each(|_| world.second(20));
        let before = world.admitted();
        (0..20).for_each(|_| world.second(20));
        let (admitted, limit) = (world.admitted() - before, 20 * level as u64);
        assert!(admitted * 10 >= limit * 9 && admitted <= limit, "{admitted} of {limit}");
    }
}

#[test]
fn streams_share_by_demand_once_the_old_has_ended() {
    let mut world = World::new(flat(100, 1_000), 3, Refill::Ratio);
    world.wants = vec![500, 0, 10];
    (0..12).for_each(|_| world.second(20));
    world.wants = vec![500, 500, 10];
    (0..15).for_each(|_| world.second(20));
    let before: Vec<u64> = world.proxies.iter().map(|proxy| proxy.admitted).collect();
    (0..10).for_each(|_| world.second(20));
    let had: Vec<u64> = world.proxies.iter().zip(before).map(|(proxy, before)| proxy.admitted - before).collect();
    assert!(had[2] >= 95, "who wants little gets it: {had:?}");
    assert!(had[0].abs_diff(had[1]) < 100 && had[0] + had[1] > 750, "the others get the rest alike: {had:?}");
}

/// A cut that nobody planned is told in the next round, and has taken hold everywhere when the old has ended.
#[test]
fn an_unplanned_cut_is_told_at_once_and_in_force_when_the_old_has_ended() {
    let mut world = World::new(flat(100, 1_000), 3, Refill::Ratio);
    world.wants = vec![300, 300, 5];
    (0..15).for_each(|_| world.second(20));
    let level = 20_000_000;
    let segment = Segment::new(0, None, level, level).unwrap();
    world.course = world.course.published(curve(vec![segment], 1_000, 2), world.now);
    (0..11).for_each(|_| world.step(20));
    let told = world.divider.reading(world.now);
    assert!((1..=20).contains(&told.assigned_per_s), "less, and not nothing: {told:?}");
    (0..5).for_each(|_| world.second(20));
    world.left = world.course.lowest_burst(world.now, world.now);
    world.least = world.left;
    (0..20).for_each(|_| world.second(20));
    assert!(world.least >= 0, "{}", world.least);
}

#[test]
fn who_asks_for_nothing_is_let_go() {
    let mut world = World::new(flat(100, 1_000), 1, Refill::Ratio);
    world.wants = vec![50];
    (0..8).for_each(|_| world.second(0));
    world.wants = vec![0];
    (0..16).for_each(|_| world.second(0));
    let told = world.proxies[0].bucket;
    let seen = world.divider.reading(world.now);
    assert_eq!((None, 0), (told, seen.assigned_per_s));
    (0..5).for_each(|_| world.second(0));
    assert_eq!(0, world.divider.reading(world.now).booked_per_s);
}

#[test]
fn a_stream_too_many_is_to_deny() {
    let mut divider = Divider::new(TERMS, 0);
    assert!((0..super::STREAMS_MAX as u64).all(|stream| divider.report(stream, 0, 1, 0)));
    assert!(!divider.report(1_000, 0, 1, 0));
    divider.end(3);
    assert!(divider.report(1_000, 0, 1, 0));
}

#[test]
fn terms_are_whole_seconds_that_end_in_time() {
    let within = |ms: i64| Terms::within(ms * MS, SECOND).map(|terms| terms.ttl_s);
    assert_eq!([None, Some(2), Some(4), Some(4)], [within(2_999), within(3_999), within(5_000), within(60_000)]);
}

proptest! {
    /// Steps, climbs, streams that come and go with their demand, late messages, buckets that begin full: in no window is
    /// more admitted than the burst at its start and the area under the limit.
    #[test]
    fn in_no_window_is_more_admitted_than_burst_and_limit(
        pieces in prop::collection::vec((1..12i64, 2..150i64, 2..150i64), 1..6),
        burst_ms in prop_oneof![20..300u64, 300..3_000u64],
        history in prop::collection::vec(prop_oneof![
            2 => [fates(), fates(), fates(), fates()],
            1 => fates().prop_map(|all| [all; 4]),
        ], 10..60),
        refill in prop_oneof![Just(Refill::Ratio), Just(Refill::Full)],
        (ttl_s, delay_ms) in (2..5u32, 50..900u16),
    ) {
        let history: Vec<Second> = history;
        let terms = Terms { ttl_s, delay_ns: i64::from(delay_ms) * MS };
        let mut world = World::on(terms, planned(&pieces, burst_ms), 4, refill);
        for (second, fates) in history.into_iter().enumerate() {
            for (i, fate) in fates.into_iter().enumerate() {
                match fate {
                    Fate::Wants(wants) => world.wants[i] = wants,
                    Fate::Lost => world.lose(i),
                }
            }
            world.second(if second % 3 == 0 { 0 } else { delay_ms });
            prop_assert!(world.least >= -16, "{} micro-tokens over at {} s", -world.least, world.now / SECOND);
        }
    }
}
