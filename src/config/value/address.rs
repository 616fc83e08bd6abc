//! Addresses: where to listen, whom to call, whom to believe.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
};

use ipnet::IpNet;
use url::{Host, Url};

use super::{Leaf, leaf_traits, serialize_as_displayed};
use crate::config::settings::deliver::{Endpoint, Scheme};

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
        parse_endpoint(text).map(Self)
    }
}

leaf_traits!(DevoEndpoint, { "type": "string", "pattern": "^(tls|tcp)://.+:[0-9]+$" });

/// Reads `tls://host:port` or `tcp://host:port`; nothing may follow the port.
pub fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (scheme, authority) = text.split_once("://")?;
    let scheme = match scheme {
        "tcp" => Scheme::Tcp,
        "tls" => Scheme::Tls,
        _ => return None,
    };
    let (host, port) = authority.rsplit_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port: NonZeroU16 = port.parse().ok().filter(|_| digits)?;
    let host = match Host::parse(host).ok()? {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Some(Endpoint {
        scheme,
        host,
        port: port.get(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_scheme_host_and_port_and_nothing_else() {
        for (text, scheme, host, port) in [
            (
                "tls://collector-eu.devo.io:443",
                Scheme::Tls,
                "collector-eu.devo.io",
                443,
            ),
            ("tcp://127.0.0.1:13000", Scheme::Tcp, "127.0.0.1", 13000),
            ("tls://[::1]:6514", Scheme::Tls, "::1", 6514),
        ] {
            let host = host.to_owned();
            assert_eq!(
                parse_endpoint(text),
                Some(Endpoint { scheme, host, port }),
                "{text}"
            );
        }
        for text in [
            "",
            "collector-eu.devo.io:443",
            "udp://host:514",
            "tls://host",
            "tls://host:0",
            "tls://host:+1",
            "tls://host:99999",
            "tls://:443",
            "tls://user@host:443",
            "tls://host:443/",
            "tls://::1:443",
            "tls://a b:443",
        ] {
            assert_eq!(parse_endpoint(text), None, "{text}");
        }
    }

    #[test]
    fn one_address_is_a_range() {
        assert_eq!(
            Cidr::from_text("10.1.2.3").unwrap().to_string(),
            "10.1.2.3/32"
        );
        assert_eq!(Cidr::from_text("::1").unwrap().to_string(), "::1/128");
        assert_eq!(Cidr::from_text("10.0.0.0/33"), None);
    }
}
