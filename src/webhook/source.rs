//! Where a request comes from, and whether anything may come from there.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use hyper::header::{HeaderMap, HeaderName};
use ipnet::IpNet;
use tokio::time::Instant;

use crate::watched::Watched;

/// The networks that may call, and the proxies whose word counts for who calls.
#[derive(Debug)]
pub(super) struct Sources {
    allowed: Vec<IpNet>,
    tagged: Option<Watched<Vec<IpNet>>>,
    trusted_proxies: Vec<IpNet>,
    said: Mutex<Said>,
}

impl Sources {
    pub(super) fn new(
        allowed: Vec<IpNet>,
        tagged: Option<Watched<Vec<IpNet>>>,
        trusted_proxies: Vec<IpNet>,
    ) -> Self {
        Self { allowed, tagged, trusted_proxies, said: Mutex::new(Said::default()) }
    }

    /// Whether the request may come in. Without any list everything may.
    pub(super) fn allow(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        if !self.is_limited() {
            return true;
        }
        let source = self.source(peer, headers);
        let allowed = source.is_some_and(|source| self.lists(source));
        if !allowed {
            self.say(source);
        }
        allowed
    }

    /// Whether somebody wrote down that requests come from there.
    pub(super) fn expects(&self, address: IpAddr) -> bool {
        self.is_limited() && self.lists(address.to_canonical())
    }

    /// Whether the peer's word about others is believed.
    pub(super) fn is_proxy(&self, peer: IpAddr) -> bool {
        contains(&self.trusted_proxies, peer.to_canonical())
    }

    fn is_limited(&self) -> bool {
        !self.allowed.is_empty() || self.tagged.is_some()
    }

    fn lists(&self, address: IpAddr) -> bool {
        contains(&self.allowed, address)
            || self.tagged.as_ref().is_some_and(|tagged| contains(&tagged.current(), address))
    }

    /// Every refusal is counted; of those that follow one another closely, one is logged.
    fn say(&self, source: Option<IpAddr>) {
        let mut said = self.said.lock().expect("no holder of this lock panics");
        let now = Instant::now();
        if said.last.is_some_and(|last| now.duration_since(last) < SAY_AGAIN) {
            said.suppressed += 1;
            return;
        }
        let suppressed = std::mem::take(&mut said.suppressed);
        said.last = Some(now);
        let source = source.map(tracing::field::display);
        tracing::debug!(source, suppressed, "a source that is not allowed was refused");
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

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    suppressed: u64,
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

/// Strangers decide how often there is something to say.
const SAY_AGAIN: Duration = Duration::from_secs(1);

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], expected: Option<&str>) {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let sources = Sources::new(vec![], None, trusted);
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
