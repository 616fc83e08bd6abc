//! `subscriptions`: what Microsoft lists beside what is wanted; starting and stopping by hand.
//!
//! Works beside a running service. Microsoft counts starts, whoever makes them, so each is noted in
//! the ledger, and none is made that the rule or Microsoft's own words do not allow yet.

use std::io::{self, Write};

use jiff::Timestamp;
use prometheus::Registry;
use serde::Serialize;

use super::{
    CommandError, Exit, Select, SubscriptionsCommand, asking,
    ledger::{self, json, span},
    table,
};
use crate::{
    clock::Clock,
    config::Config,
    content::{ContentType, Tenant, TenantId, Tenants},
    ledger::{Ages, Onboarding, Reader, Start},
    microsoft::{ApiError, Client},
    subscriptions::{self, CheckError, Observation, Step, Subscriptions, Survey},
};

mod change;

use change::{Change, Done, started, tell, whole, words};

/// Does what was asked for.
pub(super) async fn execute(
    config: Config,
    command: &SubscriptionsCommand,
) -> Result<Exit, CommandError> {
    match command {
        SubscriptionsCommand::List { select } => list(config, select).await,
        SubscriptionsCommand::Start { select, again } => start(config, select, *again).await,
        SubscriptionsCommand::Stop { select } => stop(config, select).await,
    }
}

/// Asks Microsoft and shows the answer. Fails when a tenant could not be asked.
async fn list(config: Config, select: &Select) -> Result<Exit, CommandError> {
    let clock = Clock::system();
    let (keeper, _) = keeper(&config, select, &clock)?;
    let (ages, starts) = known(&config).await;
    starts.iter().for_each(|start| keeper.learn(start));
    let mut exit = Exit::Success;
    let mut rows = Vec::new();
    for survey in keeper.survey().await {
        let Survey { tenant, name, result, unwanted } = survey;
        let observations = match result {
            Ok(observations) => observations,
            Err(error) => {
                complain(&name, &error)?;
                exit = Exit::Failed;
                continue;
            }
        };
        let age = |kind| ages.iter().find(|a| a.tenant == tenant && a.content_type == kind);
        rows.extend(observations.iter().map(|s| Row::new(&name, s, age(s.content_type))));
        rows.extend(unwanted.iter().map(|kind| Row::unwanted(&name, *kind, age(*kind))));
    }
    let wanted = select.content_type.map(ContentType::as_str);
    rows.retain(|row| wanted.is_none_or(|kind| kind == row.content_type));
    rows.sort_by(|a, b| (&a.tenant, a.content_type).cmp(&(&b.tenant, b.content_type)));
    let mut output = io::stdout().lock();
    if select.json {
        json(&mut output, &rows)?;
    } else {
        show(&mut output, &rows, clock.now())?;
    }
    Ok(exit)
}

/// Starts what is not as wanted, one tenant after the other. Fails when a start does.
async fn start(config: Config, select: &Select, again: bool) -> Result<Exit, CommandError> {
    let clock = Clock::system();
    let (keeper, _) = keeper(&config, select, &clock)?;
    // Before anything is started that could not be remembered.
    let mut ledger = Onboarding::open(&config.ledger).await?;
    let starts = ledger.starts().await?;
    starts.iter().for_each(|start| keeper.learn(start));
    let mut exit = Exit::Success;
    let mut rows = Vec::new();
    for survey in keeper.survey().await {
        let observations = match survey.result {
            Ok(observations) => observations,
            Err(error) => {
                complain(&survey.name, &error)?;
                exit = Exit::Failed;
                continue;
            }
        };
        let selected = |kind: ContentType| select.content_type.is_none_or(|wanted| wanted == kind);
        for seen in observations.iter().filter(|seen| selected(seen.content_type)) {
            let (tenant, kind) = (survey.tenant, seen.content_type);
            let why = seen.step.why().map(|why| why.as_str());
            let done = if why.is_none() && !again {
                Done::of("kept")
            } else if let Some(until) = keeper.waits(tenant, kind) {
                Done::too_early(until)
            } else {
                let begun = keeper.begun(tenant, kind);
                ledger.started(begun).await?;
                let result = keeper.start(tenant, kind).await;
                let ended = keeper.ended(begun, &result);
                ledger.started(ended).await?;
                started(result, ended.allowed)
            };
            if !["kept", "started", "already_enabled"].contains(&done.outcome) {
                exit = Exit::Failed;
            }
            rows.push(Change::new(&survey.name, kind, why, done));
        }
    }
    tell(select, &rows, clock.now())?;
    Ok(exit)
}

/// Stops what is on, wanted or not, one tenant after the other. Fails when a stop does.
async fn stop(config: Config, select: &Select) -> Result<Exit, CommandError> {
    let clock = Clock::system();
    let tenants = match ledger::tenant(select, &config.tenants)? {
        Some(tenant) => vec![tenant],
        None => by_name(&config.tenants),
    };
    let (_, client) = keeper(&config, select, &clock)?;
    let mut exit = Exit::Success;
    let mut rows = Vec::new();
    let mut comes_back = false;
    for tenant in tenants {
        let name = ledger::name(tenant, &config.tenants);
        let stopped = match stop_of(&client, tenant, select.content_type).await {
            Ok(stopped) => stopped,
            Err(error) => {
                complain(&name, &error.into())?;
                exit = Exit::Failed;
                continue;
            }
        };
        for (kind, done) in stopped {
            if done.outcome == "failed" {
                exit = Exit::Failed;
            }
            let tenant = config.tenants.find(tenant);
            comes_back |= tenant.is_some_and(|tenant| tenant.content_types.contains(&kind));
            rows.push(Change::new(&name, kind, None, done));
        }
    }
    tell(select, &rows, clock.now())?;
    if config.subscriptions.manage && comes_back {
        writeln!(
            io::stderr(),
            "warning: a service that runs starts what is configured again; take the content types \
             out of the configuration, or set subscriptions.manage = false"
        )?;
    }
    Ok(exit)
}

