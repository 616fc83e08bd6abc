//! The whole way on this machine: a simulated Microsoft, the real collector, a TLS receiver.
//!
//! The collector is the one of `run`, built from a configuration file and driven through its
//! public port; only the two remote sides are simulated. Success is counted record by record
//! against the book of what was published, never assumed.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::{
    app::{App, RunError, StartError},
    clock::Clock,
    config::{Config, Problems},
    content::ContentType,
    ledger::{self, Reader},
    shutdown::Shutdown,
    simulator::{self, SimulatedTenant, Simulator},
};

mod credentials;
mod progress;
mod screen;
mod setup;
mod simulate;
mod summary;
mod traffic;

pub use setup::Setup;
pub use simulate::{SimulateError, SimulateOptions, place_certificates, simulate};
pub use summary::Summary;

use progress::Progress;
use screen::Screen;
use summary::Verdict;
use traffic::Traffic;

/// What the demo should be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many organisations.
    pub tenants: usize,
    /// Contents published per second, all organisations together.
    pub rate: f64,
    /// How long content is published.
    pub duration: Duration,
    /// A syslog receiver of your own, as `tcp://host:port` or `tls://host:port`.
    pub devo: Option<String>,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Whether colours are wanted.
    pub colour: bool,
}

/// Runs the demo to its end, or until asked to stop, which ends publishing early.
///
/// # Errors
///
/// [`DemoError`] when a part cannot be started or ended by itself.
pub async fn run(options: Options, shutdown: Shutdown) -> Result<Summary, DemoError> {
    let folder = tempfile::Builder::new().prefix("m365-collector-demo-").tempdir()?;
    let tenants: Vec<_> = (0..options.tenants.max(1)).map(tenant).collect();
    let simulator = Simulator::start(simulator::Config {
        devo: options.devo.is_none().then_some(any_port()),
        ..simulator::Config::new(tenants.iter().map(|(_, tenant)| tenant.clone()).collect())
    })
    .await?;
    let setup = Setup {
        simulator: &simulator,
        tenants: &tenants,
        folder: folder.path(),
        webhook: Some(any_port()),
        admin: any_port(),
        devo: options.devo.as_deref(),
    };
    let config = Config::load(&setup.write()?, [])?.config;
    let ledger = config.ledger.clone();
    let app = App::bind(config.into(), Clock::system()).await?;
    if let Some(address) = app.webhook_addr() {
        simulator.set_edge(address);
    }

    let screen = Screen::new(options.terminal, options.colour);
    introduce(&screen, &simulator, &app, &options);
    let stop_app = Shutdown::new();
    let mut running = JoinSet::new();
    running.spawn(app.run(stop_app.clone()));

    let mut show = Show { options, screen, simulator, progress: Progress::default(), ledger };
    let ended = tokio::select! {
        shown = show.run(&shutdown, &tenants) => shown?,
        ended = running.join_next() => return Err(gone(ended)),
    };
    // The drain confirms and settles what is left; only then is the count final.
    stop_app.request();
    match running.join_next().await {
        Some(Ok(Ok(()))) => {}
        ended => return Err(gone(ended)),
    }
    show.finish(ended).await
}

/// The demo while it runs.
struct Show {
    options: Options,
    screen: Screen,
    simulator: Simulator,
    progress: Progress,
    ledger: ledger::Config,
}

