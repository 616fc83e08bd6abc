//! The one fake world behind `demo`, `simulate` and the integration tests.
//!
//! Microsoft's side (Entra's token endpoint, the Office 365 Management Activity API and its
//! notifier) and Devo's side (a syslog receiver over TLS) on sockets of this machine, with
//! certificates made for the occasion. It is stateful as the real ones are: subscriptions,
//! contents and tokens have a life, and every odd answer that was seen in the wild can be caused
//! on demand.
//!
//! Everything started here is a task in one owned set and ends with the [`Simulator`]. Nothing is
//! kept without a bound: logs are rings, old fetched blobs are dropped, records that arrived at
//! Devo are remembered by hash only. If the process dies, only the certificates of a configured
//! directory stay.
//!
//! It deliberately knows nothing of the collector: no part of it is shared but the vocabulary,
//! the TLS provider, the clock and the stop signal, so that a mistake cannot cancel itself out.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::net::TcpListener;
use url::Url;

use crate::{
    clock::Clock,
    content::{ClientId, ContentType, TenantId},
    shutdown::Shutdown,
};

pub mod certificates;
pub mod devo;
pub mod generator;
pub mod microsoft;
mod server;
mod tasks;

pub use devo::{Devo, DevoMode};
pub use generator::{Generator, Shape};
pub use microsoft::{Blob, Fault, Microsoft, Operation};

use certificates::Material;
use tasks::Tasks;

/// Both sides, running until this is dropped.
#[derive(Debug)]
pub struct Simulator {
    microsoft: Microsoft,
    devo: Devo,
    material: Material,
    management: SocketAddr,
    login: SocketAddr,
    devo_endpoint: String,
    clock: Clock,
    tasks: Tasks,
    shutdown: Shutdown,
}

impl Simulator {
    /// Makes or reads the certificates, binds every listener and starts serving.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound or the certificates can be neither read nor written.
    pub async fn start(config: Config) -> io::Result<Self> {
        let material = Material::open(config.material.as_deref())?;
        let tasks = Tasks::default();
        let shutdown = Shutdown::new();

        let management = TcpListener::bind(config.management).await?;
        let login = match config.login {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let management_address = management.local_addr()?;
        let login_address = match &login {
            Some(listener) => listener.local_addr()?,
            None => management_address,
        };

        let microsoft = Microsoft::new(
            &config,
            https(management_address),
            https(login_address),
            &material,
            tasks.clone(),
            shutdown.clone(),
        )?;
        let acceptor = material.microsoft_acceptor(config.http2)?;
        for listener in std::iter::once(management).chain(login) {
            let world = microsoft.world();
            tasks.spawn(server::serve(listener, acceptor.clone(), tasks.clone(), move |request| {
                microsoft::answer(world.clone(), request)
            }));
        }
        tasks.spawn(microsoft.notifier());

        let devo = Devo::new(config.keep_lines);
        let mut devo_endpoint = String::new();
        if let Some(address) = config.devo {
            let listener = TcpListener::bind(address).await?;
            let scheme = if config.devo_tls { "tls" } else { "tcp" };
            devo_endpoint = format!("{scheme}://{}", reachable(listener.local_addr()?));
            if config.devo_tls {
                devo.accept_with(material.devo_acceptor(&[material.devo_chain()])?);
            }
            tasks.spawn(devo.serve(listener, tasks.clone()));
        }

        Ok(Self {
            microsoft,
            devo,
            material,
            management: management_address,
            login: login_address,
            devo_endpoint,
            clock: config.clock,
            tasks,
            shutdown,
        })
    }

    /// Microsoft's side.
    pub fn microsoft(&self) -> &Microsoft {
        &self.microsoft
    }

    /// Devo's side; it receives nothing when [`Config::devo`] is `None`.
    pub fn devo(&self) -> &Devo {
        &self.devo
    }

    /// Tells where notifications go, for an application that was bound after this. As
    /// [`Config::edge`].
    pub fn set_edge(&self, edge: SocketAddr) {
        self.microsoft.set_edge(Some(Edge::Plain(edge)));
    }

    /// Like [`Simulator::set_edge`] for an application that ends TLS itself. Its certificate must
    /// be valid for the socket's address and come from the simulator's authority, as
    /// [`Material::server_cert`] does, or from [`Config::webhook_ca`]. The notifier presents a
    /// certificate of `manage.office.com`.
    pub fn set_tls_edge(&self, edge: SocketAddr) {
        self.microsoft.set_edge(Some(Edge::Tls(edge)));
    }

    /// The root of the Management Activity API.
    pub fn management_url(&self) -> Url {
        https(self.management)
    }

    /// The root of the token endpoint.
    pub fn login_url(&self) -> Url {
        https(self.login)
    }

    /// Where Devo's side listens, as `tls://127.0.0.1:PORT`; empty without a Devo side. The
    /// certificate is valid for `127.0.0.1`, `::1` and `localhost`.
    pub fn devo_endpoint(&self) -> String {
        self.devo_endpoint.clone()
    }

    /// Whose client certificates Devo's side takes from the next session on: those that one of the
    /// authorities in these files signed.
    ///
    /// # Errors
    ///
    /// When a file holds no certificate.
    pub fn set_devo_clients(&self, authorities: &[&Path]) -> io::Result<()> {
        self.devo.accept_with(self.material.devo_acceptor(authorities)?);
        Ok(())
    }

    /// This world's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The files of certificates and keys.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// The authority that signed Microsoft's certificates.
    pub fn ca_path(&self) -> &Path {
        self.material.microsoft_ca()
    }

    /// The authority that signed Devo's certificates, the `chain.crt` of its console.
    pub fn devo_ca_path(&self) -> &Path {
        self.material.devo_chain()
    }

    /// The client certificate Devo's side asks for, the `domain.crt` of its console.
    pub fn devo_cert_path(&self) -> &Path {
        self.material.domain_cert()
    }

    /// The key of [`Simulator::devo_cert_path`].
    pub fn devo_key_path(&self) -> &Path {
        self.material.domain_key()
    }

    /// Ends every task and waits until they are gone.
    pub async fn shutdown(self) {
        self.shutdown.request();
        self.tasks.end().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shutdown.request();
        self.tasks.abort();
    }
}

/// What the world looks like. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The tenants that exist.
    pub tenants: Vec<SimulatedTenant>,
    /// Where the management API listens; port 0 takes any.
    pub management: SocketAddr,
    /// Where the token endpoint listens; `None` shares the management listener.
    pub login: Option<SocketAddr>,
    /// Where Devo's side listens; `None` leaves it out.
    pub devo: Option<SocketAddr>,
    /// Whether Devo's side speaks TLS and asks for a client certificate, or plain TCP.
    pub devo_tls: bool,
    /// The simulator plays the load balancer: whatever https address a subscription names,
    /// validations and notifications go to this socket as plain HTTP, with the path and the host
    /// of the address. `None` dials the address itself.
    pub edge: Option<SocketAddr>,
    /// Authorities of webhooks that end TLS themselves, beside the simulator's own.
    pub webhook_ca: Option<PathBuf>,
    /// A directory to keep the certificates in; a complete set found there is used again. `None`
    /// takes a temporary one.
    pub material: Option<PathBuf>,
    /// Wall time of this world; tests may move it forward.
    pub clock: Clock,
    /// Decides whatever is drawn by lot.
    pub seed: u64,
    /// Contents on one page of a listing.
    pub page_size: usize,
    /// How long an access token lives.
    pub token_life: Duration,
    /// How long content can be fetched after it was created.
    pub content_life: Duration,
    /// Least time between two starts of one subscription.
    pub start_interval: Duration,
    /// Requests a tenant may make in a minute before it is throttled; `None` never throttles.
    pub requests_per_minute: Option<usize>,
    /// Whether blobs are compressed for those who accept it.
    pub gzip: bool,
    /// Whether HTTP/2 is offered beside HTTP/1.1.
    pub http2: bool,
    /// How long contents are gathered before they are notified together.
    pub notification_delay: Duration,
    /// Most entries in one notification.
    pub notification_batch: usize,
    /// Waits before a failed notification is posted again; each wait is used once, and after the
    /// last one failed the webhook is disabled.
    pub notification_retries: Vec<Duration>,
    /// How long a webhook may take to answer.
    pub webhook_timeout: Duration,
    /// Bytes of blobs to hold before the oldest that were fetched are dropped. Blobs nobody
    /// fetched stay; [`Blob::Generated`] weighs nothing.
    pub retain: usize,
    /// Contents to hold before the oldest that were fetched are forgotten.
    pub retain_contents: usize,
    /// Whether Devo's side keeps every line for [`Devo::lines`], at the price of their memory.
    pub keep_lines: bool,
}

