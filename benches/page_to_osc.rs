//! Page walk, typed values, and OSC bytes in datagrams, in ns per event over a capture held in memory.
use std::hint::black_box;
use std::time::Instant;

use byteorder::LittleEndian;
use ftrace_live::capture;
use ftrace_live::decode::{EventTable, Plan};
use ftrace_live::osc::datagram::Tag;
use ftrace_live::osc::stream::{Stream, StreamOptions};
use ftrace_live::pipeline::Pipeline;
use ftrace_live::ring::{Feed, Merge, Walk};

#[derive(Clone)]
struct Memory {
    pages: std::sync::Arc<Vec<Vec<u8>>>,
    at: usize,
}
impl Feed for Memory {
    fn advance(&mut self, page: &mut Vec<u8>) -> std::io::Result<bool> {
        let Some(next) = self.pages.get(self.at) else { return Ok(false) };
        page.clear();
        page.extend_from_slice(next);
        self.at += 1;
        Ok(true)
    }
}

fn main() {
    let path = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap();
    let mut cap = capture::open(path.as_ref(), Default::default()).unwrap();
    let feeds: Vec<_> = cap
        .rings
        .iter_mut()
        .map(|r| {
            let mut pages = vec![];
            let mut p = vec![];
            while r.feed.advance(&mut p).unwrap() {
                pages.push(p.clone());
            }
            (r.cpu, Memory { pages: pages.into(), at: 0 })
        })
        .collect();
    let table = EventTable::new(cap.events.clone());
    let reps = 20;
    for _ in 0..3 {
        let (mut best_walk, mut best_merge, mut best_values, mut best_osc) = (f64::MAX, f64::MAX, f64::MAX, f64::MAX);
        for _ in 0..reps {
            let t = Instant::now();
            let mut n = 0u64;
            let mut sum = 0u64;
            for (_, f) in &feeds {
                for p in f.pages.iter() {
                    let (mut w, _) = Walk::open::<LittleEndian>(&cap.header, p).unwrap();
                    while let Some(Ok(r)) = w.next_in::<LittleEndian>(p) {
                        n += 1;
                        sum ^= r.time;
                    }
                }
            }
            black_box(sum);
            best_walk = best_walk.min(t.elapsed().as_nanos() as f64 / n as f64);
            let t = Instant::now();
            let mut m = Merge::new(cap.header.clone(), feeds.clone());
            let mut n = 0u64;
            let _ = m.for_each::<LittleEndian, ()>(|r| {
                n += 1;
                sum ^= r.time;
                std::ops::ControlFlow::Continue(())
            });
            black_box(sum);
            best_merge = best_merge.min(t.elapsed().as_nanos() as f64 / n as f64);
            let plans: Vec<Option<Plan>> =
                (0..4096).map(|i| table.get(ftrace_live::format::EventId(i)).map(|f| Plan::compile(f))).collect();
            let t = Instant::now();
            let mut m = Merge::new(cap.header.clone(), feeds.clone());
            let mut n = 0u64;
            let mut fields = 0u64;
            let _ = m.for_each::<LittleEndian, ()>(|r| {
                n += 1;
                let id = u16::from_le_bytes([r.bytes[0], r.bytes[1]]) as usize;
                if let Some(p) = &plans[id] {
                    for v in p.values::<LittleEndian>(r.bytes) {
                        match v {
                            Ok(ftrace_live::decode::Value::Signed(x)) => fields ^= x as u64,
                            Ok(ftrace_live::decode::Value::Unsigned(x) | ftrace_live::decode::Value::Pointer(x)) => {
                                fields ^= x
                            }
                            Ok(ftrace_live::decode::Value::Text(t)) => fields ^= t.len() as u64,
                            _ => {}
                        }
                    }
                }
                std::ops::ControlFlow::Continue(())
            });
            best_values = best_values.min(t.elapsed().as_nanos() as f64 / n as f64);
            let stream = Stream::new(
                StreamOptions {
                    message: Default::default(),
                    mtu: 1432,
                    tag: Tag::Event { latency_ns: 0 },
                    max_rate: None,
                },
                vec![],
            );
            let mut pipeline = Pipeline::new(stream, Box::new(|_| None));
            pipeline.add_all(&table);
            let t = Instant::now();
            let mut m = Merge::new(cap.header.clone(), feeds.clone());
            let mut n2 = 0u64;
            let _ = m.for_each::<LittleEndian, ()>(|r| {
                n2 += 1;
                pipeline.record::<LittleEndian>(r, None);
                std::ops::ControlFlow::Continue(())
            });
            pipeline.flush();
            best_osc = best_osc.min(t.elapsed().as_nanos() as f64 / n2 as f64);
            black_box(fields);
        }
        println!("walk {best_walk:.2} merge {best_merge:.2} values {best_values:.2} osc {best_osc:.2} ns/event");
    }
}
