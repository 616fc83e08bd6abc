//! The public address, tried from this machine: the way to it, and what it answers.
//!
//! While no service runs, a stand-in serves the port for the moment of the trial, so that the way
//! through the balancer can be tried before the first start. It validates as the service does and
//! has no ledger: a notification that happens to come is answered with 503, and Microsoft repeats
//! it. Nothing is acknowledged that is not kept (I1).

use std::{io, time::Duration};

use jiff::Timestamp;
use prometheus::Registry;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use tokio::task::JoinSet;
use url::Url;

use crate::{
    app,
    clock::Clock,
    ledger::{self, Ledger, Location, OpenError},
    microsoft::answer::Words,
    outcomes::{Announced, Outcomes},
    shutdown::Shutdown,
    tls::{self, Trust},
    webhook::{self, BindError, Webhook},
};

use super::{
    finding::{Check, Finding},
    hop::{self, Answer, Peer},
    way::{Handshake, House, Way, walk, with_source},
};

/// The webhook itself, for a moment. Ends with this value.
pub(super) struct StandIn {
    _serving: JoinSet<()>,
    _folder: TempDir,
}

/// Why there is no stand-in.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoStandIn {
    #[error("the webhook cannot be served")]
    Bind(#[source] BindError),
    #[error("no temporary folder can be made")]
    Folder(#[source] io::Error),
    #[error("no temporary ledger can be made")]
    Ledger(#[from] OpenError),
    #[error("the port cannot be listened on")]
    Listen(#[source] io::Error),
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

impl StandIn {
    pub(super) async fn serve(
        config: &app::Config,
        webhook: &webhook::Config,
        clock: &Clock,
    ) -> Result<Self, NoStandIn> {
        let folder = tempfile::tempdir().map_err(NoStandIn::Folder)?;
        let location = Location::Sqlite(folder.path().join("none.db"));
        // Without its writer it commits nothing.
        let (ledger, _) =
            Ledger::open(&ledger::Config { location, ..config.ledger.clone() }).await?;
        let registry = Registry::new();
        let tenants = &config.tenants;
        let announced = Announced::register(&registry, tenants)?;
        let bound = Webhook::bind(
            webhook::Config { drain_delay: Duration::ZERO, ..webhook.clone() },
            tenants.clone(),
            config.microsoft.management_roots(),
            ledger,
            clock.clone(),
            webhook::Metrics::register(&registry, announced)?,
            Outcomes::register(&registry, tenants)?,
        );
        let bound = bound.await.map_err(|error| match error {
            BindError::Listen(error) => NoStandIn::Listen(error),
            error => NoStandIn::Bind(error),
        })?;
        let mut serving = JoinSet::new();
        serving.spawn(bound.run(Shutdown::new()));
        Ok(Self { _serving: serving, _folder: folder })
    }
}

/// Looks at the public address. `behind` is who serves the port behind it, in words.
pub(super) async fn look(
    webhook: &webhook::Config,
    behind: Result<&str, Check>,
    house: Option<&House>,
    now: Timestamp,
) -> Vec<Finding> {
    let address = &webhook.address;
    let peer = Peer::of(address);
    let mut findings = Vec::new();
    let open = approach(&peer, house, now).await;
    findings.extend(open.findings);
    match (open.end, behind) {
        (Err(broken), _) | (Ok(_), Err(broken)) => {
            let left = [Check::AddressAnswer, Check::AddressRefusal];
            findings.extend(left.map(|check| Finding::skipped(check, broken)));
        }
        (Ok(first), Ok(behind)) => match webhook.auth_id.current() {
            Err(error) => {
                let remedy = "let the service's user read the file that webhook.auth_id names";
                let cause = "our own auth id cannot be read";
                let failed = Finding::failed(Check::AddressAnswer, cause, remedy);
                findings.push(failed.seen(with_source(&error)));
                findings.push(Finding::skipped(Check::AddressRefusal, Check::AddressAnswer));
            }
            Ok(auth_id) => {
                let request = validation(address, auth_id.expose_secret());
                let answered = hop::ask(first, request.as_bytes()).await;
                let refused = answered.as_ref().is_ok_and(|answer| answer.status == 403);
                if demands_certificate(webhook) && (refused || answered.is_err()) {
                    findings.push(Finding::ok(Check::AddressAnswer, NOT_MICROSOFT));
                } else if demands_source(webhook) && refused {
                    findings.push(elsewhere());
                } else {
                    findings.push(answer(&answered, behind));
                }
                let well = answered.is_ok_and(|answer| answer.status == 200);
                if well {
                    findings.push(stranger(address, &peer, house, now).await);
                } else if findings.iter().any(Finding::is_failed) {
                    let because = Check::AddressAnswer;
                    findings.push(Finding::skipped(Check::AddressRefusal, because));
                }
            }
        },
    }
    let shown = address.to_string();
    findings
        .into_iter()
        .map(|finding| if finding.subject.is_empty() { finding.of(shown.clone()) } else { finding })
        .collect()
}

/// Whether callers must show the certificate that only Microsoft has.
fn demands_certificate(webhook: &webhook::Config) -> bool {
    let by_us = webhook.tls.as_ref().is_some_and(|tls| tls.clients.is_some());
    by_us || webhook.client_certificate.is_some()
}

fn demands_source(webhook: &webhook::Config) -> bool {
    webhook.allowed_tag.is_some() || !webhook.allowed_sources.is_empty()
}

fn elsewhere() -> Finding {
    let cause = "requests from this machine are refused, which webhook.allowed_sources leaves out";
    let remedy = "nothing, if it is meant to be so; to try the address from here, add this \
                  machine's public address to webhook.allowed_sources for a moment";
    Finding::warning(Check::AddressAnswer, cause, remedy).seen("status 403")
}

async fn approach(peer: &Peer, house: Option<&House>, now: Timestamp) -> super::way::Walked {
    // As Microsoft does: the public authorities, and none of ours unless they are all there is.
    let trust = Ok(Trust::SystemAnd(Vec::new()));
    let (name, house) = (peer.host.clone(), house.cloned());
    let handshake = Handshake { name, trust, identity: None, house };
    walk(Way::Address, peer, Some(handshake), now).await
}

async fn stranger(address: &Url, peer: &Peer, house: Option<&House>, now: Timestamp) -> Finding {
    let check = Check::AddressRefusal;
    let Ok(stream) = approach(peer, house, now).await.end else {
        return Finding::skipped(check, Check::AddressTls);
    };
    let made_up = tls::random::<16>().unwrap_or([b'x'; 16]);
    let made_up = made_up.map(|byte| format!("{byte:02x}")).concat();
    let answered = hop::ask(stream, validation(address, &made_up).as_bytes()).await;
    match answered {
        Ok(answer) if answer.status == 401 => {
            Finding::ok(check, "answered with 401, tried from this machine")
        }
        Ok(answer) if answer.status == 200 => {
            let cause = "a wrong auth id is answered with 200: anybody can announce content";
            let remedy = "whoever runs the load balancer: let it pass requests on to \
                          webhook.listen, neither answer them itself nor put the auth id in";
            Finding::failed(check, cause, remedy).seen(answer.shown())
        }
        Ok(answer) => {
            let cause = format!("a wrong auth id is answered with {}, not 401", answer.status);
            let remedy = "see that the load balancer passes the answers of webhook.listen on \
                          unchanged";
            Finding::warning(check, cause, remedy).seen(answer.shown())
        }
        Err(error) => {
            let cause = "a request with a wrong auth id gets no answer";
            Finding::warning(check, cause, NO_ANSWER).seen(error.to_string())
        }
    }
}

fn answer(answered: &io::Result<Answer>, behind: &str) -> Finding {
    let check = Check::AddressAnswer;
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            let cause = "the public address takes the request and does not answer";
            return Finding::failed(check, cause, NO_ANSWER)
                .seen(format!("{error}; behind it is {behind}"));
        }
    };
    let seen = format!("{}; behind it is {behind}; tried from this machine", answer.shown());
    if answer.status == 200 {
        let cause = format!("answered with 200 by {behind}, tried from this machine");
        return Finding::ok(check, cause).seen(seen);
    }
    let words = words(answer.status);
    Finding::failed(check, words.cause, words.remedy).seen(seen)
}

/// What an answer that is not 200 to a right validation means.
pub(super) const fn words(status: u16) -> Words {
    match status {
        201..=299 => Words {
            cause: "a validation is answered, but not with 200, which is the only answer \
                    Microsoft takes",
            remedy: "whoever runs the load balancer: pass requests on to webhook.listen and its \
                     answers back unchanged",
        },
        300..=399 => Words {
            cause: "the public address redirects, and Microsoft does not follow",
            remedy: "correct webhook.address to where it leads, or stop the load balancer from \
                     redirecting this path",
        },
        401 => Words {
            cause: "the right auth id is refused: something on the way removes or rewrites the \
                    header Webhook-AuthID",
            remedy: "whoever runs the load balancer: pass the request header Webhook-AuthID on \
                     unchanged; and give every replica the same webhook.auth_id",
        },
        403 => Words {
            cause: "the public address refuses requests from this machine",
            remedy: "see that webhook.allowed_sources, or the firewall in front, lets this \
                     machine in as well as Microsoft; it may be that only this trial is refused",
        },
        404 | 405 => Words {
            cause: "the public address does not lead to our webhook",
            remedy: "whoever runs the load balancer: forward the path of webhook.address to \
                     webhook.listen, unchanged",
        },
        502..=504 => Words {
            cause: "the load balancer cannot reach the service behind it",
            remedy: "whoever runs the load balancer: forward to webhook.listen on this machine; \
                     network team: open the port between them. If only the balancer's health \
                     check has not noticed the service yet, start it and check again",
        },
        _ => Words {
            cause: "the public address answers with something that is not ours",
            remedy: "whoever runs the load balancer: forward the path of webhook.address to \
                     webhook.listen, and nothing else to it",
        },
    }
}

/// A validation as Microsoft posts it.
fn validation(address: &Url, auth_id: &str) -> String {
    let host = address.host_str().unwrap_or_default();
    let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
    let code = "m365-collector-check";
    let body = format!("{{\"validationCode\":\"{code}\"}}");
    format!(
        "POST {} HTTP/1.1\r\nHost: {host}{port}\r\nWebhook-AuthID: {auth_id}\r\n\
         Webhook-ValidationCode: {code}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        address.path(),
        body.len()
    )
}

/// Said where only Microsoft can get further.
const NOT_MICROSOFT: &str = "refused without the client certificate that only Microsoft has, as \
                             configured; more cannot be tried from here";

const NO_ANSWER: &str = "whoever runs the load balancer: see that it forwards to webhook.listen \
                         and that nothing in between waits for more";
