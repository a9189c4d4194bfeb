//! Every `unsafe` block of the program is listed in docs/SECURITY.md with its reason, and no others are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The number of `unsafe` blocks in each file below `folder`, without test modules.
fn blocks(folder: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            blocks(&path, found);
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let program = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code = program.lines().filter(|line| !line.trim_start().starts_with("//"));
        // A block, a function, an implementation.
        let count = code.map(|line| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == "unsafe").count()
        });
        match count.sum() {
            0 => {}
            count => {
                let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
                found.insert(name, count);
            }
        }
    }
}

#[test]
fn the_table_in_the_security_document_lists_all_with_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    blocks(&root.join("src"), &mut found);
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
