//! Lays out headway-serve's sources as a module tree of ours: each of its files where it stands, `rls` alone from here.
//!
//! So a module that headway-serve gains is there, and what is measured is always its present shell.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The one that decides.
const OURS: &str = "rls";

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("serve");
    let serve = here.join("../../../crates/headway-serve/src").canonicalize()?;
    println!("cargo::rerun-if-changed={}", serve.display());
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir(&out)?;
    for entry in fs::read_dir(&serve)? {
        let entry = entry?.path();
        let stem = entry.file_stem().expect("a file of a folder has a name");
        if stem != OURS && stem != "lib" {
            symlink(&entry, out.join(entry.file_name().expect("a file of a folder has a name")))?;
        }
    }
    symlink(here.join("rls.rs"), out.join("rls.rs"))?;
    fs::write(out.join("root.rs"), rooted(&serve.join("lib.rs"))?)
}

/// headway-serve's root without its doc, which stands in the middle of another file here.
fn rooted(root: &Path) -> io::Result<String> {
    let text = fs::read_to_string(root)?;
    Ok(text.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect())
}
