//! Events that are not the kernel's as typed OSC: a description in the kernel's format, then datagrams for a
//! receiver.

use byteorder::LittleEndian;
use ftrace_live::format::{Abi, Endian, EventFormat, LongSize};
use ftrace_live::names::NoNames;
use ftrace_live::osc::datagram::{Packer, Tag};
use ftrace_live::osc::{Comm, Head, MessageOptions, MessagePlan, timetag};

/// A record is the event's id in two bytes, followed by the fields at their offsets.
const FORMAT: &str = "name: key\nID: 1\nformat:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n
\tfield:u8 note;\toffset:2;\tsize:1;\tsigned:0;
\tfield:int force;\toffset:4;\tsize:4;\tsigned:1;
\tfield:char player[8];\toffset:8;\tsize:8;\tsigned:0;\n
print fmt: \"note=%u\", REC->note\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).ok_or("usage: own_events HOST:PORT")?;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    datagrams(timetag::unix_now_ns())?.iter().try_for_each(|datagram| socket.send_to(datagram, &target).map(drop))?;
    Ok(())
}

/// Two keys, as messages of one bundle.
pub fn datagrams(now_ns: u64) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let abi = Abi { endian: Endian::Little, long: LongSize::Eight };
    let format = EventFormat::parse("piano", FORMAT, abi.long)?;
    let mut options = MessageOptions::default();
    options.prefix = "/my".to_owned();
    let (plan, _schema) = MessagePlan::compile(&format, &options, abi, &NoNames);
    let mut packer = Packer::new(1472, Tag::Event { latency_ns: 0 });
    for (note, force) in [(60, 512i32), (67, -3)] {
        let record = [&[1, 0, note, 0], &force.to_le_bytes()[..], b"Clara\0\0\0"].concat();
        let head = Head { time: timetag::from_unix_ns(now_ns), dt: 0.0, cpu: 0, pid: 7, comm: &Comm::EMPTY };
        packer.push(now_ns, |room| plan.encode::<LittleEndian>(&record, &head, room))?;
    }
    Ok(packer.take().map(|(datagram, _)| datagram.to_vec()).collect())
}
