//! `[webhook]` and `[admin]`: what listens.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Section;
use crate::config::value::{
    ByteSize, Cidr, Count, FilePath, HumanDuration, ListenAddress, SecretSource, Text, WebAddress,
};

/// The public port that Microsoft calls.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["address", "auth_id"]))]
pub(in crate::config) struct Webhook {
    /// Where to listen. Plain HTTP, behind a load balancer that ends TLS.
    pub(in crate::config) listen: ListenAddress,
    /// The https address registered with Microsoft. Its path is the path served.
    pub(in crate::config) address: Option<WebAddress>,
    /// What Microsoft sends back as `Webhook-AuthID`: at least 16 visible ASCII characters.
    pub(in crate::config) auth_id: Option<SecretSource>,
    /// An auth id that is also accepted, while rotating.
    pub(in crate::config) previous_auth_id: Option<SecretSource>,
    /// The largest body; a larger one is answered 413.
    pub(in crate::config) max_body: ByteSize,
    /// Connections served at once; further ones wait to be accepted.
    pub(in crate::config) max_connections: Count,
    /// How long a client may take to send the head of a request.
    pub(in crate::config) header_timeout: HumanDuration,
    /// How long a request may take in all, the commit included.
    pub(in crate::config) request_timeout: HumanDuration,
    /// How long the port is still served, not ready, after SIGTERM. At most 10s, since everything
    /// ends within 30s.
    pub(in crate::config) drain_delay: HumanDuration,
    /// Load balancers whose word about the caller's address is believed.
    pub(in crate::config) trusted_proxies: Vec<Cidr>,
    /// Sources that may call; empty: any.
    pub(in crate::config) allowed_sources: Vec<Cidr>,
    /// Ends TLS here instead of at a load balancer.
    pub(in crate::config) tls: Option<Section<WebhookTls>>,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            listen: ListenAddress(LISTEN),
            address: None,
            auth_id: None,
            previous_auth_id: None,
            max_body: MAX_BODY,
            max_connections: MAX_CONNECTIONS,
            header_timeout: HEADER_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            drain_delay: DRAIN_DELAY,
            trusted_proxies: vec![Cidr(TRUSTED_PROXIES)],
            allowed_sources: Vec::new(),
            tls: None,
        }
    }
}

/// TLS of the public port.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["cert", "key"]))]
pub(in crate::config) struct WebhookTls {
    /// The certificate chain, PEM.
    pub(in crate::config) cert: Option<FilePath>,
    /// The key of the certificate, PEM.
    pub(in crate::config) key: Option<FilePath>,
    /// The authorities of client certificates, PEM. Set: a client certificate is required.
    pub(in crate::config) client_ca: Option<FilePath>,
    /// The subject names accepted in a client certificate.
    pub(in crate::config) client_names: Vec<Text>,
}

impl Default for WebhookTls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            client_names: vec![Text(CLIENT_NAME.to_owned())],
        }
    }
}

/// The port for operators.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Admin {
    /// Where to listen. Whoever reaches it can read the state of the service.
    pub(in crate::config) listen: ListenAddress,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: ListenAddress(ADMIN_LISTEN) }
    }
}

/// Reachable by a load balancer on another machine.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);

/// Loopback, because the port shows names of tenants and takes no credentials.
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Notifications seen are a few kilobytes; their number of entries is limited but not fixed.
const MAX_BODY: ByteSize = ByteSize(1024 * 1024);

/// Far more than Microsoft opens, and well under common limits of open files with the rest.
const MAX_CONNECTIONS: Count = Count(1024);

/// Heads are small; a slower client is stuck or hostile.
const HEADER_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(10));

/// Longer than any commit should take, shorter than Microsoft is known to wait.
const REQUEST_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(30));

/// Common load balancers look at readiness every few seconds.
const DRAIN_DELAY: HumanDuration = HumanDuration(Duration::from_secs(5));

/// The private network in which cloud load balancers usually stand.
const TRUSTED_PROXIES: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8));

/// The subject of the certificate Microsoft presents.
const CLIENT_NAME: &str = "manage.office.com";
