//! Replicas in a simulated world: their lives, one after the other in each place.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use m365_collector::{content::ContentType, simulator};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::support::{
    balancer::{Balancer, Kind},
    collector::{Collector, Site, binary},
    eventually, get, metrics, ports,
    processes::Process,
};

/// A world, a load balancer, and places for replicas behind it.
pub struct Fleet {
    pub site: Site,
    pub balancer: Balancer,
    pub places: Vec<Place>,
    /// Everybody who ever lived, in the order of their births.
    pub lives: Vec<Life>,
}

/// Where a replica listens, whoever it is.
pub struct Place {
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    /// Another way to the database than everybody's.
    pub database: Option<String>,
    /// What runs there.
    pub binary: PathBuf,
    collector: Option<Collector>,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its host name, which is in every line it sends, and in the ledger.
    pub name: String,
    /// What it calls itself before Microsoft.
    pub publisher: String,
    pub place: usize,
    /// When it was killed.
    pub killed: Option<Instant>,
}

impl Fleet {
    /// A world and places, all empty, with a ledger in this database.
    pub async fn new(
        database: &str,
        tenants: usize,
        places: usize,
        change: impl FnOnce(&mut simulator::Config),
    ) -> Self {
        Self::behind(Kind::Haproxy, database, tenants, places, change).await
    }

