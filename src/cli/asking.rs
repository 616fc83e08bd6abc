//! What commands share that ask Microsoft beside the service.

use std::{num::NonZeroU32, time::Duration};

use prometheus::Registry;

use super::{CommandError, ledger::name};
use crate::{
    clock::Clock,
    config::Config,
    content::{TenantId, Tenants},
    microsoft::{Client, Metrics},
};

/// A client whose requests are counted for nobody, and are at most half of the configured budget. They
/// come on top of what the service beside it asks.
pub(super) fn client(config: &Config, clock: &Clock) -> Result<Client, CommandError> {
    let metrics = Metrics::register(&Registry::new(), &config.tenants)?;
    let (microsoft, tenants) = (config.microsoft.clone(), config.tenants.clone());
    let client = Client::new(microsoft, tenants, clock.clone(), metrics)?;
    client.pacing().keep_to_one_of(HALF);
    Ok(client)
}

/// Why nothing happens for a while.
pub(super) fn throttled(tenant: TenantId, wait: Duration, tenants: &Tenants) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let tenant = name(tenant, tenants);
    format!("{tenant}: Microsoft throttles this tenant; asking again in {seconds} s")
}

const HALF: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

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
