//! The events that other decoders get wrong, each with a record made by hand. The formats are those of Linux 6.18 on
//! x86-64; the texts follow from the kernel's source.

mod common;

use common::record::Record;
use ftrace_live::{
    format::{Endian, EventFormat, LongSize},
    names::{Constants, Symbol, Symbols},
    render::{Meaning, TextPlan},
};

/// The names known to the kernel of these formats: values from its headers, addresses made up.
struct Kernel;

const CONSTANTS: &[(&str, i64)] = &[
    ("HRTIMER_MODE_ABS", 0),
    ("HRTIMER_MODE_REL", 1),
    ("HRTIMER_MODE_ABS_PINNED", 2),
    ("HRTIMER_MODE_REL_PINNED", 3),
    ("HRTIMER_MODE_ABS_HARD", 8),
    ("HRTIMER_MODE_REL_HARD", 9),
    ("HRTIMER_MODE_ABS_PINNED_HARD", 10),
    ("HRTIMER_MODE_REL_PINNED_HARD", 11),
    ("IOPRIO_CLASS_NONE", 0),
    ("IOPRIO_CLASS_RT", 1),
    ("IOPRIO_CLASS_BE", 2),
    ("IOPRIO_CLASS_IDLE", 3),
    ("I_DIRTY_SYNC", 1),
    ("I_DIRTY_DATASYNC", 2),
    ("I_DIRTY_PAGES", 4),
    ("I_NEW", 8),
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("FAULT_FLAG_WRITE", 1),
    ("FAULT_FLAG_ALLOW_RETRY", 4),
    ("FAULT_FLAG_USER", 0x40),
    ("VM_FAULT_NOPAGE", 0x100),
    ("VM_FAULT_FALLBACK", 0x800),
    ("EXTENT_DIRTY", 1),
    ("EXTENT_LOCKED", 2),
    ("EXTENT_DELALLOC", 0x20),
];

const TEXT: u64 = 0xffff_ffff_8100_0000;

impl Constants for Kernel {
    fn value(&self, name: &str) -> Option<i64> {
        CONSTANTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn enumerators(&self, enum_name: &str) -> Vec<(&str, i64)> {
        if enum_name == "zone_type" { vec![("ZONE_DMA", 0), ("ZONE_NORMAL", 2)] } else { vec![] }
    }
}

impl Symbols for Kernel {
    fn symbol(&self, address: u64) -> Option<Symbol<'_>> {
        let offset = address.checked_sub(TEXT).filter(|offset| *offset < 0x100)?;
        Some(Symbol { name: "process_timeout", offset, size: 0x100, module: None })
    }

    fn string(&self, address: u64) -> Option<&[u8]> {
        (address == 0xffff_ffff_8230_0000).then_some(b"mas_split")
    }
}

macro_rules! formats {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("data/hardest/", $name, ".format")))),*] };
}
const FORMATS: &[(&str, &str)] = formats!(
    "kvmmmu.kvm_mmu_get_page" "dma.dma_map_sg" "ras.mc_event" "mmap.vm_unmapped_area" "kvm.kvm_exit"
    "kvm.kvm_inj_exception" "sched.sched_switch" "timer.timer_start" "timer.hrtimer_start" "block.block_rq_issue"
    "writeback.writeback_mark_inode_dirty" "tcp.tcp_send_reset" "tcp.tcp_probe" "fs_dax.dax_pmd_fault"
    "jbd2.jbd2_run_stats" "kmem.mm_page_alloc" "ext4.ext4_fc_stats" "ext4.ext4_fsmap_low_key" "maple_tree.ma_op"
    "ftrace.func_repeats" "ipi.ipi_send_cpumask" "sched.sched_skip_cpuset_numa" "neigh.neigh_update"
    "percpu.percpu_alloc_percpu" "syscalls.sys_enter_openat" "hugetlbfs.hugetlbfs_setattr" "bridge.br_mdb_full"
    "btrfs.btrfs_clear_extent_bit"
);

