//! What the check asks: `/check/{contract}?workload=&key=&units=&dialect=`, and of slots `&hold=30s` or `&lease=…`. In place
//! of a workload it may say what the contract's matches look at: `&attr.user=ana&attr.path=%2Forders`.
//!
//! Every parameter stands at most once. A front that puts what a client sent into the query, unescaped, would otherwise let
//! that client say `&workload=` or `&units=` itself; a second one is an error, and an error is never a yes.

use std::borrow::Cow;
use std::time::Duration;

use crate::problem::Problem;

/// Where checks are asked; the rest of the path is the contract's name.
pub const PREFIX: &str = "/check/";

/// Bytes of a contract's or workload's name, decoded.
pub const NAME_MAX: usize = 256;
/// Bytes of a key, decoded: as many as of an entry's value in a descriptor.
pub const KEY_MAX: usize = 256;
/// What stands before the name of an attribute.
const SAID: &str = "attr.";
/// Attributes that a check says; as many as matches look at.
pub const SAID_MAX: usize = 16;
/// Bytes of an attribute's name, which is said as it is, without escapes.
const ATTRIBUTE_MAX: usize = 64;
/// Bytes of an attribute's value, decoded.
pub const SAID_VALUE_MAX: usize = 1_024;
/// Bytes of the query as it was sent.
pub const QUERY_MAX: usize = 4_096;

/// How a refusal is told apart from an error by the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// 429 and 503.
    #[default]
    Plain,
    /// 403: nginx's `auth_request` turns every other refusal into a 500.
    Nginx,
}

impl Dialect {
    pub fn status(self, status: u16) -> u16 {
        if self == Dialect::Nginx { 403 } else { status }
    }
}

/// A check, with what was not said left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check<'a> {
    pub contract: Cow<'a, str>,
    pub workload: Option<Cow<'a, str>>,
    /// What is said of whoever asks, as (attribute, value), each attribute once; nothing where a workload is named.
    pub said: Vec<(&'a str, Cow<'a, str>)>,
    pub key: Option<Cow<'a, str>>,
    /// At least 1.
    pub units: u64,
    pub dialect: Dialect,
    /// How long a slot is to be held.
    pub hold: Option<Duration>,
    /// A slot that was taken before.
    pub lease: Option<u64>,
}

/// Reads the part of the path after `PREFIX`, and the query. Errors: HW410 for a longer path, HW422 for a parameter that is
/// unknown, doubled, too long, badly escaped, or no number where one is asked for.
pub fn read<'a>(contract: &'a str, query: Option<&'a str>) -> Result<Check<'a>, Problem> {
    if contract.is_empty() || contract.contains('/') {
        return Err(no_such_path());
    }
    let query = query.unwrap_or_default();
    if query.len() > QUERY_MAX {
        return Err(wrong(format!("the query has more than {QUERY_MAX} bytes")));
    }
    let (mut workload, mut key, mut units, mut dialect) = (None, None, None, None);
    let (mut hold, mut lease) = (None, None);
    let mut said: Vec<(&str, Cow<'_, str>)> = vec![];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(attribute) = name.strip_prefix(SAID) {
            if said.len() == SAID_MAX || !(1..=ATTRIBUTE_MAX).contains(&attribute.len()) {
                return Err(wrong(format!(
                    "it says at most {SAID_MAX} attributes, of 1 to {ATTRIBUTE_MAX} bytes each"
                )));
            }
            if said.iter().any(|(other, _)| *other == attribute) {
                return Err(wrong("an attribute stands there twice"));
            }
            said.push((attribute, decoded("attr", value, SAID_VALUE_MAX, true)?));
            continue;
        }
        let (slot, most) = match name {
            "workload" => (&mut workload, NAME_MAX),
            "key" => (&mut key, KEY_MAX),
            "units" => (&mut units, 20),
            "dialect" => (&mut dialect, 20),
            "hold" => (&mut hold, 20),
            "lease" => (&mut lease, 16),
            _ => return Err(wrong("a parameter is none of workload, attr.NAME, key, units, dialect, hold, lease")),
        };
        if slot.replace(decoded(name, value, most, true)?).is_some() {
            return Err(wrong(format!("the parameter `{name}` stands there twice")));
        }
    }
    if workload.is_some() && !said.is_empty() {
        return Err(wrong("`workload` says who asks: leave it out where attributes say it"));
    }
    Ok(Check {
        contract: decoded("contract", contract, NAME_MAX, false)?,
        workload: workload.filter(|name| !name.is_empty()),
        said,
        key,
        units: units.map_or(Ok(1), |text| count(&text))?,
        dialect: match dialect.as_deref() {
            None => Dialect::Plain,
            Some("nginx") => Dialect::Nginx,
            Some(_) => return Err(wrong("`dialect` is nginx, or left out")),
        },
        hold: hold.map(|text| span(&text)).transpose()?,
        lease: lease.map(|text| lease_of(&text)).transpose()?,
    })
}

