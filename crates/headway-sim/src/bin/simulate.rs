//! `simulate --hours 10 --seed 1`: histories one after another until so many simulated hours have passed; the figures go
//! to standard output as JSON, violations with their seed. `--mutants` breaks one rule after another instead.

use std::process::ExitCode;

#[cfg(feature = "mutants")]
use headway_sim::Kind;
use headway_sim::run;

/// What the command line asks for.
struct Asked {
    hours: f64,
    seed: u64,
    one: bool,
    mutants: bool,
    runs: u64,
    commit: String,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { hours: 1.0, seed: 1, one: false, mutants: false, runs: 100_000, commit: String::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--hours" => asked.hours = number(&value()?)?,
            "--seed" => asked.seed = number(&value()?)?,
            "--runs" => asked.runs = number(&value()?)?,
            "--commit" => asked.commit = value()?,
            "--one" => asked.one = true,
            "--mutants" => asked.mutants = true,
            other => return Err(format!("{other} is unknown: --hours, --seed, --one, --mutants, --runs, --commit")),
        }
    }
    Ok(asked)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let is_clean = if asked.mutants { mutants(&asked) } else { hours(&asked) };
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs for so many simulated hours; true if nothing went over.
fn hours(asked: &Asked) -> bool {
    let (mut runs, mut ns, mut events, mut faults, mut moves, mut renewals, mut admitted) = (0, 0i64, 0, 0, 0, 0, 0);
    let (mut violations, mut short) = (vec![], 0);
    while (ns as f64) < asked.hours * 3_600e9 && (runs == 0 || !asked.one) {
        let seed = asked.seed.wrapping_add(runs);
        let outcome = run(seed, None);
        runs += 1;
        ns += outcome.simulated_ns;
        events += outcome.events;
        faults += outcome.faults;
        moves += outcome.moves;
        renewals += outcome.renewals;
        admitted += outcome.admitted;
        if outcome.reached_per_mille < 950 && outcome.violations.is_empty() {
            eprintln!("seed {seed}: {} per mille reached in peace", outcome.reached_per_mille);
            short += 1;
        }
        violations.extend(outcome.violations.iter().map(|v| format!("seed {seed}: {v}")));
    }
    let list: Vec<String> = violations.iter().take(20).map(|v| format!("{v:?}")).collect();
    println!(
        "{{\n  \"commit\": {:?},\n  \"seed\": {},\n  \"runs\": {runs},\n  \"simulated_hours\": {:.1},\n  \"events\": {events},\n  \
         \"faults\": {faults},\n  \"moves\": {moves},\n  \"renewals\": {renewals},\n  \"admitted\": {admitted},\n  \
         \"runs_below_95_percent_in_peace\": {short},\n  \"violating_runs\": {},\n  \"violations\": [{}]\n}}",
        asked.commit,
        asked.seed,
        ns as f64 / 3_600e9,
        violations.len(),
        list.join(", "),
    );
    violations.is_empty() && short == 0
}

/// Breaks each rule in turn; true if every one was caught.
#[cfg(feature = "mutants")]
fn mutants(asked: &Asked) -> bool {
    use headway_core::lease::Mutation;
    let mut rows = vec![];
    let mut all = true;
    for &mutation in Mutation::ALL {
        Mutation::set(Some(mutation));
        let kind = if mutation.is_of_rates() { Kind::Rate } else { Kind::Concurrency };
        let breaks = |r: &u64| !run(asked.seed.wrapping_add(*r), Some(kind)).violations.is_empty();
        let caught = (0..asked.runs).find(breaks);
        Mutation::set(None);
        all &= caught.is_some();
        let at = caught.map_or("null".to_owned(), |r| (r + 1).to_string());
        eprintln!("{:24} caught at run {at}", mutation.name());
        rows.push(format!(
            "    {{\"rule\": {:?}, \"story\": {:?}, \"caught_at_run\": {at}}}",
            mutation.name(),
            mutation.story()
        ));
    }
    println!(
        "{{\n  \"commit\": {:?},\n  \"seed\": {},\n  \"runs_at_most\": {},\n  \"mutants\": [\n{}\n  ]\n}}",
        asked.commit,
        asked.seed,
        asked.runs,
        rows.join(",\n")
    );
    all
}

#[cfg(not(feature = "mutants"))]
fn mutants(_: &Asked) -> bool {
    eprintln!("built without the feature `mutants`");
    false
}
