//! A curve as one meter has installed it: past and future pieces on the meters' clock, with entitlement E and mark
//! floor K, both continuous over every version.
//!
//! `E(t) = ∫ L`, `K(t) = max over s ≤ t of (E(s) − B(s))`, `B = max(burst × L, one unit)`. Inside one piece the maximum
//! needs only the two ends: with a constant or falling level `E − B` only rises; with a rising one it is convex (its
//! slope `L − burst × L'` grows), so that no interior point beats both ends. Where a rising level lifts `burst × L`
//! over one unit the slope jumps down, which could hide a maximum: pieces are cut at that instant. So with `k`, the
//! maximum up to a piece's start, `K(t) = max(k, E(t) − B(t))` within it.
//!
//! Source: design, section 3; protocols/meters.md, the capacity clock.

use std::sync::Arc;

use crate::curve::{Curve, Measure};
use crate::grain::{Grains, MARK_BITS, MICRO};
use crate::line::Line;

/// How long joined pieces stay after they have passed, for readers whose clock is a moment old: a minute.
const KEPT_NS: i64 = 60_000_000_000;
/// More past pieces than this are not kept, however often a curve is published.
const KEPT_PIECES: usize = 256;
/// E at which a publish renews the base: two bits before marks would run out.
pub(crate) const RENEW_AT: u64 = 1 << (MARK_BITS - 2);

/// A stretch of the installed curve, `[start, end)` on the meters' clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) line: Line,
    /// Where the line came into force, and E there: `E(t) = e + area(since, t)`.
    since: i64,
    e: u64,
    /// K up to and including the start.
    pub(crate) k: u64,
    burst_ns: u64,
    /// B at the start; all along where the line is flat.
    burst: u64,
}

/// A window of a quota, on the meters' clock. `tag` tells windows apart in a meter's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: i64,
    pub(crate) start_utc: i64,
    pub(crate) tag: u16,
}

/// What a meter held when it was saved or last known durable, relative to E at that UTC instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resumed {
    pub(crate) utc_ns: i64,
    /// K − E at that instant, in grains: never above zero.
    pub(crate) k_from_e: i64,
}

/// How a rate's first curve begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Birth {
    Full,
    Empty,
    Resumed(Resumed),
}

#[derive(Debug, Clone)]
pub(crate) struct Installed {
    pub(crate) curve: Arc<Curve>,
    pub(crate) grains: Grains,
    /// `utc = boot + anchor`.
    pub(crate) anchor: i64,
    /// The instant from which this version is in force.
    pub(crate) since: i64,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) windows: Vec<Window>,
    /// The highest tag handed out, wrapping within `word::TAG_BITS`.
    last_tag: u16,
    /// E when the meter got its first curve, moved along by renewals (so it may stand below zero).
    pub(crate) e_first: i128,
    /// What renewals have taken off all marks so far, wrapping.
    pub(crate) base: u64,
}

impl Installed {
    /// The first curve of a meter, in force from `now`.
    pub(crate) fn first(curve: Arc<Curve>, grains: Grains, anchor: i64, now: i64, birth: Birth) -> Installed {
        let from = match birth {
            Birth::Resumed(r) => now.min(r.utc_ns.saturating_sub(anchor)),
            _ => now,
        };
        let mut new = Installed {
            windows: vec![],
            last_tag: 0,
            e_first: 0,
            base: 0,
            pieces: vec![],
            since: now,
            curve,
            grains,
            anchor,
        };
        let lines = lines_of(&new.curve, anchor, from);
        // Marks are unsigned: E starts at one burst, so that a full meter's K, one burst behind, is 0.
        let (e, k) = match (&new.curve.measure, birth) {
            (Measure::Rate, Birth::Full) => {
                let burst = burst_on(&lines[0].2, from, new.curve.burst_ns, &grains);
                (burst, 0)
            }
            (Measure::Rate, Birth::Resumed(r)) => {
                let behind = r.k_from_e.min(0).unsigned_abs();
                (behind, 0)
            }
            // Born empty: K is E. Other measures have neither.
            _ => (0, 0),
        };
        new.lay(lines, e, k);
        new.e_first = i128::from(new.entitlement(now));
        new.windows = windows_of(&new.curve, anchor, |_| None, 0, &mut new.last_tag);
        new
    }

