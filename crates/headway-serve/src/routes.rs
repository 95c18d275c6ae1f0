//! Where traffic meets contracts: checks by name, descriptors by pattern. Made by the engine, swapped as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use headway_core::lease::{Named, Share};
use headway_core::{Matches, Path, divide};
use headway_wire::check::{Check, wrong};
use headway_wire::{Problem, Tell};

use crate::descriptors::{Found, Pattern, Patterns};
use crate::divisions::Division;
use crate::holders::Kept;
use crate::matched::Matched;
use crate::receipts::Receipts;

/// The workload that takes the rest.
const OTHER: &str = "other";

/// A contract that checks may ask about: its paths, each under the name of its workload.
pub struct CheckRoute {
    pub contract: String,
    pub tell: Tell,
    pub paths: Vec<Arc<Path>>,
    /// How what is said of whoever asks tells its workloads apart.
    pub matches: Option<Arc<Matches>>,
}

/// A descriptor that meets a contract.
pub struct RlsRoute {
    pub domain: String,
    /// The entries; None where any value stands, and is the key.
    pub descriptor: Pattern,
    /// Of whoever no match takes.
    pub path: Arc<Path>,
    /// A descriptor may have entries beside those of its pattern then: the attributes that the matches look at.
    pub matches: Option<Arc<Matches>>,
    /// Of those that a match may take.
    pub matched: Vec<Arc<Path>>,
    pub tell: Tell,
    /// Hits are charged after the fact, into debt at most `settle_max_micro` each, and never refused; a probe asks before.
    pub post_paid: bool,
    /// Hits may be given back (`is_negative_hits`): the last charges are remembered for that.
    pub refundable: bool,
}

/// A bucket of Envoy's quota service that a contract's rate is divided for.
pub struct RlqsRoute {
    pub domain: String,
    /// The bucket's id, as a set of entries.
    pub bucket: BTreeMap<String, String>,
    pub path: Arc<Path>,
    /// How long an assignment lives.
    pub terms: divide::Terms,
}

pub(crate) struct Target {
    pub(crate) path: Arc<Path>,
    pub(crate) tell: Tell,
    pub(crate) post_paid: bool,
    pub(crate) receipts: Option<Arc<Receipts>>,
}

/// A contract that gates may hold a part of, with a path for each workload.
pub struct HoldRoute {
    pub contract: String,
    pub tell: Tell,
    pub paths: Vec<Arc<Path>>,
    /// How long a slot may outlive its gate's term.
    pub max_hold_ns: i64,
    /// Within which a cut is in force at whoever is lent a part.
    pub drain_within_ns: i64,
    /// How much refusals of leases say over HTTP.
    pub tell_http: Tell,
    /// How what is said of whoever asks tells its workloads apart.
    pub matches: Option<Arc<Matches>>,
    /// Whether a gate that is cut off admits everything.
    pub opens: bool,
    /// Its floor, where that is divided among gates; of a contract with one path.
    pub floor: Option<Arc<Floor>>,
}

/// A floor that is divided among gates: what its path holds and spends is published without it.
#[derive(Debug)]
pub struct Floor {
    pub named: Named,
    /// By part; empty where demands hold no slots, or spend no tokens.
    pub slots: Vec<Share>,
    pub tokens: Vec<Share>,
}

struct Checked {
    tell: Tell,
    by_workload: HashMap<String, Arc<Path>>,
}

/// All routes of a data plane.
#[derive(Default)]
pub struct Routes {
    checks: HashMap<String, Checked>,
    holds: HashMap<String, HashMap<String, (Kept, Tell)>>,
    patterns: Patterns,
    targets: Vec<Matched<Target>>,
    /// By contract.
    matches: HashMap<String, Arc<Matches>>,
    divisions: HashMap<(String, BTreeMap<String, String>), Arc<Division>>,
}