fn format(name: &str) -> EventFormat {
    let (_, text) = FORMATS.iter().find(|(known, _)| *known == name).unwrap();
    EventFormat::parse(name.split('.').next().unwrap(), text, LongSize::Eight).unwrap()
}

/// The text of an event whose fields are set by `fill`; the same in both byte orders.
fn text(name: &str, fill: impl for<'f> Fn(Record<'f>) -> Record<'f>) -> String {
    let format = format(name);
    let in_order = |endian| {
        let record = fill(Record::new(&format, endian)).done();
        let mut out = Vec::new();
        TextPlan::compile(&format, LongSize::Eight, endian, &Kernel).render(&record, &Kernel, &mut out);
        String::from_utf8(out).unwrap()
    };
    let (little, big) = (in_order(Endian::Little), in_order(Endian::Big));
    assert_eq!(little, big);
    little
}

/// A sockaddr in network order, except for its family, which is in the kernel's.
fn sockaddr_in(port: u16, address: [u8; 4]) -> Vec<u8> {
    [&port.to_be_bytes()[..], &address].concat()
}

#[test]
fn kvm_mmu_get_page_marks_the_argument_that_is_code_and_keeps_the_other() {
    let created = |created| text("kvmmmu.kvm_mmu_get_page", |r| r.set("created", created));
    assert_eq!(created(1), "{a statement expression?} new");
    assert_eq!(created(0), "{a statement expression?} existing");
}

#[test]
fn dma_map_sg_evaluates_its_min_and_three_arrays() {
    let text = text("dma.dma_map_sg", |r| {
        let numbers = |values: &[u64], size: usize, big: bool| -> Vec<u8> {
            values
                .iter()
                .flat_map(|v| if big { v.to_be_bytes()[8 - size..].to_vec() } else { v.to_le_bytes()[..size].to_vec() })
                .collect()
        };
        let big = r.is_big();
        r.text("device", "0000:00:1f.2")
            .set("dir", 2)
            .set("full_nents", 200)
            .set("full_ents", 2)
            .set("truncated", 1)
            .set("attrs", 0x22)
            .bytes("dma_addrs", &numbers(&[0x1000, 0xffff_f000_0000], 8, big))
            .bytes("lengths", &numbers(&[0x200], 4, big))
            .bytes("phys_addrs", &[])
    });
    let expected = "0000:00:1f.2 dir=FROM_DEVICE nents=128/200 ents=2/2 [TRUNCATED] dma_addrs={0x1000,0xfffff0000000} \
                    sizes={0x200} phys_addrs={} attrs=WEAK_ORDERING|SKIP_CPU_SYNC";
    assert_eq!(text, expected);
}

#[test]
fn mc_event_shows_all_arguments_but_the_function_s() {
    let text = text("ras.mc_event", |r| {
        r.set("error_count", 2)
            .set("grain_bits", 3)
            .set("address", 0xabc)
            .text("msg", "bad")
            .text("label", "DIMM0")
            .text("driver_detail", "")
    });
    let expected = "2 {mc_event_error_type()?} errors: bad on DIMM0 (mc:0 location:0:0:0 address:0x00000abc grain:8 \
                    syndrome:0x00000000)";
    assert_eq!(text, expected);
}

#[test]
fn vm_unmapped_area_compares_64_bits_unsigned() {
    let of = |addr: i128| text("mmap.vm_unmapped_area", |r| r.set("addr", addr));
    let rest = "total_vm=0x0 flags=0x0 len=0x0 lo=0x0 hi=0x0 mask=0x0 ofs=0x0";
    assert_eq!(of(0x7f00_0000_1000), format!("addr=0x7f0000001000 err=0 {rest}"));
    assert_eq!(of(-12), format!("addr=0x0 err=-12 {rest}"));
}

