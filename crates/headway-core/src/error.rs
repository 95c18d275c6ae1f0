//! What can be wrong with what Python declares, publishes or restores. Refusals of demands are not errors.

use std::fmt;

/// One enum for every fault of this crate; the binding turns it into Python's exceptions in one `match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A value that nothing could mean: the sentence says which, and what would do.
    Invalid(String),
    /// A meter that was not declared.
    UnknownMeter(String),
    /// What the keeper of a limit says is wrong, with its code.
    Far { code: String, problem: String },
    /// The process was forked from the one that holds the engine.
    Forked,
}

impl Error {
    pub(crate) fn invalid(text: impl Into<String>) -> Error {
        Error::Invalid(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(text) => f.write_str(text),
            Error::UnknownMeter(name) => write!(f, "no meter is called {name:?}; declare it first"),
            Error::Far { code, problem } => write!(f, "{code}: {problem}"),
            Error::Forked => f.write_str(
                "HW501: this process was forked from the one that holds the engine; \
                 open Headway in the child, or connect to its server",
            ),
        }
    }
}

impl std::error::Error for Error {}
