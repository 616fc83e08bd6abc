//! The certificates that prove who we are, for whoever watches their ends.

use std::sync::Arc;

use crate::{
    content::{Tenant, Tenants},
    deliver::Outlet,
    expiry::{Certificate, Kind},
    microsoft::{self, Credential},
    webhook::Webhook,
};

/// Those of the tenants' applications.
pub(super) fn of_tenants(config: &microsoft::Config, tenants: &Tenants) -> Vec<Certificate> {
    let certificate = |tenant: Arc<Tenant>| {
        let Some(Credential::Certificate(certificate)) = config.credentials.get(&tenant.id) else {
            return None;
        };
        let certificate = certificate.clone();
        let expires = move || certificate.expires();
        Some(Certificate::new(Kind::Client, expires).of(tenant.name.clone()))
    };
    tenants.iter().filter_map(certificate).collect()
}

/// The one for Devo, if there is one.
pub(super) fn of_devo(outlet: Outlet) -> Certificate {
    Certificate::new(Kind::Devo, move || outlet.certificate_expires())
}

/// The webhook's own, where TLS ends here.
pub(super) fn of_webhook(webhook: &Webhook) -> Option<Certificate> {
    let acceptor = webhook.acceptor()?;
    Some(Certificate::new(Kind::Tls, move || acceptor.expires()))
}
