//! A load balancer: ends TLS, passes requests on, and does what such things do to them.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use m365_collector::tls::{self, Identity};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::support::any_port;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// It is passed on as it is.
    Faithful,
    /// The balancer answers by itself.
    Answers(&'static str),
    /// A header is passed on under another name, or not at all.
    Renames(&'static str, Option<&'static str>),
    /// It takes its time.
    Waits(Duration),
}

/// A listener that ends with its owner.
pub struct Balancer {
    pub address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    _tasks: JoinSet<()>,
}

impl Balancer {
    /// Ends TLS with this certificate and key, if any, and passes on to a port.
    pub async fn start(identity: Option<(&Path, &Path)>, behind: SocketAddr) -> Self {
        let listener = TcpListener::bind(any_port()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Arc::new(Mutex::new(Manner::Faithful));
        let acceptor = identity.map(|(cert, key)| {
            let (chain, key) = Identity::load(cert, key).unwrap().into_parts();
            let config = ServerConfig::builder_with_provider(tls::provider())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
            TlsAcceptor::from(Arc::new(config))
        });
        let mut tasks = JoinSet::new();
        let shared = manner.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, manner) = (acceptor.clone(), *shared.lock().unwrap());
                connections.spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, manner, behind).await;
                            }
                        }
                        None => serve(stream, manner, behind).await,
                    }
                });
            }
        });
        Self { address, manner, _tasks: tasks }
    }

    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

async fn serve<S>(mut stream: S, manner: Manner, behind: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    // The requests here are small, and their bodies come with them.
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(length) => text.extend_from_slice(&piece[..length]),
        }
    }
    let answer = match manner {
        Manner::Answers(answer) => answer.as_bytes().to_vec(),
        Manner::Faithful => pass_on(&text, behind).await,
        Manner::Waits(wait) => {
            tokio::time::sleep(wait).await;
            pass_on(&text, behind).await
        }
        Manner::Renames(name, to) => pass_on(&renamed(&text, name, to), behind).await,
    };
    stream.write_all(&answer).await.ok();
    stream.shutdown().await.ok();
    // Closing with bytes unread would take the answer back.
    let rest = async { while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(Duration::from_secs(2), rest).await.ok();
}

async fn pass_on(request: &[u8], behind: SocketAddr) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(behind).await?;
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    exchange.await.unwrap_or_else(|_| {
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n".to_vec()
    })
}

fn renamed(request: &[u8], name: &str, to: Option<&str>) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let line = |line: &str| match line.split_once(':') {
        Some((found, value)) if found.eq_ignore_ascii_case(name) => {
            to.map(|to| format!("{to}:{value}"))
        }
        _ => Some(line.to_owned()),
    };
    text.split("\r\n").filter_map(line).collect::<Vec<_>>().join("\r\n").into_bytes()
}
