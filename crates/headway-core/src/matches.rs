//! Which workload asks, by what is said of it: attributes to names. The first match wins.
//!
//! One function decides it wherever a demand is made: in a process, at the check, in Envoy's service, at a gate. Source:
//! design, section 2 (`workloads.*.match`).

use crate::error::Error;

/// Workloads with a match; as many as a contract names.
const RULES_MAX: usize = 1_000;
/// Attributes that one match looks at, and those that all of a contract's do.
const ATTRIBUTES_MAX: usize = 16;
/// Patterns for one attribute.
const PATTERNS_MAX: usize = 64;
/// Bytes of an attribute's name.
pub const ATTRIBUTE_BYTES_MAX: usize = 64;
/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 256;
/// Bytes of all of it: a keeper sends it to its gates.
const TOTAL_BYTES_MAX: usize = 16_384;
/// Bytes of a value that is looked at. A longer one is nobody's: it counts as not said, which bounds what a look costs.
pub const VALUE_BYTES_MAX: usize = 1_024;

/// What has to be so for a demand to be a workload's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchRule {
    pub workload: String,
    /// Attributes, all of which must be said, and the patterns of which one must take what is said.
    pub wanted: Vec<(String, Vec<String>)>,
}

/// The matches of a contract's workloads, in the order they were declared in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matches {
    rules: Vec<MatchRule>,
    attributes: Vec<String>,
}

impl Matches {
    /// Errors: a match of nothing, a name or pattern that is empty or too long, an attribute twice in a match, too many.
    pub fn new(rules: Vec<MatchRule>) -> Result<Matches, Error> {
        let mut attributes: Vec<String> = rules.iter().flat_map(MatchRule::attributes).map(str::to_owned).collect();
        attributes.sort_unstable();
        attributes.dedup();
        let bytes: usize = rules.iter().map(MatchRule::bytes).sum();
        if rules.len() > RULES_MAX || attributes.len() > ATTRIBUTES_MAX || bytes > TOTAL_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "the matches of a contract are at most {RULES_MAX}, of {ATTRIBUTES_MAX} attributes and {TOTAL_BYTES_MAX} bytes"
            )));
        }
        rules.iter().try_for_each(MatchRule::checked)?;
        Ok(Matches { rules, attributes })
    }

    /// The attributes that are looked at, sorted: nothing else that is said makes a difference.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    pub fn rules(&self) -> &[MatchRule] {
        &self.rules
    }

    /// The first workload whose match takes what is said, as (attribute, value); None: the rest, which is `other`'s.
    pub fn workload_of(&self, said: &[(&str, &str)]) -> Option<&str> {
        self.rules.iter().find(|rule| rule.takes(said)).map(|rule| &*rule.workload)
    }
}

impl MatchRule {
    fn attributes(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().map(|(attribute, _)| attribute.as_str())
    }

    fn bytes(&self) -> usize {
        let of = |(attribute, patterns): &(String, Vec<String>)| {
            attribute.len() + patterns.iter().map(String::len).sum::<usize>()
        };
        self.workload.len() + self.wanted.iter().map(of).sum::<usize>()
    }

