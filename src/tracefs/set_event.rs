//! The expressions of `-e`: which events they select, and messages about those that select nothing.
//!
//! | expression | selects |
//! |---|---|
//! | `irq` | the group; as in the kernel's `set_event`, a bare word also selects every event with that name |
//! | `sched_switch` | the event, in any group |
//! | `sched:sched_switch`, `sched/sched_switch` | that one event |
//! | `ext4_*`, `syscalls:sys_enter_*`, `uprobes:*`, `*:*` | globs: `*`, `?`, `[abc]` |
//! | `!PATTERN` | excludes these, wherever it occurs |
//!
//! Several expressions are separate arguments, or separated by commas.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use glob::{MatchOptions, Pattern};

use super::TracefsError;
use super::among::{Among, quoted};
use super::name::{EventName, FTRACE};

/// The longest expression, bytes: two kernel names as globs with sets.
const LONGEST_EXPRESSION: usize = 500;
/// The longest word that is compared with existing names, bytes: the kernel's own are below 64.
const LONGEST_NAME: usize = 100;
/// How many similar names a warning lists.
const NEAREST: usize = 3;

impl FromStr for EventName {
    type Err = TracefsError;

    /// Parses `sched:sched_switch`.
    fn from_str(text: &str) -> Result<EventName, TracefsError> {
        match text.split_once(':') {
            Some((system, name)) if !system.is_empty() && !name.is_empty() && !text.contains('/') => {
                Ok(EventName::new(system, name))
            }
            _ => Err(TracefsError::BadExpression {
                expression: text.to_string(),
                reason: "it should be GROUP:EVENT".to_string(),
            }),
        }
    }
}

/// One expression, compiled.
#[derive(Debug, Clone)]
struct Expression {
    text: String,
    exclude: bool,
    system: Option<Pattern>,
    name: Pattern,
}

/// The parsed expressions of `-e`.
#[derive(Debug, Clone)]
pub struct Selection {
    expressions: Vec<Expression>,
}

/// The events that a selection selects on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selected {
    /// The events, each once, in the order of the kernel's list.
    pub events: Vec<EventName>,
    /// The expressions that select nothing here, for the user.
    pub unmatched: Vec<Unmatched>,
}

/// An expression that selects no event on this kernel. Its `Display` is the warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// The expression as given.
    pub expression: String,
    /// The most similar existing names, the best first.
    pub nearest: Vec<String>,
    /// It matches records of tracers, which exist but have no switch.
    pub tracer_records: bool,
    /// Whose events it was applied to.
    pub among: Among,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tracer_records {
            return write!(
                f,
                "{} selects records that tracers write themselves: they need not and cannot be enabled",
                quoted(&self.expression)
            );
        }
        write!(f, "no event or group of {} matches {}", self.among, quoted(&self.expression))?;
        if !self.nearest.is_empty() {
            write!(f, "; nearest: {}", self.nearest.join(", "))?;
        }
        Ok(())
    }
}

impl Selection {
    /// Parses the expressions, each of which may contain several separated by commas.
    ///
    /// # Errors
    /// [`TracefsError::BadExpression`] for one that is empty or not a glob.
    pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Selection, TracefsError> {
        let words = arguments.iter().flat_map(|argument| argument.as_ref().split(','));
        let expressions = words.map(|word| Expression::parse(word.trim())).collect::<Result<Vec<_>, _>>()?;
        Ok(Selection { expressions })
    }

    /// Applies the selection to the events of the running kernel: see [`resolve_among`](Selection::resolve_among).
    ///
    /// # Errors
    /// [`TracefsError::NothingSelected`] if no event is left.
    pub fn resolve(&self, available: &[EventName]) -> Result<Selected, TracefsError> {
        self.resolve_among(available, Among::Kernel)
    }

