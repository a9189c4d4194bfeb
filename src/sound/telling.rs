//! What can be heard from an event's record: a number, what it begins or ends, and whether something failed. This is
//! deduced from the names of the event and of its fields, once for each event; the kernel has no other information
//! about it.

use byteorder::ByteOrder;

use super::scale::hash;
use crate::decode::{Element, FieldPlan, Plan, Read, Value};
use crate::format::EventFormat;

/// How to interpret the records of one event.
#[derive(Debug, Clone)]
pub struct Telling {
    /// The most informative field.
    number: Option<FieldPlan>,
    /// A field that is negative if something failed.
    result: Option<FieldPlan>,
    /// Whether the event itself is a failure.
    pub bad: bool,
    /// What it begins or ends.
    pub part: Part,
    /// The fields that identify one of several concurrent operations; without them, it is the running task's.
    key: [Option<FieldPlan>; 2],
}

/// Whether an event is the begin or the end of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Neither.
    Whole,
    /// It begins an operation that the event with the same number ends.
    Begin(u32),
    /// It ends it.
    End(u32),
}

/// The last words of names of begins and ends.
const PAIRS: &[(&str, &str)] = &[
    ("entry", "exit"),
    ("enter", "exit"),
    ("begin", "end"),
    ("start", "end"),
    ("start", "done"),
    ("start", "stop"),
    ("start", "finish"),
    ("issue", "complete"),
    ("setup_cmd", "complete_rq"),
    ("queue", "complete"),
    ("submit", "complete"),
    ("acquire", "release"),
    ("lock", "unlock"),
    ("disable", "enable"),
    ("suspend", "resume"),
    ("wait", "woken"),
    ("map", "unmap"),
    ("begin", "done"),
];

/// Words in names of events that are failures.
const BAD: &[&str] = &[
    "error",
    "fail",
    "oom_",
    "mark_victim",
    "retransmit",
    "kfree_skb",
    "drop",
    "lost",
    "overrun",
    "timeout",
    "mce_record",
    "hung",
    "corrupt",
    "exception",
    "warn",
    "stall",
    "aer_event",
    "bad_csum",
];
/// Names that contain such a word but are not failures.
const NOT_BAD: &[&str] = &["exceptions", "page_fault", "error_report_end", "backdrop", "oom_score"];

/// Negative results that are not failures: the call is restarted (`ERESTARTSYS` and the like, include/linux/errno.h),
/// was interrupted, or has nothing yet.
const NO_FAILURES: [i64; 7] = [-4, -11, -512, -513, -514, -516, -517];

impl Telling {
    /// Deduces how to interpret the records of `format`.
    pub fn of(format: &EventFormat) -> Telling {
        let plan = Plan::compile(format);
        let numeric =
            |field: &FieldPlan| matches!(field.read, Read::Scalar(Element::Integer { .. } | Element::Bool { .. }));
        let fields: Vec<(&str, FieldPlan)> = plan
            .fields()
            .iter()
            .filter(|field| numeric(field))
            .filter_map(|field| Some((format.fields.get(field.index)?.name.as_str(), *field)))
            .collect();
        // The first of the best: `max_by_key` would return the last.
        let best = fields.iter().map(|(name, field)| (liking(name), *field)).filter(|(liking, _)| *liking > 0);
        let best = best.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let named = |names: &[&str]| names.iter().find_map(|name| fields.iter().find(|(field, _)| field == name));
        let signed = |field: &FieldPlan| matches!(field.read, Read::Scalar(Element::Integer { signed: true, .. }));
        let result =
            named(&["ret", "retval", "result", "rc", "error", "err", "errno", "status"]).map(|(_, field)| *field);
        let name = format.name.as_str();
        let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let part = Part::of(&format.system, name);
        let key = if matches!(format.system.as_str(), "block" | "nvme" | "scsi") {
            let of = |names| named(names).map(|(_, field)| *field);
            [of(&["dev", "ctrl_id", "host_no"]), of(&["sector", "cid", "driver_tag"])]
        } else {
            [None; 2]
        };
        Telling {
            number: best.map(|(_, field)| field),
            result: result.filter(signed),
            bad: says(BAD) && !says(NOT_BAD),
            part,
            key,
        }
    }

    /// The most informative number of a record.
    #[inline]
    pub fn number<E: ByteOrder>(&self, record: &[u8]) -> Option<f64> {
        Some(number::<E>(self.number.as_ref()?, record)? as f64)
    }

