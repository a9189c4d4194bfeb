//! Parses the list between the braces of `CPUS{…}` as the kernel does: `bitmap_parselist` (lib/bitmap-str.c).
//!
//! ```text
//! list   = region { ( "," | blank ) region }
//! region = ( "all" | bound [ "-" bound ] ) [ ":" used "/" group ]
//! bound  = number | "N"                                             N is the last CPU
//! ```
//!
//! `RANGE:USED/GROUP` selects the first USED CPUs of each GROUP: `0-7:1/2` is 0, 2, 4 and 6.

use crate::ring::CpuList;

/// The CPUs of a list, for a kernel with `cpus` CPUs. `None` if the kernel would refuse it, or if it refers to the
/// last CPU and their number is not known.
pub(super) fn parse(list: &str, cpus: Option<u32>) -> Option<CpuList> {
    // The kernel refuses an empty list ("no mask").
    if list.is_empty() {
        return None;
    }
    let regions = list.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|region| !region.is_empty());
    let mut found = Vec::new();
    for region in regions {
        found.extend(self::region(region, cpus)?);
    }
    Some(found.into_iter().collect())
}

/// More CPUs than any kernel has: where their number is not known, a list may go so far.
const MOST: u32 = 1 << 16;

fn region(text: &str, cpus: Option<u32>) -> Option<impl Iterator<Item = u32> + use<>> {
    let (bounds, pattern) = match text.split_once(':') {
        Some((bounds, pattern)) => (bounds, Some(pattern)),
        None => (text, None),
    };
    let bound = |word: &str| match word {
        "N" => cpus?.checked_sub(1),
        digits => number(digits),
    };
    let (first, last) = match bounds.split_once('-') {
        _ if bounds.eq_ignore_ascii_case("all") => (0, cpus?.checked_sub(1)?),
        Some((first, last)) => (bound(first)?, bound(last)?),
        // A pattern needs a range.
        None if pattern.is_some() => return None,
        None => (bound(bounds)?, bound(bounds)?),
    };
    let (used, group) = match pattern {
        Some(pattern) => {
            let (used, group) = pattern.split_once('/')?;
            (bound(used)?, bound(group)?)
        }
        None => (1, 1),
    };
    let sound = first <= last && last < cpus.unwrap_or(MOST) && group > 0 && used <= group;
    sound.then(|| (first..=last).filter(move |cpu| (cpu - first) % group < used))
}

/// As `bitmap_getnum`: digits alone, of 32 bits.
fn number(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_the_kernel_reads_it() {
        let of_8 = |list| parse(list, Some(8)).map(|cpus| cpus.to_string());
        for (list, cpus) in [
            ("0,2-3", "0,2-3"),
            ("all", "0-7"),
            ("ALL:1/2", "0,2,4,6"),
            ("N", "7"),
            ("5-N", "5-7"),
            ("1-7:2/3", "1-2,4-5,7"),
            ("0 1,,3,", "0-1,3"),
            ("0-N:1/N", "0,7"),
            ("3-5:0/1", ""),
            (" ", ""),
            ("1-3:1/65536", "1"),
            ("1-3:1/4294967295", "1"),
        ] {
            assert_eq!(of_8(list).as_deref(), Some(cpus), "{list}");
        }
        for list in [
            "",
            "8",
            "0-8",
            "3-1",
            "n",
            "0 - 1",
            "1:1/2",
            "0-3:1",
            "0-3:3/2",
            "0-3:0/0",
            "x",
            "+1",
            "-1",
            "0x1",
            "-",
            "0-3:1/4294967296",
            "4294967295",
        ] {
            assert_eq!(of_8(list), None, "{list}");
        }
        assert_eq!(parse("0-N", None), None);
        assert_eq!(parse("0-100", None).unwrap().iter().count(), 101);
        assert_eq!(
            (parse("65535", None).map(|cpus| cpus.to_string()), parse("65536", None)),
            (Some("65535".into()), None)
        );
    }
}
