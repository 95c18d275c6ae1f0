//! The streams of one path's holders, and how many of them borrow: counted as they come and go, for every message asks.

use std::collections::HashMap;

use headway_core::lease::Holder;

use super::Answers;

/// Where a holder hears.
pub(super) struct Stream {
    pub(super) number: u64,
    pub(super) answers: Answers,
    /// What this path is called there.
    pub(super) path: u64,
    /// When it last spoke of this path.
    pub(super) heard_at: i64,
    /// It asked to be lent something, and not only for its part of the floor.
    pub(super) borrows: bool,
}

#[derive(Default)]
pub(super) struct Streams {
    all: HashMap<Holder, Stream>,
    borrowers: usize,
}

impl Streams {
    pub(super) fn get(&self, holder: Holder) -> Option<&Stream> {
        self.all.get(&holder)
    }

    /// Holders that asked to be lent something.
    pub(super) fn borrowers(&self) -> usize {
        self.borrowers
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Puts a holder's stream in the place of the one before, unless that is a later one. Who borrowed goes on to.
    pub(super) fn hear(&mut self, holder: Holder, stream: Stream) {
        let before = self.all.get(&holder);
        if before.is_some_and(|known| known.number > stream.number) {
            return;
        }
        let borrows = stream.borrows || before.is_some_and(|known| known.borrows);
        self.remove(holder);
        self.borrowers += usize::from(borrows);
        self.all.insert(holder, Stream { borrows, ..stream });
    }

    pub(super) fn remove(&mut self, holder: Holder) {
        if let Some(stream) = self.all.remove(&holder) {
            self.borrowers -= usize::from(stream.borrows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_borrow_are_counted_as_they_come_and_go() {
        let (answers, _pieces) = tokio::sync::mpsc::channel(1);
        let mut streams = Streams::default();
        let stream = |number, borrows| Stream { number, answers: answers.clone(), path: 1, heard_at: 0, borrows };
        let (one, another) = (Holder(1), Holder(2));
        streams.hear(one, stream(1, false));
        streams.hear(another, stream(2, true));
        assert_eq!(1, streams.borrowers());
        streams.hear(one, stream(3, true));
        streams.hear(one, stream(3, false));
        streams.hear(another, stream(1, false));
        assert_eq!((2, Some(2)), (streams.borrowers(), streams.get(another).map(|one| one.number)));
        streams.remove(one);
        streams.remove(one);
        streams.remove(another);
        assert_eq!((0, true), (streams.borrowers(), streams.is_empty()));
    }
}