impl Routes {
    /// Errors, as a sentence: a contract or workload twice, a path of another contract, slots (which nobody would give back),
    /// a pattern that means nothing, a key where the contract has none or none where it has, post-paid hits without a bound,
    /// a bucket twice, a division of what is no rate, a match of a workload that has no path.
    pub fn new(
        checks: Vec<CheckRoute>,
        rls: Vec<RlsRoute>,
        holds: Vec<HoldRoute>,
        rlqs: Vec<RlqsRoute>,
    ) -> Result<Routes, String> {
        let mut routes = Routes::default();
        for one in holds {
            let HoldRoute { contract, tell, paths, max_hold_ns, drain_within_ns, tell_http, matches, opens, floor } =
                one;
            routes.tell_apart_by(&contract, matches, &paths)?;
            if floor.is_some() && paths.len() != 1 {
                return Err(format!("the floor of {contract:?} is divided, and it has several workloads"));
            }
            let kept = |path| Kept {
                path,
                max_hold_ns,
                drain_within_ns,
                tell_http,
                opens,
                floor: floor.as_ref().map(Arc::clone),
            };
            let by_workload = paths
                .into_iter()
                .map(|path: Arc<Path>| (path.spec().workload.clone(), kept(path)))
                .map(|(workload, kept)| (workload, (kept, tell)));
            if routes.holds.insert(contract.clone(), by_workload.collect()).is_some() {
                return Err(format!("the contract {contract:?} is there twice"));
            }
        }
        for CheckRoute { contract, tell, paths, matches } in checks {
            routes.tell_apart_by(&contract, matches, &paths)?;
            let mut by_workload = HashMap::new();
            for path in paths {
                let spec = path.spec();
                if spec.contract != contract {
                    return Err(format!("a limiter of {:?} cannot answer checks of {contract:?}", spec.contract));
                }
                may_route(&path)?;
                let workload = spec.workload.clone();
                if by_workload.insert(workload, path).is_some() {
                    return Err(format!("a workload of {contract:?} is there twice"));
                }
            }
            if routes.checks.insert(contract.clone(), Checked { tell, by_workload }).is_some() {
                return Err(format!("the contract {contract:?} is there twice"));
            }
        }
        for (place, route) in rls.into_iter().enumerate() {
            let RlsRoute { domain, descriptor, path, matches, matched, tell, post_paid, refundable } = route;
            let contract = path.spec().contract.clone();
            let is_keyed = descriptor.iter().any(|(_, value)| value.is_none());
            let target = |path: Arc<Path>| {
                may_route(&path)?;
                if path.needs_key() != is_keyed {
                    return Err(format!(
                        "a descriptor of {contract:?} has `each` where its contract has keys, and only there"
                    ));
                }
                if post_paid && (path.spec().settle_max_micro < 1_000_000 || refundable) {
                    let mend = "needs a bound on its cost, and nothing of them is given back";
                    return Err(format!("{contract:?}: what is charged after the fact {mend}"));
                }
                let receipts = refundable.then(Arc::default);
                Ok(Target { path, tell, post_paid, receipts })
            };
            let said = matches.as_ref().map_or(&[][..], |matches| matches.attributes());
            routes.patterns.add(place, &domain, descriptor, said).map_err(|e| format!("{contract:?}: {e}"))?;
            let others = matched.into_iter().map(|path| Ok((path.spec().workload.clone(), target(path)?)));
            let others = others.collect::<Result<_, String>>()?;
            let targets = Matched::new(target(path)?, matches, others).map_err(|e| format!("{contract:?}: {e}"))?;
            routes.targets.push(targets);
        }
        for RlqsRoute { domain, bucket, path, terms } in rlqs {
            let contract = &path.spec().contract;
            if !path.may_divide() {
                return Err(format!("{contract:?} is no rate on one meter without keys, and is not divided"));
            }
            let division = Arc::new(Division::new(bucket.clone(), path, terms));
            if let Some(other) = routes.divisions.insert((domain, bucket), division) {
                return Err(format!("the bucket of {:?} is there twice", other.contract()));
            }
        }
        Ok(routes)
    }

    /// Whether a limit is divided here.
    pub(crate) fn divides(&self) -> bool {
        !self.divisions.is_empty()
    }

    pub(crate) fn divisions(&self) -> impl Iterator<Item = &Arc<Division>> {
        self.divisions.values()
    }

    /// The division of a bucket; None where no contract is bound to it.
    pub(crate) fn division(&self, domain: &str, bucket: &BTreeMap<&str, &str>) -> Option<&Arc<Division>> {
        let id = bucket.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.divisions.get(&(domain.to_owned(), id))
    }

    /// Takes over what was remembered of charges on paths that stay, and what is assigned of buckets that do.
    pub(crate) fn inherit(&mut self, old: &Routes) {
        for (id, division) in &self.divisions {
            if let Some(other) = old.divisions.get(id).filter(|other| other.contract() == division.contract()) {
                division.go_on_from(other);
            }
        }
        let targets = self.targets.iter_mut().flat_map(Matched::all_mut);
        for target in targets.filter(|target| target.receipts.is_some()) {
            let same = |other: &&Target| Arc::ptr_eq(&other.path, &target.path) && other.receipts.is_some();
            if let Some(other) = old.targets.iter().flat_map(Matched::all).find(same) {
                target.receipts.clone_from(&other.receipts);
            }
        }
    }

    /// Keeps a contract's matches. Errors: one is of a workload that has no path.
    fn tell_apart_by(
        &mut self,
        contract: &str,
        matches: Option<Arc<Matches>>,
        paths: &[Arc<Path>],
    ) -> Result<(), String> {
        let Some(matches) = matches else { return Ok(()) };
        let has_path = |name: &str| paths.iter().any(|path| path.spec().workload == name);
        if let Some(rule) = matches.rules().iter().find(|rule| !has_path(&rule.workload)) {
            return Err(format!("{contract:?}: {:?} has a match, and no limiter", rule.workload));
        }
        self.matches.insert(contract.to_owned(), matches);
        Ok(())
    }

    /// The matches of a contract's workloads; None where nobody is told apart by what is said.
    pub(crate) fn matches(&self, contract: &str) -> Option<&Arc<Matches>> {
        self.matches.get(contract)
    }

