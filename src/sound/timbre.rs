//! One family of sounds for each group of events.

/// The family of a sound: one for each kind of work that a kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timbre {
    /// Interrupts: a short pluck.
    Irq,
    /// The scheduler, tasks, work queues: wood.
    Sched,
    /// Disks: a low thud.
    Block,
    /// The network: a bell.
    Net,
    /// System calls: breath.
    Syscalls,
    /// Memory and page faults: coloured noise.
    Mm,
    /// File systems: a reed.
    Fs,
    /// Everything else: a plain tone.
    Other,
}

/// Systems by the beginning of their names.
const TABLE: &[(Timbre, &[&str])] = &[
    (Timbre::Syscalls, &["syscalls", "raw_syscalls"]),
    (Timbre::Irq, &["irq", "msi", "gic", "ipi", "nmi"]),
    (Timbre::Sched, &["sched", "task", "workqueue", "cgroup", "rseq", "signal", "lock", "rcu", "csd", "cpuhp"]),
    (
        Timbre::Block,
        &["block", "scsi", "nvme", "libata", "ata", "mmc", "bcache", "dm_", "ufs", "wbt", "iocost", "kyber", "bfq"],
    ),
    (
        Timbre::Net,
        &[
            "net",
            "sock",
            "tcp",
            "udp",
            "skb",
            "napi",
            "qdisc",
            "fib",
            "neigh",
            "bridge",
            "icmp",
            "mptcp",
            "sunrpc",
            "rpc",
            "cfg80211",
            "mac80211",
            "xdp",
            "bpf_test",
            "mdio",
            "page_pool",
            "devlink",
            "rxrpc",
            "vsock",
            "qrtr",
            "smc",
            "handshake",
            "dns",
            "notifier",
        ],
    ),
    (
        Timbre::Mm,
        &[
            "exceptions",
            "kmem",
            "vmscan",
            "vmalloc",
            "mm",
            "compaction",
            "migrate",
            "oom",
            "huge_memory",
            "thp",
            "percpu",
            "swiotlb",
            "pagemap",
            "page_isolation",
            "page_ref",
            "cma",
            "ksm",
            "memcg",
            "tlb",
            "damon",
            "iommu",
            "dma",
            "maple_tree",
            "xen",
            "hugetlb",
            "kmsan",
        ],
    ),
    (
        Timbre::Fs,
        &[
            "ext4",
            "jbd2",
            "btrfs",
            "xfs",
            "f2fs",
            "filemap",
            "writeback",
            "filelock",
            "fs_dax",
            "fs",
            "nfs",
            "cachefiles",
            "9p",
            "iomap",
            "erofs",
            "overlayfs",
            "fuse",
            "cifs",
            "smb",
            "ceph",
            "gfs2",
            "ocfs2",
            "zonefs",
            "hfs",
            "netfs",
            "afs",
            "exportfs",
            "timestamp",
            "io_uring",
        ],
    ),
];

impl Timbre {
    /// All of them, by number.
    pub const ALL: [Timbre; 8] = [
        Timbre::Irq,
        Timbre::Sched,
        Timbre::Block,
        Timbre::Net,
        Timbre::Syscalls,
        Timbre::Mm,
        Timbre::Fs,
        Timbre::Other,
    ];

    /// The family of a system's events. The longest matching beginning wins: `netfs` is not the network.
    pub fn of(system: &str) -> Timbre {
        let fits = |(timbre, beginnings): &(Timbre, &[&str])| {
            let longest = beginnings.iter().filter(|b| system.starts_with(**b)).map(|b| b.len()).max();
            longest.map(|len| (len, *timbre))
        };
        TABLE.iter().filter_map(fits).max_by_key(|(len, _)| *len).map_or(Timbre::Other, |(_, timbre)| timbre)
    }

    /// Its number in `/ftrace/hit`, 0 to 7.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_one_family() {
        let families = [
            ("irq", 0),
            ("irq_vectors", 0),
            ("sched", 1),
            ("task", 1),
            ("block", 2),
            ("scsi", 2),
            ("net", 3),
            ("tcp", 3),
            ("syscalls", 4),
            ("raw_syscalls", 4),
            ("exceptions", 5),
            ("kmem", 5),
            ("vmscan", 5),
            ("ext4", 6),
            ("netfs", 6),
            ("writeback", 6),
            ("timer", 7),
            ("my_probes", 7),
        ];
        for (system, number) in families {
            assert_eq!(Timbre::of(system).number(), number, "{system}");
        }
        assert!(Timbre::ALL.iter().enumerate().all(|(k, timbre)| timbre.number() as usize == k));
    }
}
