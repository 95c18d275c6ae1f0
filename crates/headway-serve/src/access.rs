//! Who may ask: bearer tokens, known by their SHA-256 alone. The same tokens as the API's.
//!
//! A token is compared in constant time with every credential there is, so neither its text nor its place in the list can be
//! guessed from how long an answer takes. The token itself is never kept, said or logged.

use headway_wire::Problem;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whose header comes first: a front may have to leave the other one to its client.
const OURS: HeaderName = HeaderName::from_static("headway-authorization");

/// Bytes of a token; a longer one is not known, whatever it says.
pub const TOKEN_MAX: usize = 512;

/// What a token's owner may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Viewer,
    Operator,
    Approver,
    Gate,
}

impl Role {
    pub fn named(name: &str) -> Option<Role> {
        match name {
            "viewer" => Some(Role::Viewer),
            "operator" => Some(Role::Operator),
            "approver" => Some(Role::Approver),
            "gate" => Some(Role::Gate),
            _ => None,
        }
    }
}

/// A token by its hash.
#[derive(Clone)]
pub struct Credential {
    pub name: String,
    pub sha256: [u8; 32],
    pub roles: Vec<Role>,
}

/// The credentials of one data plane. Frozen.
pub struct Access(Vec<Credential>);

/// Why a caller may not ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No token, or one that is not known.
    Unknown,
    /// Its owner has neither of the roles that may ask.
    Role(String),
}

impl Access {
    pub fn new(credentials: Vec<Credential>) -> Access {
        Access(credentials)
    }

    /// Whether a request's headers speak for somebody who may ask: a gate, or an operator.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<&str, Denied> {
        let found = token_of(headers).and_then(|token| self.find(token)).ok_or(Denied::Unknown)?;
        if found.roles.iter().any(|role| matches!(role, Role::Gate | Role::Operator)) {
            Ok(&found.name)
        } else {
            Err(Denied::Role(found.name.clone()))
        }
    }

    /// Always looks at every credential.
    fn find(&self, token: &[u8]) -> Option<&Credential> {
        let told: [u8; 32] = Sha256::digest(token).into();
        self.0.iter().fold(
            None,
            |found, credential| {
                if bool::from(credential.sha256.ct_eq(&told)) { Some(credential) } else { found }
            },
        )
    }
}

/// The token of `Headway-Authorization: Bearer TOKEN`, else of `Authorization`; None for none, more than one, another
/// scheme, or one too long to be ours. The first is for fronts that hand a client's own `Authorization` on to the check.
fn token_of(headers: &HeaderMap) -> Option<&[u8]> {
    let name = if headers.contains_key(OURS) { OURS } else { AUTHORIZATION };
    let mut all = headers.get_all(name).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && (1..=TOKEN_MAX).contains(&token.len())).then_some(token)
}

impl Denied {
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Denied::Unknown => Problem {
                code: "HW401",
                status: 401,
                problem: "no token, or one that is not known".to_owned(),
                because: "Every call but health is authenticated, on loopback too.",
                mend: "Send `Authorization: Bearer TOKEN` with a token of the server's.".to_owned(),
            },
            Denied::Role(name) => Problem {
                code: "HW403",
                status: 403,
                problem: format!("the token `{name}` may not ask for room"),
                because: "Checks and rate-limit requests want the role gate or operator.",
                mend: "Use a token that has one of them, or ask its owner.".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn access() -> Access {
        let one = |name: &str, token: &str, roles| Credential {
            name: name.into(),
            sha256: Sha256::digest(token).into(),
            roles,
        };
        Access::new(vec![
            one("edge", "hw_edge", vec![Role::Gate]),
            one("eve", "hw_eve", vec![Role::Viewer, Role::Approver]),
            one("ops", "hw_ops", vec![Role::Viewer, Role::Operator]),
        ])
    }

    fn check(values: &[&str]) -> Result<(), Denied> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        access().check(&headers).map(drop)
    }

    #[test]
    fn gates_and_operators_may_ask() {
        assert_eq!([Ok(()), Ok(())], [check(&["Bearer hw_edge"]), check(&["bearer  hw_ops "])]);
        assert_eq!(Err(Denied::Role("eve".into())), check(&["Bearer hw_eve"]));
    }

    #[test]
    fn a_header_of_our_own_stands_before_the_clients() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic a-clients-own"));
        assert_eq!(Err(Denied::Unknown), access().check(&headers));
        headers.append(OURS, HeaderValue::from_static("Bearer hw_edge"));
        assert_eq!(Ok("edge"), access().check(&headers));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer hw_ops"));
        headers.insert(OURS, HeaderValue::from_static("Bearer hw_eve"));
        assert_eq!(Err(Denied::Role("eve".into())), access().check(&headers));
    }

    #[test]
    fn everything_else_is_unknown() {
        let long = format!("Bearer {}", "x".repeat(TOKEN_MAX + 1));
        for value in ["", "Bearer", "Bearer ", "hw_edge", "Basic hw_edge", "Bearer hw_edgex", "Bearer\thw_edge", &long]
        {
            assert_eq!(Err(Denied::Unknown), check(&[value]), "{value}");
        }
        assert_eq!(Err(Denied::Unknown), check(&[]));
        assert_eq!(Err(Denied::Unknown), check(&["Bearer hw_edge", "Bearer hw_edge"]));
    }
}
