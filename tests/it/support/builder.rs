//! Starts a [`Service`]: what it and its world should be like, from the configuration to the first
//! look at every subscription.

use std::collections::HashMap;

use m365_collector::{
    clock::Clock, demo::Setup, shutdown::Shutdown, simulator, simulator::Simulator,
};
use tokio::task::JoinSet;

use super::{Service, any_port, load, tenant};

/// What the service and its world should be like.
pub struct Builder {
    tenants: usize,
    overrides: Vec<(String, String)>,
    world: simulator::Config,
    devo: Option<String>,
    webhook: bool,
    clock: Option<Clock>,
}

impl Builder {
    pub fn new() -> Self {
        let clock = Clock::system();
        let world = simulator::Config { clock, ..simulator::Config::new(Vec::new()) };
        Self { tenants: 1, overrides: Vec::new(), world, devo: None, webhook: true, clock: None }
    }

    pub fn tenants(mut self, tenants: usize) -> Self {
        self.tenants = tenants;
        self
    }

    /// Overrides a key, such as `fetch.retry_min`, as the environment would.
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        let name = key.to_uppercase().replace('.', "__");
        self.overrides.push((format!("M365_COLLECTOR__{name}"), value.to_string()));
        self
    }

    /// Changes the simulated world.
    pub fn world(mut self, change: impl FnOnce(&mut simulator::Config)) -> Self {
        change(&mut self.world);
        self
    }

    /// Sends to another receiver than the simulated one.
    pub fn devo(mut self, endpoint: impl ToString) -> Self {
        self.devo = Some(endpoint.to_string());
        self
    }

    /// A site that Microsoft cannot call.
    pub fn without_webhook(mut self) -> Self {
        self.webhook = false;
        self
    }

    /// Gives the service another clock than its world.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Starts everything and waits until every subscription is registered and has been looked at
    /// again, so that from there on the service asks for nothing until it is told something.
    pub async fn start(self) -> Service {
        let service = self.start_unregistered().await;
        service.registered().await;
        service.looked_at_again().await;
        service
    }

    /// Starts everything and does not wait.
    pub async fn start_unregistered(self) -> Service {
        let Self { tenants, overrides, mut world, devo, webhook, clock } = self;
        let tenants: Vec<_> = (0..tenants).map(tenant).collect();
        world.tenants = tenants.iter().map(|(_, tenant)| tenant.clone()).collect();
        let clock = clock.unwrap_or_else(|| world.clock.clone());
        let simulator = Simulator::start(world).await.expect("loopback ports are free");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let setup = Setup {
            simulator: &simulator,
            tenants: &tenants,
            folder: folder.path(),
            webhook: webhook.then(any_port),
            admin: any_port(),
            devo: devo.as_deref(),
        };
        let config_path = setup.write().expect("the folder can be written to");
        let config = load(&config_path, &overrides);
        let mut service = Service {
            simulator,
            tenants,
            config,
            config_path,
            webhook: any_port(),
            admin: any_port(),
            clock,
            folder,
            expected: HashMap::new(),
            overrides,
            stop: Shutdown::new(),
            running: JoinSet::new(),
        };
        service.run().await;
        service
    }
}
