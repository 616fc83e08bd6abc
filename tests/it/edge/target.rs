//! The real binary as a target, in the simulated world, with bait around it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use m365_collector::{content::ContentId, simulator::Operation};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{
    bait::Bait,
    collector::{Collector, Said, Site},
    edge::{Post, Protocol},
    eventually, get,
    series::Scrape,
    within,
};

pub struct Target {
    pub site: Site,
    pub collector: Collector,
    /// Where no attack may lead.
    pub bait: Bait,
    /// What was announced beside forged entries and may be fetched.
    honest: Mutex<Vec<ContentId>>,
}

impl Target {
    /// A running collector with these settings.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        let mut site = Site::start(1, None, |_| ()).await;
        for (key, value) in settings {
            site.set(key, *value);
        }
        Self::of(site).await
    }

    pub async fn of(site: Site) -> Self {
        let collector = site.run().await;
        Self::at(site, collector)
    }

    /// A collector that runs already.
    pub fn at(site: Site, collector: Collector) -> Self {
        // The ports that are dialled, at another address of this machine.
        let root = site.simulator.management_url();
        let port = root.port().expect("it is one of this machine");
        let beside = [port, site.admin.port(), site.webhook.port()]
            .map(|port| SocketAddr::from((ELSEWHERE, port)));
        let bait = Bait::lay_at(&beside);
        Self { site, collector, bait, honest: Mutex::default() }
    }

    pub fn auth_id(&self) -> String {
        let file = self.site.folder.path().join("auth-id");
        fs::read_to_string(file).expect("it was written").trim().to_owned()
    }

    pub fn post(&self, body: impl Into<bytes::Bytes>) -> Post {
        Post::new(self.auth_id(), body)
    }

    /// Asks over both versions of HTTP; both must agree.
    pub async fn ask(&self, post: &Post) -> u16 {
        let first = post.ask(self.site.webhook, Protocol::Http1).await.status;
        let second = post.ask(self.site.webhook, Protocol::Http2).await.status;
        assert_eq!(first, second, "{post:?}");
        first
    }

    /// An honest caller on a connection of his own.
    pub async fn honest(&self) -> u16 {
        self.post("[]").ask(self.site.webhook, Protocol::Http1).await.status
    }

    /// The sum of a family's series with these labels.
    pub async fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        Scrape::parse(&get(self.site.admin, "/metrics").await.1).sum(name, labels)
    }

    pub async fn requests(&self, outcome: &str) -> f64 {
        self.count("m365_webhook_requests_total", &[("outcome", outcome)]).await
    }

    pub async fn connections(&self, outcome: &str) -> f64 {
        self.count("m365_webhook_connections_total", &[("outcome", outcome)]).await
    }

    /// Waits until at least so many connections have ended in one of these ways: an end is counted
    /// only after its peer has seen it.
    pub async fn ended(&self, least: f64, outcomes: &[&str]) {
        eventually(&format!("{least} connections ended as {outcomes:?}"), async || {
            let mut ended = 0.0;
            for outcome in outcomes {
                ended += self.connections(outcome).await;
            }
            ended >= least
        })
        .await;
    }

    /// Entries of notifications refused for a reason.
    pub async fn refused(&self, reason: &str) -> f64 {
        let labels = [("stage", "notification"), ("reason", reason)];
        self.count("m365_messages_unsuccessfully_processed_total", &labels).await
    }

    /// How often content was asked for that no honest entry announced.
    pub fn fetched(&self) -> usize {
        let honest = self.honest.lock().unwrap();
        let requests = self.site.simulator.microsoft().requests();
        let foreign = requests.iter().filter(|request| match &request.operation {
            Operation::BlobOf(id) => !honest.contains(id),
            _ => false,
        });
        foreign.count()
    }

    /// An entry about content that nobody published.
    pub fn entry(&self, id: &str) -> Value {
        let tenant = &self.site.tenants[0].1;
        json!({
            "tenantId": tenant.id.to_string(),
            "clientId": tenant.client_id.to_string(),
            "contentType": "Audit.Exchange",
            "contentId": id,
            "contentUri": self.uri(id),
            "contentCreated": "2026-01-01T00:00:00.000Z",
            "contentExpiration": "2099-01-01T00:00:00.000Z",
        })
    }

    /// What Microsoft would write for an id that needs no escapes.
    pub fn uri(&self, id: &str) -> String {
        let root = self.site.simulator.management_url();
        format!("{root}api/v1.0/{}/activity/feed/audit/{id}", self.site.tenant(0))
    }

    /// Posts forged entries with an honest one among them, and waits until that one arrived: then
    /// whatever would have come of the others has come.
    pub async fn forge(&self, entries: &[Value]) {
        use m365_collector::{
            content::ContentType,
            simulator::{
                Blob,
                microsoft::{Announcing, IdForm, Publication},
            },
        };
        let microsoft = self.site.simulator.microsoft();
        let record = format!(r#"{{"Id":"{}"}}"#, uuid::Uuid::new_v4());
        let lost = Some(Announcing::LOST);
        let publication =
            Publication { announcing: lost, ..Publication::of(Blob::array(&[&record])) };
        let tenant = self.site.tenant(0);
        let id = microsoft.publish_as(tenant, ContentType::Exchange, publication);
        let honest = microsoft.entry(tenant, &id, IdForm::Listed).expect("it is published");
        self.honest.lock().unwrap().push(id);
        let mut entries = entries.to_vec();
        entries.insert(entries.len() / 2, json!(honest));
        let body = serde_json::to_vec(&entries).expect("entries are JSON");
        let answer = self.post(body).ask(self.site.webhook, Protocol::Http1).await;
        assert_eq!(answer.status, 200);
        eventually("the honest entry arrived", async || {
            self.site.simulator.devo().times_received(record.as_bytes()) == 1
        })
        .await;
    }

    /// The process is well and small, and an honest caller gets through; then its end.
    pub async fn finish(self) -> Said {
        assert_eq!(self.honest().await, 200, "an honest caller still gets through");
        self.gone().await
    }

    /// As [`Self::finish`], where this machine may not call. That nothing was dialled which should
    /// not be says the bait, with the target's end.
    pub async fn gone(self) -> Said {
        let peak = self.collector.process.peak_kib();
        assert!(peak < MEMORY_KIB, "{peak} KiB at most");
        let said = self.collector.stop().await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }
}