    /// Applies the selection to the available events. If every expression excludes, they exclude from all events.
    ///
    /// # Errors
    /// [`TracefsError::NothingSelected`] if no event is left.
    pub fn resolve_among(&self, available: &[EventName], among: Among) -> Result<Selected, TracefsError> {
        let mut unmatched = Vec::new();
        for expression in &self.expressions {
            if !available.iter().any(|event| expression.matches(event)) {
                unmatched.push(expression.unmatched(available, among));
            }
        }
        let only_exclusions =
            !self.expressions.is_empty() && self.expressions.iter().all(|expression| expression.exclude);
        let mut seen = BTreeSet::new();
        let events: Vec<EventName> = available
            .iter()
            .filter(|event| {
                let (excluding, including): (Vec<_>, Vec<_>) =
                    self.expressions.iter().filter(|e| e.matches(event)).partition(|e| e.exclude);
                excluding.is_empty() && (only_exclusions || !including.is_empty())
            })
            .filter(|event| seen.insert(*event))
            .cloned()
            .collect();
        if !events.is_empty() {
            return Ok(Selected { events, unmatched });
        }
        let mut reasons: Vec<String> = unmatched.iter().map(Unmatched::to_string).collect();
        if self.expressions.is_empty() {
            reasons.push("select at least one with -e".to_string());
        } else if reasons.is_empty() {
            reasons.push("the exclusions leave nothing".to_string());
        }
        Err(TracefsError::NothingSelected { reasons, among })
    }
}

impl Expression {
    fn parse(text: &str) -> Result<Expression, TracefsError> {
        let bad = |reason: String| TracefsError::BadExpression { expression: text.to_string(), reason };
        if text.len() > LONGEST_EXPRESSION {
            return Err(bad(format!("it is {} bytes long, longer than any name", text.len())));
        }
        let (exclude, pattern) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if pattern.is_empty() {
            return Err(bad("it is empty".to_string()));
        }
        let compile = |glob: &str| Pattern::new(glob).map_err(|e| bad(e.to_string()));
        let (system, name) = match pattern.split_once([':', '/']) {
            // `sched:` selects the whole group, as in the kernel.
            Some((system, "")) => (Some(compile(system)?), compile("*")?),
            Some((system, name)) => (Some(compile(system)?), compile(name)?),
            None => (None, compile(pattern)?),
        };
        Ok(Expression { text: text.to_string(), exclude, system, name })
    }

    fn matches(&self, event: &EventName) -> bool {
        let options = MatchOptions { case_sensitive: true, ..MatchOptions::default() };
        match &self.system {
            Some(system) => system.matches_with(&event.system, options) && self.name.matches_with(&event.name, options),
            // `__ftrace_set_clr_event_nolock`: a bare word is compared with both names.
            None => self.name.matches_with(&event.name, options) || self.name.matches_with(&event.system, options),
        }
    }

    fn unmatched(&self, available: &[EventName], among: Among) -> Unmatched {
        let group = self.system.as_ref().unwrap_or(&self.name);
        let tracer_records = group.as_str() == FTRACE;
        let nearest = if tracer_records { Vec::new() } else { nearest(&self.text, available) };
        Unmatched { expression: self.text.clone(), nearest, tracer_records, among }
    }
}

/// Words that are not a group of this kernel, or of any, and the groups that users mean by them.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("fs", &["ext4", "writeback", "filemap", "xfs", "btrfs"]),
    ("file", &["filemap", "writeback", "ext4"]),
    ("disk", &["block", "nvme", "scsi"]),
    ("io", &["block", "io_uring", "writeback"]),
    ("network", &["net", "tcp", "udp", "sock"]),
    ("interrupt", &["irq", "irq_vectors"]),
    ("interrupts", &["irq", "irq_vectors"]),
    ("memory", &["kmem", "vmscan", "exceptions"]),
    ("mm", &["kmem", "vmscan", "mmap"]),
    ("page_fault", &["exceptions"]),
    ("page_faults", &["exceptions"]),
    ("process", &["sched", "task"]),
    ("scheduler", &["sched"]),
    ("syscall", &["syscalls", "raw_syscalls"]),
    ("usb", &["xhci-hcd", "udc_core"]),
    ("sound", &["snd_pcm", "asoc"]),
];

