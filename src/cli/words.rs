//! Preprocesses the command line for clap: global options may precede a subcommand.

use std::ffi::OsString;

use clap::CommandFactory;

use super::Cli;
use crate::escape::Escaped;

/// Moves global options after the subcommand: `-q list` becomes `list -q`.
///
/// clap treats options and a subcommand on the same level as mutually exclusive (`args_conflicts_with_subcommands`),
/// which is right for all other options.
pub fn arrange(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let end = first_word(&words);
    let subcommand = words
        .get(end)
        .is_some_and(|word| Cli::command().get_subcommands().any(|subcommand| word == subcommand.get_name()));
    if subcommand {
        words[1..=end].rotate_right(1);
    }
    words
}

/// The index of the first word that is not a global option.
fn first_word(words: &[OsString]) -> usize {
    let global = words.iter().skip(1).scan(false, |value, word| {
        let word = word.to_string_lossy();
        let flag = matches!(&*word, "-q" | "--quiet" | "-v" | "--verbose" | "--no-config")
            || ["--tracefs=", "--score=", "--save-score="].iter().any(|option| word.starts_with(option));
        let taken =
            std::mem::replace(value, matches!(&*word, "--tracefs" | "--score" | "--save-score")) || flag || *value;
        taken.then_some(())
    });
    1 + global.count()
}

/// The message if the first word is not a subcommand: nothing else may be there.
pub fn misspelt(words: &[OsString]) -> Option<String> {
    let word = words.get(first_word(words))?.to_str()?;
    if word.starts_with('-') || word.is_empty() {
        return None;
    }
    let command = Cli::command();
    let names: Vec<_> = command.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    if word == "help" || names.iter().any(|name| name == word) {
        return None;
    }
    let how = match word {
        "record" | "rec" => "to keep events, write ftrace-live capture -e EVENT… -o x.dat; to send and keep them, \
             ftrace-live --raw -e EVENT… --record x.dat"
            .to_owned(),
        "trace" | "live" | "start" | "run" | "stream" | "send" | "follow" => {
            "tracing live needs no subcommand: ftrace-live --raw -e EVENT…".to_owned()
        }
        "report" | "show" | "print" | "dump" | "cat" => {
            "to print a capture, write ftrace-live replay CAPTURE --print --speed max".to_owned()
        }
        "play" => "did you mean replay?".to_owned(),
        "events" | "ls" => "did you mean list?".to_owned(),
        "info" | "stats" | "statistics" | "hist" => "did you mean stat?".to_owned(),
        "receive" | "recv" | "monitor" => "did you mean listen?".to_owned(),
        word => {
            let likeness = |name: &String| strsim::jaro_winkler(&word.to_lowercase(), name);
            let nearest = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
            match nearest.filter(|name| likeness(name) > 0.8) {
                Some(name) => format!("did you mean {name}?"),
                None => format!(
                    "the subcommands are {}; events follow -e: ftrace-live --raw -e {}",
                    names.join(", "),
                    Escaped(word)
                ),
            }
        }
    };
    Some(format!("there is no subcommand {word:?}: {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(line: &str) -> String {
        let words = arrange(line.split(' ').map(OsString::from));
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_misspelt_subcommand_gets_the_right_one() {
        let said = |word: &str| misspelt(&["x".into(), word.into()]).unwrap_or_default();
        for (word, words) in [
            ("record", "capture -e EVENT"),
            ("trace", "needs no subcommand"),
            ("live", "needs no subcommand"),
            ("capure", "did you mean capture?"),
            ("Replay", "did you mean replay?"),
            ("irq", "-e irq"),
        ] {
            assert!(said(word).contains(words), "{}", said(word));
        }
        for word in ["list", "help", "-e", "--raw", ""] {
            assert_eq!(said(word), "");
        }
    }

    #[test]
    fn global_options_may_come_first() {
        assert_eq!(arranged("x -q list irq"), "x list -q irq");
        assert_eq!(arranged("x --tracefs y -v list"), "x list --tracefs y -v");
        assert_eq!(arranged("x --tracefs=list list"), "x list --tracefs=list");
        // Not if a subcommand's name is an option's value, and not past another option.
        assert_eq!(arranged("x --tracefs list"), "x --tracefs list");
        assert_eq!(arranged("x -q -e list"), "x -q -e list");
        assert_eq!(arranged("x"), "x");
    }
}
