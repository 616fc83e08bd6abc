//! Addresses nobody should ever connect to.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    ops::Range,
    process,
    sync::atomic::{AtomicU16, AtomicUsize, Ordering},
    thread,
};

/// Listeners that count who takes the bait. Nobody may: a test in which somebody did fails, whether
/// or not it asks.
pub struct Bait {
    pub address: SocketAddr,
    listeners: Vec<TcpListener>,
    taken: AtomicUsize,
}

impl Bait {
    /// On one port of this machine, by whichever of its addresses `localhost` is taken for.
    pub fn lay() -> Self {
        Self::lay_at(&[])
    }

    /// Also at these addresses, as far as they are free.
    pub fn lay_at(more: &[SocketAddr]) -> Self {
        let first = PORTS.clone().find_map(|_| listen(next_address()).ok());
        let first = first.expect("loopback ports are free");
        let address = first.local_addr().expect("it is bound");
        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
        let more = more.iter().chain([&six]).filter_map(|address| listen(*address).ok());
        let listeners = [first].into_iter().chain(more).collect();
        Self { address, listeners, taken: AtomicUsize::new(0) }
    }

    /// Connections so far. The kernel has accepted them for us, so none is still on its way.
    pub fn taken(&self) -> usize {
        for listener in &self.listeners {
            loop {
                match listener.accept() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // One that is gone already was there as well.
                    Ok(_) | Err(_) => drop(self.taken.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.taken(), 0, "somebody took the bait");
        }
    }
}

/// A port that nobody was ever given by the kernel: who still calls a process that is gone, as a
/// balancer does, calls one of those.
fn next_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add((process::id() & 0x7FFF) as u16);
    let port = PORTS.start + number % (PORTS.end - PORTS.start);
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Below those the kernel chooses from.
const PORTS: Range<u16> = 10_000..30_000;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
