//! The doctor behind `check`: every hop looked at once, in the order of the way, and said in plain
//! words: what is wrong, what was seen, who has to do what.
//!
//! # The walk
//!
//! | where | checks (names as in JSON) |
//! | --- | --- |
//! | this machine | `configuration`, `secret_files`, `webhook_certificate`, `devo_certificate`, `ledger`, `ledger_disk`, `admin_port`, `webhook_port` |
//! | the way to Microsoft | `login_dns`, `login_tcp`, `login_tls`, `login_answer`, `management_dns`, `management_tcp`, `management_tls`, `clock` |
//! | each tenant | `tenant`, `client_certificate`, `token`, `roles` |
//! | the public address | `address_dns`, `address_tcp`, `address_tls`, `address_answer`, `address_refusal` |
//! | each feed of each tenant | `subscription`, `content`, `notifications` |
//! | the way to Devo | `devo_dns`, `devo_tcp`, `devo_tls`, `devo_confirmation` |
//!
//! Causes come before what they cause, so the first failure is the one to mend first
//! ([`Report::first`]). Nothing stops the walk: what cannot be looked at is skipped, with the check
//! it depends on. What does not apply (a public address without `[webhook]`) is left out.
//!
//! # How it is made
//!
//! Probes (`hop`, and the calls of [`microsoft`], [`ledger`](mod@crate::ledger) and
//! [`deliver`](mod@crate::deliver)) do the I/O, each bounded in time; what their results mean is decided
//! without any. A running service is not disturbed: its ports, and that its ledger is held, are
//! recognised by the answer of its admin port. Nothing is started, stopped or delivered, but for a
//! test record where a table was chosen, and no ledger is made or changed.
//!
//! What is tried from this machine is said so: a public address may be open here and closed to
//! Microsoft. No finding holds a secret, a token or a record (I9); it asks only hosts of the
//! configuration (I6).

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::join_all;
use prometheus::Registry;
use url::Url;

mod address;
mod devo;
mod entra;
mod feeds;
mod finding;
mod hop;
mod machine;
mod ports;
mod proof;
mod table;
mod tenants;
mod trouble;
mod way;

pub use finding::{Check, Finding, Outcome, Place, Report};
pub use machine::configuration;
pub use table::{InvalidTable, Table};
pub use trouble::{Trouble, troubles};

use crate::{
    app,
    clock::Clock,
    content::Tenant,
    ledger::examine,
    microsoft::{self, Client},
    subscriptions::WantedWebhook,
};
use address::{NoStandIn, StandIn};
use feeds::Feeds;
use hop::Peer;
use ports::{Held, Running};
use way::{Handshake, House, Way, walk};

/// Looks at everything a configuration names.
#[derive(Debug)]
pub struct Doctor {
    config: app::Config,
    given: Given,
    clock: Clock,
}

/// What is known beside the settings.
#[derive(Clone, Debug)]
pub struct Given {
    /// The configuration file.
    pub file: PathBuf,
    /// What in it deserves a look.
    pub warnings: Vec<String>,
    /// Where a test record shall go; none: it is not sent.
    pub table: Option<Table>,
}

