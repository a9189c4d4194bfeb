//! What sending costs by itself: datagrams to the counting receiver with nothing traced, in this thread's own time.

use std::time::{Duration, Instant};

use ftrace_live::osc::transport::Transport;

use crate::receiver::Receiver;

/// Datagrams that are handed over together, as the packer does.
const TOGETHER: usize = 31;

/// Prints ns a datagram of each length, where no two can go as one, and where all can.
pub fn alone(seconds: f64) {
    println!("\nalone: datagrams through a transport to the receiver on the same core, {seconds} s each");
    println!("{:>6} {:>22} {:>22}", "bytes", "each by itself, ns", "in runs, ns");
    for length in [1432, 8192] {
        // Each longer than the one before: such make no run.
        let growing = (0..TOGETHER).map(|index| length - 4 * (TOGETHER - 1 - index));
        let [alone, runs] =
            [growing.collect(), vec![length; TOGETHER]].map(|lengths: Vec<usize>| ns(&lengths, seconds));
        println!("{length:>6} {alone:>22.0} {runs:>22.0}");
    }
}

fn ns(lengths: &[usize], seconds: f64) -> f64 {
    let receiver = Receiver::start("/", false);
    let mut transport = Transport::connect(([127, 0, 0, 1], receiver.port).into(), 0).unwrap();
    let datagrams: Vec<Vec<u8>> = lengths.iter().map(|length| vec![0; *length]).collect();
    let (began, own) = (Instant::now(), cpu());
    while began.elapsed().as_secs_f64() < seconds {
        transport.send(datagrams.iter().map(|datagram| (datagram.as_slice(), 1)));
    }
    let spent = cpu() - own;
    receiver.stop();
    spent.as_nanos() as f64 / transport.counts().datagrams.max(1) as f64
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
