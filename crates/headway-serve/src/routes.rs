//! Where traffic meets contracts: checks by name, descriptors by pattern. Made by the engine, swapped as a whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use headway_core::{Path, divide};
use headway_wire::{Problem, Tell};

use crate::descriptors::{Match, Pattern, Patterns};
use crate::divisions::Division;
use crate::holders::Kept;
use crate::receipts::Receipts;

/// The workload that takes the rest.
const OTHER: &str = "other";

/// A contract that checks may ask about: its paths, each under the name of its workload.
pub struct CheckRoute {
    pub contract: String,
    pub tell: Tell,
    pub paths: Vec<Arc<Path>>,
}

/// A descriptor that meets a contract.
pub struct RlsRoute {
    pub domain: String,
    /// The entries; None where any value stands, and is the key.
    pub descriptor: Pattern,
    pub path: Arc<Path>,
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
    targets: Vec<Target>,
    divisions: HashMap<(String, BTreeMap<String, String>), Arc<Division>>,
}

impl Routes {
    /// Errors, as a sentence: a contract or workload twice, a path of another contract, slots (which nobody would give back),
    /// a pattern that means nothing, a key where the contract has none or none where it has, post-paid hits without a bound,
    /// a bucket twice, a division of what is no rate.
    pub fn new(
        checks: Vec<CheckRoute>,
        rls: Vec<RlsRoute>,
        holds: Vec<HoldRoute>,
        rlqs: Vec<RlqsRoute>,
    ) -> Result<Routes, String> {
        let mut routes = Routes::default();
        for HoldRoute { contract, tell, paths, max_hold_ns, drain_within_ns, tell_http } in holds {
            let by_workload = paths
                .into_iter()
                .map(|path| (path.spec().workload.clone(), Kept { path, max_hold_ns, drain_within_ns, tell_http }))
                .map(|(workload, kept)| (workload, (kept, tell)));
            if routes.holds.insert(contract.clone(), by_workload.collect()).is_some() {
                return Err(format!("the contract {contract:?} is there twice"));
            }
        }
        for CheckRoute { contract, tell, paths } in checks {
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
            let contract = &route.path.spec().contract;
            may_route(&route.path)?;
            if route.path.needs_key() != route.descriptor.iter().any(|(_, value)| value.is_none()) {
                return Err(format!(
                    "a descriptor of {contract:?} has `each` where its contract has keys, and only there"
                ));
            }
            if route.post_paid && (route.path.spec().settle_max_micro < 1_000_000 || route.refundable) {
                let mend = "needs a bound on its cost, and nothing of them is given back";
                return Err(format!("{contract:?}: what is charged after the fact {mend}"));
            }
            routes.patterns.add(place, &route.domain, route.descriptor).map_err(|e| format!("{contract:?}: {e}"))?;
            let receipts = route.refundable.then(Arc::default);
            let RlsRoute { path, tell, post_paid, .. } = route;
            routes.targets.push(Target { path, tell, post_paid, receipts });
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
        for target in self.targets.iter_mut().filter(|target| target.receipts.is_some()) {
            let same = |other: &&Target| Arc::ptr_eq(&other.path, &target.path) && other.receipts.is_some();
            if let Some(other) = old.targets.iter().find(same) {
                target.receipts.clone_from(&other.receipts);
            }
        }
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

    /// The targets that a descriptor meets, with the key for each: of one contract the first alone.
    pub(crate) fn meet<'a>(
        &self,
        domain: &str,
        entries: &[(&'a str, &'a str)],
        found: &mut Vec<Match<'a>>,
    ) -> impl Iterator<Item = (&Target, Option<&'a str>)> {
        found.clear();
        self.patterns.find(domain, entries, found);
        let contract = |place: usize| &self.targets[place].path.spec().contract;
        let found = &*found;
        found.iter().enumerate().filter_map(move |(i, one)| {
            let is_later = found[..i].iter().any(|earlier| contract(earlier.place) == contract(one.place));
            (!is_later).then(|| (&self.targets[one.place], one.key))
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
        mend: "Name one that is applied: `headway top` lists them.".to_owned(),
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
