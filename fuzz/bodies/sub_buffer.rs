//! One sub-buffer, in both byte orders and long sizes: the walk ends, every payload is within the bytes and after the
//! previous one, and anything wrong is an error.
//!
//! The input is the sub-buffer, including its header.

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use ftrace_live::format::{HeaderPage, LongSize};
use ftrace_live::ring::{Feed, Merge, Walk, detect_byte_order};

fn layout(long: LongSize) -> HeaderPage {
    let (long, data) = (long.bytes(), 8 + long.bytes());
    let text = format!(
        "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
         \tfield: local_t commit;\toffset:8;\tsize:{long};\tsigned:1;\n\
         \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
         \tfield: char data;\toffset:{data};\tsize:{};\tsigned:1;\n",
        4096 - data
    );
    HeaderPage::parse(&text).expect("the kernel's own layout")
}

/// The sub-buffer twice: the second time with times before those of the first.
struct Twice<'a>(&'a [u8], u8);

impl Feed for Twice<'_> {
    fn advance(&mut self, page: &mut Vec<u8>) -> std::io::Result<bool> {
        page.clear();
        page.extend_from_slice(self.0);
        self.1 += 1;
        Ok(self.1 <= 2)
    }
}

fn walk<E: ByteOrder>(layout: &HeaderPage, page: &[u8]) -> u64 {
    let Ok((mut walk, _)) = Walk::open::<E>(layout, page) else { return 0 };
    let (mut behind, mut records) = (0, 0);
    while let Some(found) = walk.next_in::<E>(page) {
        let Ok(found) = found else { break };
        assert!(behind <= found.payload.start && found.payload.start <= found.payload.end, "{found:?}");
        assert!(found.payload.end <= page.len() && found.payload.end <= layout.sub_buffer_size(), "{found:?}");
        behind = found.payload.end;
        records += 1;
    }
    assert!(walk.next_in::<E>(page).is_none(), "after an error or the end the walk is over");
    records
}

fn both<E: ByteOrder>(layout: &HeaderPage, page: &[u8]) {
    let records = walk::<E>(layout, page);
    let mut merge = Merge::new(layout.clone(), [(0, Twice(page, 0)), (3, Twice(page, 1))]);
    let mut seen = 0;
    while merge.next_record::<E>().is_some() {
        seen += 1;
    }
    assert_eq!(seen, 3 * records, "the merge gives every record that the walk finds");
}

pub fn run(input: &[u8]) {
    for long in [LongSize::Eight, LongSize::Four] {
        let layout = layout(long);
        both::<LittleEndian>(&layout, input);
        both::<BigEndian>(&layout, input);
        _ = detect_byte_order(&layout, [input]);
    }
}
