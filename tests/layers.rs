//! Dependencies between modules, read from the paths in the source: no module depends on a layer above it, and there
//! are no cycles. And no file or function is long without a reason.

use std::collections::{BTreeMap, BTreeSet};

#[path = "common/sources.rs"]
mod sources;

/// The layers of `src/`, the lowest first: each may use those before it.
const ORDER: [&str; 27] = [
    "duration", "escape", "meaning", "format", "ring", "names", "decode", "render", "sound", "rights", "keeper",
    "tracefs", "wall", "osc", "capture", "follow", "terminal", "map", "output", "pipeline", "control", "listen",
    "page", "replay", "live", "cli", "commands",
];

/// The known cycles, and the reason for each.
const CIRCLES: [(&[&str], &str); 1] = [(
    &["keeper::process", "tracefs::lent", "tracefs::mount"],
    "a Tracefs may use the keeper or be lent, and both of these need a Tracefs",
)];

/// Every module and its source, without comments and without tests.
fn modules() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (path, text) in sources::all() {
        let path = path.strip_prefix("src").unwrap().with_extension("");
        let mut names: Vec<&str> = path.iter().map(|name| name.to_str().unwrap()).collect();
        match names.last() {
            Some(&"lib" | &"main") => continue,
            Some(&"mod") => drop(names.pop()),
            _ => {}
        }
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
        found.insert(names.join("::"), code);
    }
    found
}

/// The paths in `code` after each `start`: `a`, `b::c` and `b::d` for `start::{a, b::{c, d}}`.
fn paths(code: &str, start: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(start) {
        let before = code[..at].chars().next_back();
        let Some(rest) = code[at + start.len()..].strip_prefix("::") else { continue };
        if before.is_none_or(|c| !c.is_alphanumeric() && c != '_') {
            expand("", rest, &mut found);
        }
    }
    found
}

/// Adds the paths at the beginning of `text`, each prefixed by `base`; returns the rest.
fn expand<'t>(base: &str, text: &'t str, found: &mut Vec<String>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut list) = text.strip_prefix('{') {
        loop {
            list = list.trim_start().trim_start_matches(',').trim_start();
            match list.strip_prefix('}') {
                Some(rest) => return rest,
                None if list.is_empty() => return list,
                None => list = expand(base, list, found),
            }
        }
    }
    let len = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(len);
    let path = if base.is_empty() { word.to_owned() } else { format!("{base}::{word}") };
    if let Some(rest) = rest.strip_prefix("::") {
        return expand(&path, rest, found);
    }
    found.push(path);
    // Skip `as name`, and whatever cannot be part of a list.
    match rest.find([',', '}']) {
        Some(end) if rest[..end].trim_start().starts_with("as ") => &rest[end..],
        _ if len == 0 => rest.get(1..).unwrap_or_default(),
        _ => rest,
    }
}

/// The modules that each module uses. A re-export (`pub use`) counts for the module that defines the item.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules();
    let mut shown = BTreeMap::new();
    for (module, code) in &modules {
        for (at, _) in code.match_indices(" use ") {
            let line = code[..at].rsplit('\n').next().unwrap();
            if !line.starts_with("pub") {
                continue;
            }
            let mut paths = Vec::new();
            expand("", &code[at + 5..], &mut paths);
            for path in paths {
                if let Some((from, name)) = path.rsplit_once("::") {
                    shown.insert(format!("{module}::{name}"), format!("{module}::{from}"));
                }
            }
        }
    }
    let target = |mut at: String, path: &str| {
        for word in path.split("::") {
            let next = if at.is_empty() { word.to_owned() } else { format!("{at}::{word}") };
            at = match shown.get(&next) {
                _ if modules.contains_key(&next) => next,
                Some(module) if modules.contains_key(module) => module.clone(),
                _ => break,
            };
        }
        at
    };
    let mut uses = BTreeMap::new();
    for (module, code) in &modules {
        let up = |levels: usize| module.rsplitn(levels + 1, "::").nth(levels).unwrap_or_default().to_owned();
        let mut used = BTreeSet::new();
        used.extend(paths(code, "crate").iter().map(|path| target(String::new(), path)));
        for path in paths(code, "super") {
            let levels = 1 + path.split("::").take_while(|word| *word == "super").count();
            let path: Vec<&str> = path.split("::").filter(|word| *word != "super").collect();
            used.insert(target(up(levels), &path.join("::")));
        }
        // A file's use of its parent is not the parent's use of the file.
        used.retain(|other| !other.is_empty() && !module.starts_with(&format!("{other}::")) && other != module);
        uses.insert(module.clone(), used);
    }
    uses
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap()
}

