//! Rings in memory with a given distribution of events.

use ftrace_live::format::HeaderPage;

use crate::memory::Memory;

/// Bytes of a sub-buffer, and of its header, on x86-64.
const SUB_BUFFER: usize = 4096;
const HEADER: usize = 16;

/// The layout of the sub-buffers.
pub fn header() -> HeaderPage {
    HeaderPage::parse(
        "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
         \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
         \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n",
    )
    .expect("a header page")
}

/// The ring of each event.
#[derive(Clone, Copy)]
pub enum Order {
    /// Number k on ring k modulo their number: as far apart on each as possible.
    Turns,
    /// On any.
    Random,
}

/// `events` events, one every 100 ns.
pub fn interleaved(rings: u64, events: u64, order: Order) -> Vec<(u32, Memory)> {
    let mut times = vec![vec![]; rings as usize];
    for number in 0..events {
        let ring = match order {
            Order::Turns => number % rings,
            Order::Random => scatter(number) % rings,
        };
        times[ring as usize].push(number * 100);
    }
    let memory = |times: &Vec<u64>| Memory::new(pages(times));
    times.iter().enumerate().map(|(cpu, times)| (cpu as u32, memory(times))).collect()
}

/// A pseudo-random number (the finalizer of SplitMix64).
pub fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sub-buffers with an event at each of these times, each of 16 to 56 bytes of payload.
fn pages(times: &[u64]) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    let mut times = times.iter().peekable();
    while let Some(&&first) = times.peek() {
        let mut page = vec![0; HEADER];
        page[..8].copy_from_slice(&first.to_le_bytes());
        let mut last = first;
        while let Some(&time) = times.peek() {
            let words = 4 + scatter(!time) as u32 % 11;
            if page.len() + 4 + words as usize * 4 > SUB_BUFFER {
                break;
            }
            page.extend((((time - last) as u32) << 5 | words).to_le_bytes());
            page.extend(std::iter::repeat_n(7, words as usize * 4));
            last = *time;
            times.next();
        }
        let commit = (page.len() - HEADER) as u64;
        page[8..16].copy_from_slice(&commit.to_le_bytes());
        page.resize(SUB_BUFFER, 0);
        pages.push(page);
    }
    pages
}
