//! The allocator beside its exact twin, in short; `make shares` plays a million.

#[path = "../../../benches/core/shares/twin.rs"]
mod twin;

#[test]
fn random_divisions_are_the_exact_ones_within_a_unit() {
    let tally = twin::play(7, 3_000);
    assert_eq!(None, tally.difference);
    assert_eq!(3_000, tally.cases);
    // What the comparison is worth: each of these was met often.
    assert!(tally.parties > 6_000 && tally.levels > 4_000, "{tally:?}");
    assert!(tally.guarantees_beyond > 300 && tally.fewer_units_than_parties > 300, "{tally:?}");
}
