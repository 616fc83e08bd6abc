//! How connections to Microsoft are made.

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

use super::{ClientError, Config};
use crate::tls;

/// The one HTTP client: no redirect, no proxy, no retry, and TLS as [`tls`] says.
pub(super) fn client(config: &Config) -> Result<reqwest::Client, ClientError> {
    let extra = match &config.ca {
        Some(path) => tls::certificates(path)?,
        None => Vec::new(),
    };
    let mut tls = tls::client_trusting_also(extra)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Unpacked in `body`, where there is a measure.
    let gzip = (ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    reqwest::Client::builder()
        .default_headers(HeaderMap::from_iter([gzip]))
        .tls_backend_preconfigured(tls)
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // The environment must not send tokens elsewhere.
        .no_proxy()
        // A request that is repeated unseen would not be counted by the pace.
        .retry(reqwest::retry::never())
        .connect_timeout(config.timeout)
        // Blobs that wait for Devo must not use up the connection they share with everything else.
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build()
        .map_err(ClientError::Http)
}

/// At 50 ms away this is still 5 MB/s for each blob.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Room for as many blobs that nobody reads as are in flight at most by default, twice over.
const CONNECTION_WINDOW: u32 = 64 * STREAM_WINDOW;
