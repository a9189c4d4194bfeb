//! A ring held in memory, so that a bench reads no file.

use std::sync::Arc;

use ftrace_live::capture::CpuRing;
use ftrace_live::ring::Feed;

/// One CPU's sub-buffers. Copies share them.
#[derive(Clone)]
pub struct Memory {
    pub pages: Arc<Vec<Vec<u8>>>,
    at: usize,
}

/// All sub-buffers of these rings, by CPU.
pub fn load(rings: &mut [CpuRing]) -> Vec<(u32, Memory)> {
    let all = |ring: &mut CpuRing| {
        let (mut pages, mut page) = (vec![], vec![]);
        while ring.feed.advance(&mut page).expect("a readable ring") {
            pages.push(page.clone());
        }
        (ring.cpu, Memory::new(pages))
    };
    rings.iter_mut().map(all).collect()
}

impl Memory {
    /// These sub-buffers, from the first on.
    pub fn new(pages: Vec<Vec<u8>>) -> Memory {
        Memory { pages: pages.into(), at: 0 }
    }
}

impl Feed for Memory {
    fn advance(&mut self, page: &mut Vec<u8>) -> std::io::Result<bool> {
        let Some(next) = self.pages.get(self.at) else { return Ok(false) };
        page.clear();
        page.extend_from_slice(next);
        self.at += 1;
        Ok(true)
    }
}