async fn stop_of(
    client: &Client,
    tenant: TenantId,
    only: Option<ContentType>,
) -> Result<Vec<(ContentType, Done)>, ApiError> {
    let listed = client.list_subscriptions(tenant).await?;
    let mut rows = Vec::new();
    for kind in ContentType::ALL.into_iter().filter(|kind| only.is_none_or(|only| only == *kind)) {
        let is_on = listed.iter().any(|s| s.content_type == kind && s.state.is_on());
        let done = match is_on {
            true => match client.stop(tenant, kind).await {
                Ok(()) => Done::of("stopped"),
                Err(error) => Done::failed(&error.into()),
            },
            // Only what somebody asked for by name is worth a word.
            false if only.is_none() => continue,
            false => Done::of("not_started"),
        };
        rows.push((kind, done));
    }
    Ok(rows)
}

fn by_name(tenants: &Tenants) -> Vec<TenantId> {
    let mut tenants: Vec<_> = tenants.iter().collect();
    tenants.sort_by(|one, other| one.name.cmp(&other.name));
    tenants.into_iter().map(|tenant| tenant.id).collect()
}

/// A keeper of the selected tenants that has done nothing, and its client.
fn keeper(
    config: &Config,
    select: &Select,
    clock: &Clock,
) -> Result<(Subscriptions, Client), CommandError> {
    let wanted = ledger::tenant(select, &config.tenants)?;
    let of = |tenant: &Tenant| wanted.is_none_or(|id: TenantId| id == tenant.id);
    let tenants = config.tenants.iter().filter(|tenant| of(tenant));
    let tenants: Tenants = tenants.map(|tenant| (*tenant).clone()).collect();
    let client = asking::client(config, clock)?;
    // Counted for nobody, but the keeper always counts.
    let metrics = subscriptions::Metrics::register(&Registry::new(), &tenants)?;
    let settings = config.subscriptions.clone();
    let keeper =
        Subscriptions::new(settings, client.clone(), tenants, clock.clone(), metrics, None, None);
    Ok((keeper, client))
}

/// Nothing where there is no ledger yet, or not one of this version.
async fn known(config: &Config) -> (Vec<Ages>, Vec<Start>) {
    match Reader::open(&config.ledger).await {
        Ok(reader) => {
            (reader.ages().await.unwrap_or_default(), reader.starts().await.unwrap_or_default())
        }
        Err(_) => (Vec::new(), Vec::new()),
    }
}

fn complain(tenant: &str, error: &CheckError) -> io::Result<()> {
    writeln!(io::stderr(), "{tenant}: {}", words(error))
}

#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    content_type: &'static str,
    /// Whether the configuration wants it.
    wanted: bool,
    /// As listed; none: not listed.
    status: Option<&'static str>,
    /// As listed; none: no webhook.
    webhook: Option<&'static str>,
    address: Option<String>,
    address_is_ours: Option<bool>,
    expiration: Option<Timestamp>,
    /// When content last came, as far as the ledger remembers.
    last_content: Option<Timestamp>,
    last_delivered: Option<Timestamp>,
    /// Whether it is as wanted.
    ok: bool,
    /// What is not.
    reason: Option<&'static str>,
    /// What the service will do and why.
    action: String,
}

impl Row {
    fn new(tenant: &str, seen: &Observation, ages: Option<&Ages>) -> Self {
        let webhook = seen.webhook.as_ref();
        Self {
            tenant: tenant.to_owned(),
            content_type: seen.content_type.as_str(),
            wanted: true,
            status: seen.state.map(|state| state.as_str()),
            webhook: webhook.map(|webhook| webhook.state.as_str()),
            address: webhook.and_then(|webhook| webhook.address.clone()),
            address_is_ours: webhook.and_then(|webhook| webhook.is_ours),
            expiration: webhook.and_then(|webhook| webhook.expiration),
            last_content: ages.and_then(|ages| ages.announced),
            last_delivered: ages.and_then(|ages| ages.delivered),
            ok: matches!(seen.step, Step::Keep { .. }),
            reason: seen.step.why().map(|why| why.as_str()),
            action: match &seen.step {
                Step::Keep { .. } => "keep".to_owned(),
                Step::Start { why, .. } => format!("start: {why}"),
                Step::Wait { why, until, .. } => format!("start at {}: {why}", whole(*until)),
            },
        }
    }

    fn unwanted(tenant: &str, kind: ContentType, ages: Option<&Ages>) -> Self {
        Self {
            tenant: tenant.to_owned(),
            content_type: kind.as_str(),
            wanted: false,
            status: Some("enabled"),
            webhook: None,
            address: None,
            address_is_ours: None,
            expiration: None,
            last_content: ages.and_then(|ages| ages.announced),
            last_delivered: ages.and_then(|ages| ages.delivered),
            ok: true,
            reason: Some("not_wanted"),
            action: "nothing: not wanted".to_owned(),
        }
    }
}

fn show(output: &mut impl Write, rows: &[Row], now: Timestamp) -> io::Result<()> {
    let age = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| span(at, now));
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
                row.expiration.map_or_else(|| "-".to_owned(), |at| span(now, at)),
                age(row.last_content),
                age(row.last_delivered),
                row.action.clone(),
            ]
        })
        .collect();
    let head = [
        "tenant",
        "type",
        "subscription",
        "webhook",
        "address",
        "expires in",
        "last content",
        "delivered",
        "the service will",
    ];
    table::write(output, head, &[5, 6, 7], &cells)
}
