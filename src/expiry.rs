//! How long the certificates live that prove who we are.
//!
//! Each is a series of `m365_credential_expiry_timestamp_seconds` and is warned of 30 days, 7 days
//! and 1 day before its end, once each, and once a day when it is over. What counts is the
//! certificate in use: one that was replaced by a file that cannot be used is still told of.
//!
//! What is to be said is decided by `told`, without a clock. Nothing is kept: after a restart the
//! present warning is given again. If the process dies here, nothing is lost.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::time::{MissedTickBehavior, interval};

use crate::{clock::Clock, shutdown::Shutdown};

mod told;

pub use told::{Stage, Told};

/// Looks at every certificate again and again.
#[derive(Debug)]
pub struct Expiry {
    gauge: IntGaugeVec,
    clock: Clock,
    certificates: Arc<[Certificate]>,
    told: HashMap<usize, Told>,
}

impl Expiry {
    /// Registers the series and gives each its first value.
    ///
    /// # Errors
    ///
    /// When the registry already holds the name.
    pub fn register(
        registry: &Registry,
        clock: Clock,
        certificates: Vec<Certificate>,
    ) -> Result<Self, prometheus::Error> {
        let gauge = IntGaugeVec::new(
            Opts::new(
                "m365_credential_expiry_timestamp_seconds",
                "When the certificate in use ends, in Unix time: of a tenant's application, for Devo, or of the public port. Client secrets do not tell their end.",
            ),
            &["kind", "tenant"],
        )?;
        registry.register(Box::new(gauge.clone()))?;
        let certificates = certificates.into();
        let expiry = Self { gauge, clock, certificates, told: HashMap::new() };
        for certificate in &*expiry.certificates {
            if let Some(expires) = (certificate.expires)() {
                expiry.show(certificate, expires);
            }
        }
        Ok(expiry)
    }

    /// The certificates, for whoever shows them.
    pub fn ends(&self) -> Ends {
        Ends(self.certificates.clone())
    }

    /// Runs until asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => return,
                _ = ticks.tick() => self.look(),
            }
        }
    }

    fn look(&mut self) {
        let now = self.clock.now();
        for (index, certificate) in self.certificates.clone().iter().enumerate() {
            let Some(expires) = (certificate.expires)() else { continue };
            self.show(certificate, expires);
            if let Some(told) = Told::due(self.told.get(&index), expires, now) {
                certificate.tell(told);
                self.told.insert(index, told);
            }
        }
    }

    fn show(&self, certificate: &Certificate, expires: Timestamp) {
        let labels = [certificate.kind.as_str(), &*certificate.tenant];
        self.gauge.with_label_values(&labels).set(expires.as_second());
    }
}

/// When each certificate ends. Clones ask the same ones.
#[derive(Clone, Debug, Default)]
pub struct Ends(Arc<[Certificate]>);

impl Ends {
    /// Those that are known now: what for, of which tenant, and when they end. Asks the system.
    pub fn known(&self) -> Vec<(Kind, Arc<str>, Timestamp)> {
        let known = |certificate: &Certificate| {
            let expires = (certificate.expires)()?;
            Some((certificate.kind, certificate.tenant.clone(), expires))
        };
        self.0.iter().filter_map(known).collect()
    }
}

/// A certificate that proves who we are.
pub struct Certificate {
    kind: Kind,
    tenant: Arc<str>,
    expires: Box<dyn Fn() -> Option<Timestamp> + Send + Sync>,
}

impl Certificate {
    /// One that belongs to no tenant, whose end `expires` tells whenever it is asked.
    pub fn new(
        kind: Kind,
        expires: impl Fn() -> Option<Timestamp> + Send + Sync + 'static,
    ) -> Self {
        Self { kind, tenant: "".into(), expires: Box::new(expires) }
    }

    /// The same of a tenant.
    #[must_use]
    pub fn of(mut self, tenant: Arc<str>) -> Self {
        self.tenant = tenant;
        self
    }

    fn tell(&self, told: Told) {
        let Self { kind, tenant, .. } = self;
        let expires = told.expires;
        let remedy = kind.remedy();
        match told.stage {
            Stage::Over(days) => tracing::error!(
                %kind, %tenant, %expires, days, remedy,
                "a certificate has expired"
            ),
            Stage::Within(days) => tracing::warn!(
                %kind, %tenant, %expires, within_days = days, remedy,
                "a certificate expires soon"
            ),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("kind", &self.kind)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of a tenant's application, for Entra.
    Client,
    /// Ours, for Devo.
    Devo,
    /// Of the webhook, where TLS ends here.
    Tls,
}

impl Kind {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client_certificate",
            Self::Devo => "devo_certificate",
            Self::Tls => "tls_certificate",
        }
    }

    /// What to do before it ends.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Client => {
                "add a new certificate to the application's registration in Entra, then replace \
                 the files of tenants[].certificate; no restart is needed"
            }
            Self::Devo => {
                "download a new domain certificate from Devo's console and replace the files of \
                 devo.cert and devo.key; no restart is needed"
            }
            Self::Tls => {
                "renew the certificate of the public address and replace the files of \
                 webhook.tls.cert and webhook.tls.key; no restart is needed"
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Often enough for a metric to show a renewal soon; a look costs a few system calls.
const LOOK_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use prometheus::TextEncoder;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_series_follow_the_certificates_and_each_stage_is_told_once() {
        let registry = Registry::new();
        let clock = Clock::system();
        let start = clock.now().as_second();
        let end = Arc::new(AtomicI64::new(start + 40 * DAY));
        let asked = end.clone();
        let at = move || Timestamp::from_second(asked.load(Ordering::Relaxed)).ok();
        let certificates = vec![
            Certificate::new(Kind::Client, at).of("contoso".into()),
            Certificate::new(Kind::Tls, || None),
        ];
        let mut expiry = Expiry::register(&registry, clock.clone(), certificates).unwrap();
        let shown = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let series = |end: i64| {
            format!(
                "m365_credential_expiry_timestamp_seconds{{kind=\"client_certificate\",tenant=\"contoso\"}} {end}\n"
            )
        };
        assert!(shown().contains(&series(start + 40 * DAY)), "before it runs: {}", shown());
        assert!(!shown().contains("tls_certificate"), "{}", shown());
        let mut stages = Vec::new();
        for _day in 0..43 {
            expiry.look();
            stages.extend(expiry.told.get(&0).map(|told| told.stage));
            clock.advance(Duration::from_secs(u64::try_from(DAY).unwrap()));
        }
        stages.dedup();
        let expected = [
            Stage::Within(30),
            Stage::Within(7),
            Stage::Within(1),
            Stage::Over(0),
            Stage::Over(1),
            Stage::Over(2),
        ];
        assert_eq!(stages, expected);
        end.store(start + 90 * DAY, Ordering::Relaxed);
        expiry.look();
        assert!(shown().contains(&series(start + 90 * DAY)), "{}", shown());
    }

    const DAY: i64 = 24 * 3600;
}
