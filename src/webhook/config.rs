//! How the public port is served.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use url::Url;

use crate::{
    http::{self, Limits, ProxyHeader},
    secret::Secret,
    tls,
};

/// How the public port is served.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address bound.
    pub listen: SocketAddr,
    /// What is registered with Microsoft; its path is the only path served.
    pub address: Url,
    /// What Microsoft sends back as `Webhook-AuthID`, at most [`super::MAX_AUTH_ID`] bytes.
    pub auth_id: Secret,
    /// Also accepted, while rotating.
    pub previous_auth_id: Option<Secret>,
    /// Auth ids that are shorter open nothing, also when a file is changed to hold one.
    pub min_auth_id: usize,
    /// The largest body read, in bytes.
    pub max_body: usize,
    /// Connections served at a time; also how many bodies are read or being recorded at a time.
    pub max_connections: usize,
    /// Connections of one source none of which was authentic; one more ends the oldest.
    pub max_connections_per_source: usize,
    /// All headers of a request together, in bytes.
    pub max_header: usize,
    /// Requests at a time over one HTTP/2 connection.
    pub max_streams: u32,
    /// Requests over one HTTP/2 connection that may be taken back without one being answered.
    pub max_resets: u32,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a whole request may take, from its head to our answer.
    pub request_timeout: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long a TLS handshake may take, where TLS ends here.
    pub handshake_timeout: Duration,
    /// How long the port is still served after the request to stop, so that a load balancer can
    /// notice that we are going.
    pub drain_delay: Duration,
    /// Whose `X-Forwarded-For`, PROXY header and word about client certificates are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections of these begin with a PROXY header.
    pub proxy_header: ProxyHeader,
    /// Where requests may come from; without any, and without a file of them, anywhere.
    pub allowed_sources: Vec<IpNet>,
    /// More of them, in a file that is read again when it changes.
    pub allowed_tag: Option<ServiceTag>,
    /// Ends TLS here; none: a load balancer does.
    pub tls: Option<tls::ServerFiles>,
    /// Whether administrators' browsers come back to this port after consenting.
    pub consent_callback: bool,
    /// Requests must carry an acceptable client certificate that a trusted proxy was shown.
    pub client_certificate: Option<PassedCertificate>,
}

impl Config {
    /// What the listener is told of it.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            max_connections: http::affordable(self.max_connections),
            max_per_source: self.max_connections_per_source,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            tls_timeout: self.handshake_timeout,
            drain_timeout: DRAIN_TIMEOUT,
            max_head: self.max_header,
            max_streams: self.max_streams,
            max_resets: self.max_resets,
        }
    }
}

/// The ranges of one service in Microsoft's file of service tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTag {
    /// The file, as Microsoft publishes it.
    pub file: PathBuf,
    /// The name of the tag in it.
    pub name: String,
}

/// A client certificate that a proxy ended TLS with.
#[derive(Clone, Debug)]
pub struct PassedCertificate {
    /// The header in which it is passed on: lower case.
    pub header: String,
    /// Whom it must be signed by and made out to.
    pub acceptable: tls::ClientCertificates,
}

/// A commit takes milliseconds; who needs longer to send is told again by Microsoft. With the drain
/// delay it stays within the half minute that the whole process has.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