#[test]
fn kvm_exit_selects_its_table_by_isa() {
    let exit = |isa, reason| text("kvm.kvm_exit", |r| r.set("isa", isa).set("exit_reason", reason));
    let rest = "rip 0x0 info1 0x0000000000000000 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000 requests 0x0000000000000000";
    assert_eq!(exit(1, 12), format!("vcpu 0 reason HLT {rest}"));
    assert_eq!(exit(2, 0x78), format!("vcpu 0 reason hlt {rest}"));
    assert_eq!(exit(1, 0x8000_0021), format!("vcpu 0 reason INVALID_STATE FAILED_VMENTRY {rest}"));
    // The table's -1 is an unsigned long, the field a u32: they differ for the kernel too.
    assert_eq!(exit(2, 0xffff_ffff), format!("vcpu 0 reason 0xffffffff {rest}"));
}

#[test]
fn kvm_inj_exception_has_names_in_two_parts_and_an_empty_table() {
    let inject = |error, code| {
        text("kvm.kvm_inj_exception", |r| {
            r.set("exception", 14).set("has_error", error).set("error_code", code).set("reinjected", 1)
        })
    };
    assert_eq!(inject(0, 0), "#PF [reinjected]");
    assert_eq!(inject(1, 0x10), "#PF (0x10) [reinjected]");
}

#[test]
fn sched_switch_shows_a_preempted_task_as_running_with_a_plus() {
    let state = |state| {
        text("sched.sched_switch", |r| {
            r.text("prev_comm", "bash")
                .set("prev_pid", 7)
                .set("prev_prio", 120)
                .set("prev_state", state)
                .text("next_comm", "swapper/0")
                .set("next_prio", 120)
        })
    };
    let line = |state| {
        format!(
            "prev_comm=bash prev_pid=7 prev_prio=120 prev_state={state} ==> next_comm=swapper/0 next_pid=0 next_prio=120"
        )
    };
    assert_eq!(state(0), line("R"));
    assert_eq!(state(0x100), line("R+"));
    assert_eq!(state(1), line("S"));
    assert_eq!(state(0x82), line("D|I"));
}

#[test]
fn timer_start_subtracts_signed_and_shows_the_flags_that_are_set() {
    let start = |flags| {
        text("timer.timer_start", |r| {
            r.set("timer", 0x10).set("function", i128::from(TEXT)).set("expires", 5).set("now", 9).set("flags", flags)
        })
    };
    let line = |cpu_idx: &str, flags: &str| {
        format!(
            "timer=0000000000000010 function=process_timeout expires=5 [timeout=-4] bucket_expiry=0 {cpu_idx} flags={flags}"
        )
    };
    assert_eq!(start(0), line("cpu=0 idx=0", ""));
    assert_eq!(start(0x0028_0001), line("cpu=1 idx=0", "D|I"));
    assert_eq!(start(0x00c0_0003), line("cpu=3 idx=3", ""));
}

#[test]
fn names_of_enum_constants_come_from_the_kernels_types() {
    let timer = text("timer.hrtimer_start", |r| r.set("mode", 11).set("function", i128::from(TEXT)));
    assert_eq!(
        timer,
        "hrtimer=0000000000000000 function=process_timeout expires=0 softexpires=0 mode=REL|PINNED|HARD was_armed=0"
    );
    let block = text("block.block_rq_issue", |r| {
        r.set("dev", 8 << 20 | 1)
            .set("ioprio", 2 << 13 | 4)
            .text("rwbs", "WS")
            .text("comm", "dd")
            .text("cmd", "")
            .set("sector", 2048)
            .set("nr_sector", 8)
            .set("bytes", 4096)
    });
    assert_eq!(block, "8,1 WS 4096 () 2048 + 8 be,0,4 [dd]");
    let inode = text("writeback.writeback_mark_inode_dirty", |r| {
        r.text("name", "8:0").set("ino", 12).set("state", 7).set("flags", 0x10001)
    });
    assert_eq!(inode, "bdi 8:0: ino=12 state=I_DIRTY_SYNC|I_DIRTY_DATASYNC|I_DIRTY_PAGES flags=I_DIRTY_SYNC|0x10000");
    let fault = text("fs_dax.dax_pmd_fault", |r| r.set("flags", 0x45).set("result", 0x900).set("vm_flags", 8));
    let expected = "dev 0:0 ino 0x0 shared WRITE|ALLOW_RETRY|USER address 0x0 vm_start 0x0 vm_end 0x0 pgoff 0x0 max_pgoff 0x0 NOPAGE|FALLBACK";
    assert_eq!(fault, expected);
    let uuid: Vec<u8> = (0..16).collect();
    let extent =
        text("btrfs.btrfs_clear_extent_bit", |r| r.bytes("fsid", &uuid).set("owner", 3).set("clear_bits", 0x23));
    let expected = "00010203-0405-0607-0809-0a0b0c0d0e0f: io_tree=INODE_IO ino=0 root=0 start=0 len=0 clear_bits=DIRTY|LOCKED|DELALLOC";
    assert_eq!(extent, expected);
}

