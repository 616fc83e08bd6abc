//! How Microsoft is connected to: Entra by one client, the Management Activity API over [links]
//! of our own.
//!
//! [links]: super::link

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, USER_AGENT};
use rustls::ClientConfig;

use super::{
    ClientError, Config,
    link::{Dialer, Links},
};
use crate::tls;

/// The client for Entra: no redirect, no proxy, no retry, and TLS as [`tls`] says.
pub(super) fn client(config: &Config) -> Result<reqwest::Client, ClientError> {
    let mut tls = trust(config)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .default_headers(headers())
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // The environment must not send tokens elsewhere.
        .no_proxy()
        // A request that is repeated unseen would not be counted by the pace.
        .retry(reqwest::retry::never())
        .connect_timeout(config.timeout)
        .build()
        .map_err(ClientError::Http)
}

/// Connections to the Management Activity API.
pub(super) fn links(config: &Config) -> Result<Links, ClientError> {
    let mut tls = trust(config)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Links::new(Dialer::new(&config.management_url, tls, config.timeout)?))
}

/// What every request says.
pub(super) fn headers() -> HeaderMap {
    // Unpacked in `body`, where there is a measure.
    let gzip = HeaderValue::from_static("gzip");
    let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static("*/*")),
        (ACCEPT_ENCODING, gzip),
        (USER_AGENT, HeaderValue::from_static(agent)),
    ])
}

fn trust(config: &Config) -> Result<ClientConfig, ClientError> {
    let extra = match &config.ca {
        Some(path) => tls::certificates(path)?,
        None => Vec::new(),
    };
    Ok(tls::client_trusting_also(extra)?)
}
