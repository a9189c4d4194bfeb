//! `HZ`, the kernel's timer frequency, which `jiffies_to_msecs()` in a print format depends on.
//!
//! No control file states it, and the clock tick of user space is another number. But some print formats divide by
//! it, with the macro expanded: `(jiffies - REC->dirtied_when) / 250` (include/trace/events/writeback.h).

/// Its name among the constants.
pub(crate) const NAME: &str = "HZ";

/// Events whose print format divides by HZ.
pub(crate) const TOLD_BY: [&str; 3] =
    ["writeback_single_inode", "writeback_single_inode_start", "writeback_sb_inodes_requeue"];

/// The text before it.
const BEFORE: &str = "(jiffies - REC->dirtied_when) / ";

/// The HZ in the text of a format file; most have none.
pub(crate) fn told_by(format: &str) -> Option<i64> {
    let (_, behind) = format.split_once(BEFORE)?;
    let digits = &behind[..behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len())];
    // From 24 on some machines to 1200 on others (kernel/Kconfig.hz and arch/*/Kconfig).
    digits.parse().ok().filter(|hz| (12..=10_000).contains(hz))
}

/// Whether a print format needs HZ.
pub(crate) fn is_needed_by(print_fmt: &str) -> bool {
    print_fmt.contains("jiffies_to_")
}

/// HZ from the format files that state it; `read` returns a file by its path below tracefs.
pub(crate) fn told_among(mut read: impl FnMut(&str) -> Option<Vec<u8>>) -> Option<i64> {
    TOLD_BY.iter().find_map(|event| {
        let text = read(&format!("events/writeback/{event}/format"))?;
        told_by(&String::from_utf8_lossy(&text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hz_is_the_divisor_of_jiffies() {
        let format = "print fmt: \"age=%lu\", REC->ino, (jiffies - REC->dirtied_when) / 250, REC->index\n";
        assert_eq!(told_by(format), Some(250));
        for untold in ["", "(jiffies - REC->dirtied_when) / HZ", "(jiffies - REC->dirtied_when) / 0", "jiffies / 250"] {
            assert_eq!(told_by(untold), None, "{untold}");
        }
    }

    /// As in a captured folder: one event's file is enough, and an event that does not state HZ is skipped.
    #[test]
    fn any_format_of_a_folder_may_state_hz() {
        assert_eq!(told_among(|_| None), None);
        for event in TOLD_BY {
            let file = |path: &str| {
                let divisor = if path == format!("events/writeback/{event}/format") { "300" } else { "HZ" };
                let text = format!("print fmt: \"age=%lu\", (jiffies - REC->dirtied_when) / {divisor}, REC->index\n");
                Some(text.into_bytes())
            };
            assert_eq!(told_among(file), Some(300), "{event}");
        }
    }
}
