//! Scores: options in a file. The keys of a score are the names of the long options; its values are added to the
//! command line, except where the command line sets them itself.
//!
//! ```toml
//! events = ["irq", "exceptions"]
//! map = "superdirt"
//! control = 9000
//! loop = true            # for replay; a live run passes over it
//! ```

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};
use toml::de::{DeTable, DeValue};

use super::Cli;
use crate::map::{Mistake, Text};

/// Options that no file may set: the user, its rights, and the files themselves.
const NEVER: [&str; 8] = ["score", "save-score", "no-config", "user", "stay-root", "help", "version", "tracefs"];
/// The key for the capture of `replay`, which is not an option.
const CAPTURE: &str = "capture";

/// A partly parsed command line: its subcommand, and the options set so far.
struct Line {
    command: Command,
    matches: ArgMatches,
    /// Whether it has a subcommand.
    subcommand: Option<String>,
}

impl Line {
    /// Parses `words`, even if some are missing or wrong.
    fn of(words: &[OsString]) -> Option<Line> {
        let mut command = Cli::command().ignore_errors(true);
        command.build();
        let mut matches = command.clone().try_get_matches_from(words).ok()?;
        let Some((name, of_subcommand)) = matches.remove_subcommand() else {
            return Some(Line { command, matches, subcommand: None });
        };
        let command = command.find_subcommand(&name)?.clone();
        Some(Line { command, matches: of_subcommand, subcommand: Some(name) })
    }

    fn arg(&self, key: &str) -> Option<&Arg> {
        let is_it = |arg: &&Arg| match key {
            CAPTURE => self.subcommand.as_deref() == Some("replay") && arg.get_id() == CAPTURE,
            key => arg.get_long() == Some(key),
        };
        self.command.get_arguments().find(is_it)
    }

    fn says(&self, arg: &Arg) -> bool {
        let id = arg.get_id().as_str();
        matches!(self.matches.try_contains_id(id), Ok(true))
            && self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }
}

/// The valid keys of a score.
fn keys() -> BTreeSet<String> {
    let command = Cli::command();
    let all = std::iter::once(&command).chain(command.get_subcommands());
    let options = all.flat_map(Command::get_arguments).filter_map(|arg| arg.get_long().map(str::to_owned));
    options.filter(|key| !NEVER.contains(&key.as_str())).chain([CAPTURE.to_owned()]).collect()
}

/// The options about scores on a command line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `--score`.
    pub score: Option<OsString>,
    /// `--save-score`.
    pub save: Option<OsString>,
    /// `--no-config`.
    pub no_config: bool,
}

/// The options about scores in `words`.
pub fn asked(words: &[OsString]) -> Asked {
    let Some(line) = Line::of(words) else { return Asked::default() };
    let path = |id: &str| match line.matches.try_get_raw(id) {
        Ok(Some(mut values)) => values.next().map(OsString::from),
        _ => None,
    };
    let no_config = matches!(line.matches.try_get_one::<bool>("no_config"), Ok(Some(true)));
    Asked { score: path("score"), save: path("save_score"), no_config }
}

/// Adds the options of the score `toml` that `words` do not set. `file` is its name in error messages.
///
/// # Errors
/// The first error, with its line and column and the most similar key.
pub fn with_score(words: &[OsString], file: &str, toml: &str) -> Result<Vec<OsString>, Mistake> {
    let text = Text { file, text: toml };
    let table = DeTable::parse(toml)
        .map_err(|error| text.mistake(&error.span().unwrap_or(0..0), error.message().to_owned()))?;
    let keys = keys();
    let line = Line::of(words);
    let (mut options, mut positional) = (Vec::new(), Vec::new());
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        if NEVER.contains(&name) {
            return Err(text.mistake(&key.span(), format!("{name} can be given on the command line only")));
        }
        if !keys.contains(name) {
            let known: Vec<_> = keys.iter().map(String::as_str).collect();
            return Err(text.unknown(&key.span(), "option", name, &known));
        }
        let values = match value.get_ref() {
            DeValue::Array(array) => &array[..],
            _ => std::slice::from_ref(value),
        };
        // Options of another subcommand are ignored.
        let Some((line, arg)) = line.as_ref().and_then(|line| Some((line, line.arg(name)?))) else { continue };
        if line.says(arg) {
            continue;
        }
        for value in values {
            let said = match value.get_ref() {
                DeValue::String(said) => said.to_string(),
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', ""),
                DeValue::Float(number) => number.as_str().replace('_', ""),
                DeValue::Boolean(false) => continue,
                DeValue::Boolean(true) if name != CAPTURE && arg.get_num_args().is_none_or(|n| n.min_values() == 0) => {
                    options.push(OsString::from(format!("--{name}")));
                    continue;
                }
                other => {
                    let what = format!(
                        "{name} must be a string, a number, true, or a list of these, not a {}",
                        other.type_str()
                    );
                    return Err(text.mistake(&value.span(), what));
                }
            };
            match name {
                CAPTURE => positional.push(OsString::from(said)),
                _ => options.push(OsString::from(format!("--{name}={said}"))),
            }
        }
    }
    let at = if line.is_some_and(|line| line.subcommand.is_some()) { 2 } else { 1 };
    let (before, behind) = words.split_at(at.min(words.len()));
    Ok([before, &positional, &options, behind].concat())
}

