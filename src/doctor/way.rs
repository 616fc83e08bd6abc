//! The way to somebody: name, connection, TLS, one after the other; the first that fails ends it,
//! and the rest is skipped because of it.

use std::io;

use jiff::{SignedDuration, Timestamp};

use super::{
    finding::{Check, Finding},
    hop::{self, ConnectFault, NameFault, Peer, Shaken, Stream, TlsFault},
};
use crate::tls::{self, Identity, TlsError, Trust};

mod house;
mod remedies;
mod verdict;

pub(super) use house::House;
use remedies::Remedies;
use verdict::{rootless, shaken_well, unshaken};

/// Whom it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Address,
    Devo,
    Login,
    Management,
}

impl Way {
    /// Name, connection, TLS.
    const fn checks(self) -> [Check; 3] {
        match self {
            Self::Address => [Check::AddressDns, Check::AddressTcp, Check::AddressTls],
            Self::Devo => [Check::DevoDns, Check::DevoTcp, Check::DevoTls],
            Self::Login => [Check::LoginDns, Check::LoginTcp, Check::LoginTls],
            Self::Management => [Check::ManagementDns, Check::ManagementTcp, Check::ManagementTls],
        }
    }

    /// So many days before its end a certificate is worth a word; none: whose it is renews it, and
    /// nobody here can.
    const fn soon(self) -> Option<i64> {
        match self {
            Self::Address => Some(14),
            Self::Devo | Self::Login | Self::Management => None,
        }
    }
}

/// How hands are shaken.
pub(super) struct Handshake {
    /// Which name the certificate must carry.
    pub(super) name: String,
    pub(super) trust: Result<Trust, TlsError>,
    pub(super) identity: Option<Identity>,
    /// Who is asked where nobody of `trust` signed.
    pub(super) house: Option<House>,
}

/// What came of it.
pub(super) struct Walked {
    pub(super) findings: Vec<Finding>,
    /// The connection, if the way was open to its end.
    pub(super) end: Result<Stream, Check>,
}

/// Walks it. Without a handshake it is plain TCP, and TLS on the other side is what fails.
pub(super) async fn walk(
    way: Way,
    peer: &Peer,
    handshake: Option<Handshake>,
    now: Timestamp,
) -> Walked {
    let mut findings = Vec::new();
    let end = steps(way, peer, handshake, now, &mut findings).await;
    if let Err(broken) = end {
        let left = way.checks().into_iter().filter(|check| *check > broken);
        findings.extend(left.map(|check| Finding::skipped(check, broken)));
    }
    let subject = peer.authority();
    let findings = findings.into_iter().map(|finding| finding.of(&subject)).collect();
    Walked { findings, end }
}

