//! `tenants`: whose records are collected, from the configuration and from the ledger.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{CommandError, Exit, TenantsCommand, ledger::json, table};
use crate::{
    app,
    config::Config,
    content::TenantId,
    ledger::{Onboarding, OpenError, Reader, StoredTenant},
};

/// Does what was asked for.
pub(super) async fn execute(
    config: Config,
    command: &TenantsCommand,
) -> Result<Exit, CommandError> {
    match command {
        TenantsCommand::List { json } => list(&config, *json).await,
        TenantsCommand::Remove { tenant } => remove(&config, tenant).await,
    }
}

/// Adds the stored tenants to those of the configuration.
pub(super) async fn take_up(config: &Config) -> Result<(), CommandError> {
    app::take_up(&config.tenants, stored(config).await?);
    Ok(())
}

/// None where no service and no consent has made the ledger yet.
async fn stored(config: &Config) -> Result<Vec<StoredTenant>, CommandError> {
    match Reader::open(&config.ledger).await {
        Ok(reader) => Ok(reader.tenants().await?),
        Err(OpenError::Missing { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn list(config: &Config, as_json: bool) -> Result<Exit, CommandError> {
    let mut rows = rows(config, &stored(config).await?);
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let mut output = io::stdout().lock();
    if as_json {
        json(&mut output, &rows)?;
    } else {
        let head = ["tenant", "id", "from", "application", "types", "added", "collected"];
        let cells: Vec<_> = rows.iter().map(Row::cells).collect();
        table::write(&mut output, head, &[], &cells)?;
    }
    Ok(Exit::Success)
}

fn rows(config: &Config, stored: &[StoredTenant]) -> Vec<Row> {
    let configured = config.tenants.iter().map(|tenant| Row {
        name: tenant.name.to_string(),
        id: tenant.id.to_string(),
        from: "configuration",
        client_id: tenant.client_id.to_string(),
        content_types: tenant.content_types.iter().map(|kind| kind.as_str()).collect(),
        added: None,
        collected: true,
    });
    let stored = stored.iter().map(|tenant| Row {
        name: tenant.name.clone(),
        id: tenant.id.to_string(),
        from: "consent",
        client_id: tenant.client_id.to_string(),
        content_types: tenant.content_types.iter().map(|kind| kind.as_str()).collect(),
        added: Some(tenant.added),
        // The configuration counts where it has the tenant, and has the credential.
        collected: config.tenants.find(tenant.id).is_none()
            && config.tenants.iter().any(|other| other.client_id == tenant.client_id),
    });
    configured.chain(stored).collect()
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(rename = "tenant")]
    name: String,
    id: String,
    from: &'static str,
    client_id: String,
    content_types: Vec<&'static str>,
    added: Option<Timestamp>,
    collected: bool,
}

impl Row {
    fn cells(&self) -> [String; 7] {
        [
            self.name.clone(),
            self.id.clone(),
            self.from.to_owned(),
            self.client_id.clone(),
            self.content_types.join(" "),
            self.added.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
            if self.collected { "yes" } else { "no" }.to_owned(),
        ]
    }
}

async fn remove(config: &Config, wanted: &str) -> Result<Exit, CommandError> {
    let id: Option<TenantId> = wanted.parse().ok();
    let unknown = || CommandError::UnknownTenant(wanted.to_owned());
    let is_configured =
        || config.tenants.iter().any(|tenant| *tenant.name == *wanted || Some(tenant.id) == id);
    let stored = match Reader::open(&config.ledger).await {
        Ok(reader) => reader.tenants().await?,
        Err(OpenError::Missing { .. } | OpenError::Outdated { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let found = stored.iter().find(|tenant| tenant.name == wanted || Some(tenant.id) == id);
    let Some(tenant) = found else {
        let configured = is_configured().then(|| CommandError::Configured(wanted.to_owned()));
        return Err(configured.unwrap_or_else(unknown));
    };
    Onboarding::open(&config.ledger).await?.remove(tenant.id).await?;
    writeln!(
        io::stderr(),
        "{}: removed; a running service lets go of it within seconds, and what it has not \
         delivered waits until Microsoft deletes it or the tenant comes back",
        tenant.name
    )?;
    Ok(Exit::Success)
}
