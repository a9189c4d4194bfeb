//! Enum constants with the same value on every kernel.
//!
//! They have names even without BTF (which most 32-bit kernels and s390x lack) and without a capture's `constants`
//! file: those that are part of the user-space API (include/uapi/linux/), and the modes of high-resolution timers,
//! whose values are the same since they got these names (4.16).

/// (name, value), by name.
const FIXED: [(&str, i64); 30] = [
    ("HRTIMER_MODE_ABS", 0),
    ("HRTIMER_MODE_ABS_HARD", 8),
    ("HRTIMER_MODE_ABS_PINNED", 2),
    ("HRTIMER_MODE_ABS_PINNED_HARD", 10),
    ("HRTIMER_MODE_ABS_PINNED_SOFT", 6),
    ("HRTIMER_MODE_ABS_SOFT", 4),
    ("HRTIMER_MODE_REL", 1),
    ("HRTIMER_MODE_REL_HARD", 9),
    ("HRTIMER_MODE_REL_PINNED", 3),
    ("HRTIMER_MODE_REL_PINNED_HARD", 11),
    ("HRTIMER_MODE_REL_PINNED_SOFT", 7),
    ("HRTIMER_MODE_REL_SOFT", 5),
    ("IOPRIO_CLASS_BE", 2),
    ("IOPRIO_CLASS_IDLE", 3),
    ("IOPRIO_CLASS_NONE", 0),
    ("IOPRIO_CLASS_RT", 1),
    ("PM_QOS_ADD_REQ", 0),
    ("PM_QOS_UPDATE_REQ", 1),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_CLOSING", 11),
    ("TCP_ESTABLISHED", 1),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_NEW_SYN_RECV", 12),
    ("TCP_SYN_RECV", 3),
    ("TCP_SYN_SENT", 2),
    ("TCP_TIME_WAIT", 6),
];

/// The value of the constant `name`, if it is one of these.
pub(super) fn value(name: &str) -> Option<i64> {
    let at = FIXED.binary_search_by_key(&name, |&(name, _)| name).ok()?;
    FIXED.get(at).map(|&(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found() {
        assert!(FIXED.is_sorted());
        assert!(FIXED.iter().all(|&(name, known)| value(name) == Some(known)));
        assert_eq!(value("TCP_"), None);
    }
}
