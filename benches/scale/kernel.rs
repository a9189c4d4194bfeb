//! What the kernel's own part of a turn costs here, in this thread's own time: a full sub-buffer, a ring that is empty, a turn.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use ftrace_live::tracefs::{Instance, RawRead, Tracefs};
use rustix::event::epoll;

use crate::cpu_ns;

/// Sub-buffers that are read.
const PAGES: usize = 1000;
const TIMES: usize = 20_000;

/// Costs, ns.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// `read` of a full sub-buffer of 4 KiB.
    pub sub_buffer: f64,
    /// `read` of an empty ring.
    pub empty: f64,
    /// What a turn asks beside: epoll, without waiting, and four clocks.
    pub turn: f64,
}

/// Measures in an instance of its own; `None` where that cannot be made.
pub fn measure() -> Option<Kernel> {
    let tracefs = Tracefs::find().ok()?;
    let instance = Instance::create(&tracefs, None).ok()?;
    instance.set_buffer_kib(4 * PAGES as u64 + 512).ok()?;
    let rings = instance.open_raw().ok()?;
    let mut page = vec![0; 4096];
    let mut best = Kernel { sub_buffer: f64::MAX, empty: f64::MAX, turn: f64::MAX };
    for _ in 0..5 {
        instance.start().ok()?;
        let mut marker = OpenOptions::new().write(true).open(instance.path().join("trace_marker")).ok()?;
        // A CPU's own; half a sub-buffer each and more, so that none has two.
        (0..PAGES).try_for_each(|_| marker.write_all(&[b'x'; 2500])).ok()?;
        instance.stop().ok()?;
        for ring in &rings {
            let (began, mut read) = (cpu_ns(), 0);
            while let Ok(RawRead::SubBuffer(_)) = ring.read(&mut page) {
                read += 1;
            }
            if read > PAGES / 4 {
                best.sub_buffer = best.sub_buffer.min((cpu_ns() - began) / f64::from(read as u32));
            }
            let began = cpu_ns();
            (0..TIMES).for_each(|_| drop(ring.read(&mut page)));
            best.empty = best.empty.min((cpu_ns() - began) / TIMES as f64);
        }
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
        let began = cpu_ns();
        for _ in 0..TIMES {
            let mut named = Vec::with_capacity(16);
            let _ =
                epoll::wait(&poll, rustix::buffer::spare_capacity(&mut named), Some(&Duration::ZERO.try_into().ok()?));
            for _ in 0..4 {
                black_box(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic));
            }
        }
        best.turn = best.turn.min((cpu_ns() - began) / TIMES as f64);
    }
    drop(rings);
    instance.close().ok()?;
    Some(best)
}