#[test]
fn socket_addresses_are_printed_by_family() {
    let reset = text("tcp.tcp_send_reset", |r| {
        let (family4, family6) = if r.is_big() { ([0, 2], [0, 10]) } else { ([2, 0], [10, 0]) };
        let four = [&family4[..], &sockaddr_in(8080, [127, 0, 0, 1])].concat();
        let six = [&family6[..], &443u16.to_be_bytes(), &[0; 4], &[0x20, 1, 0xd, 0xb8], &[0; 11], &[1]].concat();
        r.bytes("saddr", &four).bytes("daddr", &six).set("state", 2).set("reason", 1)
    });
    let expected = "skbaddr=0000000000000000 skaddr=0000000000000000 src=127.0.0.1:8080 dest=[2001:db8::1]:443 state=TCP_SYN_SENT reason=NO_SOCKET";
    assert_eq!(reset, expected);
    let probe = text("tcp.tcp_probe", |r| r.set("family", 2).set("mark", 0).set("snd_nxt", 0x1a));
    let expected = "family=AF_INET src=(einval) dest=(einval) mark=0x0 data_len=0 snd_nxt=0x1a snd_una=0x0 snd_cwnd=0 ssthresh=0 snd_wnd=0 \
                    srtt=0 rcv_wnd=0 sock_cookie=0 skbaddr=0000000000000000 skaddr=0000000000000000";
    assert_eq!(probe, expected);
}

#[test]
fn jbd2_run_stats_lacks_only_the_values_that_need_hz() {
    let stats = text("jbd2.jbd2_run_stats", |r| r.set("dev", 8 << 20).set("tid", 4).set("blocks", 9));
    let unknown = "{jiffies_to_msecs()?}";
    let expected = format!(
        "dev 8,0 tid 4 wait {unknown} request_delay {unknown} running {unknown} locked {unknown} flushing {unknown} logging \
         {unknown} handle_count 0 blocks 9 blocks_logged 0"
    );
    assert_eq!(stats, expected);
}

#[test]
fn mm_page_alloc_lacks_only_the_page_and_prints_null_if_there_is_none() {
    let alloc = |pfn, gfp| text("kmem.mm_page_alloc", |r| r.set("pfn", pfn).set("gfp_flags", gfp));
    assert_eq!(alloc(0x1234, 0xcc0), "page={vmemmap_base?} pfn=0x1234 order=0 migratetype=0 gfp_flags=GFP_KERNEL");
    assert_eq!(alloc(-1, 0), "page=0000000000000000 pfn=0x0 order=0 migratetype=0 gfp_flags=none");
    // GFP_KERNEL consumes its bits first: __GFP_IO and the like are not printed again.
    assert!(alloc(1, 0xcc0 | 0x100).ends_with("gfp_flags=GFP_KERNEL|__GFP_ZERO"), "{}", alloc(1, 0xcc0 | 0x100));
}