/// The names (groups and events, or full names if `expression` is one) most similar to `expression`.
fn nearest(expression: &str, available: &[EventName]) -> Vec<String> {
    let wanted: String = expression.chars().filter(|c| !matches!(c, '*' | '?' | '!' | '[' | ']')).collect();
    if wanted.len() > LONGEST_NAME {
        return Vec::new();
    }
    let wanted = wanted.replace('/', ":");
    let elsewhere =
        ELSEWHERE.iter().find(|(word, _)| wanted.eq_ignore_ascii_case(word)).map_or(&[][..], |(_, there)| there);
    let there = |group: &&&str| available.iter().any(|event| event.system == **group);
    let meant: Vec<_> = elsewhere.iter().filter(there).map(|group| (*group).to_owned()).take(NEAREST).collect();
    if !meant.is_empty() {
        return meant;
    }
    let mut names = BTreeSet::new();
    for event in available {
        if wanted.contains(':') {
            names.insert(event.to_string());
        } else {
            names.insert(event.system.clone());
            names.insert(event.name.clone());
        }
    }
    let mut scored: Vec<(f64, String)> = names.into_iter().map(|name| (likeness(&wanted, &name), name)).collect();
    // The set was sorted by name and the sort is stable: equals stay in alphabetic order.
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.into_iter().take(NEAREST).map(|(_, name)| name).collect()
}

