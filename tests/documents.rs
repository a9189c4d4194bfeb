//! The documentation: the book lists every page, every link between files leads to a file and a heading that exist, and
//! no sentence, nor one of a comment, has a gap or a word twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "common/sources.rs"]
mod sources;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files in `folder`, sorted.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    found.sort();
    found
}

/// The lines outside of code blocks.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The targets of the links and images in `text`, but not those in code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines(text) {
        // Every other part is between back quotes; a link's own text may contain some.
        let plain: String = line
            .split('`')
            .enumerate()
            .map(|(at, part)| if at % 2 == 0 { part } else { "" })
            .collect::<Vec<_>>()
            .concat();
        let targets = plain.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| target.split_whitespace().next().unwrap_or_default().to_owned()));
    }
    found
}

/// The anchors of the headings in `text`, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text).filter(|line| line.starts_with('#'));
    let slug = |line: &str| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// The links that lead nowhere in `text`, the contents of the file at `path`.
fn wrong_links(path: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for link in links(text).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
        let (file, anchor) = link.split_once('#').map_or((&*link, None), |(file, anchor)| (file, Some(anchor)));
        let target = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
        if !target.exists() {
            wrong.push(format!("{}: {link}: there is no such file", path.display()));
        } else if let Some(anchor) = anchor
            && !anchors(&if target == path { text.to_owned() } else { fs::read_to_string(&target).unwrap_or_default() })
                .contains(anchor)
        {
            wrong.push(format!("{}: {link}: there is no such heading", path.display()));
        }
    }
    wrong
}

#[test]
fn the_book_lists_every_page_once() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut listed: Vec<_> = links(&summary).into_iter().map(|link| docs.join(link)).collect();
    listed.sort();
    let mut pages = pages(&docs);
    pages.retain(|page| !page.ends_with("SUMMARY.md"));
    assert!(pages.len() > 5, "{pages:?}");
    assert_eq!(listed, pages);
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut files = pages(root());
    files.extend(["docs", "benches", "fuzz"].iter().flat_map(|folder| pages(&root().join(folder))));
    let count: usize = files.iter().map(|file| links(&fs::read_to_string(file).unwrap()).len()).sum();
    assert!(count > 20, "only {count} links were found");
    let wrong: Vec<_> = files.iter().flat_map(|file| wrong_links(file, &fs::read_to_string(file).unwrap())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn links_and_headings_are_found() {
    let text = "# A `b` (c)\nsee [x](y.md#a-b-c), `[no](z.md)` ![p](q.png \"title\")\n```\n# no\n[no](z.md)\n```\n## Two words";
    assert_eq!(links(text), ["y.md#a-b-c", "q.png"]);
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-b-c", "two-words"]);
    let text = "# Here\n[a](#here) [b](#there) [c](none.md) [d](docs/WIRE.md#control) [e](docs/WIRE.md#none)\n";
    let wrong = wrong_links(&root().join("README.md"), text);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}

/// The gaps in a line, and the words that stand twice, outside of quoted code. A line with a bar is a table or a drawing.
fn slips(line: &str) -> Vec<String> {
    let prose: String = line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "x" }).collect();
    if prose.contains(['|', '│', '─']) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let parts: Vec<&str> = prose.trim().split("  ").collect();
    for two in parts.windows(2) {
        let ends = |c: char| c.is_alphanumeric() || ",.;:)]”".contains(c);
        let begins = |c: char| c.is_alphanumeric() || "([“".contains(c);
        if two[0].ends_with(ends) && two[1].trim_start().starts_with(begins) {
            found.push(format!("a gap: {line}"));
        }
    }
    let words: Vec<&str> = prose.split_whitespace().collect();
    let twice = |two: &&[&str]| two[0] == two[1] && two[0].len() > 1 && two[0].chars().all(|c| c.is_ascii_lowercase());
    found.extend(words.windows(2).filter(twice).map(|two| format!("{} twice: {line}", two[0])));
    found
}

#[test]
fn no_sentence_has_a_gap_or_a_word_twice() {
    let mut wrong = Vec::new();
    let mut files = pages(root());
    files.extend(["docs", "benches", "fuzz"].iter().flat_map(|folder| pages(&root().join(folder))));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        wrong.extend(lines(&text).flat_map(slips).map(|slip| format!("{}: {slip}", file.display())));
    }
    for (file, text) in sources::all() {
        let comments = text.lines().map(|line| {
            let line = line.trim_start();
            let comment = ["//!", "///", "//"].iter().find_map(|start| line.strip_prefix(start));
            comment.unwrap_or_default()
        });
        let comments: Vec<&str> = comments.collect();
        wrong.extend(lines(&comments.join("\n")).flat_map(slips).map(|slip| format!("{}: {slip}", file.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(slips("epoll would not report   what is left, the the `a  b` a  = b").len(), 2);
}
