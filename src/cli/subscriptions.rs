//! `subscriptions list`: what Microsoft lists beside what is wanted.

use std::io::{self, Write};

use jiff::Timestamp;
use prometheus::Registry;
use serde::Serialize;

use super::{CommandError, Exit, Select, ledger, table};
use crate::{
    app,
    clock::Clock,
    config::Config,
    microsoft::{self, Client},
    subscriptions::{self, Observation, Step, Subscriptions},
};

/// Asks Microsoft and shows the answer. Fails when a tenant could not be asked.
pub(super) async fn list(config: Config, select: &Select) -> Result<Exit, CommandError> {
    let app: app::Config = config.into();
    let wanted = ledger::tenant(select, &app.tenants)?;
    let tenants = app.tenants.iter().filter(|tenant| wanted.is_none_or(|id| id == tenant.id));
    let tenants = tenants.map(|tenant| (*tenant).clone()).collect();
    // Counted for nobody, but the client always counts.
    let registry = Registry::new();
    let clock = Clock::system();
    let client = Client::new(
        app.microsoft,
        app.tenants.clone(),
        clock.clone(),
        microsoft::Metrics::register(&registry, &app.tenants)?,
    )?;
    let metrics = subscriptions::Metrics::register(&registry, &app.tenants)?;
    let keeper = Subscriptions::new(app.subscriptions, client, tenants, clock, metrics, None);
    let survey = keeper.survey().await;

    let mut exit = Exit::Success;
    let mut rows = Vec::new();
    for tenant in survey {
        match tenant.result {
            Ok(observations) => rows.extend(
                observations
                    .iter()
                    .filter(|seen| select.content_type.is_none_or(|kind| kind == seen.content_type))
                    .map(|seen| Row::new(&tenant.name, seen)),
            ),
            Err(error) => {
                writeln!(io::stderr(), "{}: {error}", tenant.name)?;
                exit = Exit::Failed;
            }
        }
    }
    rows.sort_by(|a, b| (&a.tenant, a.content_type).cmp(&(&b.tenant, b.content_type)));
    let mut output = io::stdout().lock();
    if select.json {
        ledger::json(&mut output, &rows)?;
    } else {
        show(&mut output, &rows)?;
    }
    Ok(exit)
}

#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    content_type: &'static str,
    /// As listed; none: not listed.
    status: Option<&'static str>,
    /// As listed; none: no webhook.
    webhook: Option<&'static str>,
    address: Option<String>,
    address_is_ours: Option<bool>,
    expiration: Option<Timestamp>,
    /// Whether it is as wanted.
    ok: bool,
    /// What the service will do and why.
    action: String,
}

impl Row {
    fn new(tenant: &str, seen: &Observation) -> Self {
        let webhook = seen.webhook.as_ref();
        Self {
            tenant: tenant.to_owned(),
            content_type: seen.content_type.as_str(),
            status: seen.state.map(|state| state.as_str()),
            webhook: webhook.map(|webhook| webhook.state.as_str()),
            address: webhook.and_then(|webhook| webhook.address.clone()),
            address_is_ours: webhook.and_then(|webhook| webhook.is_ours),
            expiration: webhook.and_then(|webhook| webhook.expiration),
            ok: matches!(seen.step, Step::Keep { .. }),
            action: match &seen.step {
                Step::Keep { .. } => "keep".to_owned(),
                Step::Start { why, .. } => format!("start: {why}"),
                Step::Wait { why, until, .. } => format!("start at {until:.0}: {why}"),
            },
        }
    }
}

fn show(output: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let address = match (&row.address, row.address_is_ours) {
                (None, _) => "-".to_owned(),
                (Some(_), Some(true)) => "ours".to_owned(),
                (Some(address), _) => address.clone(),
            };
            [
                row.tenant.clone(),
                row.content_type.to_owned(),
                row.status.unwrap_or("not listed").to_owned(),
                row.webhook.unwrap_or("none").to_owned(),
                address,
                row.action.clone(),
            ]
        })
        .collect();
    let head = ["tenant", "type", "subscription", "webhook", "address", "the service will"];
    table::write(output, head, &[], &cells)
}
