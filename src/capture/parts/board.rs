//! Which thread has which part, and the state that is carried from part to part.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Said, Work};

/// Blocks that are kept for reuse, for each part that may be in progress.
const SPARE: usize = 16;

/// State that the threads share. Parts are handed out in order, so the first unfinished part always has a thread, and
/// that thread waits for nobody but the writer.
pub(super) struct Board<W: Work> {
    state: Mutex<State<W>>,
    changed: Condvar,
    /// Blocks that were written. A thread that reuses one needs no allocation, and the kernel no new pages.
    spare: Mutex<Vec<Vec<u8>>>,
    parts: usize,
    /// How many parts may be started before an earlier one is done.
    ahead: usize,
}

struct State<W: Work> {
    next: usize,
    done: usize,
    said: BTreeMap<usize, Receiver<Said<W>>>,
    /// The state of all events before a part: the part's number, and the state.
    carry: (usize, W::Carry),
    stopped: bool,
}

impl<W: Work> State<W> {
    /// The next part, if there is one: `None` while too many are in progress.
    fn next_part(&mut self, parts: usize, ahead: usize) -> Option<Option<usize>> {
        if self.next >= parts {
            return Some(None);
        }
        (self.next < self.done + ahead).then(|| {
            self.next += 1;
            Some(self.next - 1)
        })
    }
}

/// Stops all threads when it is dropped.
pub(super) struct EndsAll<'b, W: Work>(&'b Board<W>);

impl<W: Work> Drop for EndsAll<'_, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl<W: Work> Board<W> {
    pub(super) fn new(parts: usize, ahead: usize) -> Board<W> {
        let state = State { next: 0, done: 0, said: BTreeMap::new(), carry: (0, W::Carry::default()), stopped: false };
        Board { state: Mutex::new(state), changed: Condvar::new(), spare: Mutex::default(), parts, ahead }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` returns something, or everything is stopped.
    fn wait<T>(&self, mut ready: impl FnMut(&mut State<W>) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(found) = ready(&mut state) {
                return Some(found);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State<W>) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// The next part for a thread; `None` when there is none.
    pub(super) fn take_part(&self) -> Option<usize> {
        self.wait(|state| state.next_part(self.parts, self.ahead))?
    }

    /// Sets where the messages of a part are received.
    pub(super) fn hand_out(&self, part: usize, said: Receiver<Said<W>>) {
        self.change(|state| state.said.insert(part, said));
    }

    /// Where the messages of a part are received, once a thread has it.
    pub(super) fn part(&self, part: usize) -> Option<Receiver<Said<W>>> {
        self.wait(|state| state.said.remove(&part))
    }

    /// The state of the events before `part`, once it is known; `add` adds the events of the part.
    pub(super) fn carry(&self, part: usize, add: impl FnOnce(&mut W::Carry)) -> Option<W::Carry> {
        let mut add = Some(add);
        let before = self.wait(|state| {
            let (next, known) = &mut state.carry;
            let add = add.take_if(|_| *next == part)?;
            let before = known.clone();
            add(known);
            *next += 1;
            Some(before)
        });
        self.changed.notify_all();
        before
    }

    /// An empty block; a written one is reused where there is one.
    pub(super) fn block(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives back a block that was written.
    pub(super) fn written(&self, mut block: Vec<u8>) {
        block.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE * self.ahead {
            spare.push(block);
        }
    }

    /// Marks a part as written.
    pub(super) fn done(&self, part: usize) {
        self.change(|state| state.done = part + 1);
    }

    /// Stops all threads: nothing more is needed.
    pub(super) fn stop(&self) {
        self.change(|state| {
            state.stopped = true;
            state.said.clear();
        });
    }

    pub(super) fn ends_all(&self) -> EndsAll<'_, W> {
        EndsAll(self)
    }
}

#[cfg(test)]
mod tests;
