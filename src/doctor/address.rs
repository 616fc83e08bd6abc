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
    ledger::{self, Ledger, Location},
    outcomes::{Announced, Outcomes},
    shutdown::Shutdown,
    tls::{self, Trust},
    webhook::{self, BindError, Webhook},
};

use super::{
    finding::{Check, Finding},
    hop::{self, Answer, Peer},
    way::{Handshake, Way, walk, with_source},
};

/// The webhook itself, for a moment. Ends with this value.
pub(super) struct StandIn {
    _serving: JoinSet<()>,
    _folder: TempDir,
}

/// Why there is no stand-in.
pub(super) enum NoStandIn {
    Listen(io::Error),
    Other(String),
}

impl StandIn {
    pub(super) async fn serve(config: &app::Config, clock: &Clock) -> Result<Self, NoStandIn> {
        let other =
            |error: &(dyn std::error::Error + 'static)| NoStandIn::Other(with_source(error));
        let Some(webhook) = config.webhook.clone() else {
            return Err(NoStandIn::Other("there is no [webhook]".to_owned()));
        };
        let webhook = webhook::Config { drain_delay: Duration::ZERO, ..webhook };
        let folder = tempfile::tempdir().map_err(NoStandIn::Listen)?;
        let location = Location::Sqlite(folder.path().join("none.db"));
        let ledger = ledger::Config { location, ..config.ledger.clone() };
        // Without its writer it commits nothing.
        let (ledger, _) = Ledger::open(&ledger).await.map_err(|error| other(&error))?;
        let registry = Registry::new();
        let tenants = &config.tenants;
        let announced = Announced::register(&registry, tenants).map_err(|error| other(&error))?;
        let metrics =
            webhook::Metrics::register(&registry, announced).map_err(|error| other(&error))?;
        let outcomes = Outcomes::register(&registry, tenants).map_err(|error| other(&error))?;
        let bound = Webhook::bind(
            webhook,
            tenants.clone(),
            config.microsoft.management_roots(),
            ledger,
            clock.clone(),
            metrics,
            outcomes,
        );
        let bound = bound.await.map_err(|error| match error {
            BindError::Listen(error) => NoStandIn::Listen(error),
            error => other(&error),
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
    now: Timestamp,
) -> Vec<Finding> {
    let address = &webhook.address;
    let peer = Peer::of(address);
    let mut findings = Vec::new();
    let open = approach(&peer, now).await;
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
                findings.push(answer(&answered, behind));
                let well = answered.is_ok_and(|answer| answer.status == 200);
                findings.push(if well {
                    stranger(address, &peer, now).await
                } else {
                    Finding::skipped(Check::AddressRefusal, Check::AddressAnswer)
                });
            }
        },
    }
    let shown = address.to_string();
    findings
        .into_iter()
        .map(|finding| if finding.subject.is_empty() { finding.of(shown.clone()) } else { finding })
        .collect()
}

async fn approach(peer: &Peer, now: Timestamp) -> super::way::Walked {
    // As Microsoft does: the public authorities, and none of ours.
    let trust = Ok(Trust::SystemAnd(Vec::new()));
    let handshake = Handshake { name: peer.host.clone(), trust, identity: None };
    walk(Way::Address, peer, Some(handshake), now).await
}

async fn stranger(address: &Url, peer: &Peer, now: Timestamp) -> Finding {
    let check = Check::AddressRefusal;
    let Ok(stream) = approach(peer, now).await.end else {
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
    let failed = |cause: &str, remedy: &str| Finding::failed(check, cause, remedy);
    let finding = match answer.status {
        200 => Finding::ok(check, "answered with 200, tried from this machine"),
        201..=299 => failed(
            "a validation is answered, but not with 200, which is the only answer Microsoft takes",
            "whoever runs the load balancer: pass requests on to webhook.listen and its answers \
             back unchanged",
        ),
        300..=399 => failed(
            "the public address redirects, and Microsoft does not follow",
            "correct webhook.address to where it leads, or stop the load balancer from redirecting \
             this path",
        ),
        401 => failed(
            "the right auth id is refused: something on the way removes or rewrites the header \
             Webhook-AuthID",
            "whoever runs the load balancer: pass the request header Webhook-AuthID on unchanged; \
             and give every replica the same webhook.auth_id",
        ),
        403 => failed(
            "the public address refuses requests from this machine",
            "see that webhook.allowed_sources, or the firewall in front, lets this machine in as \
             well as Microsoft; it may be that only this trial is refused",
        ),
        404 | 405 => failed(
            "the public address does not lead to our webhook",
            "whoever runs the load balancer: forward the path of webhook.address to \
             webhook.listen, unchanged",
        ),
        502..=504 => failed(
            "the load balancer cannot reach the service behind it",
            "whoever runs the load balancer: forward to webhook.listen on this machine and let the \
             health check ask /readyz of the admin port, or only connect; network team: open the \
             port between them",
        ),
        _ => failed(
            "the public address answers with something that is not ours",
            "whoever runs the load balancer: forward the path of webhook.address to \
             webhook.listen, and nothing else to it",
        ),
    };
    if answer.status == 200 {
        finding.seen(format!("behind it is {behind}"))
    } else {
        finding.seen(seen)
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

const NO_ANSWER: &str = "whoever runs the load balancer: see that it forwards to webhook.listen \
                         and that nothing in between waits for more";
