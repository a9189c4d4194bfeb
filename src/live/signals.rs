//! The signals that end tracing, and SIGCHLD, which says that the command has ended.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// Flags say which signal arrived; a pipe, which epoll can wait for, says that one arrived.
pub(super) struct Signals {
    /// One pipe for all signals, to save descriptors.
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    ended: Arc<AtomicBool>,
    child: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn register() -> io::Result<Signals> {
        let (pipe, write) = std::os::unix::net::UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let (ended, child) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let signals = [SIGINT, SIGTERM, SIGHUP, SIGCHLD];
        for signal in signals {
            // The flag first: handlers run in the order of their registration.
            signal_hook::flag::register(signal, if signal == SIGCHLD { child.clone() } else { ended.clone() })?;
        }
        let delivery = SignalDelivery::with_pipe(UnixStream::from_std(pipe), write, SignalOnly, signals)?;
        Ok(Signals { delivery, ended, child })
    }

    /// Becomes readable when a signal arrives.
    pub(super) fn pipe(&mut self) -> &mut UnixStream {
        self.delivery.get_read_mut()
    }

    pub(super) fn ended(&mut self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(super) fn child(&mut self) -> bool {
        let child = self.child.swap(false, Ordering::Relaxed);
        if child {
            // Emptied, so that it can take the next byte.
            self.delivery.pending().for_each(drop);
        }
        child
    }
}
