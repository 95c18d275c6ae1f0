//! The matches of a contract's workloads, as they stand on the stream: a gate tells its demands apart by itself.

use headway_core::{Error, MatchRule, Matches};
use prost::Message;

/// What has to be so for a demand to be a workload's.
#[derive(Clone, PartialEq, Message)]
pub struct Match {
    #[prost(string, tag = "1")]
    pub workload: String,
    #[prost(message, repeated, tag = "2")]
    pub wanted: Vec<Wanted>,
}

/// An attribute that has to be said, and the patterns of which one takes what is.
#[derive(Clone, PartialEq, Message)]
pub struct Wanted {
    #[prost(string, tag = "1")]
    pub attribute: String,
    #[prost(string, repeated, tag = "2")]
    pub patterns: Vec<String>,
}

/// As a keeper says them.
pub fn said_of(matches: &Matches) -> Vec<Match> {
    let wanted = |(attribute, patterns): &(String, Vec<String>)| Wanted {
        attribute: attribute.clone(),
        patterns: patterns.clone(),
    };
    let rule =
        |rule: &MatchRule| Match { workload: rule.workload.clone(), wanted: rule.wanted.iter().map(wanted).collect() };
    matches.rules().iter().map(rule).collect()
}

/// As a gate understands them. Errors: they mean nothing, or are more than a contract may have.
pub fn matches_of(said: &[Match]) -> Result<Matches, Error> {
    let wanted = |one: &Wanted| (one.attribute.clone(), one.patterns.clone());
    let rule =
        |one: &Match| MatchRule { workload: one.workload.clone(), wanted: one.wanted.iter().map(wanted).collect() };
    Matches::new(said.iter().map(rule).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_understood_as_they_were_said() {
        let wanted =
            vec![("user".to_owned(), vec!["a*".to_owned(), "b".to_owned()]), ("path".into(), vec!["/".into()])];
        let rules = ["web", "batch"].map(|name| MatchRule { workload: name.into(), wanted: wanted.clone() });
        let matches = Matches::new(rules.into()).unwrap();
        assert_eq!(Ok(matches.clone()), matches_of(&said_of(&matches)));
    }

    #[test]
    fn a_match_of_nothing_is_an_error() {
        assert!(matches_of(&[Match::default()]).is_err());
    }
}