#[test]
fn ext4_fc_stats_has_tables_of_constants_and_elements_of_an_array() {
    let stats =
        text("ext4.ext4_fc_stats", |r| r.set("dev", 8 << 20 | 2).set_at("fc_ineligible_rc", 9, 7).set("fc_numblks", 3));
    let expected = "dev 8,2 fc ineligible reasons:\nXATTR:0, CROSS_RENAME:0, JOURNAL_FLAG_CHANGE:0, NO_MEM:0, SWAP_BOOT:0, RESIZE:0, RENAME_DIR:0, \
                    FALLOC_RANGE:0, INODE_JOURNAL_DATA:0, ENCRYPTED_FILENAME:7num_commits:0, ineligible: 0, numblks: 3";
    assert_eq!(stats, expected);
    let map = text("ext4.ext4_fsmap_low_key", |r| r.set("owner", -1));
    assert_eq!(map, "dev 0:0 keydev 0:0 agno 0 bno 0 len 0 owner -1\n");
}

#[test]
fn maple_tree_names_its_function_where_the_kernel_lists_the_string() {
    let op = |name| text("maple_tree.ma_op", |r| r.set("fn", name).set("max", 9));
    assert_eq!(op(0xffff_ffff_8230_0000), "mas_split\tNode: 0000000000000000 (0 9) range: 0-0");
    assert_eq!(op(0xffff_ffff_8230_1111), "{*0xffffffff82301111?}\tNode: 0000000000000000 (0 9) range: 0-0");
}

#[test]
fn func_repeats_joins_two_fields_of_different_width() {
    let repeats = text("ftrace.func_repeats", |r| {
        r.set("ip", i128::from(TEXT))
            .set("parent_ip", i128::from(TEXT) + 8)
            .set("count", 3)
            .set("top_delta_ts", 1)
            .set("bottom_delta_ts", 2)
    });
    assert_eq!(repeats, " process_timeout <-process_timeout\t(repeats:3  delta: -4294967298)");
}

#[test]
fn bitmaps_print_as_words_or_as_ranges() {
    let mask = text("ipi.ipi_send_cpumask", |r| {
        let big = r.is_big();
        let words: [u64; 2] = [0x8000_0000_0000_0005, 1];
        let bytes: Vec<u8> = words.iter().flat_map(|w| if big { w.to_be_bytes() } else { w.to_le_bytes() }).collect();
        r.bytes("cpumask", &bytes).set("callsite", i128::from(TEXT) + 0x10)
    });
    assert_eq!(mask, "cpumask=00000000,00000001,80000000,00000005 callsite=process_timeout+0x10/0x100 callback=0x0");
    let nodes = text("sched.sched_skip_cpuset_numa", |r| {
        r.text("comm", "numa").set_at("mem_allowed", 0, 0x8000_0000_0000_000b).set_at("mem_allowed", 1, 1)
    });
    assert_eq!(nodes, "comm=numa pid=0 tgid=0 ngid=0 mem_nodes_allowed=0-1,3,63-64");
}

#[test]
fn neigh_update_prints_as_many_bytes_as_its_field_says() {
    let update = text("neigh.neigh_update", |r| {
        r.set("family", 2)
            .text("dev", "eth0")
            .bytes("lladdr", &[0, 0x16, 0x3e, 1, 2, 3])
            .set("lladdr_len", 6)
            .set("nud_state", 2)
            .bytes("primary_key4", &[10, 0, 0, 1])
            .bytes("primary_key6", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1])
    });
    let expected = "family 2 dev eth0 lladdr 00163e010203 flags 00 nud_state reachable type 00 dead 0 refcnt 0 primary_key4 10.0.0.1 \
                    primary_key6 ::ffff:10.0.0.1 confirmed 0 updated 0 used 0 new_lladdr 000000000000 new_state 0x0 update_flags 00 pid 0";
    assert_eq!(update, expected);
}

