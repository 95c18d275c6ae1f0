//! The data plane of `headway serve` with another decision in it: limitador's, or none.
//!
//!     headway-bench-limitador limitador|told|nothing DOMAIN SERVICE=LIMIT...
//!
//! Everything but `rls` is compiled from headway-serve's own files (`build.rs`), so sockets, HTTP/2, tokens, bounds, reading
//! and writing cost what they cost there. Reads its callers' token from the first line of its standard input, prints the
//! port it listens on, and serves until that input ends. Each SERVICE is a limit of so many a second for every `user` of it,
//! asked with the descriptor `{service: SERVICE, user: ...}`.

// Parts of the data plane that only a decision of ours would use, and what it says to other crates.
#![allow(dead_code, unused_imports)]

include!(concat!(env!("OUT_DIR"), "/serve/root.rs"));

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use headway_core::{Clock, Meters};
use sha2::{Digest as _, Sha256};

/// The machine's clock; only what a decision of ours reads it for does not happen here.
struct Machine;

impl Clock for Machine {
    fn boot_ns(&self) -> i64 {
        headway_clock::boot_ns()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (decides, domain) = (words.next().ok_or("who decides?")?, words.next().ok_or("which domain?")?);
    let limits = words
        .map(|word| {
            let (service, limit) = word.split_once('=').ok_or("a limit is SERVICE=LIMIT")?;
            Ok((service.to_owned(), limit.parse()?))
        })
        .collect::<Result<Vec<(String, u64)>, Box<dyn std::error::Error>>>()?;
    rls::decide_by(&decides, &domain, &limits)?;

    let mut lines = io::stdin().lines();
    let token = lines.next().ok_or("the token is the first line of the standard input")??;
    let gate = Credential { name: "bench".to_owned(), sha256: Sha256::digest(token).into(), roles: vec![Role::Gate] };
    let plane = DataPlane::start(Start {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        access: Access::new(vec![gate]),
        clock: Ticking(Arc::new(Machine)),
        bounds: Bounds::default(),
        meters: Arc::default(),
        epoch: 1,
        tls: None,
    })?;
    println!("{}", plane.address().port());
    io::stdout().flush()?;
    lines.for_each(drop);
    Ok(())
}
