//! The tenants and their credentials.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    config::{
        findings::Findings,
        key::Key,
        problem::quoted,
        raw::{Section, Tenant},
        read::Elements,
        value::{Guid, SecretSource},
    },
    content::{self, ClientId, ContentType, TenantId, Tenants},
    secret::Secret,
};

/// The client secret of each tenant.
pub(super) type Credentials = HashMap<TenantId, Secret>;

pub(super) fn tenants(
    raw: &[Section<Tenant>],
    elements: &Elements,
    findings: &mut Findings<'_>,
) -> (Tenants, Credentials) {
    let key = Key::from("tenants");
    if raw.is_empty() {
        // An element that could not be read was complained about under its own key.
        if findings.keys_below(&key).is_empty() {
            findings.problem(&key, "no tenant", "at least one [[tenants]]");
        }
    }
    let mut tenants = Vec::new();
    let mut credentials = Credentials::new();
    let mut seen = Seen::default();
    for (index, tenant) in raw.iter().enumerate() {
        let key = elements.as_written(&key.child(index));
        let (tenant, secret) = check_tenant(tenant, &key, &mut seen, findings);
        if let (Some(tenant), Some(secret)) = (&tenant, secret) {
            credentials.insert(tenant.id, secret);
        }
        tenants.extend(tenant);
    }
    (tenants.into_iter().collect(), credentials)
}

fn check_tenant(
    raw: &Tenant,
    key: &Key,
    seen: &mut Seen,
    findings: &mut Findings<'_>,
) -> (Option<content::Tenant>, Option<Secret>) {
    let id = findings.required(&key.child("id"), raw.id, "the directory (tenant) id, a GUID");
    if let Some(Guid(id)) = id {
        let key = key.child("id");
        if let Some(other) = seen.ids.get(&TenantId::from(id)) {
            findings.problem(&key, format!("{id}"), format!("another id than {other}"));
        } else {
            seen.ids.insert(TenantId::from(id), key);
        }
    }
    let name = check_name(raw, key, seen, findings);
    let client_id = findings.required(
        &key.child("client_id"),
        raw.client_id,
        "the application (client) id, a GUID",
    );
    let secret = check_credential(raw, key, findings);
    let content_types = check_content_types(raw, key, findings);
    let tenant = match (id, client_id, name) {
        (Some(Guid(id)), Some(Guid(client_id)), Some(name)) => Some(content::Tenant {
            id: TenantId::from(id),
            client_id: ClientId::from(client_id),
            name,
            content_types,
        }),
        _ => None,
    };
    (tenant, secret)
}

fn check_name(
    raw: &Tenant,
    key: &Key,
    seen: &mut Seen,
    findings: &mut Findings<'_>,
) -> Option<Arc<str>> {
    let key = key.child("name");
    let name: Arc<str> = match (&raw.name, raw.id) {
        (Some(name), _) => name.0.as_str().into(),
        (None, Some(Guid(id))) => id.to_string().into(),
        (None, None) => return None,
    };
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(safe) {
        findings.problem(&key, quoted(&name), NAME);
        return None;
    }
    match seen.names.get(&name) {
        // Two tenants of one id have been complained about, and share their default name.
        Some(_) if raw.name.is_none() => {}
        Some(other) => {
            findings.problem(&key, format!("{name:?}"), format!("another name than {other}"));
        }
        None => {
            seen.names.insert(name.clone(), key);
        }
    }
    Some(name)
}

fn check_credential(raw: &Tenant, key: &Key, findings: &mut Findings<'_>) -> Option<Secret> {
    let given: Vec<&str> =
        CREDENTIALS.iter().copied().filter(|name| findings.sets(&key.child(*name))).collect();
    match given.as_slice() {
        [] => {
            let secret = key.child("client_secret");
            findings.problem(
                &secret,
                "nothing",
                format!("exactly one of {}", CREDENTIALS.join(", ")),
            );
        }
        [_] => {}
        [.., last] => {
            let expected = format!("exactly one of {}", CREDENTIALS.join(", "));
            findings.problem(&key.child(*last), given.join(" and "), expected);
        }
    }
    if let Some(certificate) = &raw.certificate {
        let key = key.child("certificate");
        for (name, path) in [("cert", &certificate.cert), ("key", &certificate.key)] {
            let key = key.child(name);
            if let Some(path) = findings.required(&key, path.as_ref(), "the path of a PEM file") {
                findings.file(&key, path);
            }
        }
    }
    if let Some(token) = &raw.federated_token {
        let key = key.child("federated_token");
        match token {
            SecretSource::File(_) => {
                findings.secret(&key, token, |_| Ok(()));
            }
            SecretSource::Env(_) | SecretSource::Plain(_) => {
                // Such tokens live for an hour and are projected into a file again and again.
                findings.problem(&key, "a token that cannot be renewed", "{ file = \"…\" }");
            }
        }
    }
    let source = raw.client_secret.as_ref()?;
    findings.secret(&key.child("client_secret"), source, |_| Ok(()))
}

fn check_content_types(raw: &Tenant, key: &Key, findings: &mut Findings<'_>) -> Vec<ContentType> {
    let key = key.child("content_types");
    let mut wanted = Vec::new();
    for feed in &raw.content_types {
        if wanted.contains(&feed.0) {
            findings.problem(&key, format!("{feed} twice"), "each content type once");
        } else {
            wanted.push(feed.0);
        }
    }
    // An element that could not be read was complained about under its own key.
    if wanted.is_empty() && findings.keys_below(&key).is_empty() {
        let expected = "at least one content type, or the key left out for all";
        findings.problem(&key, "an empty array", expected);
    }
    wanted
}

/// Where ids and names were met first.
#[derive(Default)]
struct Seen {
    ids: BTreeMap<TenantId, Key>,
    names: BTreeMap<Arc<str>, Key>,
}

/// The ways to prove who we are, of which each tenant needs one.
const CREDENTIALS: &[&str] = &["client_secret", "certificate", "federated_token"];

const NAME: &str = "1 to 64 letters, digits, '-', '_' or '.'";

/// Long enough for a GUID and a word, short enough for a legend.
const MAX_NAME: usize = 64;