/// The score for `words`; `None` if they are not a command line.
pub fn of_words(words: &[OsString]) -> Option<String> {
    let line = Line::of(words)?;
    let mut score = String::new();
    let replay = line.subcommand.as_deref() == Some("replay");
    for arg in line.command.get_arguments() {
        let key = match arg.get_long() {
            Some(long) if !NEVER.contains(&long) => long,
            None if replay && arg.get_id() == CAPTURE => CAPTURE,
            _ => continue,
        };
        if !line.says(arg) {
            continue;
        }
        let value = match arg.get_action() {
            ArgAction::SetTrue => "true".to_owned(),
            action => {
                let raw = line.matches.try_get_raw(arg.get_id().as_str()).ok().flatten();
                let values: Vec<_> = raw.into_iter().flatten().map(|value| literal(&value.to_string_lossy())).collect();
                match values.as_slice() {
                    [one] if !matches!(action, ArgAction::Append) => one.clone(),
                    several => format!("[{}]", several.join(", ")),
                }
            }
        };
        score.push_str(&format!("{key} = {value}\n"));
    }
    Some(score)
}

/// Numbers as they are, anything else as a string: JSON's escapes are valid in TOML.
fn literal(said: &str) -> String {
    match said.parse::<i64>() {
        Ok(number) if number.to_string() == said => said.to_owned(),
        _ => serde_json::Value::from(said).to_string().replace('\u{7f}', "\\u007f"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn with(line: &str, toml: &str) -> Result<String, String> {
        let words = with_score(&words(line), "s.toml", toml).map_err(|mistake| mistake.to_string())?;
        Ok(words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_score_adds_what_the_command_line_does_not_set() {
        let score = "events = [\"irq\", \"!softirq_*\"]\nraw = true\nprint = false\nmax-rate = 100\nspeed = 0.5\ncapture = \"x.dat\"\n";
        let live = with("ftrace-live --score s.toml", score).unwrap();
        assert_eq!(live, "ftrace-live --events=irq --events=!softirq_* --max-rate=100 --raw --score s.toml");
        let live = with("ftrace-live -e sched --max-rate 5 -- ls", score).unwrap();
        assert_eq!(live, "ftrace-live --raw -e sched --max-rate 5 -- ls");
        let replay = with("ftrace-live replay --print", score).unwrap();
        assert_eq!(
            replay,
            "ftrace-live replay x.dat --events=irq --events=!softirq_* --max-rate=100 --raw --speed=0.5 --print"
        );
        assert!(with("ftrace-live replay y.dat", score).unwrap().ends_with(" y.dat"));
        assert!(!with("ftrace-live replay y.dat", score).unwrap().contains("x.dat"));
    }

    #[test]
    fn an_error_has_its_place_and_the_most_similar_key() {
        let said = |toml| with("ftrace-live", toml).unwrap_err();
        assert_eq!(said("raw = true\nevnts = 1"), "s.toml:2:1: there is no option \"evnts\"; the nearest is events");
        assert!(said("raw = { a = 1 }").starts_with("s.toml:1:7: raw must be a string, a number, true, or a list"));
        assert_eq!(said("user = \"me\""), "s.toml:1:1: user can be given on the command line only");
        assert!(said("raw = ").starts_with("s.toml:1:"));
    }

    #[test]
    fn a_saved_score_sets_the_same_options() {
        let line = "ftrace-live replay x.dat --raw -e irq sched --filter irq:softirq_entry=vec==1 --speed 1/2 --max-rate 7 --loop";
        let saved = of_words(&words(line)).unwrap();
        let again = with("ftrace-live replay", &saved).unwrap();
        assert_eq!(of_words(&words(&again)).unwrap(), saved);
        assert!(saved.contains("events = [\"irq\", \"sched\"]\n") && saved.contains("max-rate = 7\n"), "{saved}");
    }
}
