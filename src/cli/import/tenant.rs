//! One input: a tenant, its application, and which feeds are wanted.

use std::fmt::Write as _;

use serde_json::Value;

use super::{ContentType, LeftOut, TenantId, quoted};
use crate::content::ClientId;

/// A tenant as it goes into the configuration.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: Id,
    pub(super) name: String,
    client_id: ClientId,
    secret: String,
    content_types: Vec<ContentType>,
}

/// Whose input it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// A domain, which our configuration does not take.
    Domain(String),
    Known(TenantId),
}

impl Id {
    fn read(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Domain(text.to_ascii_lowercase()), Self::Known)
    }

    /// As a label in metrics.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Domain(domain) => fitting(domain),
            Self::Known(id) => id.to_string(),
        }
    }

    /// As the configuration takes it, or as it refuses it, so that nobody forgets to replace it.
    fn written(&self) -> String {
        match self {
            Self::Domain(domain) => format!("the tenant id of {domain}"),
            Self::Known(id) => id.to_string(),
        }
    }
}

impl Tenant {
    /// Takes over the feeds of another input for the same tenant.
    pub(super) fn merge(&mut self, other: Self, left: &mut LeftOut) {
        if other.client_id != self.client_id || other.secret != self.secret {
            let at = format!("inputs.{}.credentials", other.name);
            left.note(
                &at,
                &format!("{} has the same tenant, and one application is enough", self.name),
            );
        }
        for kind in other.content_types {
            if !self.content_types.contains(&kind) {
                self.content_types.push(kind);
            }
        }
    }

    pub(super) fn write(&self, text: &mut String) {
        let kinds: Vec<_> = self.content_types.iter().map(|kind| quoted(kind.as_str())).collect();
        // Writing into a string cannot fail.
        let _infallible = write!(
            text,
            "\n[[tenants]]\nid = {}\nname = {}\nclient_id = \"{}\"\nclient_secret = {}\n\
             content_types = [{}]\n",
            quoted(&self.id.written()),
            quoted(&self.name),
            self.client_id,
            quoted(&self.secret),
            kinds.join(", ")
        );
    }
}

/// Reads an input; none, with the reason noted, where it cannot be collected.
pub(super) fn read(name: &str, input: &Value, left: &mut LeftOut) -> Option<Tenant> {
    let at = format!("inputs.{name}");
    if input.get("enabled") == Some(&Value::Bool(false)) {
        left.note(&at, "it is not enabled");
        return None;
    }
    for (key, value) in input.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match key.as_str() {
            "id" | "enabled" | "credentials" | "services" => {}
            "environment" => left.note(&at, "records are tagged without an environment"),
            "requests_per_second" | "requests_limits" => left.note(&at, PACED),
            "obfuscation_data" => left.note(&at, OBFUSCATED),
            _ => left.note(&at, &unknown(value)),
        }
    }
    let credential = |key: &str| {
        let credentials = input.get("credentials")?;
        credentials.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    };
    let others = input.get("credentials").and_then(Value::as_object).into_iter().flatten();
    for (key, _) in others.filter(|(key, _)| !CREDENTIALS.contains(&key.as_str())) {
        left.note(&format!("{at}.credentials.{key}"), "unknown");
    }
    let id = credential("tenant_id").map(Id::read);
    let client_id = credential("client_id").and_then(|id| id.parse().ok());
    let secret = credential("client_secret").map(str::to_owned);
    let (Some(id), Some(client_id), Some(secret)) = (id, client_id, secret) else {
        let why = "client_id must be a GUID, tenant_id and client_secret a text";
        left.note(&format!("{at}.credentials"), why);
        return None;
    };
    let content_types = services(&at, input.get("services"), left);
    if content_types.is_empty() {
        left.note(&format!("{at}.services"), "none of them is a feed that can be collected");
        return None;
    }
    if let Id::Domain(domain) = &id {
        let why = format!("put the tenant id (a GUID) of {domain} in its place in the result");
        left.note(&format!("{at}.credentials.tenant_id"), &why);
    }
    let name = if name.is_empty() { id.label() } else { fitting(name) };
    Some(Tenant { id, name, client_id, secret, content_types })
}

fn services(at: &str, services: Option<&Value>, left: &mut LeftOut) -> Vec<ContentType> {
    let mut kinds = Vec::new();
    for (name, service) in services.and_then(Value::as_object).into_iter().flatten() {
        let at = format!("{at}.services.{name}");
        if service.get("enabled") == Some(&Value::Bool(false)) {
            left.note(&at, "it is not enabled");
            continue;
        }
        let kind = match name.as_str() {
            "azure_active_directory" => ContentType::AzureActiveDirectory,
            "dlp" => ContentType::Dlp,
            "exchange" => ContentType::Exchange,
            "general_audit" => ContentType::General,
            "sharepoint" => ContentType::SharePoint,
            "uri_retry" => {
                left.note(&at, "nothing is needed: failed content is always tried again");
                continue;
            }
            _ => {
                left.note(&at, "unknown service");
                continue;
            }
        };
        kinds.push(kind);
        for (key, value) in service.as_object().into_iter().flatten() {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "enabled" => {}
                "request_period_in_seconds" => {
                    left.note(&at, "listing has one period for all, see sweep.interval");
                }
                "requests_limits" => left.note(&at, PACED),
                "obfuscation_data" => left.note(&at, OBFUSCATED),
                _ => left.note(&at, &unknown(value)),
            }
        }
    }
    kinds
}

/// Without what is none of a label in metrics.
fn fitting(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' };
    name.chars().map(fits).take(LONGEST_NAME).collect()
}

fn unknown(value: &Value) -> String {
    let kind = match value {
        Value::Array(_) => " list",
        Value::Object(_) => " object",
        _ => "",
    };
    format!("unknown{kind}")
}

const CREDENTIALS: [&str; 3] = ["client_id", "client_secret", "tenant_id"];

const PACED: &str = "the pace follows Microsoft's own limit, see fetch.requests_per_minute";

const OBFUSCATED: &str =
    "WARNING, records are forwarded unchanged, so what was masked until now arrives in clear";

const LONGEST_NAME: usize = 64;
