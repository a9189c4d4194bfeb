//! Tells the program which commit it was built from, for `--version`, and for which target.
//!
//! In a release build only: a program under development changes with every edit, and to look at git's files would compile
//! everything again after each commit. Without git, a packaged crate has the commit in `.cargo_vcs_info.json`; where there
//! is neither, `FTRACE_LIVE_COMMIT` in the environment may name it, and else nothing is said.

use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FTRACE_LIVE_COMMIT");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=FTRACE_LIVE_TARGET={target}");
    let commit = match env::var("PROFILE").as_deref() {
        Ok("release") => commit(),
        _ => Some("development build".to_owned()),
    };
    println!("cargo:rustc-env=FTRACE_LIVE_COMMIT={}", commit.unwrap_or_default());
}

fn commit() -> Option<String> {
    let named = env::var("FTRACE_LIVE_COMMIT").ok().filter(|commit| !commit.is_empty());
    named.or_else(packaged).or_else(from_git)
}

/// `cargo package` writes `{"git": {"sha1": "…"}}` beside `Cargo.toml`.
fn packaged() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    commit.get(..9).map(str::to_owned)
}

fn from_git() -> Option<String> {
    // A tarball may have been unpacked inside somebody else's repository.
    if !fs::exists(".git").unwrap_or(false) {
        return None;
    }
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if fs::exists(&log).unwrap_or(false) {
        println!("cargo:rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=9", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { format!("{commit}, changed") } else { commit })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