    /// As [`Fleet::new`], behind another balancer than usual.
    pub async fn behind(
        kind: Kind,
        database: &str,
        tenants: usize,
        places: usize,
        change: impl FnOnce(&mut simulator::Config),
    ) -> Self {
        let mut site = Site::start(tenants, None, |world| {
            // Microsoft gives nothing up here, so that whatever is lost was lost by us.
            world.notification_retries = vec![Duration::from_millis(300); 10_000];
            world.notification_batch = 3;
            world.keep_lines = true;
            change(world);
        })
        .await;
        let (webhook, admin) = (ports::free().port(), ports::free().port());
        let places: Vec<_> = (2..)
            .take(places)
            .map(|host| {
                let at = |port| SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), port));
                Place {
                    webhook: at(webhook),
                    admin: at(admin),
                    database: None,
                    binary: binary(),
                    collector: None,
                }
            })
            .collect();
        for (key, value) in [
            ("ledger.url", database),
            ("ledger.lease", "30s"),
            ("devo.confirm_interval", "300ms"),
            ("devo.confirm_timeout", "10s"),
            ("webhook.drain_delay", "5s"),
            ("webhook.trusted_proxies", r#"["127.0.0.0/8"]"#),
            ("fetch.retry_max", "1s"),
        ] {
            site.set(key, value);
        }
        let material = site.simulator.material();
        let behind: Vec<_> = places.iter().map(|place| place.webhook).collect();
        let certificate = (material.server_cert(), material.server_key());
        let keys = kind.keys(certificate);
        let folder = site.folder.path();
        let balancer = Balancer::start(kind, folder, certificate, &behind, admin).await;
        for (key, value) in keys {
            site.set(key, &value);
        }
        site.simulator.set_tls_edge(balancer.port);
        Self { site, balancer, places, lives: Vec::new() }
    }

    /// As [`Fleet::assemble`], and waits until every subscription is registered.
    pub async fn start(&mut self) {
        self.assemble().await;
        self.site.registered(self.site.tenants.len() * ContentType::ALL.len()).await;
    }

    /// Starts a replica in every place, and waits until they have shared everything out.
    pub async fn assemble(&mut self) {
        for place in 0..self.places.len() {
            self.begin(place);
        }
        for place in 0..self.places.len() {
            self.is_up(place).await;
        }
        self.is_shared_out().await;
    }

    /// Starts a replica in a place, and waits until it has its part and the balancer has seen it.
    pub async fn join(&mut self, place: usize) {
        self.begin(place);
        self.is_up(place).await;
        self.is_shared_out().await;
        balanced().await;
    }

    /// Starts a replica in a place, and does not wait.
    pub fn begin(&mut self, place: usize) {
        let nth = self.lives.iter().filter(|life| life.place == place).count();
        let name = format!("replica-{place}-{nth}");
        let publisher = Uuid::new_v4().to_string();
        let at = &mut self.places[place];
        let mut keys = vec![
            ("webhook.listen", at.webhook.to_string()),
            ("admin.listen", at.admin.to_string()),
            ("devo.hostname", name.clone()),
            ("microsoft.publisher_id", publisher.clone()),
        ];
        keys.extend(at.database.clone().map(|url| ("ledger.url", url)));
        at.collector = Some(self.site.spawn_as(&at.binary, &["run"], &keys));
        self.lives.push(Life { name, publisher, place, killed: None });
    }

    /// Waits until the replica in a place takes notifications.
    pub async fn is_up(&mut self, place: usize) {
        let Place { admin, collector, .. } = &mut self.places[place];
        let collector = collector.as_mut().expect("somebody was started there");
        eventually("a replica is ready", async || {
            assert!(collector.process.is_running(), "it ended:\n{}", collector.stderr());
            collector.stderr().contains("listening for notifications")
                && get(*admin, "/readyz").await.0 == 200
        })
        .await;
    }

    /// Waits until everybody who runs lives in everybody's eyes, and none has much more to do.
    pub async fn is_shared_out(&self) {
        let running = self.running();
        let least = (2 * self.site.tenants.len() + 1) / running.len();
        eventually("duties are shared out", async || {
            let mut seen = Vec::new();
            for place in &running {
                seen.push(self.roll(*place).await);
            }
            seen.iter().all(|roll| {
                let alive: Vec<_> = roll.iter().filter(|entry| entry["state"] == "alive").collect();
                alive.len() == running.len() && alive.iter().all(|entry| duties(entry) >= least)
            })
        })
        .await;
    }

    /// The replicas as the one in this place shows them.
    pub async fn roll(&self, place: usize) -> Vec<Value> {
        let (_, status) = get(self.places[place].admin, "/api/status").await;
        let status: Value = serde_json::from_str(&status).expect("it is JSON");
        status["replicas"].as_array().cloned().unwrap_or_default()
    }

    /// The value of a series of the replica in this place; 0 if absent.
    pub async fn metric(&self, place: usize, series: &str) -> f64 {
        let (_, text) = get(self.places[place].admin, "/metrics").await;
        metrics::value(&text, series).unwrap_or(0.0)
    }

    /// The places where somebody runs.
    pub fn running(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|place| self.places[*place].collector.is_some()).collect()
    }

    /// Who lives in a place now, or did last.
    pub fn life(&self, place: usize) -> &Life {
        let mut of = self.lives.iter().rev().filter(|life| life.place == place);
        of.next().expect("somebody was started there")
    }

    /// The process in a place.
    pub fn process(&self, place: usize) -> &Process {
        &self.places[place].collector.as_ref().expect("somebody runs there").process
    }

    /// SIGKILL.
    pub fn kill(&mut self, place: usize) {
        let mut collector = self.places[place].collector.take().expect("somebody runs there");
        assert!(collector.process.is_running(), "it ended by itself:\n{}", collector.stderr());
        collector.process.kill();
        let life = self.lives.iter_mut().rev().find(|life| life.place == place);
        life.expect("somebody was started there").killed = Some(Instant::now());
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self, place: usize) {
        let collector = self.places[place].collector.take().expect("somebody runs there");
        let said = collector.stop().await;
        assert_eq!(said.code, Some(0), "{}", said.err);
    }

    /// Ends everybody in order, and the world.
    pub async fn finish(mut self) {
        for place in self.running() {
            self.process(place).terminate();
        }
        for place in self.running() {
            let collector = self.places[place].collector.take().expect("somebody runs there");
            let said = collector.said().await;
            assert_eq!(said.code, Some(0), "{}", said.err);
        }
        self.site.simulator.shutdown().await;
    }
}

/// How many duties an entry of the roll has.
fn duties(entry: &Value) -> usize {
    let count = |key: &str| entry[key].as_array().map_or(0, Vec::len);
    count("sweeps") + count("subscriptions") + usize::from(entry["prunes"] == true)
}

/// Until the balancer, which looks every two seconds, has seen who is there.
pub async fn balanced() {
    sleep(Duration::from_secs(3)).await;
}
