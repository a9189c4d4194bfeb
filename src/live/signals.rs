//! The signals that end tracing, and the one that says that the command has ended.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// Flags say which signal came; a pipe, which epoll can wait for, says that one came.
pub(super) struct Signals {
    pub(super) pipe: UnixStream,
    ended: Arc<AtomicBool>,
    child: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn register() -> io::Result<Signals> {
        let (pipe, write) = std::os::unix::net::UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let (ended, child) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGCHLD] {
            // The flag first: handlers run in the order of registration.
            signal_hook::flag::register(signal, if signal == SIGCHLD { child.clone() } else { ended.clone() })?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Signals { pipe: UnixStream::from_std(pipe), ended, child })
    }

    pub(super) fn ended(&mut self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(super) fn child(&mut self) -> bool {
        let child = self.child.swap(false, Ordering::Relaxed);
        if child {
            // Emptied, so that it can take the next byte.
            while matches!(self.pipe.read(&mut [0; 64]), Ok(1..)) {}
        }
        child
    }
}
