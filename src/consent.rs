//! Waits on loopback for an administrator's browser to come back.
//!
//! Requests that are not the one waited for are answered and counted, and too many of them end the
//! waiting: somebody is trying states. Only this machine can connect.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use tokio::{sync::mpsc, time::timeout};
use url::Url;

use crate::{
    http::{self, Front, Limits, Listener},
    redirect::{PATH, Redirect, TAKEN},
    shutdown::Shutdown,
};

/// The loopback side of a consent, bound and not yet waiting.
#[derive(Debug)]
pub struct Callback(Listener);

impl Callback {
    /// Binds an address of this machine.
    ///
    /// # Errors
    ///
    /// When the system refuses it, or it is not a loopback address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a loopback address"));
        }
        Listener::bind(address).await.map(Self)
    }

    /// Where the browser is to come back to. By name: Entra takes plain http for no number.
    pub fn address(&self) -> Url {
        let port = self.0.local_addr().port();
        let address = format!("http://localhost:{port}{PATH}");
        address.parse().expect("a port makes an address")
    }

    /// Waits for the browser that brings this state, and calls `stray` for every other one.
    ///
    /// # Errors
    ///
    /// [`WaitError`] when it does not come, or too many others do.
    pub async fn wait(
        self,
        state: &str,
        limit: Duration,
        stray: impl Fn() + Send + Sync + 'static,
    ) -> Result<Redirect, WaitError> {
        let (found, mut first) = mpsc::channel(1);
        let desk = Arc::new(Desk {
            state: state.to_owned(),
            found: Mutex::new(Some(found)),
            strays: AtomicU32::new(0),
            full: Shutdown::new(),
            stray: Box::new(stray),
        });
        let full = desk.full.clone();
        let stop = Shutdown::new();
        let answer = move |_, request: Request<Incoming>| {
            let desk = desk.clone();
            async move { desk.answer(&request) }
        };
        let served = self.0.serve(limits(), Front::default(), answer, stop.clone());
        let waited = async {
            let outcome = tokio::select! {
                found = timeout(limit, first.recv()) => {
                    found.ok().flatten().ok_or(WaitError::Nobody)
                }
                () = full.requested() => Err(WaitError::Strangers),
            };
            // The browser still gets its page.
            stop.request();
            outcome
        };
        let ((), outcome) = tokio::join!(served, waited);
        outcome
    }
}

/// Why nothing came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The time is over.
    #[error("nobody came back from the consent page in time; nothing was stored")]
    Nobody,
    /// Too many came back with something else.
    #[error("too many requests came with a state that was not asked for; nothing was stored")]
    Strangers,
}

struct Desk {
    state: String,
    found: Mutex<Option<mpsc::Sender<Redirect>>>,
    strays: AtomicU32,
    full: Shutdown,
    stray: Box<dyn Fn() + Send + Sync>,
}

impl Desk {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != PATH || request.method() != Method::GET {
            // Browsers ask for icons by themselves.
            return http::empty(StatusCode::NOT_FOUND);
        }
        let redirect = request.uri().query().and_then(Redirect::read);
        let ours = redirect.filter(|redirect| redirect.state == self.state);
        let found =
            self.found.lock().expect("no holder of this lock panics").take_if(|_| ours.is_some());
        if let (Some(redirect), Some(found)) = (ours, found) {
            found.try_send(redirect).ok();
            return page();
        }
        (self.stray)();
        if self.strays.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_STRAYS {
            self.full.request();
        }
        http::empty(StatusCode::NOT_FOUND)
    }
}

fn page() -> Response<Full<Bytes>> {
    let mut response = http::empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(TAKEN.len()));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    *response.body_mut() = Full::new(Bytes::from_static(TAKEN.as_bytes()));
    response
}

const MOST_STRAYS: u32 = 20;

/// One browser.
fn limits() -> Limits {
    Limits {
        max_connections: 16,
        header_timeout: Duration::from_secs(5),
        drain_timeout: Duration::from_secs(1),
        ..Limits::default()
    }
}
