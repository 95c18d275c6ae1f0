//! Writes the root of headway-serve as a module list of ours: each of its files where it stands, `rls` alone from here.
//!
//! So a module that headway-serve gains is there, and what is measured is always its present shell.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The one that decides.
const OURS: &str = "rls";

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let serve = here.join("../../../crates/headway-serve/src").canonicalize()?;
    println!("cargo::rerun-if-changed={}", serve.join("lib.rs").display());
    fs::write(out.join("serve.rs"), rooted(&fs::read_to_string(serve.join("lib.rs"))?, &serve, &here))
}

/// headway-serve's root without its doc, and with the path of each module before it.
fn rooted(root: &str, serve: &Path, here: &Path) -> String {
    let mut text = String::new();
    for line in root.lines().filter(|line| !line.starts_with("//!")) {
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            let folder = if name == OURS { here } else { serve };
            text += &format!("#[path = {:?}]\n", folder.join(name).with_extension("rs"));
        }
        text += line;
        text += "\n";
    }
    text
}
