//! Ports for programs that cannot be given a bound socket.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// A loopback address nobody listens on, and that is handed out once in this process.
///
/// It lies below the range the system takes for outgoing connections, so that it stays free while
/// the program that owns it is down.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test runs side by side begin at different places.
    let start = process::id().wrapping_mul(61) % PORTS;
    (0..PORTS)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS)
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap())))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("some port is free")
}

const FIRST: u32 = 12_000;
const PORTS: u32 = 20_000;
