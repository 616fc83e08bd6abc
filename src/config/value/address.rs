//! Addresses: where to listen, whom to call, whom to believe.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use url::Url;

use super::{Leaf, leaf_traits, serialize_as_displayed};
use crate::deliver::Endpoint;

/// An address and port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct ListenAddress(pub(in crate::config) SocketAddr);

impl Leaf for ListenAddress {
    const EXPECTED: &'static str = "an address and port such as \"0.0.0.0:8080\" or \"[::]:8080\"";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

leaf_traits!(ListenAddress, { "type": "string" });
serialize_as_displayed!(ListenAddress);

/// The address of a web server; which parts it may have depends on the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct WebAddress(pub(in crate::config) Url);

impl Leaf for WebAddress {
    const EXPECTED: &'static str = "an address such as \"https://host.example.com\"";

    fn from_text(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(Self(url))
    }
}

leaf_traits!(WebAddress, { "type": "string", "format": "uri" });

/// A range of addresses; a single address is the range of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Cidr(pub(in crate::config) IpNet);

impl Leaf for Cidr {
    const EXPECTED: &'static str = "a range of addresses such as \"10.0.0.0/8\"";

    fn from_text(text: &str) -> Option<Self> {
        let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(single).map(Self)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

leaf_traits!(Cidr, { "type": "string" });
serialize_as_displayed!(Cidr);

/// A syslog receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct DevoEndpoint(pub(in crate::config) Endpoint);

impl Leaf for DevoEndpoint {
    const EXPECTED: &'static str =
        "tls://host:port or tcp://host:port such as \"tls://collector-eu.devo.io:443\"";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

leaf_traits!(DevoEndpoint, { "type": "string", "pattern": "^(tls|tcp)://.+:[0-9]+$" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_a_range() {
        assert_eq!(Cidr::from_text("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(Cidr::from_text("::1").unwrap().to_string(), "::1/128");
        assert_eq!(Cidr::from_text("10.0.0.0/33"), None);
    }
}
