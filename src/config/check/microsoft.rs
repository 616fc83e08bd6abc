//! Microsoft's addresses and limits, and the subscriptions.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use url::{Host, Url};

use super::{DAY, MOMENT, tenants::Credentials};
use crate::{
    config::{
        findings::Findings,
        key::Key,
        raw::{Fetch, Microsoft, Subscriptions},
        value::{HumanDuration, WebAddress},
    },
    microsoft::{self, client::RESTART_RULE},
    subscriptions, webhook,
};

pub(super) fn microsoft(
    raw: &Microsoft,
    fetch: &Fetch,
    credentials: Credentials,
    findings: &mut Findings<'_>,
) -> Option<microsoft::Config> {
    let key = |name: &str| Key::from("microsoft").child(name);
    let management_url = root(
        &key("management_url"),
        raw.management_url.as_ref(),
        raw.cloud.0.management_root(),
        findings,
    );
    let login_url =
        root(&key("login_url"), raw.login_url.as_ref(), raw.cloud.0.login_root(), findings);
    let ca = raw.ca.as_ref().map(|path| findings.file(&key("ca"), path));
    let given = raw.resource.as_ref();
    let resource = root(&key("resource"), given, raw.cloud.0.resource(), findings);
    let key = |name: &str| Key::from("fetch").child(name);
    let requests = findings.count(&key("requests_per_minute"), fetch.requests_per_minute, REQUESTS);
    let timeout = findings.duration(&key("timeout"), fetch.timeout, SILENCE);
    Some(microsoft::Config {
        cloud: raw.cloud.0,
        management_url: management_url?,
        login_url: login_url?,
        ca,
        publisher_id: raw.publisher_id.map(|id| id.0),
        requests_per_minute: u32::try_from(requests).ok().and_then(NonZeroU32::new)?,
        timeout,
        // Entra compares texts, and its own have no slash at the end.
        resource: resource?.as_str().trim_end_matches('/').to_owned(),
        credentials,
    })
}

pub(super) fn subscriptions(
    raw: &Subscriptions,
    webhook: Option<&webhook::Config>,
    findings: &mut Findings<'_>,
) -> subscriptions::Config {
    let key = |name: &str| Key::from("subscriptions").child(name);
    let check_interval =
        findings.duration(&key("check_interval"), raw.check_interval, MOMENT..=DAY);
    let restart_after = findings.duration(&key("restart_after"), raw.restart_after, MOMENT..=DAY);
    if restart_after < RESTART_RULE {
        let text = "shorter than the 15m within which Microsoft refuses a second start";
        findings.warning(&key("restart_after"), text);
    }
    let webhook_expiry = raw.webhook_expiry.0.map(|expiry| {
        let key = key("webhook_expiry");
        let expiry = findings.duration(&key, expiry, MOMENT..=MAX_EXPIRY);
        // A renewal is a start: seen as due at a check, and held back by the one before.
        if expiry <= check_interval.saturating_add(restart_after) {
            let found = findings.written(&key, &HumanDuration(expiry));
            let expected = format!(
                "more than check_interval and restart_after together ({} and {})",
                raw.check_interval, raw.restart_after
            );
            findings.problem(&key, found, expected);
        }
        expiry
    });
    subscriptions::Config {
        manage: raw.manage,
        check_interval,
        restart_after,
        webhook_expiry,
        webhook: webhook.map(|webhook| subscriptions::Webhook {
            address: webhook.address.clone(),
            auth_id: webhook.auth_id.clone(),
        }),
        noticed_within: webhook.map_or(Duration::ZERO, |webhook| webhook.drain_delay),
    }
}

/// A root: https, or http on this machine; nothing but scheme, host and port.
fn root(
    key: &Key,
    given: Option<&WebAddress>,
    default: &str,
    findings: &mut Findings<'_>,
) -> Option<Url> {
    let Some(WebAddress(url)) = given else {
        return Url::parse(default).ok();
    };
    let found = if !url.username().is_empty() || url.password().is_some() {
        "an address with a user name or password"
    } else if url.query().is_some() || url.fragment().is_some() {
        "an address with a query or fragment"
    } else if url.path() != "/" {
        "an address with a path"
    } else if url.scheme() == "https" {
        return Some(url.clone());
    } else if is_loopback(url) {
        findings.warning(key, "plain http: tokens and secrets travel unencrypted");
        return Some(url.clone());
    } else {
        "a plain http address of another machine"
    };
    findings.problem(key, found, "an https address without path, query and user name");
    None
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Microsoft's own limits are thousands; more than this is a slip of the keyboard.
const REQUESTS: RangeInclusive<u64> = 1..=1_000_000;

/// A dead connection should not hold a place in the pipeline for longer.
const SILENCE: RangeInclusive<Duration> = MOMENT..=Duration::from_secs(60 * 60);

/// An expiry beyond a year protects from nothing.
const MAX_EXPIRY: Duration = Duration::from_secs(366 * 24 * 60 * 60);
