//! Every `unsafe` block of the program is listed in docs/SECURITY.md with its reason, and no others are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "common/sources.rs"]
mod sources;

/// The number of `unsafe` blocks in each source file that has any, without test modules.
fn blocks() -> BTreeMap<String, usize> {
    let count = |text: &str| -> usize {
        let program = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code = program.lines().filter(|line| !line.trim_start().starts_with("//"));
        // A block, a function, an implementation.
        code.map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == "unsafe").count())
            .sum()
    };
    let counts = sources::all().into_iter().map(|(path, text)| (path.display().to_string(), count(&text)));
    counts.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn the_table_in_the_security_document_lists_all_with_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = blocks();
    let text = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `src/"));
    let told: BTreeMap<String, usize> = rows
        .filter_map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [file, count, calls, why] = cells.as_slice() else { return None };
            assert!(!calls.is_empty() && !why.is_empty(), "{row}");
            Some((file.trim_matches('`').to_owned(), count.parse().unwrap()))
        })
        .collect();
    assert!(!found.is_empty());
    assert_eq!(found, told, "left: the code, right: docs/SECURITY.md");
}
