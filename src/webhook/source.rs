//! Where a request comes from, and whether anything may come from there.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The networks that may call, and the proxies whose word counts for who calls.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    allowed: Vec<IpNet>,
    trusted_proxies: Vec<IpNet>,
}

impl Sources {
    pub(super) fn new(allowed: Vec<IpNet>, trusted_proxies: Vec<IpNet>) -> Self {
        Self { allowed, trusted_proxies }
    }

    /// Whether the request may come in. No list means that everything may.
    pub(super) fn allow(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.allowed.is_empty()
            || self.source(peer, headers).is_some_and(|source| contains(&self.allowed, source))
    }

    /// The last hop that is not one of our proxies; none when a proxy names something that is no
    /// address, for then nobody vouches for anything.
    ///
    /// `X-Forwarded-For` grows at its end, and everything left of the last hop that we do not trust
    /// may be made up by it.
    fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut source = peer.to_canonical();
        let values = headers.get_all(X_FORWARDED_FOR);
        let lines: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        for hop in hops {
            if !contains(&self.trusted_proxies, source) {
                break;
            }
            source = address(hop)?;
        }
        Some(source)
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address, which some proxies write with a port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], expected: Option<&str>) {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let sources = Sources::new(vec![], trusted);
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        assert_eq!(
            sources.source(peer.parse().unwrap(), &headers),
            expected.map(|source| source.parse().unwrap()),
            "{peer} {forwarded:?}"
        );
    }

    #[test]
    fn the_source_is_the_last_hop_that_is_not_ours() {
        check("203.0.113.5", &[], Some("203.0.113.5"));
        // A stranger's header is not believed.
        check("203.0.113.5", &["198.51.100.1"], Some("203.0.113.5"));
        check("10.0.0.1", &["198.51.100.1"], Some("198.51.100.1"));
        check("::ffff:10.0.0.1", &["198.51.100.1"], Some("198.51.100.1"));
        // What the last untrusted hop claims about itself is not believed either.
        check("10.0.0.1", &["192.0.2.1, 198.51.100.1"], Some("198.51.100.1"));
        check("10.0.0.1", &["192.0.2.1", "198.51.100.1, 10.2.3.4"], Some("198.51.100.1"));
        check("10.0.0.1", &["x, 198.51.100.1"], Some("198.51.100.1"));
        // All ours: the first of them asked.
        check("10.0.0.1", &["10.9.9.9, 10.2.3.4"], Some("10.9.9.9"));
        check("10.0.0.1", &[], Some("10.0.0.1"));
        check("10.0.0.1", &["198.51.100.1:4711"], Some("198.51.100.1"));
        check("fd00::1", &["[2001:db8::7]:4711"], Some("2001:db8::7"));
        check("fd00::1", &["[2001:db8::7]"], Some("2001:db8::7"));
        check("fd00::1", &["2001:db8::7"], Some("2001:db8::7"));
        check("10.0.0.1", &["unknown"], None);
        check("10.0.0.1", &["198.51.100.1,"], None);
    }
}