    /// The curve that holds `self` up to `now` and `curve` from then on.
    pub(crate) fn joined(&self, curve: Arc<Curve>, anchor: i64, now: i64) -> Installed {
        // A clock that went back does not reopen what is past.
        let now = now.max(self.since);
        let mut pieces: Vec<Piece> =
            self.pieces.iter().filter(|p| p.start < now && p.end > now - KEPT_NS).copied().collect();
        if let Some(last) = pieces.last_mut() {
            last.end = last.end.min(now);
        }
        pieces.drain(..pieces.len().saturating_sub(KEPT_PIECES));
        let mut new = Installed { pieces, curve, anchor, since: now, windows: vec![], ..self.clone() };
        let lines = lines_of(&new.curve, anchor, now);
        new.lay(lines, self.entitlement(now), self.floor(now));
        new.windows = self.next_windows(&mut new, now);
        new
    }

    /// Windows of the new curve. One that the old curve had keeps its tag, and so what was used in it. A present window
    /// that begins elsewhere, yet not after the old curve was published, is the old one seen anew (a zone was amended):
    /// it keeps the tag as well, because a change of limit never resets what was used.
    fn next_windows(&self, new: &mut Installed, now: i64) -> Vec<Window> {
        let present = self.window_at(now);
        let known = |start_utc: i64| {
            self.windows
                .iter()
                .find(|w| w.start_utc == start_utc)
                .map(|w| w.tag)
                .or_else(|| present.filter(|_| start_utc <= self.since.saturating_add(self.anchor)).map(|w| w.tag))
        };
        let mut last = self.last_tag;
        let windows = windows_of(&new.curve, new.anchor, known, self.last_tag, &mut last);
        new.last_tag = last;
        windows
    }

    /// Appends pieces for `lines` (start, end, line), beginning with `e` and at least `k`.
    fn lay(&mut self, lines: Vec<(i64, i64, Line)>, mut e: u64, mut k: u64) {
        let (burst_ns, grains) = (self.curve.burst_ns, self.grains);
        for (since, end, line) in lines {
            let e_since = e;
            let cut = burst_passes_one(since, end, &line, burst_ns, &grains);
            let parts = cut.map_or([Some((since, end)), None], |at| [Some((since, at)), Some((at, end))]);
            for (start, end) in parts.into_iter().flatten() {
                let burst = burst_on(&line, start, burst_ns, &grains);
                k = k.max(e.saturating_sub(burst));
                let piece = Piece { start, end, line, since, e: e_since, k, burst_ns, burst };
                if end < i64::MAX {
                    e = piece.entitlement(end, &grains);
                    // Up to a cut the burst is one unit, and one ns later more.
                    let last = if cut == Some(end) { burst } else { burst_on(&line, end, burst_ns, &grains) };
                    k = k.max(e.saturating_sub(last));
                }
                self.pieces.push(piece);
            }
        }
    }

    /// Takes `delta` off E and K everywhere; whoever calls takes it off every mark.
    pub(crate) fn renew(&mut self, delta: u64) {
        for piece in &mut self.pieces {
            piece.e = piece.e.wrapping_sub(delta);
            piece.k = piece.k.saturating_sub(delta);
        }
        self.e_first -= i128::from(delta);
        self.base = self.base.wrapping_add(delta);
    }

    /// The piece in force at an instant; the first one before all.
    pub(crate) fn piece(&self, at: i64) -> &Piece {
        let after = self.pieces.partition_point(|p| p.start <= at);
        &self.pieces[after.saturating_sub(1)]
    }

    /// The pieces in force at `at` and later.
    pub(crate) fn pieces_from(&self, at: i64) -> &[Piece] {
        let after = self.pieces.partition_point(|p| p.start <= at);
        &self.pieces[after.saturating_sub(1)..]
    }