    /// Whether the record reports a failure.
    #[inline]
    pub fn is_error<E: ByteOrder>(&self, record: &[u8]) -> bool {
        self.bad
            || self.result.as_ref().and_then(|field| number::<E>(field, record)).is_some_and(|result| {
                // `MAX_ERRNO`: a smaller value is an address or a count.
                (-4095..0).contains(&result) && !NO_FAILURES.contains(&i64::try_from(result).unwrap_or(0))
            })
    }

    /// The key of the operation that the record belongs to: without fields, that of the running task; for the idle
    /// tasks, which all have pid 0, that of the CPU.
    #[inline]
    pub fn key<E: ByteOrder>(&self, record: &[u8], pid: i32, cpu: u32) -> u64 {
        match &self.key {
            [Some(first), Some(second)] => {
                let [first, second] = [first, second].map(|field| number::<E>(field, record).unwrap_or(0) as u64);
                first.rotate_left(48) ^ second
            }
            _ if pid == 0 => !u64::from(cpu),
            _ => pid as u32 as u64,
        }
    }
}

impl Part {
    fn of(system: &str, name: &str) -> Part {
        // `sys_enter_read`, and `sys_enter` alone: the word is in the middle.
        for (word, part) in [("sys_enter", Part::Begin as fn(u32) -> Part), ("sys_exit", Part::End as fn(u32) -> Part)]
        {
            if let Some(rest) = name.strip_prefix(word).filter(|rest| rest.is_empty() || rest.starts_with('_')) {
                return part(hash(&format!("{system}:sys{rest}")));
            }
        }
        // The end of a task, whose begin has another name.
        if name == "sched_process_exit" {
            return Part::Whole;
        }
        for (begin, end) in PAIRS {
            // Paired by the part before the word: of `x_start`, `x_end` and `x_done`, a system has two.
            let stem = |word: &str| name.strip_suffix(word).filter(|stem| stem.is_empty() || stem.ends_with('_'));
            if let Some(stem) = stem(begin) {
                return Part::Begin(hash(&format!("{system}:{stem}")));
            }
            if let Some(stem) = stem(end) {
                return Part::End(hash(&format!("{system}:{stem}")));
            }
        }
        Part::Whole
    }
}

#[inline]
fn number<E: ByteOrder>(field: &FieldPlan, record: &[u8]) -> Option<i128> {
    match field.value::<E>(record).ok()? {
        Value::Signed(number) => Some(number.into()),
        Value::Unsigned(number) => Some(number.into()),
        Value::Bool(truth) => Some(truth.into()),
        _ => None,
    }
}

/// How informative a field with this name is; 0: not at all. Addresses, tasks and constants are not.
fn liking(name: &str) -> u32 {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let is = |words: &[&str]| words.contains(&name);
    if has(&[
        "pid",
        "tid",
        "tgid",
        "uid",
        "gid",
        "pad",
        "reserved",
        "addr",
        "ptr",
        "cookie",
        "inode",
        "handle",
        "error_code",
    ]) || is(&["__syscall_nr", "ip", "parent_ip", "ino", "dev", "pfn", "fd", "cpu", "seq", "ret", "retval", "mm_id"])
        || name.starts_with("__probe_")
        || name.ends_with("_ip")
        || name.ends_with("_ino")
        || name.ends_with("_dev")
        || name.ends_with("_fd")
    {
        0
    } else if is(&[
        "vec",
        "irq",
        "bytes_req",
        "bytes",
        "len",
        "length",
        "count",
        "size",
        "order",
        "nr_sector",
        "nbytes",
    ]) {
        100
    } else if has(&[
        "bytes", "len", "size", "count", "runtime", "delta", "delay", "latency", "duration", "freq", "usec",
    ]) {
        90
    } else if name.starts_with("nr_") || is(&["sleep", "timeout", "expires_in", "load", "util"]) {
        80
    } else if is(&["id", "nr", "state", "vector"]) {
        70
    } else if has(&["flag", "mask", "mode", "prot"]) {
        20
    } else if has(&["prio", "sector", "offset", "now", "expires", "time", "_cpu"]) {
        10
    } else {
        40
    }
}

#[cfg(test)]
mod tests {
    use byteorder::LittleEndian;

    use super::*;
    use crate::format::LongSize;

    /// An event with these `int` fields, from offset 8 on.
    fn event(system: &str, name: &str, fields: &[&str]) -> EventFormat {
        let mut text = format!(
            "name: {name}\nID: 7\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
             \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
        );
        for (k, field) in fields.iter().enumerate() {
            text += &format!("\tfield:int {field};\toffset:{};\tsize:4;\tsigned:1;\n", 8 + 4 * k);
        }
        EventFormat::parse(system, &(text + "\nprint fmt: \"\"\n"), LongSize::Eight).unwrap()
    }

