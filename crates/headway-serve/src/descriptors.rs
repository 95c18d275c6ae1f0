//! Which contracts a descriptor meets: patterns of entries, found without walking through them.
//!
//! A descriptor matches as a set: the same keys, in any order, with the same values; where `each` stands, that entry's value
//! is the key of the demand. Of one contract the first pattern that matches speaks, in the order they were given; all
//! contracts that match are met. A contract whose workloads have a `match` is met by descriptors with entries beside those of
//! its pattern as well: the attributes that its matches look at.

use std::collections::HashMap;

use smallvec::SmallVec;

/// Entries of a pattern: the value of an entry, or None where any value is, and is the key.
pub(crate) type Pattern = Vec<(String, Option<String>)>;

/// Patterns of one domain with the same keys and `each` at the same place: what is left is a look-up by the values.
struct Shape {
    /// Where the key stands among the sorted keys.
    each: Option<usize>,
    by_values: HashMap<Vec<u8>, Vec<usize>>,
}

/// Patterns with the same keys, beside which the same attributes may be said. There are few of them in a domain: one for each
/// way in which contracts are bound, not one for each contract.
struct Open {
    /// Sorted, and apart from each other.
    keys: Vec<String>,
    attributes: Vec<String>,
    shapes: Vec<Shape>,
}

/// All patterns, each known by its place in the list they were given in.
#[derive(Default)]
pub(crate) struct Patterns {
    exact: HashMap<Vec<u8>, Vec<Shape>>,
    /// By domain.
    open: HashMap<String, Vec<Open>>,
}

/// A pattern that a descriptor meets: its place, and the key where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match<'a> {
    pub(crate) place: usize,
    pub(crate) key: Option<&'a str>,
}

/// As a rule a descriptor meets one pattern, or two: they are found without an allocation.
pub(crate) type Found<'a> = SmallVec<[Match<'a>; 2]>;

type Sorted<'a> = SmallVec<[(&'a str, &'a str); 4]>;

impl Patterns {
    /// Adds a pattern under the next place; `attributes`, sorted, may be said beside it. Errors: no entries, a key twice, more
    /// than one `each`.
    pub(crate) fn add(
        &mut self,
        place: usize,
        domain: &str,
        mut pattern: Pattern,
        attributes: &[String],
    ) -> Result<(), String> {
        pattern.sort();
        if pattern.is_empty() || pattern.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("a descriptor has at least one entry, and every key once".to_owned());
        }
        let mut open = pattern.iter().enumerate().filter(|(_, (_, value))| value.is_none()).map(|(i, _)| i);
        let (each, None) = (open.next(), open.next()) else {
            return Err("the key of a demand stands in one entry of its descriptor".to_owned());
        };
        let values = joined(pattern.iter().filter_map(|(_, value)| value.as_deref())).into_vec();
        let keys: Vec<String> = pattern.into_iter().map(|(key, _)| key).collect();
        let attributes: Vec<String> = attributes.iter().filter(|name| !keys.contains(name)).cloned().collect();
        let shapes = if attributes.is_empty() {
            let keys = joined([domain].into_iter().chain(keys.iter().map(String::as_str))).into_vec();
            self.exact.entry(keys).or_default()
        } else {
            let open = self.open.entry(domain.to_owned()).or_default();
            let at =
                open.iter().position(|one| one.keys == keys && one.attributes == attributes).unwrap_or_else(|| {
                    open.push(Open { keys, attributes, shapes: vec![] });
                    open.len() - 1
                });
            &mut open[at].shapes
        };
        let at = shapes.iter().position(|shape| shape.each == each).unwrap_or_else(|| {
            shapes.push(Shape { each, by_values: HashMap::new() });
            shapes.len() - 1
        });
        shapes[at].by_values.entry(values).or_default().push(place);
        Ok(())
    }

    /// Puts what a descriptor meets into `found`, in the order of places.
    pub(crate) fn find<'a>(&self, domain: &str, entries: &[(&'a str, &'a str)], found: &mut Found<'a>) {
        let mut sorted = Sorted::from_slice(entries);
        sorted.sort_unstable();
        let start = found.len();
        let keys = joined([domain].into_iter().chain(sorted.iter().map(|(key, _)| *key)));
        if let Some(shapes) = self.exact.get(&keys[..]) {
            look_up(shapes, &sorted, found);
        }
        if !self.open.is_empty() && sorted.windows(2).all(|pair| pair[0].0 != pair[1].0) {
            for open in self.open.get(domain).into_iter().flatten() {
                if let Some(bound) = open.bound(&sorted) {
                    look_up(&open.shapes, &bound, found);
                }
            }
        }
        found[start..].sort_unstable();
    }
}

