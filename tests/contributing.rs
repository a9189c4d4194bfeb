//! The promises of CONTRIBUTING.md: a change touches the files that it names, and no other file depends on what they
//! contain.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "common/sources.rs"]
mod sources;

use ftrace_live::osc::preset::PRESETS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source files of the library and the program, without the tests at their end.
fn sources() -> Vec<(PathBuf, String)> {
    let code = |text: String| text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
    sources::all().into_iter().map(|(path, text)| (path, code(text))).collect()
}

/// The files whose code contains `word`, except those whose path begins with one of `known`.
fn elsewhere(word: &str, known: &[&str]) -> Vec<PathBuf> {
    let names_it = |text: &str| text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
    let others =
        sources().into_iter().filter(|(path, text)| !known.iter().any(|k| path.starts_with(k)) && names_it(text));
    others.map(|(path, _)| path).collect()
}

#[test]
fn each_file_and_each_place_named_in_the_table_exists() {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let mut rows = 0;
    for row in text.lines().filter(|line| line.starts_with("| a")) {
        rows += 1;
        let [_, _, write, line, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        for cell in [write, line] {
            // `PRESETS`, `src/osc/preset.rs`: which word is in which file.
            let words: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            for path in words.iter().filter(|word| word.contains('/')) {
                let fixed = path.split("NAME").next().unwrap();
                let fixed = if path.contains("NAME") { fixed.rsplit_once('/').unwrap().0 } else { fixed };
                assert!(root().join(fixed).exists(), "{path} is not there");
            }
            for pair in words.windows(2).filter(|pair| !pair[0].contains('/') && pair[1].ends_with(".rs")) {
                let file = fs::read_to_string(root().join(pair[1])).unwrap();
                assert!(file.contains(pair[0]), "{} is not in {}", pair[0], pair[1]);
            }
        }
    }
    assert!(rows >= 6, "{rows} rows");
}

#[test]
fn a_receiver_is_a_row_of_presets_and_perhaps_a_patch() {
    for preset in PRESETS {
        // `--speed max` is not a receiver.
        if preset.name != "max" {
            let others = elsewhere(&format!("\"{}\"", preset.name), &["src/osc/preset.rs", "src/osc/patch"]);
            assert!(others.is_empty(), "{} also stands in {others:?}", preset.name);
        }
    }
}

#[test]
fn only_open_file_knows_a_container() {
    let others = elsewhere("perf_data::", &["src/capture/perf_data", "src/capture/mod.rs"]);
    assert!(others.is_empty(), "{others:?}");
    let (_, text) = sources().into_iter().find(|(path, _)| path.ends_with("capture/mod.rs")).unwrap();
    let open_file = text.split("pub fn open_file").nth(1).unwrap().split("\n}\n").next().unwrap();
    assert_eq!(text.matches("perf_data::").count(), open_file.matches("perf_data::").count());
}

/// The live and the replay loop pass each event to all outputs without knowing any of them.
#[test]
fn only_its_module_and_the_commands_that_create_it_know_an_output() {
    for output in ["Lines", "Text", "TextMessages", "Hits", "Signals", "Mapped", "Latencies", "Midi"] {
        for (path, text) in sources() {
            // `render` makes a score from hits only.
            if ["src/output", "src/commands", "src/replay/score.rs"].iter().any(|known| path.starts_with(known)) {
                continue;
            }
            let imports = text.lines().filter(|line| line.contains("output::"));
            let named = imports.filter(|line| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == output));
            assert_eq!(named.count(), 0, "{} names {output}", path.display());
        }
    }
}