async fn steps(
    way: Way,
    peer: &Peer,
    handshake: Option<Handshake>,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<Stream, Check> {
    let [dns, tcp, tls_check] = way.checks();
    let remedies = Remedies::of(way, peer);
    let addresses = match hop::resolve(peer).await {
        Ok(addresses) => addresses,
        Err(fault) => {
            findings.push(nameless(dns, peer, &fault, &remedies));
            return Err(dns);
        }
    };
    let listed: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let shown = match &*listed {
        [one] if *one == peer.host => "an address, no name".to_owned(),
        some => format!("{} is {}", peer.host, some.join(", ")),
    };
    findings.push(Finding::ok(dns, shown));

    let stream = match hop::connect(&addresses).await {
        Ok(stream) => stream,
        Err(fault) => {
            findings.push(unconnected(tcp, peer, &fault, &remedies));
            return Err(tcp);
        }
    };
    let taken = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    findings.push(Finding::ok(tcp, format!("{taken} takes connections")));

    let Some(Handshake { name, trust, identity, house }) = handshake else {
        // Asked on a connection of its own, which is of no use afterwards.
        if hop::speaks_tls(stream).await {
            let cause = format!("port {} speaks TLS, and plain TCP is configured", peer.port);
            let seen = "it answered plain text with an alert of TLS";
            findings.push(Finding::failed(tls_check, cause, remedies.is_tls).seen(seen));
            return Err(tls_check);
        }
        findings.push(Finding::ok(tls_check, "plain TCP, as configured"));
        return hop::connect(&addresses)
            .await
            .map(|wire| Box::new(wire) as Stream)
            .map_err(|_| tcp);
    };
    // With no authority at all the other side need not be asked.
    let bare = matches!(&trust, Ok(Trust::SystemAnd(more)) if more.is_empty());
    if bare && !tls::has_system_roots() {
        findings.push(rootless(tls_check));
        return Err(tls_check);
    }
    let shaken = match trust {
        Ok(trust) => hop::shake(stream, &name, trust, identity).await,
        Err(error) => Err(TlsFault::Ours(error)),
    };
    match shaken {
        Ok(shaken) => {
            let Shaken { stream, version, not_after } = shaken;
            findings.push(shaken_well(tls_check, version, not_after, now, way.soon(), &remedies));
            Ok(stream)
        }
        Err(fault) => {
            let known = match house.filter(|_| fault.is_unknown_issuer()) {
                Some(house) => house.shake(&addresses, &name).await.map(|shaken| (house, shaken)),
                None => None,
            };
            let Some((house, Shaken { stream, version, not_after })) = known else {
                findings.push(unshaken(tls_check, &name, peer, &fault, now, &remedies));
                return Err(tls_check);
            };
            let found = shaken_well(tls_check, version, not_after, now, way.soon(), &remedies);
            findings.push(house.judge(found, &remedies));
            Ok(stream)
        }
    }
}

fn nameless(check: Check, peer: &Peer, fault: &NameFault, remedies: &Remedies) -> Finding {
    let host = &peer.host;
    match fault {
        NameFault::Unknown(error) => {
            let cause = format!("the name {host} has no address");
            Finding::failed(check, cause, &remedies.name).seen(error.to_string())
        }
        NameFault::TimedOut => {
            let cause = format!("the name {host} cannot be looked up: no name server answers");
            let remedy = format!(
                "{}. Before that, give this machine a name server that answers",
                remedies.name
            );
            Finding::failed(check, cause, remedy).seen("no answer within 5 s")
        }
    }
}

fn unconnected(check: Check, peer: &Peer, fault: &ConnectFault, remedies: &Remedies) -> Finding {
    let port = peer.port;
    let (cause, seen) = match fault.error.kind() {
        io::ErrorKind::ConnectionRefused => {
            (format!("port {port} of {} refuses the connection", peer.host), "refused".to_owned())
        }
        io::ErrorKind::TimedOut => (
            format!("port {port} of {} does not answer", peer.host),
            "no answer within 5 s, as behind a firewall that drops".to_owned(),
        ),
        io::ErrorKind::ConnectionReset => {
            (format!("{} resets the connection at once", peer.host), fault.error.to_string())
        }
        _ => (format!("no way to port {port} of {}", peer.host), fault.error.to_string()),
    };
    Finding::failed(check, cause, &remedies.connection).seen(format!("{}: {seen}", fault.address))
}

/// Whole days, none once it is over.
pub(super) fn days_left(until: Timestamp, now: Timestamp) -> i64 {
    until.duration_since(now).max(SignedDuration::ZERO).as_hours() / 24
}

/// The end of a certificate; the days to it while it is near.
pub(super) fn good_until(until: Timestamp, days: i64) -> String {
    let date = until.strftime("%Y-%m-%d");
    if days < 400 {
        format!("good until {date} ({days} days)")
    } else {
        format!("good until {date}")
    }
}

/// An error and what caused it, on one line.
pub(super) fn with_source(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => {
            let inner = with_source(source);
            let outer = error.to_string();
            if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
        }
        None => error.to_string(),
    }
}

/// Renewals of ours take some days and some people.
pub(super) const SOON: i64 = 30;
