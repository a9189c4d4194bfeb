//! The channel between a page's clients and the loop that makes the stream: commands and answers between two threads.

use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, OnceLock};

use crate::control::Clients;

/// The most packets that wait to be handled.
const WAITING: usize = 64;

/// A client's number, and one packet.
type Said = (u64, Vec<u8>);
type Wake = Box<dyn Fn() + Send + Sync>;

/// The server's end.
pub struct Calls {
    said: SyncSender<Said>,
    answers: Receiver<Said>,
    /// Wakes the loop, if it is one that sleeps.
    wake: Arc<OnceLock<Wake>>,
}

/// The loop's end.
pub struct Answers {
    said: Receiver<Said>,
    answers: Sender<Said>,
    wake: Arc<OnceLock<Wake>>,
    /// Wakes the server.
    wake_server: Wake,
}

/// Creates both ends; `wake_server` is called when there is an answer.
pub fn way(wake_server: impl Fn() + Send + Sync + 'static) -> (Calls, Answers) {
    let (said, hears) = mpsc::sync_channel(WAITING);
    let (answers, answered) = mpsc::channel();
    let wake = Arc::new(OnceLock::new());
    let calls = Calls { said, answers: answered, wake: wake.clone() };
    (calls, Answers { said: hears, answers, wake, wake_server: Box::new(wake_server) })
}

impl Calls {
    /// Passes on a client's packet. It is dropped if too many wait, or the loop has ended.
    pub fn pass_on(&self, client: u64, packet: &[u8]) {
        if self.said.try_send((client, packet.to_vec())).is_ok()
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }

    /// An answer, if there is one.
    pub fn answer(&self) -> Option<Said> {
        self.answers.try_recv().ok()
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

impl Clients for Answers {
    fn take(&mut self) -> Option<Said> {
        self.said.try_recv().ok()
    }

    fn answer(&mut self, client: u64, packet: &[u8]) {
        if self.answers.send((client, packet.to_vec())).is_ok() {
            (self.wake_server)();
        }
    }

    fn wake_by(&mut self, wake: Wake) {
        // It is set once.
        let _ = self.wake.set(wake);
    }
}