#[test]
fn no_layer_uses_one_above_it() {
    let place = |room: &str| ORDER.iter().position(|known| *known == room);
    let allowed = |from: &str, to: &str| from == "keeper" && to == "tracefs";
    let mut wrong = Vec::new();
    for (module, used) in uses() {
        let Some(own) = place(room(&module)) else {
            wrong.push(format!("{module} is in no layer: add it to ORDER, above everything it uses"));
            continue;
        };
        for other in used.iter().filter(|other| room(other) != room(&module) && !allowed(room(&module), room(other))) {
            if place(room(other)).is_none_or(|place| place > own) {
                wrong.push(format!("{module} uses {other}, which is above it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_modules_use_each_other() {
    let uses = uses();
    // All that a module uses, directly or indirectly.
    let reach = |start: &str| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![start.to_owned()]);
        while let Some(module) = next.pop() {
            for other in uses.get(&module).into_iter().flatten() {
                if reached.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = uses.keys().map(|module| (module, reach(module))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in reached.iter().filter(|(module, others)| others.contains(**module)) {
        let with: Vec<&String> = others.iter().filter(|other| reached[other].contains(*module)).collect();
        circles.insert(with.iter().map(|module| module.as_str()).collect::<Vec<_>>());
    }
    let known: BTreeSet<Vec<&str>> = CIRCLES.iter().map(|(circle, _)| circle.to_vec()).collect();
    assert_eq!(circles, known, "an unknown cycle, or a known one that no longer exists");
}

#[test]
fn the_paths_of_a_use_are_read_as_the_compiler_reads_them() {
    let code = "use crate::{a::B, c::{self, D as E, f::{G, h}},};\nfn x() { crate::i::j(); }\nuse supercrate::k;";
    assert_eq!(paths(code, "crate"), ["a::B", "c::self", "c::D", "c::f::G", "c::f::h", "i::j"]);
    assert!(uses()["decode::plan"].contains("decode::field"));
    assert!(uses()["osc::plan"].contains("render::plan"), "{:?}", uses()["osc::plan"]);
}

/// Lines of a file without its tests, at most.
const FILE: usize = 520;
/// Lines of a function, at most; a longer one says why, in a comment that has the word `Long:`.
const FUNCTION: usize = 60;

#[test]
fn no_file_and_no_function_is_long_without_a_reason() {
    let mut wrong = Vec::new();
    let mut functions = 0;
    for (path, text) in sources::all() {
        let path = path.display().to_string();
        let lines: Vec<&str> = text.lines().collect();
        let tests = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].contains("mod "));
        let lines = &lines[..tests.unwrap_or(lines.len())];
        if lines.len() > FILE {
            wrong.push(format!("{path} has {} lines: split it by what it does, at most {FILE}", lines.len()));
        }
        for (at, line) in lines.iter().enumerate() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let words = line.trim_start().split('(').next().unwrap();
            let is_fn = words.split(' ').any(|word| word == "fn") && !words.ends_with("fn");
            let body = lines[at..].iter().find(|line| line.ends_with(['{', '}', ';']));
            if !is_fn || words.starts_with("//") || !body.is_some_and(|line| line.ends_with('{')) {
                continue;
            }
            functions += 1;
            let end = lines[at..].iter().position(|line| line.strip_prefix(indent) == Some("}"));
            let comment = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with(['/', '#']));
            let long = end.is_none_or(|end| end + 1 > FUNCTION);
            if long && !comment.into_iter().any(|line| line.contains("Long:")) {
                wrong.push(format!("{path}:{}: over {FUNCTION} lines: {}", at + 1, words.trim()));
            }
        }
    }
    assert!(functions > 2000, "{functions}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
