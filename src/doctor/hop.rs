//! The probes of a way: resolve a name, connect, shake hands, ask once. Each is bounded in time
//! and tells what it saw; what that means is for `route` to say.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{
    printable::printable,
    tls::{self, Facts, Identity, TlsError, Trust},
};

/// Somebody to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Peer {
    pub(super) fn of(url: &url::Url) -> Self {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Self { host, port: url.port_or_known_default().unwrap_or(443) }
    }

    /// As it is written in addresses.
    pub(super) fn authority(&self) -> String {
        let Self { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Why there is no address.
#[derive(Debug)]
pub(super) enum NameFault {
    TimedOut,
    Unknown(io::Error),
}

pub(super) async fn resolve(peer: &Peer) -> Result<Vec<SocketAddr>, NameFault> {
    let found = timeout(PATIENCE, lookup_host((peer.host.as_str(), peer.port))).await;
    let found = found.map_err(|_| NameFault::TimedOut)?.map_err(NameFault::Unknown)?;
    let addresses: Vec<_> = found.collect();
    if addresses.is_empty() {
        return Err(NameFault::Unknown(io::ErrorKind::NotFound.into()));
    }
    Ok(addresses)
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct ConnectFault {
    pub(super) address: SocketAddr,
    pub(super) error: io::Error,
}

/// Tries each address; says which one took the connection.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, ConnectFault> {
    let mut fault = None;
    for &address in addresses.iter().take(MOST_ADDRESSES) {
        let error = match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        fault = Some(ConnectFault { address, error });
    }
    Err(fault.unwrap_or_else(|| ConnectFault {
        address: (IpAddr::from([0, 0, 0, 0]), 0).into(),
        error: io::ErrorKind::NotFound.into(),
    }))
}

/// What TLS came to.
pub(super) struct Shaken {
    pub(super) stream: Stream,
    pub(super) version: &'static str,
    /// Until when the leaf is good.
    pub(super) not_after: Option<Timestamp>,
}

/// Why there is no TLS.
#[derive(Debug)]
pub(super) enum TlsFault {
    /// A file of ours.
    Ours(TlsError),
    /// The name can be none of a certificate.
    Name,
    /// What the other side did.
    Theirs { error: io::Error, chain: Vec<CertificateDer<'static>> },
    /// It takes the connection and says nothing.
    TimedOut,
}

impl TlsFault {
    /// Whether nobody who is believed signed the certificate.
    pub(super) fn is_unknown_issuer(&self) -> bool {
        let Self::Theirs { error, .. } = self else {
            return false;
        };
        let told = error.get_ref().and_then(|inner| inner.downcast_ref());
        let unknown = rustls::CertificateError::UnknownIssuer;
        matches!(told, Some(rustls::Error::InvalidCertificate(wrong)) if *wrong == unknown)
    }
}

/// Whom to believe, from the files that say so.
pub(super) fn trust(only: Option<&Path>, also: Option<&Path>) -> Result<Trust, TlsError> {
    Ok(match (only, also) {
        (Some(only), _) => Trust::Only(tls::certificates(only)?),
        (None, Some(also)) => Trust::SystemAnd(tls::certificates(also)?),
        (None, None) => Trust::SystemAnd(Vec::new()),
    })
}

pub(super) async fn shake(
    stream: TcpStream,
    name: &str,
    trust: Trust,
    identity: Option<Identity>,
) -> Result<Shaken, TlsFault> {
    let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsFault::Name)?;
    let inspected = timeout(PATIENCE, tls::inspect(stream, name, trust, identity)).await;
    let inspected = inspected.map_err(|_| TlsFault::TimedOut)?.map_err(TlsFault::Ours)?;
    let chain = inspected.chain;
    let not_after = chain.first().and_then(Facts::of).map(|leaf| leaf.not_after);
    match inspected.stream {
        Ok(stream) => {
            let version = match stream.get_ref().1.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
                _ => "TLS 1.3",
            };
            Ok(Shaken { stream: Box::new(stream), version, not_after })
        }
        Err(error) => Err(TlsFault::Theirs { error, chain }),
    }
}

/// Whether whoever took a plain connection speaks TLS. Nothing but line ends are sent, which a
/// receiver of lines passes over.
pub(super) async fn speaks_tls(mut stream: TcpStream) -> bool {
    let told = async {
        stream.write_all(&[b'\n'; 16]).await.ok()?;
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.ok()?;
        Some(head)
    };
    // An alert of TLS 1.x begins with these.
    timeout(MOMENT, told).await.ok().flatten() == Some([21, 3])
}

/// The beginning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| &**value)
    }

    /// What is known of who answered, for people.
    pub(super) fn shown(&self) -> String {
        let mut text = format!("status {}", self.status);
        for name in ["content-type", "server", "via", "location"] {
            if let Some(value) = self.header(name) {
                let value: String = printable(value).take(MOST_SHOWN).collect();
                text = format!("{text}, {name}: {value}");
            }
        }
        text
    }
}

/// Asks once, in HTTP/1.1, and reads the beginning of the answer; none if there is none in time.
pub(super) async fn ask<S>(mut stream: S, request: &[u8]) -> io::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let exchange = async {
        stream.write_all(request).await?;
        stream.flush().await?;
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece).await {
                // Whoever ends without a word of farewell has said what there is all the same.
                Ok(0) => break,
                Err(_) if !text.is_empty() => break,
                Err(error) => return Err(error),
                Ok(length) => text.extend_from_slice(&piece[..length]),
            }
            if text.len() > MOST_ANSWER || is_whole(&text) {
                break;
            }
        }
        read(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    timeout(ANSWER, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn is_whole(text: &[u8]) -> bool {
    read(text).is_some_and(|answer| {
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        length.is_some_and(|length: usize| answer.body.len() >= length)
    })
}

/// None while the head is not complete, or if it is no answer of HTTP.
fn read(text: &[u8]) -> Option<Answer> {
    let end = memchr::memmem::find(text, b"\r\n\r\n")?;
    let (head, body) = text.split_at_checked(end)?;
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next()?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Answer { status, headers, body: body.get(4..).unwrap_or_default().to_vec() })
}

/// Both directions of a connection, whatever its kind: nobody asks once hands are shaken.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(super) type Stream = Box<dyn Duplex>;

/// For each step of a way; a person waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// A balancer may try several machines behind it.
const ANSWER: Duration = Duration::from_secs(10);

/// Some round trips.
const MOMENT: Duration = Duration::from_secs(1);

const MOST_ADDRESSES: usize = 4;

const MOST_ANSWER: usize = 64 * 1024;

const MOST_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_when_they_are_whole() {
        let text = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok";
        assert!(is_whole(text) && !is_whole(&text[..text.len() - 1]));
        let answer = read(text).unwrap();
        assert_eq!((answer.status, answer.header("date")), (200, Some("x")));
        assert_eq!(answer.body, b"ok");
        for nonsense in [&b""[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
            assert_eq!(read(nonsense), None);
        }
    }
}
