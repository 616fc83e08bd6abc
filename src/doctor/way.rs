//! The way to somebody: name, connection, TLS, one after the other; the first that fails ends it,
//! and the rest is skipped because of it.

use std::io;

use jiff::{SignedDuration, Timestamp};
use rustls::{AlertDescription, CertificateError, Error as Tls, pki_types::CertificateDer};

use super::{
    finding::{Check, Finding},
    hop::{self, ConnectFault, NameFault, Peer, Stream, TlsFault},
};
use crate::tls::{self, Facts, Identity, TlsError, Trust};

mod remedies;

use remedies::Remedies;

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
}

/// How hands are shaken.
pub(super) struct Handshake {
    /// Which name the certificate must carry.
    pub(super) name: String,
    pub(super) trust: Result<Trust, TlsError>,
    pub(super) identity: Option<Identity>,
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

    let Some(Handshake { name, trust, identity }) = handshake else {
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
            findings.push(shaken_well(tls_check, shaken.version, shaken.not_after, now, &remedies));
            Ok(shaken.stream)
        }
        Err(fault) => {
            findings.push(unshaken(tls_check, &name, peer, &fault, now, &remedies));
            Err(tls_check)
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

fn shaken_well(
    check: Check,
    version: &str,
    not_after: Option<Timestamp>,
    now: Timestamp,
    remedies: &Remedies,
) -> Finding {
    let Some(not_after) = not_after else {
        return Finding::ok(check, version);
    };
    let left = days_left(not_after, now);
    let until = good_until(not_after, left);
    if left < SOON {
        let cause = format!("the certificate expires in {left} days");
        return Finding::warning(check, cause, &remedies.expiry)
            .seen(format!("{version}, {until}"));
    }
    Finding::ok(check, format!("{version}, certificate trusted, {until}"))
}

fn rootless(check: Check) -> Finding {
    let remedy = "administrator of this machine: install the package ca-certificates (in a \
                  container, in its image)";
    Finding::failed(check, "this machine knows no public authority at all", remedy)
        .seen("the system's store of certificates is empty")
}

fn unshaken(
    check: Check,
    name: &str,
    peer: &Peer,
    fault: &TlsFault,
    now: Timestamp,
    remedies: &Remedies,
) -> Finding {
    let host = &peer.host;
    let not_tls = |seen: String| {
        let cause = format!("port {} of {host} does not speak TLS", peer.port);
        Finding::failed(check, cause, &remedies.not_tls).seen(seen)
    };
    let (error, chain) = match fault {
        TlsFault::Name => {
            let cause = format!("{name} can be the name of no certificate");
            return Finding::failed(check, cause, &remedies.other_name);
        }
        TlsFault::Ours(error) => {
            let cause = "our own certificates cannot be used";
            let remedy = "mend the file named here, or name another one in the configuration";
            return Finding::failed(check, cause, remedy).seen(with_source(error));
        }
        TlsFault::TimedOut => {
            return not_tls("it took the connection and said nothing within 5 s".to_owned());
        }
        TlsFault::Theirs { error, chain } => (error, chain),
    };
    let seen = error.to_string();
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    match told {
        Some(Tls::InvalidCertificate(wrong)) => {
            distrusted(check, name, wrong, chain, now, remedies).seen(seen)
        }
        Some(Tls::InvalidMessage(_)) => not_tls(seen),
        Some(Tls::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        )) => {
            let cause = format!("{host} does not accept our certificate, or asks for one");
            Finding::failed(check, cause, &remedies.identity).seen(seen)
        }
        None if error.kind() == io::ErrorKind::ConnectionReset => {
            let cause = format!("{host} resets the connection before TLS begins");
            Finding::failed(check, cause, &remedies.connection).seen(seen)
        }
        None if chain.is_empty() => not_tls(seen),
        _ => {
            let cause = format!("TLS with {host} cannot be agreed on");
            Finding::failed(check, cause, &remedies.authority).seen(seen)
        }
    }
}

fn distrusted(
    check: Check,
    name: &str,
    wrong: &CertificateError,
    chain: &[CertificateDer<'static>],
    now: Timestamp,
    remedies: &Remedies,
) -> Finding {
    let leaf = chain.first().and_then(Facts::of);
    match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let when = chain.iter().filter_map(Facts::of).map(|one| one.not_after).min();
            let when = when.map(|at| format!(" on {at:.0}")).unwrap_or_default();
            let cause = format!("the certificate expired{when}; here it is {now:.0}");
            Finding::failed(check, cause, &remedies.expiry)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let cause = format!("the certificate is not good yet; here it is {now:.0}");
            Finding::failed(check, cause, "set this machine's clock by NTP")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let cause = format!("the certificate is for another name than {name}");
            Finding::failed(check, cause, &remedies.other_name)
        }
        CertificateError::UnknownIssuer => {
            let alone = chain.len() == 1 && leaf.is_some_and(|leaf| !leaf.is_self_signed());
            match (&remedies.chain, alone) {
                (Some(remedy), true) => {
                    let cause = "the certificate chain is incomplete: one certificate is sent, \
                                 without the intermediate one that signed it";
                    Finding::failed(check, cause, remedy)
                }
                _ => {
                    let cause =
                        "the certificate is signed by an authority that is not trusted here";
                    Finding::failed(check, cause, &remedies.authority)
                }
            }
        }
        _ => Finding::failed(check, "the certificate cannot be believed", &remedies.authority),
    }
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

/// Renewals take some days, and Devo's or Microsoft's some people.
pub(super) const SOON: i64 = 30;
