//! Ending TLS for callers, with files that may change at any time.
//!
//! The files are [watched](crate::watched). Connections that are there keep what they were made
//! with; new ones get the new certificate. Nothing is resumed across a change, because every change
//! is a configuration of its own.

use std::{fmt, io, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use rustls::{ServerConfig, server::danger::ClientCertVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::{ClientCertificates, Identity, TlsError, provider};
use crate::watched::{Watched, named};

/// What a TLS server is made of.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom a client certificate must be signed by and made out to; none: nobody is asked for one.
    pub clients: Option<ClientCertificates>,
}

/// Ends TLS with what the files hold now. Clones share what was read.
#[derive(Clone)]
pub struct Acceptor(Watched<Serving>);

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when one of them cannot be used.
    pub fn open(files: ServerFiles) -> Result<Self, TlsError> {
        let what = named("the TLS certificate", &files.cert);
        Watched::open(what, files.paths(), move || files.read()).map(Self)
    }

    /// When the certificate that is served ends.
    pub fn expires(&self) -> Option<Timestamp> {
        self.0.current().expires
    }

    /// Shakes hands.
    ///
    /// # Errors
    ///
    /// When the peer does not, or its certificate is not acceptable.
    pub async fn accept<T>(
        &self,
        stream: T,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + use<T>>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.0.current().config.clone());
        acceptor.accept(stream).await
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acceptor").field(&self.0).finish()
    }
}

struct Serving {
    config: Arc<ServerConfig>,
    expires: Option<Timestamp>,
}

impl ServerFiles {
    fn read(&self) -> Result<Serving, TlsError> {
        let identity = Identity::load(&self.cert, &self.key)?;
        let expires = identity.expires();
        let (chain, key) = identity.into_parts();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?;
        let builder = match &self.clients {
            Some(clients) => {
                let verifier: Arc<dyn ClientCertVerifier> = Arc::new(clients.verifier()?);
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A session that is resumed shows no certificate again, however long ago it was made.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Serving { config: Arc::new(config), expires })
    }

    fn paths(&self) -> Vec<PathBuf> {
        let authority = self.clients.as_ref().map(ClientCertificates::path);
        let files = [Some(&*self.cert), Some(&*self.key), authority];
        files.into_iter().flatten().map(ToOwned::to_owned).collect()
    }
}
