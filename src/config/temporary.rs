//! Temporary mapping.
use crate::{app, config::{Config, settings}, deliver, ledger, microsoft, pipeline, route, subscriptions, webhook, admin};
impl From<settings::ledger::Config> for ledger::Config {
    fn from(c: settings::ledger::Config) -> Self {
        let settings::ledger::Location::Sqlite(path) = c.location;
        Self { location: ledger::Location::Sqlite(path), lease: c.lease, keep_delivered: c.keep_delivered, keep_dead: c.keep_dead }
    }
}
impl From<Config> for app::Config {
    fn from(c: Config) -> Self {
        let w = c.webhook; let m = c.microsoft; let s = c.subscriptions; let p = c.pipeline; let d = c.deliver;
        Self {
            admin: admin::Config { listen: c.admin.listen },
            webhook: webhook::Config { listen: w.listen, address: w.address, auth_id: w.auth_id, previous_auth_id: w.previous_auth_id, max_body: w.max_body, max_connections: w.max_connections, header_timeout: w.header_timeout, request_timeout: w.request_timeout, drain_delay: w.drain_delay, trusted_proxies: w.trusted_proxies, allowed_sources: w.allowed_sources },
            ledger: c.ledger.into(),
            microsoft: microsoft::Config { management_url: m.management_url, login_url: m.login_url, ca: m.ca, publisher_id: m.publisher_id, requests_per_minute: m.requests_per_minute, timeout: m.timeout, credentials: m.credentials },
            subscriptions: subscriptions::Config { manage: s.manage, check_interval: s.check_interval, restart_after: s.restart_after, webhook_expiry: s.webhook_expiry, webhook: s.webhook.map(|w| subscriptions::Webhook { address: w.address, auth_id: w.auth_id }) },
            pipeline: pipeline::Config { concurrency: p.concurrency, backoff: p.backoff, max_record: p.max_record, hostname: p.hostname },
            deliver: deliver::Config { endpoint: d.endpoint.to_string().parse().unwrap(), ca: d.ca, identity: d.identity, server_name: d.server_name, connections: d.connections,
               compression: match d.compression { settings::deliver::Compression::Gzip => deliver::Compression::Gzip, settings::deliver::Compression::None => deliver::Compression::None },
               confirm: match d.confirm { settings::deliver::Confirm::Tcp => deliver::Confirm::Tcp, settings::deliver::Confirm::EndOfStream => deliver::Confirm::EndOfStream },
               confirm_interval: d.confirm_interval, confirm_bytes: d.confirm_bytes, confirm_timeout: d.confirm_timeout },
            route: route::Config { prefix: c.route.prefix, fallback: c.route.fallback, workload: c.route.workload },
            tenants: c.tenants,
        }
    }
}
