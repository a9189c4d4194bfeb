//! The socket between player and keeper: one message for each request and each answer, possibly with an open file.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::Answer;

/// The longest message: 4096 tasks take about 32 KiB.
const LONGEST: usize = 1 << 16;

/// Both ends. They are closed on exec, unless one becomes the program's standard input.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a message.
pub(super) fn send(link: impl AsFd, message: &[u8], file: Option<&File>) -> io::Result<()> {
    if message.len() > LONGEST {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files = file.map(|file| [file.as_fd()]);
    if let Some(files) = &files {
        ancillary.push(SendAncillaryMessage::ScmRights(files));
    }
    loop {
        // NOSIGNAL: if the other end is closed, this is an error, not a SIGPIPE.
        match sendmsg(&link, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => continue,
            sent => return Ok(sent.map(drop)?),
        }
    }
}

/// Receives a message and the file that came with it. `None`: the other end is closed.
pub(super) fn receive(link: impl AsFd) -> io::Result<Option<(Vec<u8>, Option<File>)>> {
    let mut bytes = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&link, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            received => break received?,
        }
    };
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file = rights.flatten().next().map(File::from);
    // The kernel had a file for us but no free descriptor (`scm_detach_fds`).
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    bytes.truncate(received.bytes);
    Ok(if bytes.is_empty() { None } else { Some((bytes, file)) })
}

/// Encodes an answer: `ok` and its words, or `error` and an errno.
pub(super) fn answer_message(answer: &io::Result<Answer>) -> Vec<u8> {
    let words = match answer {
        Ok(answer) => std::iter::once("ok".to_owned()).chain(answer.words.iter().cloned()).collect(),
        Err(error) => vec!["error".to_owned(), error.raw_os_error().unwrap_or(libc::EIO).to_string()],
    };
    words.join("\0").into_bytes()
}

/// Decodes an answer.
pub(super) fn answer_of(message: &[u8], file: Option<File>) -> io::Result<Answer> {
    let text = std::str::from_utf8(message).map_err(io::Error::other)?;
    let mut words = text.split('\0');
    match words.next() {
        Some("ok") => Ok(Answer { words: words.map(str::to_owned).collect(), file }),
        _ => {
            let errno = words.next().and_then(|errno| errno.parse().ok());
            Err(io::Error::from_raw_os_error(errno.unwrap_or(libc::EIO)))
        }
    }
}
