//! An example value for each argument that `describe` explains: from the described capture, or from the running
//! kernel if its events may be traced and one occurs shortly.
//!
//! Runs the program itself with `--print --json`: an example is exactly what would be sent.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::FormArgs;
use crate::osc::Schema;

/// With more events than this, no examples are looked up.
const MOST: usize = 8;
/// How long the running kernel is traced, and a capture is searched.
const LIVE: Duration = Duration::from_millis(400);
const CAPTURED: Duration = Duration::from_secs(2);
/// Time to start and stop, in addition.
const GRACE: Duration = Duration::from_secs(2);

/// Values by argument name, by address.
#[derive(Debug, Default)]
pub struct Examples(HashMap<String, Vec<(String, String)>>);

impl Examples {
    /// Finds an example for each of `schemas` in the capture at `path`, or in the running kernel. Those that are not
    /// found, or may not be traced, are missing.
    pub fn find(schemas: &[Schema], path: Option<&Path>, form: &FormArgs) -> Examples {
        let mut found = Examples::default();
        if schemas.is_empty() || schemas.len() > MOST {
            return found;
        }
        let Ok(program) = std::env::current_exe() else { return found };
        let mut command = Command::new(program);
        let live = format!("{}ms", LIVE.as_millis());
        match path {
            Some(path) if path.join("instances").is_dir() => {
                command.arg("--tracefs").arg(path).args(["--seconds", &live])
            }
            Some(path) => command.arg("replay").arg(path).args(["--speed", "max"]),
            None => command.args(["--seconds", &live]),
        };
        command.args([
            "--raw",
            "--print",
            "--json",
            "--no-config",
            "-q",
            "--max-rate",
            "0",
            "--prefix",
            &form.prefix,
            "-e",
        ]);
        command.args(schemas.iter().map(|schema| format!("{}:{}", schema.system, schema.event)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else { return found };
        let time = if path.is_some() { CAPTURED } else { LIVE };
        if let Some(lines) = child.stdout.take() {
            found.read(lines, schemas, Instant::now() + time + GRACE);
        }
        end(&mut child);
        found
    }

    /// Reads the first message of each address, until each has one or `deadline` is reached.
    fn read(&mut self, lines: ChildStdout, schemas: &[Schema], deadline: Instant) {
        let (tell, told) = mpsc::channel();
        // The thread ends with the pipe.
        std::thread::spawn(move || {
            BufReader::new(lines).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        while schemas.iter().any(|schema| !self.0.contains_key(&schema.address)) {
            let Ok(line) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) else { return };
            self.take(&line);
        }
    }

    fn take(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return };
        let (Some(address), Some(arguments)) = (message["address"].as_str(), message["arguments"].as_array()) else {
            return;
        };
        if self.0.contains_key(address) {
            return;
        }
        let value = |argument: &Value| Some((argument["name"].as_str()?.to_owned(), shown(&argument["value"])));
        self.0.insert(address.to_owned(), arguments.iter().filter_map(value).collect());
    }

    /// The value of an argument.
    pub fn of(&self, address: &str, argument: &str) -> Option<&str> {
        let values = self.0.get(address)?;
        values.iter().find(|(name, _)| name == argument).map(|(_, value)| value.as_str())
    }
}

/// A value in readable form: a whole number without fraction, a large one as an address.
fn shown(value: &Value) -> String {
    const LARGE: f64 = 4_294_967_296.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(whole) if number.is_f64() && whole.fract() == 0.0 && whole.abs() < LARGE => format!("{whole}"),
            Some(large) if number.is_f64() && large >= LARGE => format!("{:#x}", large as u64),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// Ends it in an orderly way, so that a live one removes its instance.
fn end(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_of_an_address_is_its_example_and_large_numbers_are_addresses() {
        let mut examples = Examples::default();
        examples.take(
            r#"{"address":"/f/a","arguments":[{"name":"n","value":20.0},{"name":"p","value":140612872450672.0}]}"#,
        );
        examples.take(r#"{"address":"/f/a","arguments":[{"name":"n","value":21.0},{"name":"s","value":"x"}]}"#);
        examples.take(r#"{"address":"/f/b","arguments":[{"name":"s","value":"sh"},{"name":"r","value":0.5}]}"#);
        examples.take("no JSON");
        assert_eq!(examples.of("/f/a", "n"), Some("20"));
        assert_eq!(examples.of("/f/a", "p"), Some("0x7fe2fc503270"));
        assert_eq!(examples.of("/f/a", "s"), None);
        assert_eq!((examples.of("/f/b", "s"), examples.of("/f/b", "r")), (Some("\"sh\""), Some("0.5")));
    }
}
