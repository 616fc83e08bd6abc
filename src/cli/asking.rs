//! What commands share that ask Microsoft beside the service.

use std::time::Duration;

use prometheus::Registry;

use super::{CommandError, ledger::name};
use crate::{
    clock::Clock,
    config::Config,
    content::{TenantId, Tenants},
    microsoft::{Client, Metrics},
};

/// A client whose requests are counted for nobody.
pub(super) fn client(config: &Config, clock: &Clock) -> Result<Client, CommandError> {
    let metrics = Metrics::register(&Registry::new(), &config.tenants)?;
    let (microsoft, tenants) = (config.microsoft.clone(), config.tenants.clone());
    Ok(Client::new(microsoft, tenants, clock.clone(), metrics)?)
}

/// Why nothing happens for a while.
pub(super) fn throttled(tenant: TenantId, wait: Duration, tenants: &Tenants) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let tenant = name(tenant, tenants);
    format!("{tenant}: Microsoft throttles this tenant; asking again in {seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_told_in_whole_seconds() {
        let tenant = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        assert_eq!(
            throttled(tenant, Duration::from_millis(29_001), &Tenants::from_iter([])),
            "11111111-2222-3333-4444-555555555555: Microsoft throttles this tenant; \
             asking again in 30 s"
        );
    }
}