fn count(text: &str) -> Result<u64, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = if is_number { text.parse().ok().filter(|number| *number > 0) } else { None };
    number.ok_or_else(|| wrong("`units` is a whole number from 1 on"))
}

/// `500ms`, `30s`, `5m`, `1h`.
fn span(text: &str) -> Result<Duration, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let span = number.parse::<u64>().ok().zip(ms).and_then(|(number, ms)| number.checked_mul(ms));
    span.map(Duration::from_millis).ok_or_else(|| wrong("`hold` is a time as 500ms, 30s or 5m"))
}

fn lease_of(text: &str) -> Result<u64, Problem> {
    let is_name = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = if is_name { u64::from_str_radix(text, 16).ok() } else { None };
    name.ok_or_else(|| wrong("`lease` is the sixteen digits of `Headway-Lease`"))
}

/// Undoes percent-encoding; in a query `+` is a space.
fn decoded<'a>(name: &str, text: &'a str, most: usize, is_query: bool) -> Result<Cow<'a, str>, Problem> {
    // An escape has three bytes for one.
    if text.len() > 3 * most {
        return Err(wrong(format!("`{name}` has more than {most} bytes")));
    }
    let is_plain = !text.bytes().any(|b| b == b'%' || is_query && b == b'+');
    let decoded = if is_plain {
        Cow::Borrowed(text)
    } else {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            rest = after;
            bytes.push(match first {
                b'%' => {
                    let (escape, after) = rest.split_at_checked(2).unwrap_or((&[], &[]));
                    rest = after;
                    hexadecimal(escape).ok_or_else(|| wrong(format!("`{name}` has an escape that is none")))?
                }
                b'+' if is_query => b' ',
                other => *other,
            });
        }
        Cow::Owned(String::from_utf8(bytes).map_err(|_| wrong(format!("`{name}` is not UTF-8")))?)
    };
    if decoded.len() > most { Err(wrong(format!("`{name}` has more than {most} bytes"))) } else { Ok(decoded) }
}

fn hexadecimal(escape: &[u8]) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let [high, low] = escape else { return None };
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// HW410.
pub fn no_such_path() -> Problem {
    Problem {
        code: "HW410",
        status: 404,
        problem: "the data plane has no such path".to_owned(),
        because: "It serves checks, Envoy's rate-limit service and health, nothing else.",
        mend: "Ask `/check/CONTRACT`; the API listens on a port of its own.".to_owned(),
    }
}