impl Open {
    /// The entries of the pattern, without the attributes that are said beside them; None where there is any other, or one of
    /// the pattern's is missing.
    fn bound<'a>(&self, sorted: &[(&'a str, &'a str)]) -> Option<Sorted<'a>> {
        let knows = |names: &[String], key: &str| names.binary_search_by(|name| name.as_str().cmp(key)).is_ok();
        let (bound, said): (Sorted<'a>, Sorted<'a>) =
            sorted.iter().copied().partition(|(key, _)| knows(&self.keys, key));
        let is_met = bound.len() == self.keys.len() && said.iter().all(|(key, _)| knows(&self.attributes, key));
        is_met.then_some(bound)
    }
}

/// Adds the places whose values these are; `sorted` has the keys of the shapes, each once.
fn look_up<'a>(shapes: &[Shape], sorted: &[(&'a str, &'a str)], found: &mut Found<'a>) {
    for shape in shapes {
        let is_told = |(i, (_, value)): (usize, &(&'a str, &'a str))| (Some(i) != shape.each).then_some(*value);
        let values = joined(sorted.iter().enumerate().filter_map(is_told));
        let key = shape.each.map(|each| sorted[each].1);
        let places = shape.by_values.get(&values[..]).into_iter().flatten();
        found.extend(places.map(|place| Match { place: *place, key }));
    }
}

