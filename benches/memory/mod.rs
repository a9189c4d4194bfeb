//! A ring held in memory, so that a bench reads no file.

use std::sync::Arc;

use ftrace_live::ring::Feed;

/// One CPU's sub-buffers. Copies share them.
#[derive(Clone)]
pub struct Memory {
    pub pages: Arc<Vec<Vec<u8>>>,
    at: usize,
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