#[test]
fn percpu_alloc_percpu_has_a_pointer_in_another_address_space() {
    let alloc = text("percpu.percpu_alloc_percpu", |r| {
        r.set("call_site", i128::from(TEXT)).set("ptr", 0x60_0000).set("size", 8).set("gfp_flags", 0xcc0)
    });
    let expected = "call_site=process_timeout+0x0/0x100 reserved=0 is_atomic=0 size=8 align=0 base_addr=0000000000000000 off=0 \
                    ptr=0000000000600000 bytes_alloc=0 gfp_flags=GFP_KERNEL";
    assert_eq!(alloc, expected);
}

#[test]
fn sys_enter_openat_reads_its_descriptor_as_an_int_and_prints_it_as_a_long() {
    let open = text("syscalls.sys_enter_openat", |r| r.set("dfd", 0xffff_ff9c).set("flags", 0x80000));
    assert_eq!(open, "dfd: 0xffffffffffffff9c, filename: 0x00000000, flags: 0x00080000, mode: 0x00000000");
}

#[test]
fn a_length_may_precede_its_text() {
    let attr = text("hugetlbfs.hugetlbfs_setattr", |r| {
        r.set("d_len", 3).text("d_name", "abcdef").set("ia_mode", 0o644).set("old_size", -1)
    });
    assert_eq!(attr, "dev 0,0 ino 0 name abc valid 0x0 mode 0644 old_size -1 size 0");
}

#[test]
fn print_formats_give_the_meaning_and_text_of_fields() {
    let meanings = |name: &str| -> Vec<(String, Meaning)> {
        let format = format(name);
        let plan = TextPlan::compile(&format, LongSize::Eight, Endian::Little, &Kernel);
        plan.fields().iter().map(|f| (format.fields[f.field].name.clone(), f.meaning)).collect()
    };
    let table: &[(&str, &[(&str, Meaning)])] = &[
        ("bridge.br_mdb_full", &[("src", Meaning::Ipv6), ("grp", Meaning::Ipv6), ("grpmac", Meaning::Mac)]),
        (
            "tcp.tcp_send_reset",
            &[
                ("saddr", Meaning::SockAddr),
                ("daddr", Meaning::SockAddr),
                ("state", Meaning::Enum),
                ("reason", Meaning::Enum),
            ],
        ),
        (
            "btrfs.btrfs_clear_extent_bit",
            &[("fsid", Meaning::Uuid), ("owner", Meaning::Enum), ("clear_bits", Meaning::Flags)],
        ),
        (
            "ipi.ipi_send_cpumask",
            &[("cpumask", Meaning::Bitmap), ("callsite", Meaning::Symbol), ("callback", Meaning::Symbol)],
        ),
        ("sched.sched_skip_cpuset_numa", &[("mem_allowed", Meaning::Bitmap)]),
        ("sched.sched_switch", &[("prev_state", Meaning::Flags)]),
        ("kvm.kvm_exit", &[("exit_reason", Meaning::Enum)]),
    ];
    for (name, expected) in table {
        let expected: Vec<_> = expected.iter().map(|(field, meaning)| (field.to_string(), *meaning)).collect();
        assert_eq!(meanings(name), expected, "{name}");
    }

    let format = format("sched.sched_switch");
    let record = Record::new(&format, Endian::Little).set("prev_state", 0x100).done();
    let (long, endian) = (LongSize::Eight, Endian::Little);
    let whole = TextPlan::compile(&format, long, endian, &Kernel);
    let fields_only = TextPlan::compile_fields(&format, long, endian, &Kernel, &|meaning| meaning == Meaning::Flags);
    for plan in [whole, fields_only] {
        let mut out = Vec::new();
        plan.render_field(&plan.fields()[0], &record, &Kernel, &mut out);
        assert_eq!(out, b"R+");
    }
    let none = TextPlan::compile_fields(&format, long, endian, &Kernel, &|meaning| meaning.is_text());
    assert_eq!(none.fields(), []);
}