    /// Names the workload that what a check says is taken for. Errors: HW422, it says what no match of the contract looks at,
    /// which in a front's configuration is a slip that would make everybody `other`.
    pub(crate) fn tell_apart(&self, check: &mut Check<'_>) -> Result<(), Problem> {
        if check.said.is_empty()
            || !self.holds.contains_key(&*check.contract) && !self.checks.contains_key(&*check.contract)
        {
            return Ok(());
        }
        let matches = self.matches(&check.contract);
        let looked_at = matches.map_or(&[][..], |matches| matches.attributes());
        if check.said.iter().any(|(name, _)| !looked_at.iter().any(|attribute| attribute == name)) {
            return Err(wrong(match looked_at {
                [] => "no workload of the contract has a match, so an attribute says nothing of it".to_owned(),
                some => {
                    format!("the matches of the contract look at {}, and nothing else says anything", some.join(", "))
                }
            }));
        }
        let said: Vec<(&str, &str)> = check.said.iter().map(|(name, value)| (*name, &**value)).collect();
        let found = matches.and_then(|matches| matches.workload_of(&said)).map(|name| name.to_owned().into());
        check.workload = found;
        Ok(())
    }

    /// The names of a contract's workloads, sorted.
    pub(crate) fn workloads(&self, contract: &str) -> Vec<String> {
        let mut names: Vec<String> = self.holds.get(contract).into_iter().flat_map(HashMap::keys).cloned().collect();
        names.sort_unstable();
        names
    }

    /// The path that a gate means; no workload named: `other`, or the only one.
    pub(crate) fn hold(&self, contract: &str, workload: Option<&str>) -> Result<&(Kept, Tell), Problem> {
        let by_workload = self.holds.get(contract).ok_or_else(no_contract)?;
        let found = match workload {
            Some(name) => by_workload.get(name),
            None if by_workload.len() == 1 => by_workload.values().next(),
            None => by_workload.get(OTHER),
        };
        found.ok_or_else(|| unknown_workload(workload.unwrap_or(OTHER), by_workload))
    }

    /// The path of a contract's workload: the one that was named, else `other`. Errors: HW404, HW406.
    pub(crate) fn check(&self, contract: &str, workload: Option<&str>) -> Result<(&Arc<Path>, Tell), Problem> {
        let checked = self.checks.get(contract).ok_or_else(no_contract)?;
        let by_workload = &checked.by_workload;
        let path = workload.and_then(|name| by_workload.get(name)).or_else(|| by_workload.get(OTHER));
        path.map(|path| (path, checked.tell)).ok_or_else(no_workload)
    }

    /// The targets that a descriptor meets, with the key for each: of one contract the first alone, and of its workloads the
    /// one that the entries are taken for.
    pub(crate) fn meet<'a>(
        &self,
        domain: &str,
        entries: &[(&'a str, &'a str)],
        found: &mut Found<'a>,
    ) -> impl Iterator<Item = (&Target, Option<&'a str>)> {
        found.clear();
        self.patterns.find(domain, entries, found);
        let contract = |place: usize| &self.targets[place].rest().path.spec().contract;
        let found = &*found;
        found.iter().enumerate().filter_map(move |(i, one)| {
            let is_later = found[..i].iter().any(|earlier| contract(earlier.place) == contract(one.place));
            (!is_later).then(|| (self.targets[one.place].of(entries), one.key))
        })
    }
}

fn may_route(path: &Path) -> Result<(), String> {
    let contract = &path.spec().contract;
    if path.has_slots() {
        return Err(format!("{contract:?} holds slots, and nobody tells the data plane when a request ended"));
    }
    Ok(())
}

fn unknown_workload(name: &str, known: &HashMap<String, (Kept, Tell)>) -> Problem {
    let mut names: Vec<&str> = known.keys().map(String::as_str).collect();
    names.sort_unstable();
    Problem {
        code: "HW406",
        status: 404,
        problem: format!("the contract names no workload `{}`: it has {}", brief(name), names.join(", ")),
        because: "Mistyped in a program, it would be metered as somebody else.",
        mend: "Name one of the contract's `workloads`.".to_owned(),
    }
}

fn brief(name: &str) -> String {
    name.chars().take(80).collect()
}

fn no_contract() -> Problem {
    Problem {
        code: "HW404",
        status: 404,
        problem: "there is no contract of that name".to_owned(),
        because: "The ledger holds none that checks may ask about; a file that was not applied does not count.",
        mend: "Name one that is applied (`GET /v1/contracts` lists them), or apply it: `headway apply PATH`."
            .to_owned(),
    }
}

fn no_workload() -> Problem {
    Problem {
        code: "HW406",
        status: 404,
        problem: "the contract names no such workload".to_owned(),
        because: "A check names one of the contract's `workloads`; for what a request calls itself, `other` takes the rest.",
        mend: "Declare it, or add `other: {}` for requests that may call themselves anything.".to_owned(),
    }
}
