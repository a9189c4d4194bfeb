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
    let mut words = join_negative(words.into_iter().collect());
    let end = first_word(&words);
    let subcommand = words
        .get(end)
        .is_some_and(|word| Cli::command().get_subcommands().any(|subcommand| word == subcommand.get_name()));
    if subcommand {
        words[1..=end].rotate_right(1);
    }
    words
}

/// Joins an option and a negative number after it: `--tick -3ms` becomes `--tick=-3ms`, so that the option says what it
/// takes. clap would refuse an unknown option `-3`.
fn join_negative(words: Vec<OsString>) -> Vec<OsString> {
    let negative = |word: &OsString| {
        let bytes = word.as_encoded_bytes();
        bytes.len() > 1 && bytes[0] == b'-' && (bytes[1].is_ascii_digit() || bytes[1] == b'.')
    };
    let option = |word: &OsString| {
        let bytes = word.as_encoded_bytes();
        bytes.len() > 2 && bytes.starts_with(b"--") && !bytes.contains(&b'=')
    };
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut joined: Vec<OsString> = Vec::with_capacity(words.len());
    for (at, word) in words.into_iter().enumerate() {
        match joined.last_mut().filter(|last| at < end && at > 1 && negative(&word) && option(last)) {
            Some(last) => {
                last.push("=");
                last.push(word);
            }
            None => joined.push(word),
        }
    }
    joined
}

/// What to write instead of `word`, which clap did not expect in `words`.
pub fn unexpected(words: &[OsString], word: &str) -> Option<String> {
    let shown = Escaped(word);
    let first = words.get(first_word(words)).and_then(|first| first.to_str()).unwrap_or_default();
    if first == "listen" && (word == "-p" || word == "--port" || word.starts_with("--port=")) {
        return Some(format!("{shown} is no option of listen: write the port alone, such as ftrace-live listen 9000"));
    }
    let live = first.starts_with('-');
    (live && !word.starts_with('-') && !word.is_empty()).then(|| {
        format!("{shown} belongs to no option: events follow -e, as in -e {shown}, and a command to trace follows --")
    })
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
        "version" => "write ftrace-live --version".to_owned(),
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
    fn a_negative_number_belongs_to_the_option_before_it() {
        assert_eq!(arranged("x --raw --tick -3ms -e irq"), "x --raw --tick=-3ms -e irq");
        assert_eq!(arranged("x replay c --until -.5s"), "x replay c --until=-.5s");
        // Not after a value, a short option, or `--`.
        for line in ["x --tick=1 -3", "x -p -1", "x -e irq -- tail -n --lines -3", "x --until -q", "x --raw -", "x -3"]
        {
            assert_eq!(arranged(line), line);
        }
    }

    #[test]
    fn an_unexpected_word_is_told_where_it_belongs() {
        let said = |line: &str, word| unexpected(&line.split(' ').map(OsString::from).collect::<Vec<_>>(), word);
        assert!(said("x --raw irq", "irq").unwrap().contains("-e irq"));
        assert!(said("x listen --port 9000", "--port").unwrap().contains("listen 9000"));
        assert_eq!(said("x --raw --foo", "--foo"), None);
        assert_eq!(said("x man irq", "irq"), None);
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
