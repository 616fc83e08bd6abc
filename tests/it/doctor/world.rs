//! A world in which nothing is wrong, until something is.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use m365_collector::{
    content::{ContentType, TenantId},
    simulator::{
        self, Blob, Microsoft,
        microsoft::{Publication, Subscription, Webhook, WebhookState},
    },
};
use serde::Deserialize;

use super::{
    authority::{Authority, Leaf},
    balancer::Balancer,
};
use crate::support::collector::{Collector, Said, Site};

/// A set-up as the guide makes it, ready to run: everything is registered and well.
pub struct World {
    pub site: Site,
    /// The one public authority there is.
    pub authority: Authority,
    pub balancer: Balancer,
    /// Said to the shell before the check.
    pub script: String,
    pub arguments: Vec<&'static str>,
    /// What must live as long as the check.
    pub kept: Vec<Box<dyn std::any::Any>>,
}

impl World {
    pub async fn new(change: impl FnOnce(&mut simulator::Config)) -> Self {
        Self::of(1, change).await
    }

    /// With so many tenants.
    pub async fn of(tenants: usize, change: impl FnOnce(&mut simulator::Config)) -> Self {
        let mut site = Site::start(tenants, None, change).await;
        let folder = site.folder.path().to_owned();
        make_private(&folder.join("auth-id"));
        for (name, _) in &site.tenants {
            make_private(&folder.join(format!("{name}.secret")));
        }
        let authority = Authority::new("The public authority");
        fs::write(folder.join("public.pem"), authority.pem()).unwrap();
        site.export("SSL_CERT_FILE", &folder.join("public.pem").display());
        let (cert, key) = authority.issue(&folder, "balancer", &Leaf::default());
        let balancer = Balancer::start(Some((&cert, &key)), site.webhook).await;
        site.set("devo.confirm_timeout", "2s");
        let mut world = Self {
            site,
            authority,
            balancer,
            script: String::new(),
            arguments: vec!["check", "--json"],
            kept: Vec::new(),
        };
        world.set_address(world.balancer.address.port());
        let publication = Publication {
            created: Some(world.site.simulator.clock().now() - HOUR),
            ..Publication::of(Blob::array(&[r#"{"Id":"1"}"#]))
        };
        world.microsoft().publish_as(world.tenant(), ContentType::General, publication);
        world.register();
        world
    }

    pub fn microsoft(&self) -> &Microsoft {
        self.site.simulator.microsoft()
    }

    pub fn tenant(&self) -> TenantId {
        self.site.tenant(0)
    }

    pub fn folder(&self) -> &Path {
        self.site.folder.path()
    }

    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.site.set(key, &value);
    }

    /// Changes the configuration file.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.site.config).unwrap();
        fs::write(&self.site.config, change(text)).unwrap();
    }

    /// The public address is at this port.
    pub fn set_address(&mut self, port: u16) {
        self.set("webhook.address", address(port));
    }

    /// Registers every subscription as the service would.
    pub fn register(&self) {
        self.change_each(|subscription, webhook| subscription.webhook = Some(webhook));
    }

    /// Changes every subscription; the webhook is the one that should be there.
    pub fn change_each(&self, change: impl Fn(&mut Subscription, Webhook)) {
        let webhook = Webhook {
            address: address(self.balancer.address.port()),
            auth_id: Some(fs::read_to_string(self.folder().join("auth-id")).unwrap()),
            expiration: None,
            state: WebhookState::Enabled,
        };
        for (_, tenant) in &self.site.tenants {
            for kind in ContentType::ALL {
                let right = webhook.clone();
                let changed = |subscription: &mut Subscription| change(subscription, right);
                self.microsoft().change_subscription(tenant.id, kind, changed);
            }
        }
    }

    /// Another certificate at the public address.
    pub async fn certify(&mut self, leaf: Leaf<'_>) {
        let (cert, key) = self.authority.issue(self.folder(), "other", &leaf);
        self.at_the_edge(Some((cert, key))).await;
    }

    /// Another balancer at the public address, at which everything is registered.
    pub async fn at_the_edge(&mut self, identity: Option<(PathBuf, PathBuf)>) {
        let identity = identity.as_ref().map(|(cert, key)| (&**cert, &**key));
        self.balancer = Balancer::start(identity, self.site.webhook).await;
        self.set_address(self.balancer.address.port());
        self.register();
    }

    pub fn spawn(&self) -> Collector {
        if self.script.is_empty() {
            self.site.spawn(&self.arguments)
        } else {
            self.site.spawn_after(&self.script, &self.arguments)
        }
    }

    /// Runs the check and reads what it found.
    pub async fn check(&self) -> (Said, Vec<Found>) {
        let said = self.spawn().said().await;
        let found = serde_json::from_str(&said.out)
            .unwrap_or_else(|error| panic!("{error} in\n{}\n{}", said.out, said.err));
        (said, found)
    }
}

/// A finding as the contract has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Found {
    pub check: String,
    pub subject: String,
    pub outcome: String,
    pub cause: String,
    pub evidence: String,
    pub remedy: String,
}

pub fn address(port: u16) -> String {
    format!("https://localhost:{port}/webhook")
}

pub fn make_private(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

const HOUR: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
