//! Opening a connection: resolve, connect, shake hands, and see that we are not shown out.
//!
//! The certificates are [watched](crate::watched): a connection that is open keeps what it was made
//! with, the next one is made with what the files hold then.

use std::{
    future::poll_fn, io, net::SocketAddr, path::PathBuf, sync::Arc, task::Poll, time::Duration,
};

use jiff::Timestamp;
use rustls::{CertificateError, client::Resumption, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Config, Endpoint, OpenError, Transport,
    wire::{Ending, Wire},
};
use crate::{
    tls::{self, Identity, TlsError},
    watched::Watched,
};

/// Knows how to open a connection to the receiver.
pub(super) struct Dialer {
    endpoint: Endpoint,
    tls: Option<(Watched<Presented>, ServerName<'static>)>,
}

impl Dialer {
    pub(super) fn new(config: &Config) -> Result<Self, OpenError> {
        let endpoint = config.endpoint.clone();
        if endpoint.transport == Transport::Tcp {
            return Ok(Self { endpoint, tls: None });
        }
        let name = config.server_name.as_ref().unwrap_or(&endpoint.host);
        let server_name = ServerName::try_from(name.clone())
            .map_err(|_invalid| OpenError::ServerName { name: name.clone() })?;
        let files = Files { ca: config.ca.clone(), identity: config.identity.clone() };
        let watched =
            Watched::open("the certificates for Devo", files.paths(), move || files.read());
        Ok(Self { endpoint, tls: Some((watched?, server_name)) })
    }

    /// A number that grows whenever connections are made with other certificates than before.
    pub(super) fn generation(&self) -> u64 {
        self.tls.as_ref().map_or(0, |(presented, _)| presented.generation())
    }

    /// When the certificate that shows who we are ends.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.tls.as_ref().and_then(|(presented, _)| presented.current().expires)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens a connection.
    pub(super) async fn dial(&self, welcome: Welcome) -> Result<Wire, DialError> {
        timeout(DIAL, self.open(welcome)).await.unwrap_or(Err(DialError::Timeout))
    }

    async fn open(&self, welcome: Welcome) -> Result<Wire, DialError> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let addresses = lookup_host((host.as_str(), *port)).await.map_err(DialError::Lookup)?;
        let socket = connect(addresses).await?;
        tune(&socket).map_err(DialError::Connect)?;
        let wire = match &self.tls {
            None => Wire::plain(socket),
            Some((presented, name)) => {
                let generation = presented.generation();
                let connector = presented.current().connector.clone();
                let stream = connector.connect(name.clone(), socket).await;
                Wire::tls(stream.map_err(DialError::handshake)?, generation)
            }
        };
        welcomed(wire, welcome).await
    }
}

/// Who we are and whom we trust, as the files said when they were read.
struct Presented {
    connector: TlsConnector,
    expires: Option<Timestamp>,
}

struct Files {
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl Files {
    fn read(&self) -> Result<Presented, TlsError> {
        let ca = self.ca.as_deref().map(tls::certificates).transpose()?;
        let identity =
            self.identity.as_ref().map(|(cert, key)| Identity::load(cert, key)).transpose()?;
        let expires = identity.as_ref().and_then(Identity::expires);
        let mut client = tls::client(ca, identity)?;
        // rsyslog's OpenSSL driver, when it checks client certificates, breaks off every handshake
        // that offers to resume ("session id context uninitialized").
        client.resumption = Resumption::disabled();
        Ok(Presented { connector: TlsConnector::from(Arc::new(client)), expires })
    }

    fn paths(&self) -> Vec<PathBuf> {
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(identity).cloned().collect()
    }
}

/// What makes a fresh connection a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// The receiver shows that it accepted us, or at least does not end the connection at once.
    Sign,
    /// The connection lasts for a moment, whatever the receiver shows. For one that has taken
    /// connections away before: some look at a certificate only after the handshake.
    Stay,
}

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The connection was made and taken away again, as some do with a client they do not accept.
    #[error("the receiver closed the connection at once; it may not accept our certificate")]
    ClosedAtOnce,
    /// No address took the connection.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// TLS could not be agreed on.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The receiver does not accept who we are.
    #[error("the receiver refused our certificate, or demands one")]
    IdentityRefused(#[source] io::Error),
    /// The name has no address.
    #[error("cannot resolve the host name")]
    Lookup(#[source] io::Error),
    /// The certificate belongs to another name.
    #[error("the receiver's certificate is for another name than the one expected")]
    OtherName(#[source] io::Error),
    /// It took too long.
    #[error("no connection within {} s", DIAL.as_secs())]
    Timeout,
    /// The certificate comes from an authority we do not trust.
    #[error("the receiver's certificate is not signed by a trusted authority")]
    UntrustedIssuer(#[source] io::Error),
}

impl DialError {
    /// Reads from a failure in the handshake, or right after it, what an operator has to do.
    pub(super) fn handshake(error: io::Error) -> Self {
        // rustls hands its error through I/O traits, so this is the only typed way to it.
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::AlertReceived(alert)) if tls::refuses_identity(*alert) => {
                Self::IdentityRefused(error)
            }
            Some(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Self::OtherName(error),
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                Self::UntrustedIssuer(error)
            }
            _ => Self::Handshake(error),
        }
    }
}

/// Tries every address in turn, none of them for so long that the next has no chance.
async fn connect(addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, DialError> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => failed = error,
            Err(_elapsed) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(DialError::Connect(failed))
}

fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(PROBE).with_interval(PROBE);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// Waits until the connection is known to be good. A receiver that gives no sign is believed
/// after a while: a refusal that comes later still ends the wire.
async fn welcomed(mut wire: Wire, welcome: Welcome) -> Result<Wire, DialError> {
    let sign = poll_fn(|cx| match wire.poll_ended(cx) {
        Poll::Ready(ending) => Poll::Ready(Some(ending)),
        Poll::Pending if welcome == Welcome::Sign && wire.is_welcome() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    match timeout(WELCOME, sign).await {
        Ok(Some(Ending::Closed)) => Err(DialError::ClosedAtOnce),
        Ok(Some(Ending::Failed(error))) => Err(DialError::handshake(error)),
        Ok(None) | Err(_) => Ok(wire),
    }
}

/// For everything: the lookup, all addresses, the handshake.
const DIAL: Duration = Duration::from_secs(15);

/// For one address: the kernel repeats a lost SYN after 1, 3 and 7 s.
const CONNECT: Duration = Duration::from_secs(8);

/// Some round trips to another continent.
const WELCOME: Duration = Duration::from_millis(500);

/// Below the 30 s after which balancers forget a silent connection.
const PROBE: Duration = Duration::from_secs(15);
