//! The running kernel's events, from a private instance of tracefs. As root.

use byteorder::{ByteOrder, NativeEndian};
use ftrace_live::format::{EventFormat, HeaderPage};
use ftrace_live::ring::Walk;
use ftrace_live::tracefs::{EventName, Instance, RawRead, Tracefs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for started in programs_started(|| std::process::Command::new("true").status().map(drop))? {
        println!("{started}");
    }
    Ok(())
}

/// The tasks that executed another program during `work`, by `pid` of sched_process_exec.
pub fn programs_started(work: impl FnOnce() -> std::io::Result<()>) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
    let (tracefs, exec) = (Tracefs::find()?, EventName::new("sched", "sched_process_exec"));
    let instance = Instance::create(&tracefs, None)?;
    instance.enable(std::slice::from_ref(&exec))?;
    instance.start()?;
    work()?;
    instance.stop()?;

    let header = HeaderPage::parse(&instance.header_page()?)?;
    let format = EventFormat::parse(&exec.system, &tracefs.format(&exec)?, header.long_size())?;
    let pid = format.field("pid").ok_or("no pid in sched_process_exec")?.offset as usize;
    let (mut page, mut started) = (vec![0; header.sub_buffer_size()], vec![]);
    for ring in instance.open_raw()? {
        while let RawRead::SubBuffer(len) = ring.read(&mut page)? {
            let (mut walk, _lost) = Walk::open::<NativeEndian>(&header, &page[..len])?;
            while let Some(found) = walk.next_in::<NativeEndian>(&page[..len]) {
                let record = &page[found?.payload];
                if NativeEndian::read_u16(record) == format.id.0 {
                    started.push(NativeEndian::read_u32(&record[pid..]));
                }
            }
        }
    }
    Ok(started)
}