/// 1 for equal, 0 for nothing in common: the edit distance relative to the longer length; a name that contains the
/// other one is at least half similar.
fn likeness(wanted: &str, name: &str) -> f64 {
    // The kernel's names are lower case; IRQ means irq.
    let wanted = &wanted.to_lowercase();
    let name = &name.to_lowercase();
    let edit = strsim::normalized_damerau_levenshtein(wanted, name);
    let (shorter, longer) = if wanted.len() < name.len() { (wanted, name) } else { (name, wanted) };
    if shorter.len() >= 3 && longer.contains(shorter) {
        edit.max(0.5 + 0.5 * shorter.len() as f64 / longer.len() as f64)
    } else {
        edit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> Vec<EventName> {
        [
            "sched:sched_switch",
            "sched:sched_waking",
            "sched:sched_wakeup",
            "irq:irq_handler_entry",
            "irq:irq_handler_exit",
            "irq:softirq_entry",
            "irq_vectors:local_timer_entry",
            "ext4:ext4_da_write_begin",
            "ext4:ext4_sync_fs",
            "jbd2:jbd2_commit",
            "syscalls:sys_enter_openat",
            "syscalls:sys_exit_openat",
            "tcp:tcp_probe",
            "ras:mc_event",
            "timer:timer_start",
            "vmscan:timer",
            "uprobes:p_sh_0x1",
        ]
        .iter()
        .map(|name| name.parse().unwrap())
        .collect()
    }

    fn selected(expressions: &[&str]) -> Vec<String> {
        let selected = Selection::parse(expressions).unwrap().resolve(&kernel()).unwrap();
        assert_eq!(selected.unmatched, [], "{expressions:?}");
        selected.events.iter().map(EventName::to_string).collect()
    }

    #[test]
    fn expressions_select_as_in_the_table() {
        let table: &[(&[&str], &[&str])] = &[
            (&["irq"], &["irq:irq_handler_entry", "irq:irq_handler_exit", "irq:softirq_entry"]),
            (&["sched_switch"], &["sched:sched_switch"]),
            (&["sched:sched_switch"], &["sched:sched_switch"]),
            (&["sched/sched_switch"], &["sched:sched_switch"]),
            (&["ext4_*"], &["ext4:ext4_da_write_begin", "ext4:ext4_sync_fs"]),
            (&["syscalls:sys_enter_*"], &["syscalls:sys_enter_openat"]),
            (&["uprobes:*"], &["uprobes:p_sh_0x1"]),
            (&["uprobes:"], &["uprobes:p_sh_0x1"]),
            (&["*:timer*"], &["timer:timer_start", "vmscan:timer"]),
            // A bare word selects the group and every event with that name.
            (&["timer"], &["timer:timer_start", "vmscan:timer"]),
            (&["sched_wak?*"], &["sched:sched_waking", "sched:sched_wakeup"]),
            (&["sched_wak[ei]*"], &["sched:sched_waking", "sched:sched_wakeup"]),
            // In the kernel's order, each once, however often and in whichever order they are given.
            (
                &["tcp,sched_switch", " sched_switch", "sched:*"],
                &["sched:sched_switch", "sched:sched_waking", "sched:sched_wakeup", "tcp:tcp_probe"],
            ),
            (&["sched", "!sched_wak*"], &["sched:sched_switch"]),
            (&["!sched_waking,!sched:sched_wakeup", "sched"], &["sched:sched_switch"]),
        ];
        for (expressions, events) in table {
            assert_eq!(selected(expressions), *events, "{expressions:?}");
        }
        assert_eq!(selected(&["*:*"]).len(), kernel().len());
        assert_eq!(selected(&["*"]).len(), kernel().len());
        assert_eq!(selected(&["!sched"]).len(), kernel().len() - 3);
    }

    #[test]
    fn unknown_names_cause_a_warning_with_similar_ones_and_the_rest_is_selected() {
        let selection = Selection::parse(&["tcp", "shced_switch", "Irq", "jbd3", "syscalls:sys_enter_open"]).unwrap();
        let selected = selection.resolve(&kernel()).unwrap();
        assert_eq!(selected.events, ["tcp:tcp_probe".parse().unwrap()]);
        let first = |n: usize| selected.unmatched[n].nearest[0].as_str();
        let irq = Selection::parse(&["tcp", "IRQ"]).unwrap().resolve(&kernel()).unwrap();
        assert_eq!(irq.unmatched[0].nearest[0], "irq");
        let fs = Selection::parse(&["tcp", "fs"]).unwrap().resolve(&kernel()).unwrap();
        assert_eq!(fs.unmatched[0].nearest, ["ext4"]);
        assert_eq!(selected.unmatched.len(), 4);
        assert_eq!(first(0), "sched_switch");
        assert_eq!(first(1), "irq");
        assert_eq!(first(2), "jbd2");
        assert_eq!(first(3), "syscalls:sys_enter_openat");
        let warning = selected.unmatched[0].to_string();
        assert!(
            warning.starts_with("no event or group of this kernel matches \"shced_switch\"; nearest: sched_switch")
        );
    }

    #[test]
    fn selecting_nothing_is_a_usage_error() {
        for (expressions, words) in [
            (vec!["random"], "matches \"random\"; nearest: "),
            (vec!["sched", "!sched"], "the exclusions leave nothing"),
            (vec![], "select at least one with -e"),
            (vec!["ftrace:print"], "records that tracers write themselves"),
            (vec!["ftrace"], "records that tracers write themselves"),
        ] {
            let error = Selection::parse(&expressions).unwrap().resolve(&kernel()).unwrap_err();
            assert!(matches!(error, TracefsError::NothingSelected { .. }), "{expressions:?}");
            assert!(error.is_usage());
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_very_long_word_is_refused_and_cut_in_the_message() {
        for word in ["x".repeat(200), "x".repeat(200_000), "*x".repeat(100_000)] {
            let error = Selection::parse(&[word]).and_then(|selection| selection.resolve(&kernel())).unwrap_err();
            let said = error.to_string();
            assert!(error.is_usage() && said.len() < 400 && said.contains("00 bytes"), "{said}");
        }
    }

    #[test]
    fn for_a_capture_its_own_list_is_mentioned() {
        let error = Selection::parse(&["random"]).unwrap().resolve_among(&kernel(), Among::Capture).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("of this capture matches") && said.contains("`ftrace-live list CAPTURE`"), "{said}");
    }

    #[test]
    fn an_invalid_expression_is_refused() {
        for expression in ["", "sched,", "!", "a[", "irq,,tcp", "***"] {
            let error = Selection::parse(&[expression]).unwrap_err();
            assert!(matches!(error, TracefsError::BadExpression { .. }), "{expression:?}: {error}");
        }
    }
}
