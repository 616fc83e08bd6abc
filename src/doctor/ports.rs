//! The ports: free, ours already, or somebody else's.
//!
//! A running service of ours is told from another program by what its admin port answers.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde::Deserialize;
use tokio::net::TcpListener;

use super::{
    finding::{Check, Finding},
    hop,
};

/// Who has a port.
#[derive(Debug)]
pub(super) enum Held {
    /// Nobody.
    Free,
    /// A running service of ours.
    Ours(Running),
    /// Somebody else.
    Taken,
    /// It cannot be had.
    Refused(io::Error),
}

/// A running service of ours, as its admin port tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// What is not as it should be by its own word; empty when it is ready.
    pub(super) troubles: Vec<String>,
}

/// Asks the port of the operators whether it is a running service.
pub(super) async fn running(admin: SocketAddr) -> Option<Running> {
    let stream = hop::connect(&[reachable(admin)]).await.ok()?;
    let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // Not ready is an answer, too.
    recognised(&hop::ask(stream, request).await.ok()?.body)
}

fn recognised(body: &[u8]) -> Option<Running> {
    let told: Readiness = serde_json::from_slice(body).ok()?;
    let is_ours = OUR_PARTS.iter().all(|ours| told.parts.iter().any(|part| part.name == *ours));
    let troubles = told.parts.iter().filter(|part| part.state != "ok");
    let troubles = troubles.map(|part| format!("{}: {}", part.name, part.detail)).collect();
    is_ours.then_some(Running { troubles })
}

/// The answer of `/readyz`.
#[derive(Deserialize)]
struct Readiness {
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    state: String,
    detail: String,
}

pub(super) async fn hold(address: SocketAddr, running: Option<&Running>) -> Held {
    match TcpListener::bind(address).await {
        Ok(_) => Held::Free,
        Err(error) => refused(error, running),
    }
}

pub(super) fn refused(error: io::Error, running: Option<&Running>) -> Held {
    match (error.kind(), running) {
        (io::ErrorKind::AddrInUse, Some(running)) => Held::Ours(running.clone()),
        (io::ErrorKind::AddrInUse, None) => Held::Taken,
        _ => Held::Refused(error),
    }
}

/// What a port's holder means.
pub(super) fn port(check: Check, address: SocketAddr, held: &Held, key: &str) -> Finding {
    let finding = match held {
        Held::Free => Finding::ok(check, "free, the service does not run"),
        Held::Ours(running) if check == Check::AdminPort && !running.troubles.is_empty() => {
            let cause = "the running m365-collector says that it is not well";
            let remedy = format!(
                "see the findings here, or what it has to say for itself on http://{}/",
                reachable(address)
            );
            Finding::warning(check, cause, remedy).seen(running.troubles.join("; "))
        }
        Held::Ours(_) => Finding::ok(check, "served by the running m365-collector"),
        Held::Taken => {
            let port = address.port();
            let remedy = format!(
                "stop the other program (`ss -ltnp 'sport = :{port}'` names it), or set {key} to \
                 a free port"
            );
            Finding::failed(check, format!("another program has port {port}"), remedy)
                .seen("no running m365-collector answers on the admin port")
        }
        Held::Refused(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let remedy = format!(
                "set {key} to a port above 1023 and let the load balancer forward to it, or give \
                 the service CAP_NET_BIND_SERVICE"
            );
            Finding::failed(check, "this user may not listen on the port", remedy)
                .seen(error.to_string())
        }
        Held::Refused(error) => {
            let remedy = format!("set {key} to an address of this machine, such as 0.0.0.0");
            Finding::failed(check, "the address cannot be listened on", remedy)
                .seen(error.to_string())
        }
    };
    finding.of(address.to_string())
}

/// How something on this machine is reached that listens there.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Nobody else's readiness has these.
const OUR_PARTS: [&str; 4] = ["webhook", "ledger", "devo", "microsoft"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_ours_is_known_by_its_parts() {
        let part = |name: &str, state: &str| {
            format!(r#"{{"name":"{name}","state":"{state}","detail":"d"}}"#)
        };
        let body = |devo: &str| {
            let [webhook, ledger, microsoft] =
                ["webhook", "ledger", "microsoft"].map(|name| part(name, "ok"));
            format!(r#"{{"parts":[{webhook},{ledger},{devo},{microsoft}]}}"#)
        };
        let told = |text: &str| recognised(text.as_bytes()).map(|running| running.troubles);
        assert_eq!(told(&body(&part("devo", "ok"))), Some(vec![]));
        assert_eq!(told(&body(&part("devo", "degraded"))), Some(vec!["devo: d".to_owned()]));
        assert_eq!(told(&body(&part("other", "ok"))), None);
        for text in ["", "{}", "[]", "alive", r#"{"parts":[]}"#] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
