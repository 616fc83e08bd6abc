//! Junk at a steady pace, cheaply enough to measure what it does to somebody else: a thread of its
//! own, blocking sockets, bytes made once.
//!
//! Every request comes on a connection of its own, because a refusal ends one: that is what costs
//! the other side most. What counts is what became of a request, not that it was sent.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use crate::support::edge::Post;

/// A thread that sends junk until it is told to stop, or dropped.
pub struct Junk {
    stop: Stop,
    thread: JoinHandle<Counts>,
}

/// What became of requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Told off with a status of its own: 401 or 404.
    pub answered: u64,
    /// Closed without an answer, for want of a place.
    pub refused: u64,
    /// Neither, within some seconds.
    pub ignored: u64,
}

impl Junk {
    pub fn start(port: SocketAddr, per_second: u64) -> Self {
        let stop = Stop(Arc::default());
        let stopped = stop.0.clone();
        Self { stop, thread: thread::spawn(move || send(port, per_second, &stopped)) }
    }

    /// Blocks until the last answer is there.
    pub fn finish(self) -> Counts {
        drop(self.stop);
        self.thread.join().expect("junk does not get in")
    }
}

struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn send(port: SocketAddr, per_second: u64, stop: &AtomicBool) -> Counts {
    let wrong = Post::new("0123456789abcdef-wrong", "[]").bytes();
    let other = Post::new("x", "[]").path("/wp-login.php").bytes();
    let (mut counts, start) = (Counts::default(), Instant::now());
    let (mut sent, mut waiting): (u64, Vec<TcpStream>) = (0, Vec::new());
    let mut last = false;
    while !last {
        last = stop.load(Ordering::Relaxed);
        let due = u64::try_from(start.elapsed().as_micros()).unwrap() * per_second / 1_000_000;
        // What a pause of the machine left behind is caught up with, but not in one blow.
        let batch = if last { 0 } else { due.saturating_sub(sent).min(MAX_BATCH) };
        let mut opened = Vec::new();
        for n in sent..sent + batch {
            let request = if n % 2 == 0 { &wrong } else { &other };
            match open(port, n, request) {
                Some(stream) => opened.push(stream),
                None => counts.refused += 1,
            }
        }
        sent += batch;
        // The answers of the batch before, which had the time of this one to come.
        for stream in std::mem::replace(&mut waiting, opened) {
            match answer(stream) {
                Some(true) => counts.answered += 1,
                Some(false) => counts.refused += 1,
                None => counts.ignored += 1,
            }
        }
        thread::sleep(TICK);
    }
    counts
}

fn open(port: SocketAddr, n: u64, request: &[u8]) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    // From many sources, so that none of them is shed for being one.
    let host = u8::try_from(n % 250).unwrap() + 1;
    let source = SocketAddr::from((Ipv4Addr::new(127, 2, 0, host), 0));
    socket.bind(&source.into()).ok()?;
    // On loopback this takes no turn of the other side: the kernel shakes hands for it.
    socket.connect(&port.into()).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request).ok()?;
    Some(stream)
}

/// Whether it was answered as junk is; none when nothing came of it.
fn answer(mut stream: TcpStream) -> Option<bool> {
    let mut head = [0; 512];
    match stream.read(&mut head) {
        Ok(0) => Some(false),
        Ok(count) => {
            let refused = [&b"HTTP/1.1 401 "[..], b"HTTP/1.1 404 "];
            let head = &head[..count];
            assert!(refused.iter().any(|status| head.starts_with(status)), "junk got in");
            Some(true)
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(false),
        Err(_) => None,
    }
}

/// Short, so that requests come one by one and not in bursts.
const TICK: Duration = Duration::from_micros(500);

const MAX_BATCH: u64 = 32;

const PATIENCE: Duration = Duration::from_secs(5);