impl Show {
    async fn run(
        &mut self,
        shutdown: &Shutdown,
        tenants: &[(String, SimulatedTenant)],
    ) -> Result<Traffic, DemoError> {
        self.registered(tenants.len() * ContentType::ALL.len()).await?;
        let ids: Vec<_> = tenants.iter().map(|(_, tenant)| tenant.id).collect();
        let mut traffic = Traffic::new(&ids, self.options.rate, self.options.duration);
        let mut last_word = None;
        loop {
            let over = traffic.is_over() || shutdown.is_requested();
            if !over {
                traffic.publish_due(&self.simulator);
            }
            let delivered = self.delivered_elsewhere().await;
            let moment = self.progress.take(&self.simulator, &traffic.book, delivered);
            self.screen.show(&moment);
            if over {
                let patience = *last_word.get_or_insert_with(|| Instant::now() + PATIENCE);
                if moment.arrived >= moment.published || Instant::now() >= patience {
                    return Ok(traffic);
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Waits until Microsoft has validated and enabled every subscription.
    async fn registered(&self, wanted: usize) -> Result<(), DemoError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let subscriptions = self.simulator.microsoft().subscriptions();
            let ready = subscriptions.iter().filter(|(_, state)| state.webhook.is_some()).count();
            if ready >= wanted {
                self.screen.say(&format!(
                    "1. registered    {ready} subscriptions; Microsoft called the webhook to validate each"
                ));
                self.screen.say(
                    "2. collecting    notification → 200 once durable → fetch → split → Devo → confirmed",
                );
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(DemoError::NotRegistered { ready, wanted });
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// What the ledger counts as delivered, where the receiver is not ours to ask.
    async fn delivered_elsewhere(&self) -> Option<u64> {
        self.options.devo.as_ref()?;
        let reader = Reader::open(&self.ledger).await.ok()?;
        let status = reader.status(Clock::system().now()).await.ok()?;
        Some(status.iter().map(|feed| feed.records).sum())
    }

    async fn finish(mut self, traffic: Traffic) -> Result<Summary, DemoError> {
        let delivered = self.delivered_elsewhere().await;
        let last = self.progress.take(&self.simulator, &traffic.book, delivered);
        self.screen.clear();
        let verdict = match (&self.options.devo, delivered) {
            (Some(receiver), records) => {
                Verdict::Confirmed { receiver: receiver.clone(), records: records.unwrap_or(0) }
            }
            (None, _) => Verdict::Counted(traffic.book.compare(&self.simulator.devo().arrivals())),
        };
        self.simulator.shutdown().await;
        Ok(Summary { book: traffic.book, last, lags: self.progress.lags(), verdict })
    }
}

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The generated configuration is refused.
    #[error("the demo's own configuration is invalid:\n{0}")]
    Config(#[from] Problems),
    /// A port or file of this machine.
    #[error("this machine refused a port or a file")]
    Io(#[from] io::Error),
    /// Not every subscription was validated in time.
    #[error("only {ready} of {wanted} subscriptions were registered in time")]
    NotRegistered {
        /// How many are enabled.
        ready: usize,
        /// How many should be.
        wanted: usize,
    },
    /// The collector ended by itself.
    #[error("the collector ended while it should run")]
    Run(#[source] Option<RunError>),
    /// The collector cannot be built.
    #[error("the collector cannot start")]
    Start(#[from] StartError),
}

fn gone(ended: Option<Result<Result<(), RunError>, tokio::task::JoinError>>) -> DemoError {
    DemoError::Run(match ended {
        Some(Ok(Err(error))) => Some(error),
        _ => None,
    })
}

fn introduce(screen: &Screen, simulator: &Simulator, app: &App, options: &Options) {
    let webhook = app.webhook_addr().map(|address| format!("http://{address}/webhook  "));
    let devo = options.devo.clone().unwrap_or_else(|| simulator.devo_endpoint());
    for line in [
        "m365-collector demo: the way of Microsoft 365 audit records to Devo, on this machine",
        "",
        &format!(
            "   Microsoft 365   {}  simulated, {} tenants",
            simulator.management_url(),
            options.tenants
        ),
        &format!(
            "   m365-collector  {}status page: http://{}/",
            webhook.unwrap_or_default(),
            app.admin_addr()
        ),
        &format!(
            "   Devo            {devo}  syslog over TLS, each session confirmed by its end of stream"
        ),
        "",
    ] {
        screen.say(line);
    }
}

fn tenant(serial: usize) -> (String, SimulatedTenant) {
    let name =
        NAMES.get(serial).map_or_else(|| format!("tenant-{serial}"), |&name| name.to_owned());
    let tenant = SimulatedTenant {
        id: Uuid::new_v4().into(),
        client_id: Uuid::new_v4().into(),
        client_secret: Uuid::new_v4().to_string(),
    };
    (name, tenant)
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// The example organisations of Microsoft's documentation.
const NAMES: [&str; 4] = ["contoso", "fabrikam", "litware", "tailspin"];

/// How often the picture changes.
const TICK: Duration = Duration::from_millis(125);

/// What has not arrived by then after the last publication will not.
const PATIENCE: Duration = Duration::from_secs(45);
