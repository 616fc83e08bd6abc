//! The server that costs least: it reads the body and says 200.

use std::{convert::Infallible, net::Ipv4Addr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime::Runtime, task::JoinSet};

use crate::support::processes::{end_with_benchmark, say};

/// What it is started as.
pub(crate) const ROLE: &str = "bare";

/// Serves until the benchmark ends.
pub(crate) fn run() {
    end_with_benchmark();
    Runtime::new().expect("a runtime can be made").block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        say(&listener.local_addr().expect("it is bound").to_string());
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.expect("there are descriptors");
            stream.set_nodelay(true).expect("it is TCP");
            let service = service_fn(answer);
            connections.spawn(async move {
                // A caller that goes is no failure.
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
            while connections.try_join_next().is_some() {}
        }
    });
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    while let Some(Ok(_)) = request.body_mut().frame().await {}
    Ok(Response::new(Empty::new()))
}