    /// E in grains.
    pub(crate) fn entitlement(&self, at: i64) -> u64 {
        self.piece(at).entitlement(at, &self.grains)
    }

    /// K in grains.
    pub(crate) fn floor(&self, at: i64) -> u64 {
        self.piece(at).floor(at, &self.grains)
    }

    /// The lowest burst of a rate at any instant from `from` to `to`, in grains.
    pub(crate) fn lowest_burst(&self, from: i64, to: i64) -> u64 {
        let ahead = self.pieces_from(from).iter().take_while(|p| p.start <= to);
        let lows = ahead.map(|p| {
            let (first, last) = (from.max(p.start), to.min(p.end.saturating_sub(1)));
            p.burst(first, &self.grains).min(p.burst(last, &self.grains))
        });
        lows.min().unwrap_or(0)
    }

    /// The first instant at which E is at least `e`, as far back as pieces reach; None where the curve never gets there.
    pub(crate) fn reached(&self, e: u64) -> Option<i64> {
        self.pieces.iter().find_map(|p| p.reached(e, p.start, &self.grains))
    }

    /// Whether a level below the present one lies ahead, so that a look may be too old by the time it is used.
    pub(crate) fn falls_after(&self, at: i64) -> bool {
        let ahead = self.pieces_from(at);
        ahead.iter().any(|p| p.line.to < p.line.from)
            || ahead.windows(2).any(|pair| pair[1].line.from < pair[0].line.to)
    }

    /// The quota's window at an instant; None before the first. The last decided one stays until another is: where it
    /// ends is not known here, and what is used in it is never forgotten without a new one.
    pub(crate) fn window_at(&self, at: i64) -> Option<Window> {
        let after = self.windows.partition_point(|w| w.start <= at);
        after.checked_sub(1).map(|i| self.windows[i])
    }

    /// The next window, up to whose start nothing about windows changes.
    pub(crate) fn window_after(&self, at: i64) -> Option<Window> {
        self.windows.get(self.windows.partition_point(|w| w.start <= at)).copied()
    }
}

impl Piece {
    /// E in grains; before the piece that at its start.
    pub(crate) fn entitlement(&self, at: i64, grains: &Grains) -> u64 {
        self.e.wrapping_add(self.line.area(self.since, at.max(self.start), grains))
    }

    /// B in grains.
    pub(crate) fn burst(&self, at: i64, grains: &Grains) -> u64 {
        if self.line.is_flat() { self.burst } else { burst_on(&self.line, at.max(self.start), self.burst_ns, grains) }
    }

    /// The level in micro-units, scaled.
    pub(crate) fn level(&self, at: i64, grains: &Grains) -> u64 {
        self.line.level(at, grains)
    }

    /// K in grains.
    pub(crate) fn floor(&self, at: i64, grains: &Grains) -> u64 {
        self.k.max(self.entitlement(at, grains).saturating_sub(self.burst(at, grains)))
    }

    /// The first instant in `[from, end)` with E at least `e`.
    pub(crate) fn reached(&self, e: u64, from: i64, grains: &Grains) -> Option<i64> {
        let (from, last) = (from.max(self.start), self.last_instant(from.max(self.start), grains));
        let holds = |at| self.entitlement(at, grains) >= e;
        match self.due_on_flat(e, grains).map(|at| at.max(from)) {
            Some(at) if at <= last && holds(at) && (at == from || !holds(at - 1)) => Some(at),
            _ => first(from, last, holds),
        }
    }

    /// On a flat line the division says when E gets to `e`; whoever asks looks whether it is so, for marks wrap.
    fn due_on_flat(&self, e: u64, grains: &Grains) -> Option<i64> {
        let per_ns = u128::from(self.line.numerator(grains));
        if !self.line.is_flat() || per_ns == 0 {
            return None;
        }
        let due = u128::from(e.saturating_sub(self.e)) * u128::from(grains.down);
        Some(self.since.saturating_add(i64::try_from(due.div_ceil(per_ns)).ok()?))
    }

