//! The causes of a refusal.

/// Why a demand was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Full,
    NeverFits,
    TooManyKeys,
    QueueFull,
    Timeout,
    Drawing,
    NotDurable,
    NotPublished,
    Closed,
    /// It could not be decided in time.
    Overloaded,
    /// Its keeper could not be asked.
    CutOff,
}

impl Why {
    pub const COUNT: usize = 11;
    pub const ALL: [Why; Why::COUNT] = [
        Why::Full,
        Why::NeverFits,
        Why::TooManyKeys,
        Why::QueueFull,
        Why::Timeout,
        Why::Drawing,
        Why::NotDurable,
        Why::NotPublished,
        Why::Closed,
        Why::Overloaded,
        Why::CutOff,
    ];

    pub fn named(name: &str) -> Option<Why> {
        Why::ALL.into_iter().find(|why| why.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Why::Full => "full",
            Why::NeverFits => "never_fits",
            Why::TooManyKeys => "too_many_keys",
            Why::QueueFull => "queue_full",
            Why::Timeout => "timeout",
            Why::Drawing => "drawing",
            Why::NotDurable => "not_durable",
            Why::NotPublished => "not_published",
            Why::Closed => "closed",
            Why::Overloaded => "overloaded",
            Why::CutOff => "cut_off",
        }
    }

    /// Whether the same demand may be admitted later.
    pub fn is_retryable(self) -> bool {
        !matches!(self, Why::NeverFits | Why::Closed)
    }

    /// Whether waiting in the queue may mend it.
    pub(crate) fn may_wait(self) -> bool {
        matches!(self, Why::Full | Why::Drawing | Why::TooManyKeys)
    }
}
