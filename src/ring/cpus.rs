//! Lists of CPUs: as the user writes them (`0,2-3`), and as the mask that `tracing_cpumask` takes (`d`).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A set of CPUs, read from a list like `0,2-3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuList {
    cpus: BTreeSet<u32>,
}

/// The kernel's own maximum is 8192 (`NR_CPUS` with MAXSMP); a larger number is a typing error.
const MAX_CPU: u32 = 65_535;

impl CpuList {
    /// The CPUs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.cpus.iter().copied()
    }

    /// Whether `cpu` is in the list.
    pub fn contains(&self, cpu: u32) -> bool {
        self.cpus.contains(&cpu)
    }

    /// The text for `tracing_cpumask`: 32-bit words in hex, the highest first, between commas (`cpumask_parse_user`).
    pub fn mask(&self) -> String {
        let highest = self.cpus.last().copied().unwrap_or(0);
        let mut words = vec![0u32; highest as usize / 32 + 1];
        for cpu in &self.cpus {
            if let Some(word) = words.get_mut(*cpu as usize / 32) {
                *word |= 1 << (cpu % 32);
            }
        }
        let words: Vec<String> = words.iter().rev().map(|word| format!("{word:08x}")).collect();
        words.join(",")
    }
}

/// A list of CPUs is malformed, or names a CPU that the machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{list:?} is not a list of CPUs ({reason}): write for example 0,2-3")]
pub struct CpuListError {
    /// The list as given.
    pub list: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromIterator<u32> for CpuList {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> CpuList {
        CpuList { cpus: cpus.into_iter().collect() }
    }
}

/// In the form that is parsed: `0,2-3`.
impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if(|&next| next == last + 1) {
                last = next;
            }
            match last {
                _ if last == first => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for CpuList {
    type Err = CpuListError;

    /// Parses `3`, `0,2`, `0-3`, `0,2-3`; spaces around numbers are allowed.
    fn from_str(list: &str) -> Result<CpuList, CpuListError> {
        let bad = |reason: String| CpuListError { list: list.to_string(), reason };
        let number = |word: &str| match word.trim().parse::<u32>() {
            Ok(cpu) if cpu <= MAX_CPU => Ok(cpu),
            _ => Err(bad(format!("{:?} is not a CPU number", word.trim()))),
        };
        let mut cpus = BTreeSet::new();
        for part in list.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(bad(format!("{first}-{last} is in descending order")));
            }
            cpus.extend(first..=last);
        }
        Ok(CpuList { cpus })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_as_it_is_read() {
        for list in ["0", "0-1", "0,2-5,7,9-10"] {
            assert_eq!(list.parse::<CpuList>().unwrap().to_string(), list);
        }
    }

    #[test]
    fn lists_are_read_and_become_masks() {
        for (list, cpus, mask) in [
            ("0", vec![0], "00000001"),
            ("0,2-3", vec![0, 2, 3], "0000000d"),
            (" 1 - 2 , 2", vec![1, 2], "00000006"),
            ("31,32", vec![31, 32], "00000001,80000000"),
            ("64", vec![64], "00000001,00000000,00000000"),
        ] {
            let parsed: CpuList = list.parse().unwrap();
            assert_eq!(parsed.iter().collect::<Vec<_>>(), cpus, "{list}");
            assert_eq!(parsed.mask(), mask, "{list}");
        }
    }

    #[test]
    fn an_invalid_list_is_refused_with_the_reason() {
        for (list, reason) in [
            ("", "\"\" is not a CPU number"),
            ("a", "\"a\" is not a CPU number"),
            ("3-1", "3-1 is in descending order"),
            ("1,,2", "\"\" is not a CPU number"),
            ("-1", "\"\" is not a CPU number"),
            ("0-4000000000", "\"4000000000\" is not a CPU number"),
        ] {
            let error = list.parse::<CpuList>().unwrap_err().to_string();
            assert!(error.contains(reason), "{list}: {error}");
            assert!(error.contains("0,2-3"), "the remedy is missing: {error}");
        }
    }
}