/// HW422.
pub fn wrong(problem: impl Into<String>) -> Problem {
    Problem {
        code: "HW422",
        status: 422,
        problem: problem.into(),
        because: "A check that cannot be read decides nothing, and is never a yes.",
        mend: "Ask `/check/CONTRACT?workload=NAME&key=TEXT&units=NUMBER&dialect=nginx`, each at most once; for \
               `workload` it may say what a match asks for, as `attr.user=TEXT`."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_check_says_who_asks_for_how_much() {
        let check = read("orders-db", Some("workload=web&key=a%20b%2Fc+d&units=3&dialect=nginx")).unwrap();
        assert_eq!(("orders-db", Some("web"), Some("a b/c d")), named(&check));
        assert_eq!((3, Dialect::Nginx, 403), (check.units, check.dialect, check.dialect.status(429)));
    }

    #[test]
    fn a_check_may_say_what_matches_ask_for() {
        let check = read("api", Some("attr.user=a%20b&units=2&attr.header.x-team=&attr.path=/a")).unwrap();
        let said: Vec<_> = check.said.iter().map(|(name, value)| (*name, &**value)).collect();
        assert_eq!(vec![("user", "a b"), ("header.x-team", ""), ("path", "/a")], said);
        assert_eq!((2, None), (check.units, check.workload));
    }

    #[test]
    fn what_is_said_is_bounded_and_says_no_workload_beside_it() {
        let many: Vec<String> = (0..=SAID_MAX).map(|i| format!("attr.a{i}=x")).collect();
        let long = format!("attr.user={}", "x".repeat(SAID_VALUE_MAX + 1));
        let longer = format!("attr.{}=x", "x".repeat(ATTRIBUTE_MAX + 1));
        let wrong = [
            "attr.user=a&attr.user=a",
            "attr.=x",
            "attr.user=%zz",
            "workload=web&attr.user=a",
            "workload=&attr.user=a",
        ];
        for query in wrong.iter().copied().chain([&*many.join("&"), &*long, &*longer]) {
            assert_eq!("HW422", read("api", Some(query)).unwrap_err().code, "{query}");
        }
        assert_eq!(SAID_MAX, read("api", Some(&many[1..].join("&"))).unwrap().said.len());
    }

    fn named<'a>(check: &'a Check<'_>) -> (&'a str, Option<&'a str>, Option<&'a str>) {
        (&check.contract, check.workload.as_deref(), check.key.as_deref())
    }

    #[test]
    fn what_is_not_said_is_left_open() {
        let check = read("api", None).unwrap();
        assert_eq!((("api", None, None), 1, Dialect::Plain), (named(&check), check.units, check.dialect));
        // An empty key is a key: what a front has nothing to say of shares one. An empty workload is none.
        let empty = read("api", Some("&key=&workload=&")).unwrap();
        assert_eq!(("api", None, Some("")), named(&empty));
        assert_eq!(429, check.dialect.status(429));
    }

    #[test]
    fn a_parameter_that_stands_there_twice_is_an_error() {
        for query in ["key=a&key=b", "units=1&units=1", "workload=a&key=x&workload=b", "dialect=nginx&dialect=nginx"] {
            assert!(read("api", Some(query)).unwrap_err().problem.ends_with("stands there twice"), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_and_never_guessed() {
        let long = format!("key={}", "x".repeat(257));
        let escaped = format!("workload={}", "%41".repeat(257));
        let longer = format!("key=a{}", "&".repeat(4_096));
        let queries = [
            "units=0",
            "units=-1",
            "units=+1",
            "units=",
            "units=1.5",
            "units=18446744073709551616",
            "units=1e3",
            "dialect=caddy",
            "dialect=",
            "burst=1",
            "KEY=a",
            "key=%",
            "key=%4",
            "key=%zz",
            "key=%ff",
            "key=%4%34",
            "units=000000000000000000001",
            &long,
            &escaped,
            &longer,
        ];
        for query in queries {
            assert_eq!(
                ("HW422", 422),
                read("api", Some(query)).map_err(|p| (p.code, p.status)).unwrap_err(),
                "{query}"
            );
        }
    }

    #[test]
    fn a_path_has_one_contract_and_nothing_after_it() {
        for path in ["", "/", "api/", "api/x"] {
            assert_eq!("HW410", read(path, None).unwrap_err().code, "{path}");
        }
        assert_eq!("a/b+c", read("a%2Fb+c", None).unwrap().contract);
        assert_eq!("HW422", read(&"x".repeat(257), None).unwrap_err().code);
    }

    #[test]
    fn no_problem_repeats_what_a_caller_sent() {
        let problem = read("api", Some("<script>=1")).unwrap_err();
        assert!(!problem.document().contains("script"));
    }

    proptest! {
        #[test]
        fn noise_never_panics(contract in "\\PC{0,40}", query in "[a-z%&=+0-9\\PC]{0,80}") {
            if let Ok(check) = read(&contract, Some(&query)) {
                prop_assert!(check.units > 0 && check.contract.len() <= NAME_MAX);
            }
        }

        #[test]
        fn an_escaped_key_is_read_as_it_was(key in "\\PC{0,60}") {
            let escaped: Vec<String> = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let query = format!("key={}", escaped.concat());
            let check = read("api", Some(&query)).unwrap();
            prop_assert_eq!(Some(key.as_str()), check.key.as_deref());
        }
    }
}
