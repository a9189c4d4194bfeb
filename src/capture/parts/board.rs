//! Which thread has which part, and what is carried from part to part.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Said, Work};

/// What the threads share. Parts are handed out in order, so that the first one that is not done has a thread, which waits for
/// nobody but who writes.
pub(super) struct Board<W: Work> {
    state: Mutex<State<W>>,
    changed: Condvar,
    parts: usize,
    /// Parts that may be begun before an earlier one is done.
    ahead: usize,
}

struct State<W: Work> {
    next: usize,
    done: usize,
    said: BTreeMap<usize, Receiver<Said<W>>>,
    /// What is known of all events before a part: which, and what.
    carry: (usize, W::Carry),
    stopped: bool,
}

/// Stops all when it goes.
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
        Board { state: Mutex::new(state), changed: Condvar::new(), parts, ahead }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` says something, or all is stopped.
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
        self.wait(|state| {
            if state.next >= self.parts {
                return Some(None);
            }
            (state.next < state.done + self.ahead).then(|| {
                state.next += 1;
                Some(state.next - 1)
            })
        })?
    }

    /// Says where to hear of a part.
    pub(super) fn hand_out(&self, part: usize, said: Receiver<Said<W>>) {
        self.change(|state| state.said.insert(part, said));
    }

    /// Where to hear of a part, once a thread has it.
    pub(super) fn part(&self, part: usize) -> Option<Receiver<Said<W>>> {
        self.wait(|state| state.said.remove(&part))
    }

    /// What is known of the events before `part`, once it is; `add` adds those of the part.
    pub(super) fn carry(&self, part: usize, add: impl FnOnce(&mut W::Carry)) -> Option<W::Carry> {
        let before = self.wait(|state| (state.carry.0 == part).then(|| state.carry.1.clone()))?;
        self.change(|state| {
            add(&mut state.carry.1);
            state.carry.0 += 1;
        });
        Some(before)
    }

    /// A part is written.
    pub(super) fn done(&self, part: usize) {
        self.change(|state| state.done = part + 1);
    }

    /// Nothing more is wanted.
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
