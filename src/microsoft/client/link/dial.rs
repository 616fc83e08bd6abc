//! Opening a connection to the configured host, and to no other (I6).

use std::{io, sync::Arc, time::Duration};

use hyper::{Uri, service::Service as _};
use hyper_util::{client::legacy::connect::HttpConnector, service::TowerToHyperService};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{io::BufReader, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;
use url::Url;

use super::READ_AT_ONCE;
use crate::microsoft::client::ClientError;

/// A connection, plain or TLS, that is read in large pieces.
pub(super) type Socket = Either<BufReader<TcpStream>, TlsStream<BufReader<TcpStream>>>;

/// Knows how to open a connection.
#[derive(Clone, Debug)]
pub(in crate::microsoft::client) struct Dialer {
    origin: Uri,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    patience: Duration,
}

impl Dialer {
    /// For the host of this address. With `tls` trusted as it says, where the address is `https`.
    pub(in crate::microsoft::client) fn new(
        root: &Url,
        tls: ClientConfig,
        patience: Duration,
    ) -> Result<Self, ClientError> {
        let host = root.host_str().ok_or(ClientError::Root)?;
        let origin = root.origin().ascii_serialization();
        let origin = origin.parse().map_err(|_| ClientError::Root)?;
        let tls = match root.scheme() {
            "https" => {
                // An address of version 6 stands in brackets.
                let name = host.trim_matches(['[', ']']).to_owned();
                let name = ServerName::try_from(name).map_err(|_| ClientError::Root)?;
                Some((Arc::new(tls), name))
            }
            "http" => None,
            _ => return Err(ClientError::Root),
        };
        Ok(Self { origin, tls, patience })
    }

    pub(super) async fn dial(&self) -> Result<Socket, DialError> {
        timeout(self.patience, self.open()).await.unwrap_or(Err(DialError::Timeout))
    }

    async fn open(&self) -> Result<Socket, DialError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let tcp = TowerToHyperService::new(connector).call(self.origin.clone()).await;
        let tcp = tcp.map_err(|error| DialError::Connect(io::Error::other(error)))?.into_inner();
        let tcp = BufReader::with_capacity(READ_AT_ONCE, tcp);
        Ok(match &self.tls {
            None => Either::Left(tcp),
            Some((config, name)) => {
                let connector = TlsConnector::from(config.clone());
                let tls = connector.connect(name.clone(), tcp).await;
                Either::Right(tls.map_err(DialError::Handshake)?)
            }
        })
    }
}

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address, or none of them took the connection.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// TLS could not be agreed on.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// It took too long.
    #[error("no connection in time")]
    Timeout,
}
