//! Ending TLS for callers, with files that may change at any time.
//!
//! The files are looked at again at most once a second, when somebody connects. Connections that
//! are there keep what they were made with; new ones get the new certificate. While the files
//! cannot be used, such as between the two writes of a renewal, the last ones serve; that is said
//! once. Nothing is resumed across a change, because every change is a configuration of its own.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use rustls::{ServerConfig, server::danger::ClientCertVerifier};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use super::{ClientCertificates, Identity, TlsError, provider};

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
pub struct Acceptor(Arc<Inner>);

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when one of them cannot be used.
    pub fn open(files: ServerFiles) -> Result<Self, TlsError> {
        let version = files.version();
        let config = files.read()?;
        let seen = Seen { config, version, looked: Instant::now() };
        Ok(Self(Arc::new(Inner { files, seen: Mutex::new(seen) })))
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
        TlsAcceptor::from(self.current()).accept(stream).await
    }

    fn current(&self) -> Arc<ServerConfig> {
        let Inner { files, seen } = &*self.0;
        let mut seen = seen.lock().expect("no holder of this lock panics");
        let now = Instant::now();
        if now.duration_since(seen.looked) >= LOOK_AGAIN {
            seen.looked = now;
            let version = files.version();
            if version != seen.version {
                seen.version = version;
                match files.read() {
                    Ok(config) => {
                        tracing::info!("TLS certificate read again");
                        seen.config = config;
                    }
                    Err(error) => {
                        let cause = std::error::Error::source(&error);
                        tracing::error!(%error, cause, "new TLS files refused, the last ones serve");
                    }
                }
            }
        }
        seen.config.clone()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acceptor").field(&self.0.files).finish()
    }
}

struct Inner {
    files: ServerFiles,
    seen: Mutex<Seen>,
}

struct Seen {
    config: Arc<ServerConfig>,
    version: Vec<Option<(SystemTime, u64)>>,
    looked: Instant,
}

impl ServerFiles {
    fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (chain, key) = Identity::load(&self.cert, &self.key)?.into_parts();
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
        Ok(Arc::new(config))
    }

    fn version(&self) -> Vec<Option<(SystemTime, u64)>> {
        let authority = self.clients.as_ref().map(ClientCertificates::path);
        let files = [Some(&*self.cert), Some(&*self.key), authority];
        let version = |path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        files.into_iter().flatten().map(version).collect()
    }
}

/// Certificates are renewed by programs that wait for longer before they look.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
