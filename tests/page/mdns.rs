//! OSCQuery clients find the server by multicast DNS.

use std::time::Instant;

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent};

use crate::common::program::PATIENCE;
use crate::demo::demo;

#[test]
fn the_server_is_found_by_its_service() {
    let (_program, url) = demo(&[]);
    let port: u16 = url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    let browser = ServiceDaemon::new().unwrap();
    browser.enable_interface(IfKind::LoopbackV4).unwrap();
    let found = browser.browse("_oscjson._tcp.local.").unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        let event = found.recv_deadline(end).expect("it was not found");
        if let ServiceEvent::ServiceResolved(service) = event
            && service.get_port() == port
        {
            assert!(service.get_fullname().starts_with("ftrace-live on "), "{}", service.get_fullname());
            break;
        }
    }
}
