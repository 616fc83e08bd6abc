//! The HTTPS listener of Microsoft's side: accept, shake hands, serve.

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::{net::TcpListener, sync::Semaphore, time};
use tokio_rustls::TlsAcceptor;

use super::tasks::Tasks;

/// The body of every answer; its errors break the stream or the connection.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until the task is ended. An error of the service ends the connection (or, with HTTP/2,
/// the stream) without an answer.
pub(super) async fn serve<S, F>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    tasks: Tasks,
    service: S,
) where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<Response<Body>>> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = connections.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (acceptor, executor, service) = (acceptor.clone(), tasks.clone(), service.clone());
        tasks.spawn(async move {
            // Small answers must not wait for the acknowledgement of the one before.
            let nodelay = stream.set_nodelay(true);
            let handshake = time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            if let (Ok(()), Ok(Ok(stream))) = (nodelay, handshake) {
                let served = auto::Builder::new(executor)
                    .serve_connection(TokioIo::new(stream), service_fn(service))
                    .await;
                if let Err(error) = served {
                    tracing::debug!(error, "a connection to the simulator broke");
                }
            }
            drop(permit);
        });
    }
}

/// More than any test or demonstration opens; it only bounds a runaway client.
const MAX_CONNECTIONS: usize = 4096;

/// Accepting fails when descriptors run out; the next try must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const HANDSHAKE: Duration = Duration::from_secs(10);
