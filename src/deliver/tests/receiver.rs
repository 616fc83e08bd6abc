//! A syslog receiver on loopback, well behaved or not.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use socket2::SockRef;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::tls::{self, Identity};

/// What a receiver does with one connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Behaviour {
    /// Closes at once, cleanly.
    Absent,
    /// Reads nothing.
    Deaf,
    /// Ends its own direction after that many bytes, and goes on reading.
    HalfClosing(usize),
    /// Reads to the end and never closes.
    Holding,
    /// Reads nothing and closes when told to.
    Leaving,
    /// Reads to the end and closes.
    Proper,
    /// Reads that many bytes and closes with the rest unread.
    Rude(usize),
    /// Reads that many bytes and resets.
    Resetting(usize),
    /// Reads nothing until told to, then is proper.
    Sluggish,
}

/// What came in, per connection in order of acceptance.
pub(super) type Received = Vec<Vec<u8>>;

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    received: watch::Receiver<Received>,
    go: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Receiver {
    /// Listens; the behaviour is a function of the connection's number.
    pub(super) async fn start(
        tls: Option<ServerConfig>,
        behaviour: impl Fn(usize) -> Behaviour + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = watch::channel(Received::new());
        let go = Arc::new(Semaphore::new(0));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let mut tasks = JoinSet::new();
        let started = go.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                sender.send_modify(|received| received.push(Vec::new()));
                let intake = Intake {
                    number,
                    behaviour: behaviour(number),
                    received: sender.clone(),
                    go: started.clone(),
                };
                let tls = tls.clone();
                connections.spawn(async move {
                    // The other side may refuse us, which is its test's business.
                    match tls {
                        None => intake.serve(socket).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await
                                // As rsyslog's OpenSSL driver does when it checks who we are.
                                && stream.get_ref().1.handshake_kind() != Some(HandshakeKind::Resumed)
                            {
                                intake.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, received, go, tasks }
    }

    /// Lets sluggish connections read.
    pub(super) fn go(&self) {
        self.go.add_permits(1000);
    }

    /// Waits until what was received satisfies the condition.
    pub(super) async fn until(&mut self, condition: impl FnMut(&Received) -> bool) -> Received {
        let received = self.received.wait_for(condition);
        let received = tokio::time::timeout(Duration::from_secs(20), received);
        received.await.expect("received in time").unwrap().clone()
    }

    pub(super) fn received(&self) -> Received {
        self.received.borrow().clone()
    }

    /// Takes the port away.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

struct Intake {
    number: usize,
    behaviour: Behaviour,
    received: watch::Sender<Received>,
    go: Arc<Semaphore>,
}

impl Intake {
    async fn serve<S: Connected>(&self, mut stream: S) {
        match self.behaviour {
            Behaviour::Absent => close(stream).await,
            Behaviour::Deaf => std::future::pending().await,
            Behaviour::HalfClosing(bytes) => {
                self.read(&mut stream, bytes).await;
                stream.shutdown().await.ok();
                self.read(&mut stream, usize::MAX).await;
            }
            Behaviour::Holding => {
                self.read(&mut stream, usize::MAX).await;
                std::future::pending().await
            }
            Behaviour::Leaving => {
                self.go.acquire().await.unwrap().forget();
                close(stream).await;
            }
            Behaviour::Proper => {
                self.read(&mut stream, usize::MAX).await;
                close(stream).await;
            }
            Behaviour::Rude(bytes) => {
                self.read(&mut stream, bytes).await;
                close(stream).await;
            }
            Behaviour::Resetting(bytes) => {
                self.read(&mut stream, bytes).await;
                SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
            }
            Behaviour::Sluggish => {
                self.go.acquire().await.unwrap().forget();
                self.read(&mut stream, usize::MAX).await;
                close(stream).await;
            }
        }
    }

    /// Reads until the end of the stream or until there are that many bytes.
    async fn read<S: Connected>(&self, stream: &mut S, bytes: usize) {
        let mut total = 0;
        let mut buffer = vec![0; 64 * 1024];
        while total < bytes {
            let most = buffer.len().min(bytes - total);
            match stream.read(&mut buffer[..most]).await {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    total += read;
                    self.received.send_modify(|received| {
                        received[self.number].extend_from_slice(&buffer[..read]);
                    });
                }
            }
        }
    }
}

async fn close<S: Connected>(mut stream: S) {
    stream.shutdown().await.ok();
}

trait Connected: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Connected for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connected for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// An authority, a receiver's certificate for one name, and a client's.
pub(super) struct Certificates {
    dir: TempDir,
}

impl Certificates {
    pub(super) fn new(server_name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "test authority");
        let authority_key = KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), root.pem()).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        for (file, name) in [("server", server_name), ("client", "client.example.com")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(dir.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
            std::fs::write(dir.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The receiver's side, asking for a client certificate if `mutual`.
    pub(super) fn server(&self, mutual: bool) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        self.finish(builder, mutual)
    }

    /// As [`Self::server`], speaking TLS 1.2 only.
    pub(super) fn server_1_2(&self, mutual: bool) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap();
        self.finish(builder, mutual)
    }

    /// As [`Self::server`], never giving a ticket, as some receivers do.
    pub(super) fn server_without_tickets(&self) -> ServerConfig {
        let mut config = self.server(false);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config
    }

    fn finish(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>,
        mutual: bool,
    ) -> ServerConfig {
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            for certificate in tls::certificates(&self.path("ca.pem")).unwrap() {
                roots.add(certificate).unwrap();
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let identity = Identity::load(&self.path("server.pem"), &self.path("server.key")).unwrap();
        let (chain, key) = identity.into_parts();
        builder.with_single_cert(chain, key).unwrap()
    }
}
