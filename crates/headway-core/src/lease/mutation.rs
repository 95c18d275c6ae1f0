//! Rules broken on purpose, one at a time, by the simulation. Compiled only with the feature `mutants`.

use std::cell::Cell;

macro_rules! mutations {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One rule, broken. Each is at most three lines where it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutation { $($(#[doc = $doc])+ $name,)+ }

        impl Mutation {
            pub const ALL: &'static [Mutation] = &[$(Mutation::$name,)+];

            pub fn name(self) -> &'static str {
                match self { $(Mutation::$name => stringify!($name),)+ }
            }

            /// What is broken, in a sentence.
            pub fn story(self) -> &'static str {
                match self { $(Mutation::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

mutations! {
    /// The gate counts a term from the receipt of the reply.
    CountFromReceipt,
    /// No safety factor for clocks that run at different rates.
    NoSafetyFactor,
    /// A smaller grant leaves the book before it is acknowledged.
    ShrinkBeforeAck,
    /// After a take-over inherited grants are not given a whole lease.
    InheritedEndsAtOnce,
    /// The reply leaves before its growth is durable.
    WriteBehind,
    /// Deadlines are read off the wall clock.
    WallClock,
    /// The store takes writes of earlier epochs.
    NoFence,
    /// A gate installs leases that are older than what it has.
    StaleLeases,
    /// A keeper answers after its mandate has ended.
    NoMandate,
    /// The mandate counts from the store's answer.
    MandateFromAnswer,
    /// A successor does not wait for the old keeper's mandate to end.
    OldMandateIgnored,
    /// What is in flight is not booked.
    InFlightUnbooked,
    /// The end of a lease frees its units at once.
    EndOfLeaseFrees,
    /// After the end of a lease only what was last reported stays booked, not the whole grant.
    HeldAsReported,
    /// Grants are held against the limit of now, whatever leases outlive it.
    LimitOfNow,
    /// The keeper's clock is trusted to meet planned changes exactly.
    ClockIsTrusted,
    /// Reports that are older than what is known are heard.
    OldReportsHeard,
    /// Acknowledgements of other epochs' leases end what is booked.
    AnyEpochAcknowledges,
    /// A holder may always keep what it has, whatever is in flight elsewhere.
    BelowIsAlwaysAllowed,
    /// A push makes the lease last longer.
    PushRenews,
    /// A process that starts again is the holder it was before.
    HolderReturns,
    /// A closed stream ends its holder.
    CloseEndsHolder,
    /// A gate says goodbye with slots in flight.
    ByeInFlight,
    /// A row that is being taken off still backs a grant.
    ShrinkingCounts,
    /// A row is taken down to what is in flight, below what is granted.
    RowBelowBooked,
    /// An acknowledgement ends the very lease it names.
    AckEndsItsOwn,
    /// An acknowledgement ends leases after the one it names.
    AckEndsLater,
    /// Where many grants are out, two become one as small as the smaller.
    MergedToSmaller,
    /// `max_hold` is waited for without the safety factor.
    HoldWithoutFactor,
    /// A successor begins without the rows.
    RowsForgotten,
    /// Growth that the store refused is granted.
    RefusedGrowthGranted,
    /// A lease is as long as `drain_within`, whatever the mandate before it.
    LeaseWithoutMandate,
    /// A demand is decided without asking whether the lease has ended.
    EndUnasked,
    /// A gate orders leases by their number alone.
    EpochUnordered,
    /// A push is acknowledged, not heeded.
    PushUnheeded,
    /// A term counts from the latest message, not from the one that was answered.
    CountFromLatest,
    /// The floor is lent to others as well.
    FloorLent,
    /// Two processes of one name have its part of the floor at once.
    PartOfTwo,
    /// A part of the floor that is told again is a part more.
    PartAgain,
    /// A part of the floor is used after it has ended.
    PartWithoutEnd,
    /// A renewal of a lease is not taken for one of the holder's part of the floor.
    PartUnrenewed,
    /// A gate that is cut off goes on with what its lease allowed, beside its part.
    PartBesideLease,
    /// A successor does not know who has parts of the floor.
    PartRowsForgotten,
    /// Tokens on loan do not count against the burst.
    LoansUncounted,
    /// What ends unreported is free again.
    UnreportedIsFree,
    /// What is reported spent does not move to the mark.
    SpentIsForgiven,
    /// Blocks are held against the burst of now, whatever they outlive.
    BurstOfNow,
    /// A successor counts nothing as on loan.
    LoansForgotten,
    /// A successor lends before the old keeper's mandate has ended.
    LentAtOnce,
    /// A successor keeps what was entitled before it lends.
    EntitlementKept,
    /// A block leaves before the ceiling that covers it is durable.
    LentBeforeDurable,
    /// A gate installs the same block twice.
    BlockTwice,
    /// A block counts from the receipt of the reply.
    BlockFromReceipt,
    /// A block is spent after its end.
    BlockWithoutEnd,
    /// A gate closes a block that it goes on spending.
    ClosedEarly,
    /// A part of a rate's floor has a demand in it whenever it is told.
    PartToldFull,
    /// A keeper's process decides its own demands after its mandate has ended.
    OwnAfterMandate,
}

thread_local! {
    static BROKEN: Cell<Option<Mutation>> = const { Cell::new(None) };
}

impl Mutation {
    /// Breaks one rule, or none, for all machines of this thread.
    pub fn set(broken: Option<Mutation>) {
        BROKEN.set(broken);
    }

    /// Whether it breaks a rule of rates; the others are of concurrencies, or of both.
    pub fn is_of_rates(self) -> bool {
        self as usize >= Mutation::LoansUncounted as usize
    }

    pub fn is_on(self) -> bool {
        BROKEN.get() == Some(self)
    }
}
