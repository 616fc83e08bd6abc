//! `[microsoft]`, `[subscriptions]`, `[[tenants]]`, `[fetch]` and `[sweep]`: Microsoft's side.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Section;
use crate::{
    config::value::{
        ByteSize, Cloud, Count, Expiry, Feed, FilePath, Guid, HumanDuration, SecretSource, Text,
        WebAddress,
    },
    content::ContentType,
    microsoft::client::RESTART_RULE,
};

/// The management API and its token endpoint.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Microsoft {
    /// The cloud the tenants live in; decides both addresses below.
    pub(in crate::config) cloud: Cloud,
    /// The root of the management API, for proxies and tests; default: the cloud's.
    pub(in crate::config) management_url: Option<WebAddress>,
    /// The root of the token endpoint, for proxies and tests; default: the cloud's.
    pub(in crate::config) login_url: Option<WebAddress>,
    /// What access tokens are asked for; default: the cloud's management root.
    pub(in crate::config) resource: Option<WebAddress>,
    /// Root certificates trusted in addition to the system's, PEM.
    pub(in crate::config) ca: Option<FilePath>,
    /// The `PublisherIdentifier` of every request; default: the tenant's own id.
    pub(in crate::config) publisher_id: Option<Guid>,
}

/// The subscriptions kept at Microsoft.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Subscriptions {
    /// Whether subscriptions are started and repaired. False: start and stop are never called.
    pub(in crate::config) manage: bool,
    /// How often the list at Microsoft is compared with what is wanted.
    pub(in crate::config) check_interval: HumanDuration,
    /// The least time between two starts of one subscription.
    pub(in crate::config) restart_after: HumanDuration,
    /// After how long Microsoft gives an abandoned webhook up; it is renewed before. `none`: never.
    pub(in crate::config) webhook_expiry: Expiry,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            manage: true,
            check_interval: CHECK_INTERVAL,
            restart_after: RESTART_AFTER,
            webhook_expiry: Expiry(None),
        }
    }
}

/// An organisation. Exactly one of `client_secret`, `certificate` and `federated_token` is needed.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["id", "client_id"]))]
pub(in crate::config) struct Tenant {
    /// The directory (tenant) id.
    pub(in crate::config) id: Option<Guid>,
    /// The label in logs and metrics; default: the id.
    pub(in crate::config) name: Option<Text>,
    /// The application (client) id of the registration in the tenant.
    pub(in crate::config) client_id: Option<Guid>,
    /// The client secret of the registration.
    pub(in crate::config) client_secret: Option<SecretSource>,
    /// A certificate of the registration and its key.
    pub(in crate::config) certificate: Option<Section<Certificate>>,
    /// The token of a workload identity, read again for each request: `{ file = "…" }`.
    pub(in crate::config) federated_token: Option<SecretSource>,
    /// The feeds wanted.
    pub(in crate::config) content_types: Vec<Feed>,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            id: None,
            name: None,
            client_id: None,
            client_secret: None,
            certificate: None,
            federated_token: None,
            content_types: CONTENT_TYPES.map(Feed).to_vec(),
        }
    }
}

/// A client certificate.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields, extend("required" = ["cert", "key"]))]
pub(in crate::config) struct Certificate {
    /// The certificate, PEM.
    pub(in crate::config) cert: Option<FilePath>,
    /// The key of the certificate, PEM.
    pub(in crate::config) key: Option<FilePath>,
}

/// Getting content from Microsoft.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Fetch {
    /// Blobs in flight, all tenants together. Memory grows with it, by about a batch each.
    pub(in crate::config) concurrency: Count,
    /// Requests per tenant in any 60 s, all calls but those for tokens.
    pub(in crate::config) requests_per_minute: Count,
    /// How long a request may go without a byte.
    pub(in crate::config) timeout: HumanDuration,
    /// The first delay after a failure; it doubles with each further one.
    pub(in crate::config) retry_min: HumanDuration,
    /// The longest delay between two attempts.
    pub(in crate::config) retry_max: HumanDuration,
    /// The largest record; a larger one becomes a dead letter of its own.
    pub(in crate::config) max_record: ByteSize,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            requests_per_minute: REQUESTS_PER_MINUTE,
            timeout: TIMEOUT,
            retry_min: RETRY_MIN,
            retry_max: RETRY_MAX,
            max_record: MAX_RECORD,
        }
    }
}

/// The listing that finds what no notification announced.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(in crate::config) struct Sweep {
    /// The time between two sweeps.
    pub(in crate::config) interval: HumanDuration,
    /// Content younger than this is left to the webhook.
    pub(in crate::config) settle: HumanDuration,
    /// How far back the first sweep after a start goes, at most 167h55m.
    pub(in crate::config) startup_lookback: HumanDuration,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { interval: SWEEP_INTERVAL, settle: SETTLE, startup_lookback: STARTUP_LOOKBACK }
    }
}

/// Soon enough to notice a disabled webhook long before content expires.
const CHECK_INTERVAL: HumanDuration = HumanDuration(Duration::from_secs(5 * 60));

/// Microsoft refuses a second start of a subscription within this time.
const RESTART_AFTER: HumanDuration = HumanDuration(RESTART_RULE);

/// Every feed, because what is not subscribed cannot be had later.
const CONTENT_TYPES: [ContentType; 5] = [
    ContentType::AzureActiveDirectory,
    ContentType::Exchange,
    ContentType::SharePoint,
    ContentType::General,
    ContentType::Dlp,
];

/// Hides the latency of single blobs without nearing the request limit of one tenant.
const CONCURRENCY: Count = Count(32);

/// The baseline Microsoft grants each tenant.
const REQUESTS_PER_MINUTE: Count = Count(2000);

/// Microsoft's slow answers still send bytes; a minute of silence is a dead connection.
const TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(60));

/// Passing failures are over after seconds.
const RETRY_MIN: HumanDuration = HumanDuration(Duration::from_secs(2));

/// Content lives for days, so a quarter of an hour loses nothing and spares a failing service.
const RETRY_MAX: HumanDuration = HumanDuration(Duration::from_secs(15 * 60));

/// A thousand times the largest record of public captures.
const MAX_RECORD: ByteSize = ByteSize(16 * 1024 * 1024);

/// A lost notification should cost minutes.
const SWEEP_INTERVAL: HumanDuration = HumanDuration(Duration::from_secs(10 * 60));

/// Most notifications are there by then, and each content swept too early is announced twice.
const SETTLE: HumanDuration = HumanDuration(Duration::from_secs(5 * 60));

/// Covers a day's outage; longer ones are found by the daily depth of the sweep.
const STARTUP_LOOKBACK: HumanDuration = HumanDuration(Duration::from_secs(24 * 60 * 60));
