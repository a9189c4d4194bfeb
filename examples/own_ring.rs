//! Sub-buffers from another source, as the text that the kernel would print. Needs no feature of this library.

use std::{fs, io};

use byteorder::LittleEndian;
use ftrace_live::format::{Endian, EventFormat, HeaderPage};
use ftrace_live::names::{Names, NoNames};
use ftrace_live::render::Settings;
use ftrace_live::ring::{Feed, Merge};

/// One CPU's sub-buffers.
struct Ring(std::vec::IntoIter<Vec<u8>>);

impl Feed for Ring {
    fn advance(&mut self, page: &mut Vec<u8>) -> io::Result<bool> {
        *page = self.0.next().unwrap_or_default();
        Ok(!page.is_empty())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = |at| std::env::args_os().nth(at).map(fs::read).ok_or("usage: own_ring HEADER_PAGE FORMAT RING");
    print!("{}", text(&String::from_utf8(file(1)??)?, &String::from_utf8(file(2)??)?, &file(3)??)?);
    Ok(())
}

/// The records of one event in the ring of CPU 0 of a little-endian kernel.
pub fn text(header: &str, format: &str, ring: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let header = HeaderPage::parse(header)?;
    let format = EventFormat::parse("any", format, header.long_size())?;
    let pages: Vec<_> = ring.chunks_exact(header.sub_buffer_size()).map(<[u8]>::to_vec).collect();
    let mut text = Settings::default().text([&format], header.long_size(), Endian::Little, &NoNames);
    let (mut merge, names, mut out) = (Merge::new(header, [(0, Ring(pages.into_iter()))]), Names::default(), vec![]);
    while let Some(record) = merge.next_record::<LittleEndian>() {
        if record.bytes.starts_with(&format.id.0.to_le_bytes()) {
            text.write::<LittleEndian>(&mut out, &record, &names);
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