    /// The last instant worth asking about: an endless piece is searched for seventy years, or as far as marks count.
    pub(crate) fn last_instant(&self, from: i64, grains: &Grains) -> i64 {
        if self.end < i64::MAX {
            return self.end - 1;
        }
        let per_ns = self.line.numerator(grains).max(1);
        let counted = (u128::from(grains.down) << (MARK_BITS - 1)) / u128::from(per_ns);
        let counted = i64::try_from(counted).unwrap_or(i64::MAX).min(i64::MAX / 4);
        self.since.saturating_add(counted).max(from)
    }
}

/// The first instant in `from..=last` at which `holds`, which once true stays true there.
pub(crate) fn first(from: i64, last: i64, holds: impl Fn(i64) -> bool) -> Option<i64> {
    if from > last || !holds(last) {
        return None;
    }
    let (mut low, mut high) = (from, last);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

/// B on a line: `burst × L`, but never below one unit, or a slow limit would admit nothing at all.
fn burst_on(line: &Line, at: i64, burst_ns: u64, grains: &Grains) -> u64 {
    line.burst(at, burst_ns, grains).max(grains.least)
}

/// The curve's lines from `from` on, as (start, end, line) without gaps, the last endless.
fn lines_of(curve: &Curve, anchor: i64, from: i64) -> Vec<(i64, i64, Line)> {
    let segments = &curve.segments;
    let boot = |utc: i64| utc.saturating_sub(anchor);
    let mut lines = vec![];
    let mut at = from;
    if boot(segments[0].start_ns) > at {
        let end = boot(segments[0].start_ns);
        lines.push((at, end, Line::flat(at, segments[0].from_micro)));
        at = end;
    }
    for segment in segments {
        let end = segment.end_ns.map_or(i64::MAX, boot);
        if end <= at {
            continue;
        }
        let line = match segment.end_ns {
            // A flat line is laid anew from here: the floor of its area then never runs ahead of what is due.
            _ if segment.from_micro == segment.to_micro => Line::flat(at, segment.from_micro),
            None => Line::flat(at, segment.from_micro),
            Some(end_ns) => Line {
                start: boot(segment.start_ns),
                span: (end_ns - segment.start_ns) as u64,
                from: segment.from_micro,
                to: segment.to_micro,
            },
        };
        lines.push((at, end, line));
        at = end;
    }
    if at < i64::MAX {
        let level = segments.last().map_or(0, |s| s.to_micro);
        lines.push((at, i64::MAX, Line::flat(at, level)));
    }
    lines
}

/// Where a rising level lifts `burst × L` over one unit, `E − B` may have a maximum: the piece is cut there.
fn burst_passes_one(start: i64, end: i64, line: &Line, burst_ns: u64, grains: &Grains) -> Option<i64> {
    let over = |at: i64| line.burst(at, burst_ns, grains) > grains.least;
    if line.rises() && end < i64::MAX && !over(start) { first(start, end - 1, over) } else { None }
}

/// Tags for the windows of a curve: `known` ones keep theirs, new ones get the next.
fn windows_of(
    curve: &Curve,
    anchor: i64,
    known: impl Fn(i64) -> Option<u16>,
    last: u16,
    newest: &mut u16,
) -> Vec<Window> {
    let mut next = last;
    let mut windows = vec![];
    for &start_utc in &curve.window {
        let tag = known(start_utc).unwrap_or_else(|| {
            next = next.wrapping_add(1) & crate::word::TAG_MASK;
            next
        });
        windows.push(Window { start: start_utc.saturating_sub(anchor), start_utc, tag });
    }
    *newest = next;
    windows
}

/// The highest level of a curve in micro-units, scaled, rounded down.
pub(crate) fn highest(curve: &Curve, ppm: u64) -> u64 {
    let highest = curve.segments.iter().map(|s| s.from_micro.max(s.to_micro)).max().unwrap_or(0);
    u64::try_from(u128::from(highest) * u128::from(ppm) / u128::from(MICRO)).unwrap_or(u64::MAX)
}
