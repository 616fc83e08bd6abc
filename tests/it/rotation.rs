//! Whatever proves who we are is replaced while records flow: nothing is lost, nothing comes twice,
//! nobody restarts anything.

use std::{collections::HashMap, fs, path::Path, sync::Arc, time::Duration};

use m365_collector::{
    content::ContentType,
    reason::Reason,
    simulator::{Operation, certificates::Material, devo::fingerprint},
    tls,
};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{
    collector::{Collector, Site},
    eventually, get, records,
    series::Scrape,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_credential_is_replaced_under_load() {
    let mut world = World::start().await;
    world.flows("at first").await;
    world.client_secret().await;
    world.flows("with another client secret").await;
    world.client_certificate().await;
    world.flows("with another client certificate").await;
    world.federated_token().await;
    world.flows("with a token of another provider").await;
    world.auth_id().await;
    world.flows("with another auth id").await;
    world.tls_certificate().await;
    world.flows("with another certificate at the edge").await;
    world.devo_certificate().await;
    world.flows("with another certificate for Devo").await;
    world.finish().await;
}

/// A site whose tenants prove themselves in the three ways, and a second set of everything.
struct World {
    site: Site,
    collector: Collector,
    /// What takes the place of the first set.
    second: Material,
    _folder: TempDir,
    published: HashMap<u128, u32>,
    seed: u64,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let second = Material::open(Some(folder.path())).unwrap();
        let mut site = Site::start(3, None, |world| {
            // Tokens are asked for again and again.
            world.token_life = Duration::from_secs(5);
            world.start_interval = Duration::ZERO;
            world.webhook_ca = Some(second.microsoft_ca().to_owned());
        })
        .await;
        site.simulator.set_tls_edge(site.webhook);
        let place = |name: &str| site.folder.path().join(name);
        let material = site.simulator.material();
        let copy = |from: &Path, name: &str| {
            fs::copy(from, place(name)).unwrap();
            place(name).display().to_string()
        };
        let keys = [
            ("webhook.tls.cert", copy(material.server_cert(), "edge.crt")),
            ("webhook.tls.key", copy(material.server_key(), "edge.key")),
            ("devo.cert", copy(material.domain_cert(), "domain.crt")),
            ("devo.key", copy(material.domain_key(), "domain.key")),
        ];
        let [cert, key] = material.application().unwrap();
        copy(&cert, "app.crt");
        copy(&key, "app.key");
        fs::write(place("token"), material.token().unwrap()).unwrap();
        let microsoft = site.simulator.microsoft();
        microsoft.register_certificates(site.tenant(1), &[&cert]).unwrap();
        microsoft.federate(site.tenant(2), material.federation().unwrap());
        fs::write(place("previous-auth-id"), "an-auth-id-from-long-ago").unwrap();
        site.prove(1, "certificate = { cert = \"app.crt\", key = \"app.key\" }");
        site.prove(2, "federated_token = { file = \"token\" }");
        for (key, value) in keys {
            site.set(key, &value);
        }
        for (key, value) in [
            ("webhook.previous_auth_id", "{ file = \"previous-auth-id\" }"),
            ("subscriptions.check_interval", "500ms"),
            ("subscriptions.restart_after", "100ms"),
            ("devo.confirm_interval", "300ms"),
            // While Microsoft validates a webhook anew it calls nobody: what it then has is listed.
            ("sweep.interval", "1s"),
            ("sweep.settle", "1s"),
            // A token that ends on its way is no reason to wait for minutes.
            ("fetch.retry_max", "1s"),
        ] {
            site.set(key, value);
        }
        let collector = site.run().await;
        site.registered(3 * ContentType::ALL.len()).await;
        Self { site, collector, second, _folder: folder, published: HashMap::new(), seed: 0 }
    }

    fn publish(&mut self) {
        for tenant in 0..3 {
            self.seed += 1;
            let content_type = ContentType::ALL[usize::try_from(self.seed).unwrap() % 5];
            let tenant = self.site.tenant(tenant);
            let records = records(self.seed, tenant, content_type, 20);
            for record in &records {
                *self.published.entry(fingerprint(record)).or_default() += 1;
            }
            self.site.simulator.microsoft().publish(tenant, content_type, &records);
        }
    }

    /// Publishes for as long as something takes to become true.
    async fn until(&mut self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        eventually(what, async || {
            self.publish();
            holds(self).await
        })
        .await;
    }

    fn granted(&self, tenant: usize) -> usize {
        let requests = self.site.simulator.microsoft().requests();
        let granted = requests.iter().filter(|request| {
            request.operation == Operation::Token
                && request.tenant == Some(self.site.tenant(tenant))
                && request.status == Some(200)
        });
        granted.count()
    }

    /// Waits until Entra grants a tenant tokens for what it proves itself with now.
    async fn granted_again(&mut self, tenant: usize) {
        let before = self.granted(tenant);
        self.until("tokens are granted again", async |world| world.granted(tenant) > before).await;
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        // As programs that renew do it.
        let new = self.site.folder.path().join("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, self.site.folder.path().join(name)).unwrap();
    }

    fn replace(&self, name: &str, from: &Path) {
        self.write(name, fs::read(from).unwrap());
    }

    async fn client_secret(&mut self) {
        // Added, taken into use, and only then is the old one taken away.
        let tenant = self.site.tenant(0);
        self.site.simulator.microsoft().add_secret(tenant, "another secret");
        self.write("tenant-0.secret", "another secret\n");
        self.granted_again(0).await;
        self.site.simulator.microsoft().set_secret(tenant, "another secret");
        self.granted_again(0).await;
    }

    async fn client_certificate(&mut self) {
        let tenant = self.site.tenant(1);
        let [old, _] = self.site.simulator.material().application().unwrap();
        let [new, key] = self.second.application().unwrap();
        // In the same order.
        let registered: [&[&Path]; 2] = [&[&old, &new], &[&new]];
        for registered in registered {
            let microsoft = self.site.simulator.microsoft();
            microsoft.register_certificates(tenant, registered).unwrap();
            self.replace("app.crt", &new);
            self.publish();
            self.replace("app.key", &key);
            self.granted_again(1).await;
        }
    }

    async fn federated_token(&mut self) {
        let federation = self.second.federation().unwrap();
        self.site.simulator.microsoft().federate(self.site.tenant(2), federation);
        self.write("token", self.second.token().unwrap());
        self.granted_again(2).await;
    }

    async fn auth_id(&mut self) {
        let old = fs::read(self.site.folder.path().join("auth-id")).unwrap();
        self.write("previous-auth-id", old);
        self.write("auth-id", "another-auth-id-long-enough");
        self.until("Microsoft was told", async |world| {
            let all = world.site.simulator.microsoft().subscriptions();
            all.iter().all(|(_, state)| {
                let webhook = state.webhook.as_ref();
                webhook.and_then(|webhook| webhook.auth_id.as_deref())
                    == Some("another-auth-id-long-enough")
            })
        })
        .await;
        self.write("previous-auth-id", "an-auth-id-nobody-sends");
    }

    async fn tls_certificate(&mut self) {
        let expected = tls::certificates(self.second.server_cert()).unwrap().remove(0);
        let [cert, key] = [self.second.server_cert(), self.second.server_key()].map(Path::to_owned);
        self.replace("edge.crt", &cert);
        self.replace("edge.key", &key);
        self.until("the edge shows it", async |world| world.served().await == *expected).await;
    }

    /// The certificate that the edge shows.
    async fn served(&self) -> Vec<u8> {
        let both = [self.second.microsoft_ca(), self.site.simulator.material().microsoft_ca()];
        let roots = both.iter().flat_map(|ca| tls::certificates(ca).unwrap()).collect();
        let connector = TlsConnector::from(Arc::new(tls::client(Some(roots), None).unwrap()));
        let tcp = TcpStream::connect(self.site.webhook).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, tcp).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    async fn devo_certificate(&mut self) {
        let first = self.site.simulator.devo_ca_path().to_owned();
        let second = self.second.devo_chain().to_owned();
        self.site.simulator.set_devo_clients(&[&first, &second]).unwrap();
        let expected = tls::certificates(self.second.domain_cert()).unwrap().remove(0);
        let [cert, key] = [self.second.domain_cert(), self.second.domain_key()].map(Path::to_owned);
        // A certificate without its key is there for a moment.
        self.replace("domain.crt", &cert);
        let sessions = self.sessions();
        self.until("sessions go on", async |world| world.sessions() > sessions + 5).await;
        self.replace("domain.key", &key);
        self.until("Devo is shown it", async |world| {
            let shown = world.site.simulator.devo().client_certificate();
            shown.as_deref() == Some(&expected)
        })
        .await;
        self.site.simulator.set_devo_clients(&[&second]).unwrap();
    }

    fn sessions(&self) -> u64 {
        self.site.simulator.devo().received().sessions.confirmed
    }

    /// What is published now arrives, and so did everything before.
    async fn flows(&mut self, when: &str) {
        for _ in 0..5 {
            self.publish();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let total: u32 = self.published.values().sum();
        let arrived = async || self.site.simulator.devo().received().lines >= u64::from(total);
        eventually(&format!("everything arrives {when}"), arrived).await;
        let wrong = self.site.simulator.devo().arrivals() != self.published;
        assert!(!wrong, "lost or twice {when}");
        assert!(self.collector.process.is_running(), "{}", self.collector.stderr());
    }

    async fn finish(self) {
        let metrics = Scrape::parse(&get(self.site.admin, "/metrics").await.1);
        let failed =
            |reason: &str| metrics.sum("m365_attempts_failed_total", &[("reason", reason)]);
        for reason in Reason::ALL {
            // A token that ends on its way is refused, and replaced.
            let expected = *reason == Reason::Unauthorized;
            let failed = failed(reason.as_str());
            assert!(expected || failed.abs() < 0.5, "{reason}: {failed}");
        }
        // Nothing was turned away at the edge.
        for attempt in self.site.simulator.microsoft().attempts() {
            assert_eq!(attempt.status, Some(200), "{attempt:?}");
        }
        for (kind, tenant) in
            [("client_certificate", "tenant-1"), ("devo_certificate", ""), ("tls_certificate", "")]
        {
            let labels = [("kind", kind), ("tenant", tenant)];
            let end = metrics.sum("m365_credential_expiry_timestamp_seconds", &labels);
            assert!(end > 4_000_000_000.0, "{kind}: {end}");
        }
        let said = self.collector.stop().await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(self.site.simulator.devo().arrivals(), self.published);
        // The moment of a certificate without its key was noticed, and said once.
        let broken = said.err.lines().filter(|line| {
            line.contains("cannot be used") && line.contains("the certificates for Devo")
        });
        assert_eq!(broken.count(), 1, "{}", said.err);
    }
}