    fn checked(&self) -> Result<(), Error> {
        let fits = |text: &str, most| (1..=most).contains(&text.len());
        let mut attributes: Vec<&str> = self.attributes().collect();
        attributes.sort_unstable();
        if attributes.is_empty() || attributes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::Invalid(format!("the match of {:?} names attributes, each once", self.workload)));
        }
        for (attribute, patterns) in &self.wanted {
            if !fits(attribute, ATTRIBUTE_BYTES_MAX) {
                return Err(Error::Invalid(format!("an attribute's name has 1 to {ATTRIBUTE_BYTES_MAX} bytes")));
            }
            if !(1..=PATTERNS_MAX).contains(&patterns.len()) || !patterns.iter().all(|one| fits(one, PATTERN_BYTES_MAX))
            {
                return Err(Error::Invalid(format!(
                    "{attribute:?} is matched by 1 to {PATTERNS_MAX} patterns of 1 to {PATTERN_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(())
    }

    fn takes(&self, said: &[(&str, &str)]) -> bool {
        self.wanted.iter().all(|(attribute, patterns)| {
            let value = said.iter().find(|(name, _)| name == attribute).map(|(_, value)| *value);
            let value = value.filter(|value| value.len() <= VALUE_BYTES_MAX);
            value.is_some_and(|value| patterns.iter().any(|pattern| takes(pattern, value)))
        })
    }
}

/// Whether a pattern takes all of a value: `*` any characters or none, `?` one, every other itself. At most as many steps as
/// the lengths of the two multiplied: only the last `*` is ever gone back to.
fn takes(pattern: &str, value: &str) -> bool {
    let (mut wanted, mut left) = (pattern.chars(), value.chars());
    let mut star = None;
    loop {
        let ahead = left.clone();
        match (wanted.next(), left.next()) {
            (Some('*'), _) => {
                star = Some((wanted.clone(), ahead.clone()));
                left = ahead;
                continue;
            }
            (None, None) => return true,
            // What is left of the pattern needs more than is left of the value, which no longer `*` mends.
            (Some(_), None) => return false,
            (Some(one), Some(other)) if one == '?' || one == other => continue,
            _ => {}
        }
        let Some((after, from)) = &mut star else { return false };
        // One character more is the star's.
        from.next();
        (wanted, left) = (after.clone(), from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(workload: &str, wanted: &[(&str, &[&str])]) -> MatchRule {
        let patterns = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let wanted = wanted.iter().map(|(attribute, all)| ((*attribute).to_owned(), patterns(all))).collect();
        MatchRule { workload: workload.to_owned(), wanted }
    }

    #[test]
    fn a_pattern_takes_all_of_a_value_or_nothing_of_it() {
        let yes = [
            ("*", ""),
            ("a*", "a"),
            ("*b", "aab"),
            ("a*b*c", "abxbc"),
            ("?", "é"),
            ("a?c", "abc"),
            ("*?", "a"),
            ("**", "x"),
        ];
        let no = [
            ("a", "ab"),
            ("b", "ab"),
            ("?", ""),
            ("a*b", "abc"),
            ("?*?", "a"),
            ("a?c", "ac"),
            ("A", "a"),
            ("a*a", "a"),
        ];
        for (pattern, value) in yes {
            assert!(takes(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in no {
            assert!(!takes(pattern, value), "{pattern} {value}");
        }
    }

    #[test]
    fn the_first_match_wins_and_the_rest_is_nobodys() {
        let matches = Matches::new(vec![
            rule("checkout", &[("user", &["checkout_*"])]),
            rule("batch", &[("user", &["*_job", "cron"]), ("database", &["orders"])]),
        ]);
        let matches = matches.unwrap();
        let of = |said: &[(&'static str, &'static str)]| matches.workload_of(said).map(str::to_owned);
        assert_eq!(Some("checkout".into()), of(&[("database", "orders"), ("user", "checkout_job")]));
        assert_eq!(Some("batch".into()), of(&[("user", "cron"), ("database", "orders")]));
        assert_eq!([None, None], [of(&[("user", "cron")]), of(&[])]);
        assert_eq!(["database", "user"], matches.attributes());
    }

    #[test]
    fn a_value_that_is_too_long_counts_as_not_said() {
        let matches = Matches::new(vec![rule("a", &[("user", &["x*"])])]).unwrap();
        let (long, longer) = ("x".repeat(VALUE_BYTES_MAX), "x".repeat(VALUE_BYTES_MAX + 1));
        assert_eq!(
            [Some("a"), None],
            [matches.workload_of(&[("user", &long)]), matches.workload_of(&[("user", &longer)])]
        );
    }

    #[test]
    fn what_means_nothing_or_is_too_much_is_an_error() {
        let (long, many) = ("x".repeat(PATTERN_BYTES_MAX + 1), ["x"; PATTERNS_MAX + 1]);
        let wrong = [
            rule("a", &[]),
            rule("a", &[("user", &[])]),
            rule("a", &[("user", &[""])]),
            rule("a", &[("", &["x"])]),
            rule("a", &[("user", &["x"]), ("user", &["y"])]),
            rule("a", &[("user", &[&long])]),
            rule("a", &[("user", &many)]),
            rule("a", &[(&"x".repeat(ATTRIBUTE_BYTES_MAX + 1), &["x"])]),
        ];
        for one in wrong {
            assert!(Matches::new(vec![one.clone()]).is_err(), "{one:?}");
        }
        let names: Vec<String> = (0..=ATTRIBUTES_MAX).map(|i| format!("a{i}")).collect();
        let apart = names.iter().map(|name| rule("a", &[(name, &["x"])])).collect();
        assert!(Matches::new(apart).is_err());
        assert!(Matches::new(vec![rule("a", &[("user", &["x"])]); RULES_MAX + 1]).is_err());
        let pattern = "x".repeat(PATTERN_BYTES_MAX);
        assert!(Matches::new(vec![rule("a", &[("user", &[&*pattern; PATTERNS_MAX])]); 2]).is_err());
    }
}
