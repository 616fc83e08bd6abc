//! `[webhook]` and `[admin]`: what listens.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Section;
use crate::{
    config::value::{
        ByteSize, Cidr, Count, FilePath, HumanDuration, ListenAddress, ProxyHeaderChoice,
        SecretSource, Text, WebAddress,
    },
    http::ProxyHeader,
};

/// The public port that Microsoft calls.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["address", "auth_id"]))]
pub(in crate::config) struct Webhook {
    /// Where to listen: plain HTTP behind a load balancer that ends TLS, or TLS with
    /// `webhook.tls`.
    pub(in crate::config) listen: ListenAddress,
    /// The https address registered with Microsoft. Its path is the path served.
    pub(in crate::config) address: Option<WebAddress>,
    /// What Microsoft sends back as `Webhook-AuthID`: at least 16 visible ASCII characters.
    pub(in crate::config) auth_id: Option<SecretSource>,
    /// An auth id that is also accepted, while rotating.
    pub(in crate::config) previous_auth_id: Option<SecretSource>,
    /// Accepts auth ids of fewer than 16 characters, which can be guessed.
    pub(in crate::config) allow_short_auth_id: bool,
    /// The largest body; a larger one is answered 413.
    pub(in crate::config) max_body: ByteSize,
    /// Connections served at once; further ones are closed, unless their source is known for the
    /// right auth id.
    pub(in crate::config) max_connections: Count,
    /// Connections from one source that never showed the right auth id; one more ends the oldest.
    pub(in crate::config) max_connections_per_source: Count,
    /// All headers of a request together.
    pub(in crate::config) max_header: ByteSize,
    /// Requests at a time over one HTTP/2 connection.
    pub(in crate::config) max_streams: Count,
    /// Requests over one HTTP/2 connection that may be taken back without one being answered.
    pub(in crate::config) max_resets: Count,
    /// How long a client may take to send the head of a request.
    pub(in crate::config) header_timeout: HumanDuration,
    /// How long a client may take to send the body of a request.
    pub(in crate::config) body_timeout: HumanDuration,
    /// How long a connection is kept without a request.
    pub(in crate::config) idle_timeout: HumanDuration,
    /// How long a request may take in all, the commit included.
    pub(in crate::config) request_timeout: HumanDuration,
    /// How long the port is still served, not ready, after SIGTERM. At most 10s, since everything
    /// ends within 30s. As long after a start no subscription is started.
    pub(in crate::config) drain_delay: HumanDuration,
    /// Load balancers whose word about the caller's address is believed.
    pub(in crate::config) trusted_proxies: Vec<Cidr>,
    /// Whether connections of trusted proxies begin with a PROXY header.
    pub(in crate::config) proxy_protocol: ProxyHeaderChoice,
    /// Sources that may call; empty, and no file: any.
    pub(in crate::config) allowed_sources: Vec<Cidr>,
    /// More sources, from Microsoft's JSON file of service tags; read again when it changes.
    pub(in crate::config) allowed_sources_file: Option<FilePath>,
    /// The service tag in that file.
    pub(in crate::config) allowed_sources_tag: Text,
    /// Serves `/consent/callback`, where administrators' browsers come back to after consenting.
    pub(in crate::config) consent_callback: bool,
    /// Ends TLS here instead of at a load balancer.
    pub(in crate::config) tls: Option<Section<WebhookTls>>,
    /// Demands a client certificate that a trusted proxy was shown.
    pub(in crate::config) client_certificate: Option<Section<ClientCertificate>>,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            listen: ListenAddress(LISTEN),
            address: None,
            auth_id: None,
            previous_auth_id: None,
            allow_short_auth_id: false,
            max_body: MAX_BODY,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_source: MAX_CONNECTIONS_PER_SOURCE,
            max_header: MAX_HEADER,
            max_streams: MAX_STREAMS,
            max_resets: MAX_RESETS,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            drain_delay: DRAIN_DELAY,
            trusted_proxies: vec![Cidr(TRUSTED_PROXIES)],
            proxy_protocol: ProxyHeaderChoice(ProxyHeader::Auto),
            allowed_sources: Vec::new(),
            allowed_sources_file: None,
            allowed_sources_tag: Text(SERVICE_TAG.to_owned()),
            consent_callback: false,
            tls: None,
            client_certificate: None,
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
    /// How long a handshake may take.
    pub(in crate::config) handshake_timeout: HumanDuration,
}

impl Default for WebhookTls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            client_names: vec![Text(CLIENT_NAME.to_owned())],
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }
}

/// A client certificate as a proxy passes it on.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["header", "ca"]))]
pub(in crate::config) struct ClientCertificate {
    /// The header in which trusted proxies pass the certificate on.
    pub(in crate::config) header: Option<Text>,
    /// The authorities the certificate may be signed by, PEM.
    pub(in crate::config) ca: Option<FilePath>,
    /// The subject names accepted.
    pub(in crate::config) names: Vec<Text>,
}

impl Default for ClientCertificate {
    fn default() -> Self {
        Self { header: None, ca: None, names: vec![Text(CLIENT_NAME.to_owned())] }
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

/// Room for others, whatever one source does; a proxy that is not among the trusted ones still gets
/// all it needs.
const MAX_CONNECTIONS_PER_SOURCE: Count = Count(256);

/// Microsoft's, behind proxies, need a fraction.
const MAX_HEADER: ByteSize = ByteSize(32 * 1024);

/// A balancer spreads requests over several connections; this many on each is plenty.
const MAX_STREAMS: Count = Count(32);

/// A proxy takes back what its clients gave up; hundreds in a row are an attack.
const MAX_RESETS: Count = Count(100);

/// A megabyte at the speed of a bad line.
const BODY_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(15));

/// Longer than common load balancers keep an idle connection, so that it is they who close.
const IDLE_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(75));

/// Some round trips to another continent, and a busy machine.
const HANDSHAKE_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(10));

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

/// Where Microsoft's webhooks come from.
const SERVICE_TAG: &str = "M365ManagementActivityApiWebhook";
