//! Removes an instance, whether created by us or stale.

use std::fs;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// All our instances are called `ftrace-live-<pid>`, or `ftrace-live-<pid>-<n>` from the second on. No others are
/// ever removed.
pub(super) const PREFIX: &str = "ftrace-live-";

/// The pid in the name of an instance; `None` if the name is not one of ours.
pub(super) fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(PREFIX)?;
    let (pid, suffix) = rest.split_once('-').unwrap_or((rest, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(pid) || !all_digits(suffix) {
        return None;
    }
    pid.parse().ok()
}

/// The path of the instance with this name.
pub(crate) fn instance_path(root: &Path, name: &str) -> PathBuf {
    root.join("instances").join(name)
}

/// Stops and removes an instance; it is not an error if it no longer exists. While anybody has one of its files open
/// the kernel returns EBUSY (`instance_rmdir`); this is retried for `patience`.
pub(crate) fn remove_instance(path: &Path, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    // rmdir would do all of this itself. It is done before, so that an instance which somebody holds open is at least
    // inactive.
    for (file, text) in [("tracing_on", "0"), ("events/enable", "0"), ("current_tracer", "nop")] {
        let _ =
            OpenOptions::new().write(true).open(path.join(file)).and_then(|mut file| file.write_all(text.as_bytes()));
    }
    let mut pause = Duration::from_millis(1);
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_have_an_owner() {
        assert_eq!(owner("ftrace-live-12"), Some(12));
        assert_eq!(owner("ftrace-live-12-3"), Some(12));
        for name in [
            "",
            "ftrace-live-",
            "ftrace-live",
            "ftrace-live-x",
            "ftrace-live-12-",
            "ftrace-live-12-x",
            "ftrace-live-1/../x",
            "foo",
            "ftrace-live-+1",
        ] {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
