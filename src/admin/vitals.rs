//! The gauges of the process's own ground, asked at each scrape: whether the ledger commits, and
//! how much room it has left.

use prometheus::{IntGauge, Registry};

use crate::ledger::Space;

/// Whether the ledger commits, its room, and whether Microsoft can call.
#[derive(Clone, Debug)]
pub(super) struct Vitals {
    writable: IntGauge,
    free: IntGauge,
    size: IntGauge,
}

impl Vitals {
    /// `is_called` does not change while the process lives.
    pub(super) fn register(
        registry: &Registry,
        is_called: bool,
    ) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        gauge(
            "m365_webhook_configured",
            "1 when this process has a public port for Microsoft to call; 0 when everything is found by listing, and m365_webhook_enabled says nothing.",
        )?
        .set(is_called.into());
        Ok(Self {
            writable: gauge(
                "m365_ledger_writable",
                "1 while the ledger commits; at 0 notifications are answered with 503 and nothing is fetched.",
            )?,
            free: gauge(
                "m365_ledger_disk_free_bytes",
                "Room left for us on the file system of the ledger; 0 when the system does not tell, or the ledger is on a server.",
            )?,
            size: gauge(
                "m365_ledger_disk_size_bytes",
                "Size of the file system of the ledger; 0 when the system does not tell, or the ledger is on a server.",
            )?,
        })
    }

    pub(super) fn set(&self, writable: bool, space: Option<Space>) {
        self.writable.set(writable.into());
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.free.set(space.map_or(0, |space| gauge(space.free)));
        self.size.set(space.map_or(0, |space| gauge(space.total)));
    }
}
