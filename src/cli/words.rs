//! The words of the command line before clap reads them: options that hold everywhere may stand in front of a subcommand.

use std::ffi::OsString;

use clap::CommandFactory;

use super::Cli;

/// The words, with the options that hold everywhere behind the subcommand: `-q list` is `list -q`.
///
/// clap takes options and subcommand of one level as two things that exclude each other
/// (`args_conflicts_with_subcommands`), which is right for all other options.
pub fn arrange(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let global = words.iter().skip(1).scan(false, |value, word| {
        let word = word.to_string_lossy();
        let flag = matches!(&*word, "-q" | "--quiet" | "-v" | "--verbose") || word.starts_with("--tracefs=");
        let taken = std::mem::replace(value, word == "--tracefs") || flag || *value;
        taken.then_some(())
    });
    let end = 1 + global.count();
    let subcommand = words
        .get(end)
        .is_some_and(|word| Cli::command().get_subcommands().any(|subcommand| word == subcommand.get_name()));
    if subcommand {
        words[1..=end].rotate_right(1);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(line: &str) -> String {
        let words = arrange(line.split(' ').map(OsString::from));
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_that_hold_everywhere_may_stand_first() {
        assert_eq!(arranged("x -q list irq"), "x list -q irq");
        assert_eq!(arranged("x --tracefs y -v list"), "x list --tracefs y -v");
        assert_eq!(arranged("x --tracefs=list list"), "x list --tracefs=list");
        // Not of a subcommand's name as an option's value, and not past another option.
        assert_eq!(arranged("x --tracefs list"), "x --tracefs list");
        assert_eq!(arranged("x -q -e list"), "x -q -e list");
        assert_eq!(arranged("x"), "x");
    }
}
