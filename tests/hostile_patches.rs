//! Names from a hostile capture in generated patches: no part of them becomes code in any of the five languages. The
//! real programs check this if they are installed; here the generated text is split into code and comments besides.

mod common;
#[path = "receivers/launch.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod launch;

use std::path::Path;
use std::process::Command;

use ftrace_live::osc::patch::{Language, Listen, patch};
use ftrace_live::osc::{Argument, Omitted, Schema, Types};
use proptest::prelude::*;

use common::program::{self, command};

/// Attempts to break out: of each language's comments and strings, of a line, of a shell word, of a terminal.
const WORST: [&str; 24] = [
    "\"quoted\" 'single' `back`",
    "a\nSystem.exec(\"false\")\rb\u{85}c\u{2028}d\u{2029}e",
    "*/ 1/0; /*",
    "// -- ;; # rest",
    "\\",
    "\\\" + 1.0.die + \"",
    "'; \"x\".die; '",
    "</CsInstruments>",
    "</CsoundSynthesizer><CsoundSynthesizer><CsInstruments>\ninstr 1\nendin",
    "; endin instr 1",
    "$TEXTURES $(false) ${HOME} #include \"/etc/passwd\" #{x}",
    "\"\"\"\nimport os\nos._exit(9)\n\"\"\"",
    "{__import__('os')._exit(9)} %s %n {0} {{ }}",
    "#X obj 10 10 print evil;\n#X msg 0 0 \\; pd quit;",
    "; pd quit;",
    ", \\, \\; \\$1 $1",
    "<<< \"evil\" >>>; me.exit();",
    "\x1b]0;title\x07\x1b[2J\u{9b}31m\u{202e}gpj.exe\u{feff}",
    "\0NUL",
    "(",
    ")",
    "[{(",
    "é日本𝄞",
    " ",
];

/// A schema with only these names; `names` has at least one.
fn schema(names: &[String], types: Types) -> Schema {
    let name = |n: usize| names[n % names.len()].clone();
    let header: &[(&str, char)] = match types {
        Types::Portable => &[("sec", 'i'), ("usec", 'i'), ("dt", 'f'), ("cpu", 'i'), ("pid", 'i'), ("comm", 's')],
        _ => &[("time", 't'), ("dt", 'f'), ("cpu", 'i'), ("pid", 'i'), ("comm", 's')],
    };
    let argument = |name: String, tag, kernel_type| Argument { name, tag, kernel_type, note: None };
    let mut arguments: Vec<_> =
        header.iter().map(|(name, tag)| argument((*name).to_owned(), *tag, "u64".to_owned())).collect();
    arguments.push(argument(name(2), 'i', name(3)));
    arguments.push(argument(name(4), 's', name(5)));
    Schema {
        address: format!("/ftrace/{}/{}", name(0), name(1)),
        tags: arguments.iter().map(|argument| argument.tag).collect(),
        arguments,
        omitted: vec![Omitted { name: name(6), kernel_type: name(7), why: "a pointer" }],
        system: name(0),
        event: name(1),
    }
}

fn program(language: Language, events: &[Vec<String>]) -> String {
    let schemas: Vec<Schema> = events.iter().map(|names| schema(names, language.preset().types)).collect();
    let listen = Listen { port: 9999, bind: None, prefix: "/ftrace", control: None };
    patch(language, &schemas, listen).unwrap()
}

/// The same with as many harmless names.
fn harmless(language: Language, events: usize) -> String {
    let names: Vec<Vec<String>> = (0..events).map(|n| vec![format!("name{n}")]).collect();
    program(language, &names)
}