/// What a caller without manners has open.
pub struct Rude(pub TcpStream);

impl Rude {
    pub async fn connect(port: SocketAddr) -> Self {
        Self::from(port, Ipv4Addr::LOCALHOST).await.expect("the port is open")
    }

    /// From another address of this machine.
    pub async fn from(port: SocketAddr, source: Ipv4Addr) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Ok(Self(socket.connect(port).await?))
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The status of the next answer, or none when the connection ends without one.
    pub async fn status(&mut self) -> Option<u16> {
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.ok()?);
            }
            let text = String::from_utf8(head).expect("the head is text");
            text.split(' ').nth(1)?.parse().ok()
        };
        within(Duration::from_secs(20), "an answer or the end", read).await
    }

    /// Waits until the other side has closed.
    pub async fn closed(&mut self) {
        let mut rest = [0; 1024];
        within(Duration::from_secs(20), "the end of a connection", async {
            while self.0.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        })
        .await;
    }

    /// Whether the other side has neither closed nor said anything so far.
    pub fn is_open_now(&mut self) -> bool {
        let nothing = self.0.try_read(&mut [0; 16]);
        nothing.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Whether the other side has not closed within a moment.
    pub async fn is_open(&mut self) -> bool {
        timeout(Duration::from_millis(200), self.0.read_u8()).await.is_err()
    }
}

/// Of this machine, and in nobody's configuration.
pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What the process may have had resident at any moment, a debug build and all caps of the default
/// configuration.
pub const MEMORY_KIB: u64 = 128 * 1024;
