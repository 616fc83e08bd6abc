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
        raw::{Certificate, Section, Tenant},
        read::Elements,
        value::{Guid, SecretSource},
    },
    content::{self, ClientId, ContentType, TenantId, Tenants},
    microsoft::{ClientCertificate, Credential, tokens::CertificateError},
    secret::Secret,
    tls::TlsError,
};

/// How the application of each tenant proves who it is.
pub(super) type Credentials = HashMap<TenantId, Credential>;

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
        let (tenant, credential) = check_tenant(tenant, &key, &mut seen, findings);
        if let (Some(tenant), Some(credential)) = (&tenant, credential) {
            credentials.insert(tenant.id, credential);
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
) -> (Option<content::Tenant>, Option<Credential>) {
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
    let credential = check_credential(raw, key, findings);
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
    (tenant, credential)
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
    if !content::is_name(&name) {
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

fn check_credential(raw: &Tenant, key: &Key, findings: &mut Findings<'_>) -> Option<Credential> {
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
    // Each is looked at, so that everything wrong is said at once.
    let certificate = raw.certificate.as_deref().and_then(|raw| {
        let key = key.child("certificate");
        check_certificate(raw, &key, findings).map(Credential::Certificate)
    });
    let token = raw.federated_token.as_ref().and_then(|source| {
        let key = key.child("federated_token");
        check_token(source, &key, findings).map(Credential::Federated)
    });
    let secret = raw.client_secret.as_ref().and_then(|source| {
        let secret = findings.secret(&key.child("client_secret"), source, |_| Ok(()));
        secret.map(Credential::Secret)
    });
    certificate.or(token).or(secret)
}

fn check_certificate(
    raw: &Certificate,
    key: &Key,
    findings: &mut Findings<'_>,
) -> Option<ClientCertificate> {
    let [cert, private] = [("cert", &raw.cert), ("key", &raw.key)].map(|(name, path)| {
        let key = key.child(name);
        let path = findings.required(&key, path.as_ref(), "the path of a PEM file");
        path.map(|path| findings.file(&key, path))
    });
    let (cert, private) = (cert?, private?);
    let at_key = key.child("key");
    let (at, found, expected) = match ClientCertificate::open(cert, private.clone()) {
        Ok(certificate) => return Some(certificate),
        Err(CertificateError::Encrypted { .. }) => {
            (at_key, "an encrypted key".to_owned(), "a key without a passphrase (openssl pkey)")
        }
        Err(CertificateError::Mismatch { .. }) => {
            (at_key, "the key of another certificate".to_owned(), "the key of certificate.cert")
        }
        Err(CertificateError::NotRsa { .. }) => (
            at_key,
            "no RSA key of 2048 to 8192 bits".to_owned(),
            "an RSA key, as Entra takes no other",
        ),
        Err(CertificateError::Tls(error)) => match &error {
            TlsError::Pem { path, .. } if *path == private => (at_key, unusable(&error), PRIVATE),
            TlsError::Refused(_) => (at_key, unusable(&error), PRIVATE),
            _ => (key.child("cert"), unusable(&error), CERTIFICATE),
        },
    };
    findings.problem(&at, found, expected);
    None
}

fn unusable(error: &TlsError) -> String {
    let cause = std::error::Error::source(error);
    let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
    format!("a file that cannot be used ({cause})")
}

fn check_token(source: &SecretSource, key: &Key, findings: &mut Findings<'_>) -> Option<Secret> {
    match source {
        SecretSource::File(_) => findings.secret(key, source, |_| Ok(())),
        SecretSource::Env(_) | SecretSource::Plain(_) => {
            // Such tokens live for an hour and are projected into a file again and again.
            findings.problem(key, "a token that cannot be renewed", "{ file = \"…\" }");
            None
        }
    }
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

const CERTIFICATE: &str = "a certificate, PEM";

const PRIVATE: &str = "the certificate's RSA key, PEM, in PKCS#1 or PKCS#8";

const NAME: &str = "1 to 64 letters, digits, '-', '_' or '.'";