/// Texts as one, told apart by their lengths.
fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> SmallVec<[u8; 96]> {
    let mut all = SmallVec::new();
    for text in texts {
        all.extend_from_slice(&(text.len() as u32).to_le_bytes());
        all.extend_from_slice(text.as_bytes());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(entries: &[(&str, Option<&str>)]) -> Pattern {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
    }

    fn patterns(all: &[&[(&str, Option<&str>)]]) -> Patterns {
        let mut patterns = Patterns::default();
        for (place, entries) in all.iter().enumerate() {
            patterns.add(place, "edge", pattern(entries), &[]).unwrap();
        }
        patterns
    }

    fn places(patterns: &Patterns, domain: &str, entries: &[(&'static str, &'static str)]) -> Vec<Match<'static>> {
        let mut found = Found::new();
        patterns.find(domain, entries, &mut found);
        found.into_vec()
    }

    #[test]
    fn entries_match_as_a_set() {
        let known = patterns(&[&[("service", Some("orders")), ("team", None)]]);
        let expected = vec![Match { place: 0, key: Some("search") }];
        for entries in [[("service", "orders"), ("team", "search")], [("team", "search"), ("service", "orders")]] {
            assert_eq!(expected, places(&known, "edge", &entries));
        }
    }

    #[test]
    fn one_entry_more_or_less_or_another_domain_is_another_descriptor() {
        let known = patterns(&[&[("service", Some("orders")), ("team", None)]]);
        let none: Vec<Match<'_>> = vec![];
        assert_eq!(none, places(&known, "edge", &[("service", "orders")]));
        assert_eq!(none, places(&known, "edge", &[("service", "orders"), ("team", "a"), ("x", "y")]));
        assert_eq!(none, places(&known, "edge", &[("service", "carts"), ("team", "a")]));
        assert_eq!(none, places(&known, "edge", &[("service", "orders"), ("team", "a"), ("team", "b")]));
        assert_eq!(none, places(&known, "inner", &[("service", "orders"), ("team", "a")]));
        assert_eq!(none, places(&known, "edge", &[]));
    }

    #[test]
    fn all_patterns_that_match_are_found_in_their_order() {
        let known = patterns(&[&[("a", None)], &[("a", Some("x"))], &[("a", Some("y"))], &[("a", None)]]);
        let key = Some("x");
        let expected = vec![Match { place: 0, key }, Match { place: 1, key: None }, Match { place: 3, key }];
        assert_eq!(expected, places(&known, "edge", &[("a", "x")]));
    }

    #[test]
    fn texts_that_run_together_are_told_apart() {
        let known = patterns(&[&[("a", Some("bc")), ("b", Some("d"))]]);
        assert_eq!(0, places(&known, "edge", &[("a", "b"), ("b", "cd")]).len());
        assert_eq!(0, places(&known, "edg", &[("ea", "bc"), ("b", "d")]).len());
    }

    type Entries<'a> = &'a [(&'a str, Option<&'a str>)];

    fn open(all: &[(Entries<'_>, &[&str])]) -> Patterns {
        let mut patterns = Patterns::default();
        for (place, (entries, attributes)) in all.iter().enumerate() {
            let attributes: Vec<String> = attributes.iter().map(|name| (*name).to_owned()).collect();
            patterns.add(place, "edge", pattern(entries), &attributes).unwrap();
        }
        patterns
    }

    #[test]
    fn attributes_may_be_said_beside_the_entries_of_a_pattern() {
        let known = open(&[(&[("service", Some("orders")), ("team", None)], &["path", "team", "user"])]);
        let met = vec![Match { place: 0, key: Some("a") }];
        let bound = [("service", "orders"), ("team", "a")];
        assert_eq!(met, places(&known, "edge", &bound));
        assert_eq!(met, places(&known, "edge", &[("user", "x"), ("team", "a"), ("service", "orders")]));
        assert_eq!(met, places(&known, "edge", &[("user", "x"), ("team", "a"), ("service", "orders"), ("path", "/")]));
    }

    #[test]
    fn what_no_match_looks_at_or_stands_twice_is_another_descriptor() {
        let known = open(&[(&[("service", Some("orders"))], &["user"])]);
        let none: Vec<Match<'_>> = vec![];
        for entries in [
            &[("service", "orders"), ("agent", "x")][..],
            &[("user", "x")],
            &[("service", "orders"), ("user", "x"), ("user", "y")],
            &[("service", "orders"), ("service", "orders"), ("user", "y")],
            &[("service", "carts"), ("user", "x")],
        ] {
            assert_eq!(none, places(&known, "edge", entries), "{entries:?}");
        }
        assert_eq!(none, places(&known, "inner", &[("service", "orders"), ("user", "x")]));
    }

    #[test]
    fn a_descriptor_may_be_one_contracts_entries_and_anothers_attributes() {
        let known = open(&[
            (&[("service", Some("orders"))], &["user"]),
            (&[("service", Some("orders")), ("user", None)], &[]),
            (&[("service", Some("orders"))], &["path", "user"]),
            (&[("service", Some("carts"))], &["user"]),
        ]);
        let found = places(&known, "edge", &[("service", "orders"), ("user", "x")]);
        assert_eq!([(0, None), (1, Some("x")), (2, None)].map(|(place, key)| Match { place, key }), *found);
    }

    #[test]
    fn a_pattern_that_means_nothing_is_an_error() {
        let mut patterns = Patterns::default();
        for entries in [&[][..], &[("a", Some("x")), ("a", Some("y"))], &[("a", None), ("b", None)]] {
            assert!(patterns.add(0, "edge", pattern(entries), &[]).is_err());
        }
    }
}
