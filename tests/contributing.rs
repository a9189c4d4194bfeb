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
    // What is said of a folder of perf's, which no container reads, is in `captures`.
    let known = ["src/capture/perf_data", "src/capture/mod.rs", "src/commands/captures.rs"];
    let others = elsewhere("perf_data::", &known);
    assert!(others.is_empty(), "{others:?}");
    let (_, text) = sources().into_iter().find(|(path, _)| path.ends_with("capture/mod.rs")).unwrap();
    let open_file = text.split("pub fn open_file").nth(1).unwrap().split("\n}\n").next().unwrap();
    assert_eq!(text.matches("perf_data::").count(), open_file.matches("perf_data::").count());
    let (_, text) = sources().into_iter().find(|(path, _)| path.ends_with("commands/captures.rs")).unwrap();
    assert_eq!(text.matches("perf_data::").count(), 1, "one message about a folder of perf's");
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

/// What is written for one language is in its file; only the table in `mod.rs` knows all.
#[test]
fn a_language_of_patches_is_a_row_and_a_file() {
    let variants = |text: &str| -> std::collections::BTreeSet<String> {
        let word = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
        text.split("Language::").skip(1).map(word).filter(|word| word.starts_with(char::is_uppercase)).collect()
    };
    let mut files = 0;
    for (path, text) in sources() {
        let shared = path.ends_with("osc/patch/mod.rs") || path.ends_with("osc/patch/tests.rs");
        if path.components().any(|part| part.as_os_str() == "patch") && !shared {
            let named = variants(&text);
            files += usize::from(named.len() == 1);
            assert!(named.len() <= 1, "{} names {named:?}", path.display());
        }
    }
    assert!(files >= 4, "{files} files of languages");
    // The default of `patch` is SuperCollider.
    let others = elsewhere("Language::", &["src/osc/patch", "src/commands/patch.rs"]);
    let others: Vec<_> = others.into_iter().filter(|path| !path.ends_with("output/audience.rs")).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_fuzz_target_stands_in_the_five_files_of_its_row() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let (bodies, manifest, replayed) =
        (read("fuzz/bodies/mod.rs"), read("fuzz/Cargo.toml"), read("tests/fuzz_inputs.rs"));
    let replayed = replayed.lines().find(|line| line.starts_with("targets! {")).unwrap().to_owned();
    let mut targets = 0;
    for entry in fs::read_dir(root().join("fuzz/bodies")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "mod" {
            continue;
        }
        targets += 1;
        assert!(read(&format!("fuzz/targets/{name}.rs")).contains(&format!("bodies::{name}::run")), "{name}");
        assert!(bodies.contains(&format!("pub mod {name};")), "{name}");
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
        assert!(replayed.split(' ').any(|word| word == name), "{name} is not in {replayed}");
    }
    assert!(targets > 10, "{targets} targets");
}
