//! A TLS receiver that does as little as one can and still knows whether everything came once.
//!
//! It counts lines and adds up a digest of each record. The order of records does not change the
//! sum; a record that is missing, altered or there twice does. A session is confirmed by the end
//! of its own stream, after everything of it was counted.
//!
//! A second port only counts bytes, for what sends no lines.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use m365_collector::{
    simulator::certificates::Material,
    tls::{self, Identity},
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Both ports, served until this is dropped.
pub struct Receiver {
    lines: SocketAddr,
    bytes: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub async fn start(material: &Material) -> Self {
        let acceptor = acceptor(material);
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        let mut ports = Vec::new();
        for kind in [Kind::Lines, Kind::Bytes] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let listener = listener.expect("loopback ports are free");
            ports.push(listener.local_addr().expect("it is bound"));
            tasks.spawn(serve(listener, acceptor.clone(), kind, state.clone()));
        }
        Self { lines: ports[0], bytes: ports[1], state, _tasks: tasks }
    }

    pub fn endpoint(&self) -> String {
        format!("tls://{}", self.lines)
    }

    /// The port that counts bytes.
    pub fn byte_port(&self) -> SocketAddr {
        self.bytes
    }

    pub fn arrived(&self) -> Arrived {
        self.state().arrived
    }

    /// Waits until so much has come.
    pub async fn has(&self, enough: impl Fn(&Arrived) -> bool) {
        super::eventually("everything arrives", async || enough(&self.arrived())).await;
    }

    /// Reads nothing while this is set, so that whatever can pile up does.
    pub fn stall(&self, stalled: bool) {
        self.state().stalled = stalled;
    }

    /// Notes the moment at which the record with this digest comes.
    pub fn watch(&self, digest: u64) {
        self.state().watched.insert(digest, None);
    }

    /// When each watched record came.
    pub fn seen(&self) -> HashMap<u64, Option<Instant>> {
        self.state().watched.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

/// What has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    pub lines: u64,
    /// The digests of all records, added up.
    pub sum: u64,
    /// Bytes of records, or of anything at the port that counts no lines.
    pub bytes: u64,
}

/// Tells records apart. Eight bytes at a time, for it must cost next to nothing.
pub fn digest(record: &[u8]) -> u64 {
    let mut digest = record.len() as u64;
    let (words, rest) = record.as_chunks::<8>();
    for word in words {
        digest = (digest ^ u64::from_le_bytes(*word)).wrapping_mul(ODD).rotate_left(29);
    }
    for byte in rest {
        digest = (digest ^ u64::from(*byte)).wrapping_mul(ODD).rotate_left(29);
    }
    digest ^ (digest >> 32)
}

#[derive(Default)]
struct State {
    arrived: Arrived,
    watched: HashMap<u64, Option<Instant>>,
    stalled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes,
    Lines,
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, kind: Kind, state: Arc<Mutex<State>>) {
    let mut sessions = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        sessions.spawn(session(stream, acceptor.clone(), kind, state.clone()));
        while sessions.try_join_next().is_some() {}
    }
}

/// One session. One that breaks leaves what it brought counted, so that it shows.
async fn session(stream: TcpStream, acceptor: TlsAcceptor, kind: Kind, state: Arc<Mutex<State>>) {
    let received = async {
        let mut stream = acceptor.accept(stream).await?;
        match kind {
            Kind::Bytes => bytes(&mut stream, &state).await?,
            Kind::Lines => lines(&mut stream, &state).await?,
        }
        stream.shutdown().await
    };
    received.await.ok();
}

async fn bytes(stream: &mut TlsStream<TcpStream>, state: &Mutex<State>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        state.lock().expect("nobody panics with it").arrived.bytes += length as u64;
    }
}

async fn lines(stream: &mut TlsStream<TcpStream>, state: &Mutex<State>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut members = Members::default();
    let mut plain = Vec::new();
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        while state.lock().expect("nobody panics with it").stalled {
            sleep(STALL).await;
        }
        let length = stream.read(&mut buffer[filled..]).await?;
        if length == 0 {
            let whole = filled == 0 && plain.is_empty();
            return if whole { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        if members.begun || (filled == 0 && buffer[0] == GZIP) {
            members.inflate(&buffer[filled..filled + length], &mut plain)?;
            let cut = count(&plain, state);
            plain.drain(..cut);
            continue;
        }
        filled += length;
        let cut = count(&buffer[..filled], state);
        buffer.copy_within(cut..filled, 0);
        filled -= cut;
    }
}

/// Counts the whole lines, and says where they end.
fn count(bytes: &[u8], state: &Mutex<State>) -> usize {
    let mut state = state.lock().expect("nobody panics with it");
    let mut start = 0;
    for newline in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[start..newline];
        start = newline + 1;
        // `<14>Mmm dd hh:mm:ss HOST TAG: RECORD`; the time has colons, but no space behind one.
        let record = memchr::memmem::find(line, b": ").map_or(line, |at| &line[at + 2..]);
        let digest = digest(record);
        state.arrived.lines += 1;
        state.arrived.bytes += record.len() as u64;
        state.arrived.sum = state.arrived.sum.wrapping_add(digest);
        if !state.watched.is_empty()
            && let Some(seen) = state.watched.get_mut(&digest)
        {
            seen.get_or_insert_with(Instant::now);
        }
    }
    start
}

/// A stream of gzip members, one behind the other.
#[derive(Default)]
struct Members {
    begun: bool,
    decoder: Option<flate2::write::GzDecoder<Vec<u8>>>,
}

impl Members {
    fn inflate(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
        use std::io::Write as _;
        self.begun = true;
        while !bytes.is_empty() {
            let new = || flate2::write::GzDecoder::new(Vec::new());
            let decoder = self.decoder.get_or_insert_with(new);
            let used = decoder.write(bytes)?;
            decoder.flush()?;
            plain.append(decoder.get_mut());
            if used == 0 {
                decoder.try_finish()?;
                plain.append(decoder.get_mut());
                self.decoder = None;
            }
            bytes = &bytes[used..];
        }
        Ok(())
    }
}

/// Asks for the customer's certificate, as Devo does.
fn acceptor(material: &Material) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    for certificate in tls::certificates(material.devo_chain()).expect("it was made") {
        roots.add(certificate).expect("it was made");
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
    let (chain, key) = Identity::load(material.server_cert(), material.server_key())
        .expect("it was made")
        .into_parts();
    let config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_client_cert_verifier(verifier.build().expect("there is an authority"))
        .with_single_cert(chain, key)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

/// The first byte of a gzip member, which begins no line.
const GZIP: u8 = 0x1f;

const BUFFER: usize = 256 * 1024;

/// How often a stalled session looks whether it still is.
const STALL: Duration = Duration::from_millis(10);

/// The fractional part of the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
