//! What a handshake means, whether it came about or not. Pure.

use std::io;

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError, Error as Tls, pki_types::CertificateDer};

use super::{Remedies, days_left, good_until, with_source};
use crate::{
    doctor::{
        finding::{Check, Finding},
        hop::{Peer, TlsFault},
    },
    tls::{self, Facts},
};

pub(super) fn shaken_well(
    check: Check,
    version: &str,
    not_after: Option<Timestamp>,
    now: Timestamp,
    soon: Option<i64>,
    remedies: &Remedies,
) -> Finding {
    let Some(not_after) = not_after else {
        return Finding::ok(check, version);
    };
    let left = days_left(not_after, now);
    let until = good_until(not_after, left);
    if soon.is_some_and(|soon| left <= soon) {
        let cause = format!("the certificate expires in {left} days");
        return Finding::warning(check, cause, &remedies.expiry)
            .seen(format!("{version}, {until}"));
    }
    Finding::ok(check, format!("{version}, certificate trusted, {until}"))
}

pub(super) fn rootless(check: Check) -> Finding {
    let remedy = "administrator of this machine: install the package ca-certificates (in a \
                  container, in its image)";
    Finding::failed(check, "this machine knows no public authority at all", remedy)
        .seen("the system's store of certificates is empty")
}

pub(super) fn unshaken(
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
        // Some servers say no more than this about a certificate that is missing.
        Some(Tls::AlertReceived(alert))
            if tls::refuses_identity(*alert) || *alert == AlertDescription::HandshakeFailure =>
        {
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
            let lone = leaf.filter(|leaf| chain.len() == 1 && !leaf.is_self_signed());
            match (&remedies.chain, lone) {
                // Public authorities write down where their certificate is; those of a house hardly.
                (Some(remedy), Some(leaf)) if leaf.locates_issuer => {
                    let cause = "the certificate chain is incomplete: one certificate is sent, \
                                 without the intermediate one that signed it";
                    Finding::failed(check, cause, remedy)
                }
                (Some(remedy), Some(_)) => {
                    let cause = "one certificate is sent, and who signed it is not known: an \
                                 incomplete chain, or an authority that is not public";
                    let remedy = format!(
                        "{remedy}, of a public authority; Microsoft accepts no private one"
                    );
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::doctor::{finding::Outcome, way::Way};

    #[test]
    fn only_the_public_certificate_is_warned_of_and_fourteen_days_before() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let peer = Peer { host: "host.example".to_owned(), port: 443 };
        let judged = |way: Way, days: i64| {
            let not_after = now + SignedDuration::from_hours(24 * days + 1);
            let (check, remedies) = (way.checks()[2], Remedies::of(way, &peer));
            shaken_well(check, "TLS 1.3", Some(not_after), now, way.soon(), &remedies).outcome
        };
        for (days, outcome) in [(29, Outcome::Ok), (15, Outcome::Ok), (14, Outcome::Warning)] {
            assert_eq!(judged(Way::Address, days), outcome, "{days}");
        }
        for way in [Way::Devo, Way::Login, Way::Management] {
            assert_eq!(judged(way, 0), Outcome::Ok, "{way:?}: whose it is renews it");
        }
    }
}