    fn record(values: &[i32]) -> Vec<u8> {
        let head = [7, 0, 0, 0, 42, 0, 0, 0];
        head.into_iter().chain(values.iter().flat_map(|value| value.to_le_bytes())).collect()
    }

    fn told(name: &str, fields: &[&str]) -> Option<usize> {
        let values: Vec<i32> = (0..fields.len() as i32).collect();
        Telling::of(&event("sys", name, fields)).number::<LittleEndian>(&record(&values)).map(|number| number as usize)
    }

    #[test]
    fn the_number_is_the_most_informative_field_but_not_an_address_or_a_task() {
        assert_eq!(told("irq_handler_entry", &["irq", "name"]), Some(0));
        assert_eq!(told("sys_enter_read", &["__syscall_nr", "fd", "count"]), Some(2));
        assert_eq!(told("kmalloc", &["call_site_ip", "bytes_req", "bytes_alloc", "gfp_flags"]), Some(1));
        assert_eq!(told("sched_stat_runtime", &["pid", "runtime"]), Some(1));
        assert_eq!(told("page_fault_user", &["address", "ip", "error_code"]), None);
        assert_eq!(told("sched_process_exit", &["pid"]), None);
    }

    #[test]
    fn begins_and_ends_are_recognized_by_name() {
        let of = |system: &str, name: &str| Telling::of(&event(system, name, &[])).part;
        for (system, begin, end) in [
            ("irq", "irq_handler_entry", "irq_handler_exit"),
            ("syscalls", "sys_enter_openat", "sys_exit_openat"),
            ("raw_syscalls", "sys_enter", "sys_exit"),
            ("block", "block_rq_issue", "block_rq_complete"),
            ("vmscan", "mm_vmscan_direct_reclaim_begin", "mm_vmscan_direct_reclaim_end"),
            ("ext4", "ext4_unlink_enter", "ext4_unlink_exit"),
            ("workqueue", "workqueue_execute_start", "workqueue_execute_end"),
        ] {
            let (Part::Begin(one), Part::End(other)) = (of(system, begin), of(system, end)) else {
                panic!("{begin}: {:?}, {end}: {:?}", of(system, begin), of(system, end));
            };
            assert_eq!(one, other, "{begin}");
        }
        assert_ne!(of("syscalls", "sys_enter_read"), of("syscalls", "sys_enter_write"));
        assert_eq!(of("irq", "softirq_raise"), Part::Whole);
        assert_eq!(of("sched", "sched_process_exit"), Part::Whole);
    }

    #[test]
    fn an_error_is_a_negative_result_or_a_failure_event() {
        let exit = Telling::of(&event("raw_syscalls", "sys_exit", &["id", "ret"]));
        let heard =
            [0, 3, -2, -13, -4095, -4096, -512, -11].map(|ret| exit.is_error::<LittleEndian>(&record(&[0, ret])));
        assert_eq!(heard, [false, false, true, true, true, false, false, false]);
        for (name, bad) in [
            ("tcp_retransmit_skb", true),
            ("mark_victim", true),
            ("block_rq_error", true),
            ("page_fault_user", false),
            ("sched_switch", false),
            ("irq_handler_exit", false),
        ] {
            assert_eq!(Telling::of(&event("sys", name, &[])).is_error::<LittleEndian>(&record(&[])), bad, "{name}");
        }
    }

    #[test]
    fn requests_are_distinguished_by_device_and_sector_and_others_by_the_running_task() {
        let issue = Telling::of(&event("block", "block_rq_issue", &["dev", "sector"]));
        let complete = Telling::of(&event("block", "block_rq_complete", &["dev", "sector"]));
        let key = |of: &Telling, sector, pid| of.key::<LittleEndian>(&record(&[8, sector]), pid, 0);
        assert_eq!(key(&issue, 100, 42), key(&complete, 100, 0));
        assert_ne!(key(&issue, 100, 42), key(&issue, 108, 42));
        let entry = Telling::of(&event("irq", "softirq_entry", &["vec"]));
        assert_ne!(entry.key::<LittleEndian>(&record(&[1]), 0, 0), entry.key::<LittleEndian>(&record(&[1]), 0, 1));
        assert_ne!(entry.key::<LittleEndian>(&record(&[1]), 5, 0), entry.key::<LittleEndian>(&record(&[1]), 6, 0));
    }
}