/// What happens on the walk, for who watches.
#[derive(Debug)]
pub enum Step<'a> {
    /// This is looked at now; it may take some seconds.
    Looking(&'a str),
    /// This was found.
    Found(&'a Finding),
}

impl Doctor {
    /// A doctor who has not looked yet.
    pub fn new(config: app::Config, given: Given, clock: Clock) -> Self {
        Self { config, given, clock }
    }

    /// Walks the whole way.
    pub async fn examine(self, tell: impl FnMut(Step<'_>)) -> Report {
        let mut walk = Walk { report: Report::default(), tell };
        let running = ports::running(self.config.admin.listen).await;
        let certificate_is_usable = self.machine(&mut walk, running.is_some()).await;
        let stand_in = self.ports(&mut walk, running.as_ref()).await;
        let ways = self.microsoft(&mut walk).await;
        let client = self.client();
        let mut tenants: Vec<_> = self.config.tenants.iter().collect();
        tenants.sort_by(|one, other| one.name.cmp(&other.name));
        let usable = self.tenants(&mut walk, &tenants, client.as_ref(), &ways).await;
        if let Some(webhook) = &self.config.webhook {
            walk.looking("trying the public address");
            let behind = match (&stand_in, &running) {
                (Serving::StandIn(_), _) => Ok("a stand-in for the service, which does not run"),
                (Serving::Running, _) => Ok("the running service"),
                (Serving::Nobody, _) => Err(Check::WebhookPort),
            };
            let house = House::of(&self.config.microsoft);
            walk.found(address::look(webhook, behind, house.as_ref(), self.clock.now()).await);
        }
        drop(stand_in);
        let feeds = Usable { tenants: &tenants, usable: &usable, running: running.is_some() };
        self.feeds(&mut walk, feeds, client.as_ref(), &ways).await;
        walk.looking("trying Devo");
        let table = self.given.table.as_ref();
        let now = self.clock.now();
        walk.found(devo::look(&self.config, certificate_is_usable, table, now).await);
        walk.report
    }

    /// Files and ledger; says whether the certificate for Devo, if there is one, can be used.
    async fn machine(&self, walk: &mut Walk<impl FnMut(Step<'_>)>, running: bool) -> bool {
        let now = self.clock.now();
        walk.found(configuration(&self.config, &self.given));
        walk.found(machine::secret_files(&self.config));
        let tls = self.config.webhook.as_ref().and_then(|webhook| webhook.tls.as_ref());
        walk.found(tls.map(|files| {
            let files = (&*files.cert, &*files.key);
            machine::certificate(Check::WebhookCertificate, files, None, now)
        }));
        let deliver = &self.config.deliver;
        let devo = deliver.identity.as_ref().map(|(cert, key)| {
            machine::certificate(Check::DevoCertificate, (cert, key), deliver.ca.as_deref(), now)
        });
        let usable = devo.as_ref().is_none_or(|finding| !finding.is_failed());
        walk.found(devo);
        walk.looking("looking at the ledger");
        let ledger = examine(&self.config.ledger).await;
        walk.found([machine::ledger(&ledger, running), machine::ledger_disk(&ledger)]);
        usable
    }

    /// The ports. Where the public one is free, a stand-in has it from here on.
    async fn ports(
        &self,
        walk: &mut Walk<impl FnMut(Step<'_>)>,
        running: Option<&Running>,
    ) -> Serving {
        let admin = self.config.admin.listen;
        let held = ports::hold(admin, running).await;
        walk.found([ports::port(Check::AdminPort, admin, &held, "admin.listen")]);
        let Some(webhook) = &self.config.webhook else {
            return Serving::Nobody;
        };
        let (check, listen, key) = (Check::WebhookPort, webhook.listen, "webhook.listen");
        let (held, serving) = match StandIn::serve(&self.config, webhook, &self.clock).await {
            Ok(stand_in) => (Held::Free, Serving::StandIn(stand_in)),
            Err(NoStandIn::Listen(error)) => match ports::refused(error, running) {
                held @ Held::Ours(_) => (held, Serving::Running),
                held => (held, Serving::Nobody),
            },
            Err(error) => {
                let cause = "the port is free, and the webhook cannot be served";
                let remedy = "mend what was seen; `run` would fail in the same way";
                let failed = Finding::failed(check, cause, remedy).seen(way::with_source(&error));
                walk.found([failed.of(listen.to_string())]);
                return Serving::Nobody;
            }
        };
        walk.found([ports::port(check, listen, &held, key)]);
        serving
    }

    /// The hosts of Microsoft, and our clock against theirs.
    async fn microsoft(&self, walk: &mut Walk<impl FnMut(Step<'_>)>) -> Ways {
        walk.looking("trying the login host");
        let (login, clock) = self.login(walk).await;
        walk.looking("trying the management host");
        let url = &self.config.microsoft.management_url;
        let managed = self.way(Way::Management, url).await;
        walk.found(managed.findings);
        let (management, other) = match managed.end {
            Ok(stream) => (Ok(()), entra::date(stream, url, &self.clock).await),
            Err(broken) => (Err(broken), None),
        };
        walk.found([entra::worse(clock, other)]);
        Ways { login, management }
    }

    async fn login(&self, walk: &mut Walk<impl FnMut(Step<'_>)>) -> (Result<(), Check>, Finding) {
        let url = &self.config.microsoft.login_url;
        let walked = self.way(Way::Login, url).await;
        walk.found(walked.findings);
        let subject = Peer::of(url).authority();
        let stream = match walked.end {
            Ok(stream) => stream,
            Err(broken) => {
                walk.found([Finding::skipped(Check::LoginAnswer, broken).of(subject)]);
                return (Err(broken), Finding::skipped(Check::Clock, broken));
            }
        };
        let (answer, clock) = entra::look(stream, url, &self.clock).await;
        let login = if answer.is_failed() { Err(Check::LoginAnswer) } else { Ok(()) };
        walk.found([answer.of(subject)]);
        (login, clock.unwrap_or_else(|| Finding::skipped(Check::Clock, Check::LoginAnswer)))
    }

    async fn way(&self, way: Way, url: &Url) -> way::Walked {
        let peer = Peer::of(url);
        // Plain http is allowed on this machine only.
        let handshake = (url.scheme() == "https").then(|| Handshake {
            name: peer.host.clone(),
            trust: hop::trust(None, self.config.microsoft.ca.as_deref()),
            identity: None,
            house: None,
        });
        walk(way, &peer, handshake, self.clock.now()).await
    }

    /// None where a file of ours cannot be used, which the way to the login host has said.
    fn client(&self) -> Option<Client> {
        let tenants = &self.config.tenants;
        // Counted for nobody, but the client always counts.
        let metrics = microsoft::Metrics::register(&Registry::new(), tenants).ok()?;
        let config = microsoft::Config {
            timeout: self.config.microsoft.timeout.min(PATIENCE),
            ..self.config.microsoft.clone()
        };
        Client::new(config, tenants.clone(), self.clock.clone(), metrics).ok()
    }

    async fn tenants(
        &self,
        walk: &mut Walk<impl FnMut(Step<'_>)>,
        tenants: &[Arc<Tenant>],
        client: Option<&Client>,
        ways: &Ways,
    ) -> Vec<tenants::Usable> {
        let (config, now) = (&self.config.microsoft, self.clock.now());
        let (Some(client), Ok(())) = (client, ways.login) else {
            let broken = ways.login.err().unwrap_or(Check::LoginTls);
            for tenant in tenants {
                walk.found(tenants::skipped(tenant, config, now, broken));
            }
            return vec![Err(broken); tenants.len()];
        };
        let mut usable = Vec::new();
        for some in tenants.chunks(AT_ONCE) {
            walk.looking(&format!("asking Entra for tokens ({})", names(some)));
            let looks = some.iter().map(|tenant| tenants::look(client, tenant, config, now));
            for known in join_all(looks).await {
                walk.found(known.findings);
                usable.push(known.usable);
            }
        }
        usable
    }

    async fn feeds(
        &self,
        walk: &mut Walk<impl FnMut(Step<'_>)>,
        Usable { tenants, usable, running }: Usable<'_>,
        client: Option<&Client>,
        ways: &Ways,
    ) {
        let wanted = &self.config.subscriptions;
        let webhook = wanted.webhook.as_ref().and_then(|webhook| {
            Some(WantedWebhook {
                address: webhook.address.clone(),
                auth_id: (*webhook.auth_id.current().ok()?).clone(),
                expiry: wanted.webhook_expiry,
            })
        });
        let now = self.clock.now();
        let pairs: Vec<_> = tenants.iter().zip(usable).collect();
        for some in pairs.chunks(AT_ONCE) {
            let listed: Vec<_> = some.iter().map(|(tenant, _)| *tenant).collect();
            walk.looking(&format!(
                "asking Microsoft about the feeds ({})",
                names(listed.iter().copied())
            ));
            let looks = some.iter().map(async |(tenant, usable)| {
                let usable = usable.as_ref().map_err(|broken| *broken);
                match (usable.and_then(|kinds| ways.management.map(|()| kinds)), client) {
                    (Ok(readable), Some(client)) => {
                        let webhook = webhook.clone();
                        let manage = wanted.manage;
                        let feeds = Feeds { client, webhook, manage, running, now };
                        feeds.look(tenant, readable).await
                    }
                    (Err(broken), _) => Feeds::skipped(tenant, broken),
                    (Ok(_), None) => Feeds::skipped(tenant, Check::LoginTls),
                }
            });
            for findings in join_all(looks).await {
                walk.found(findings);
            }
        }
    }
}

/// Gathers and tells.
struct Walk<T> {
    report: Report,
    tell: T,
}

impl<T: FnMut(Step<'_>)> Walk<T> {
    fn looking(&mut self, at: &str) {
        (self.tell)(Step::Looking(at));
    }

    fn found(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            (self.tell)(Step::Found(&finding));
            self.report.findings.push(finding);
        }
    }
}

/// Who serves the public port.
enum Serving {
    Nobody,
    Running,
    #[expect(dead_code, reason = "held for as long as it shall serve")]
    StandIn(StandIn),
}

/// Whether the hosts of Microsoft are reached, or what keeps us from it.
struct Ways {
    login: Result<(), Check>,
    management: Result<(), Check>,
}

struct Usable<'a> {
    tenants: &'a [Arc<Tenant>],
    usable: &'a [tenants::Usable],
    running: bool,
}

fn names<'a>(tenants: impl IntoIterator<Item = &'a Arc<Tenant>>) -> String {
    let names: Vec<_> = tenants.into_iter().map(|tenant| &*tenant.name).collect();
    names.join(", ")
}

/// For each call; the service itself is more patient, but nobody watches it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Tenants asked for side by side.
const AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_in_the_list_of_the_module() {
        let list = include_str!("doctor.rs");
        for check in Check::ALL {
            assert!(list.contains(&format!("`{check}`")), "{check}");
        }
    }
}