impl Config {
    /// Any free ports on the loopback address, the documented limits, and short waits.
    pub fn new(tenants: Vec<SimulatedTenant>) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            tenants,
            management: any,
            login: None,
            devo: Some(any),
            devo_tls: true,
            edge: None,
            webhook_ca: None,
            material: None,
            clock: Clock::system(),
            seed: 0,
            page_size: 200,
            token_life: Duration::from_secs(3599),
            content_life: Duration::from_secs(7 * 24 * 3600),
            start_interval: Duration::from_secs(15 * 60),
            requests_per_minute: None,
            gzip: false,
            http2: true,
            notification_delay: Duration::from_millis(10),
            notification_batch: 100,
            notification_retries: [100, 200, 400, 800, 1600, 3200]
                .map(Duration::from_millis)
                .to_vec(),
            webhook_timeout: Duration::from_secs(10),
            retain: 256 * 1024 * 1024,
            retain_contents: 200_000,
            keep_lines: false,
        }
    }
}

/// A tenant of the simulated world, with the one application registered in it.
#[derive(Clone)]
pub struct SimulatedTenant {
    /// The directory id.
    pub id: TenantId,
    /// The application.
    pub client_id: ClientId,
    /// The application's secret.
    pub client_secret: String,
}

impl fmt::Debug for SimulatedTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedTenant")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A feed of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Feed {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub content_type: ContentType,
}

/// Where every webhook call goes instead of the address it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Plain(SocketAddr),
    Tls(SocketAddr),
}

fn https(address: SocketAddr) -> Url {
    Url::parse(&format!("https://{}", reachable(address))).expect("a socket address is a host")
}

/// The address a client on this machine can dial.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// A panic elsewhere leaves counters behind that are still true; hiding them would only replace
/// the first failure by a second one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