/// The code of a program, without comments and the contents of strings.
fn code(language: Language, text: &str) -> String {
    if language == Language::PureData {
        return statements(text);
    }
    let (comment, block, quotes) = match language {
        Language::Csound => (";", true, "\""),
        Language::Python => ("#", false, "\"'"),
        _ => ("//", true, "\"'"),
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with(comment) {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if block && rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if quotes.contains(c) {
            let mut chars = rest.char_indices().skip(1);
            let mut end = rest.len();
            while let Some((at, inner)) = chars.next() {
                match inner {
                    '\\' => drop(chars.next()),
                    '\n' if language == Language::Python => break,
                    _ if inner == c => {
                        end = at + c.len_utf8();
                        break;
                    }
                    _ => {}
                }
            }
            out.push_str("STRING");
            rest = &rest[end..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The statements of a Pd file; a comment is reduced to its place.
fn statements(text: &str) -> String {
    let mut out = String::new();
    let mut statement = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                statement.push(c);
                statement.extend(chars.next());
            }
            ';' => {
                let words: Vec<&str> = statement.split_whitespace().collect();
                let shown = if words.get(1) == Some(&"text") { &words[..4] } else { &words[..] };
                out += &format!("{};\n", shown.join(" "));
                statement.clear();
            }
            _ => statement.push(c),
        }
    }
    assert_eq!(statement.trim(), "", "behind the last statement");
    out
}

/// Asserts that nothing in a program affects a terminal or reorders its text.
fn assert_plain(language: Language, text: &str) {
    let bad = text.chars().find(|c| !matches!(c, '\n' | '\t') && ftrace_live::escape::is_escaped(*c));
    assert_eq!(bad, None, "{language:?}");
}

/// The words of the command in a patch's introduction, as split by a shell.
fn command_words(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.split_once("Then:  sudo ").map(|(_, command)| command)).unwrap();
    let output = Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
    assert!(output.status.success(), "{line}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn worst() -> Vec<Vec<String>> {
    let mut events: Vec<Vec<String>> = WORST.iter().map(|name| vec![(*name).to_owned()]).collect();
    // Each in every place, beside each other.
    events.extend((0..WORST.len()).map(|n| (0..8).map(|k| WORST[(n + k * 5) % WORST.len()].to_owned()).collect()));
    events
}

/// A name from pieces of the worst ones and arbitrary text.
fn name() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(&WORST[..]).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[\"'\\\\;#$/*<>{}()\n ]{1,4}"
    ];
    proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_names_are_the_code_is_the_same(events in proptest::collection::vec(proptest::collection::vec(name(), 8), 1..4)) {
        for language in Language::all() {
            let text = program(language, &events);
            assert_plain(language, &text);
            prop_assert_eq!(code(language, &text), code(language, &harmless(language, events.len())), "{:?}", language);
            // Csound searches for these before it handles comments.
            let tags = |text: &str| text.matches("<Cs").count() + text.matches("</Cs").count();
            prop_assert!(language != Language::Csound || tags(&text) == tags(&harmless(language, events.len())));
        }
    }
}

#[test]
fn the_command_in_a_patch_has_the_same_words_for_a_shell() {
    for language in Language::all() {
        let events = worst();
        let text = program(language, &events);
        let words =
            command_words(if language == Language::PureData { "// Then:  sudo ftrace-live -e x" } else { &text });
        if language != Language::PureData {
            let at = words.iter().position(|word| word == "-e").unwrap();
            assert_eq!(words.len() - at - 1, events.len(), "{language:?}");
        }
    }
}

#[test]
fn python_parses_the_names_as_data() {
    if !program::installed("python3") {
        return;
    }
    let events = worst();
    let text = program(Language::Python, &events);
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("patch.py"), &text).unwrap();
    std::fs::write(home.path().join("harmless.py"), harmless(Language::Python, events.len())).unwrap();
    // Only the structure: constants are left out, and two names may clean to one.
    let script = "import ast\ndef shape(file):\n  tree = ast.parse(open(file).read())\n  return [type(n).__name__ for n in ast.walk(tree)]\n\
                  assert shape('patch.py') == shape('harmless.py')\n";
    let output = launch::python(home.path()).args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn sclang_compiles_it_and_csound_checks_its_syntax() {
    let events = worst();
    let home = tempfile::tempdir().unwrap();
    if program::installed("sclang") {
        std::fs::write(home.path().join("patch.scd"), program(Language::SuperCollider, &events)).unwrap();
        let path = home.path().join("patch.scd").display().to_string();
        let driver = format!(
            "(\"verdict\" + if(File.readAllString(\"{path}\").compile.isNil) {{ \"refused\" }} {{ \"taken\" }}).postln; \
             (\"wrong:\" + if(\"(1 +\".compile.isNil) {{ \"refused\" }} {{ \"taken\" }}).postln; 0.exit;"
        );
        let mut sclang = launch::sclang(home.path(), "driver.scd", &driver);
        assert!(sclang.wait_for("verdict").contains("taken"), "{:?}", sclang.said());
        assert!(sclang.wait_for("wrong:").contains("refused"));
    }
    if program::installed("csound") {
        let check = |text: &str| {
            std::fs::write(home.path().join("patch.csd"), text).unwrap();
            let output = command("csound", home.path()).args(["--syntax-check-only", "patch.csd"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            (!said.contains("error:") && !said.contains("rror: syntax") && !said.contains("Parsing failed"), said)
        };
        let text = program(Language::Csound, &events);
        let (taken, said) = check(&text);
        assert!(taken, "{said}");
        assert!(!check(&text.replace("instr Hits", "instr Hits\nkX = = 1")).0, "it finds what is wrong");
    }
}

#[test]
fn chuck_and_pd_load_it() {
    let events = worst();
    let home = tempfile::tempdir().unwrap();
    if program::installed("chuck") {
        let text = program(Language::Chuck, &events).replace("9999 =>", &format!("{} =>", program::free_port()));
        let mut chuck = launch::chuck(home.path(), &[("patch.ck", text)]);
        // Printed when it runs, but not when it cannot be compiled.
        chuck.wait_for("listening on port");
    }
    if program::installed("pd") {
        let loaded =
            "#N canvas 0 0 450 300 12;\n#X obj 10 10 loadbang;\n#X obj 10 40 print loaded;\n#X connect 0 0 1 0;\n"
                .to_owned();
        let mut pd =
            launch::pd(home.path(), &[("patch.pd", program(Language::PureData, &events)), ("loaded.pd", loaded)]);
        pd.wait_for("loaded");
        let said = pd.said().join("\n");
        for wrong in ["couldn't create", "no such object", "evil", "error", "syntax"] {
            assert!(!said.contains(wrong), "{said}");
        }
    }
    assert!(Path::new(home.path()).exists());
}
