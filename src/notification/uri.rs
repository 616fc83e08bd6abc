//! Whether the content uri of an entry fits the rest of the entry.
//!
//! It is never dialled: a request is built from the configured root, the tenant and the id. So the
//! check is not what keeps tokens safe; it keeps forged and misdirected entries out of the ledger.
//! The two harmless deviations seen in live captures pass: `http`, and no `/api/v1.0`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    content::{ContentId, TenantId},
    reason::Reason,
};

/// Compares the uri with the management roots, the entry's tenant and its content id. It fits if it
/// fits one of the roots, and is foreign if it has the host of none.
pub(super) fn check(
    uri: &str,
    roots: &[Url],
    tenant: TenantId,
    id: &ContentId,
) -> Result<(), Reason> {
    if roots.iter().any(|root| is_plainly(uri, root, tenant, id)) {
        return Ok(());
    }
    read(uri, roots, tenant, id)
}

/// As [`check`], however it is written.
pub(super) fn read(
    uri: &str,
    roots: &[Url],
    tenant: TenantId,
    id: &ContentId,
) -> Result<(), Reason> {
    let url = plain(uri).ok_or(Reason::MalformedUri)?;
    let mut outcome = Err(Reason::ForeignUri);
    for root in roots.iter().filter(|root| same_host(&url, root)) {
        outcome = check_path(&url, root, tenant, id);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Whether it is, letter by letter, what the reference says, and nothing in it needs to be read twice.
/// Nearly all are, and most of the time that an entry takes would be the reading of its uri.
fn is_plainly(uri: &str, root: &Url, tenant: TenantId, id: &ContentId) -> bool {
    let rest = || {
        let path = uri.strip_prefix(root.as_str().trim_end_matches('/'))?;
        let (named, path) = path.strip_prefix("/api/v1.0/")?.split_once('/')?;
        let hyphenated = named.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        (hyphenated && named.parse() == Ok(tenant))
            .then_some(path.strip_prefix("activity/feed/audit/")?)
    };
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'-' | b'_');
    rest() == Some(id.as_str()) && id.as_str().bytes().all(harmless)
}

fn check_path(url: &Url, root: &Url, tenant: TenantId, id: &ContentId) -> Result<(), Reason> {
    let path = url.path().strip_prefix(root.path().trim_end_matches('/'));
    let segments: Vec<&str> = path
        .and_then(|path| path.strip_prefix('/'))
        .ok_or(Reason::MalformedUri)?
        .split('/')
        .collect();
    let [head @ .., activity, feed, audit, last] = &*segments else {
        return Err(Reason::MalformedUri);
    };
    let operation = [*activity, *feed, *audit];
    if !equal_without_case(&operation, &["activity", "feed", "audit"]) {
        return Err(Reason::MalformedUri);
    }
    let named = match head {
        [named] => named,
        [api, version, named] if equal_without_case(&[*api, *version], &["api", "v1.0"]) => named,
        _ => return Err(Reason::MalformedUri),
    };
    let named: TenantId = named.parse().map_err(|_| Reason::MalformedUri)?;
    if named != tenant {
        return Err(Reason::ForeignUri);
    }
    if names(last, id) { Ok(()) } else { Err(Reason::MalformedUri) }
}

/// A web address without tricks: the URL standard forgives tabs, backslashes, missing slashes and
/// an empty user name, all of which only a forger would use.
fn plain(uri: &str) -> Option<Url> {
    let graphic = uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let (scheme, rest) = uri.split_once("://")?;
    let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let authority = rest.split(['/', '?', '#']).next()?;
    if graphic && web && !authority.contains('@') { Url::parse(uri).ok() } else { None }
}

/// The default port of either scheme is as good as none, because `http` is survived.
fn same_host(url: &Url, root: &Url) -> bool {
    let same_port =
        url.port() == root.port() || url.port_or_known_default() == root.port_or_known_default();
    url.host() == root.host() && same_port
}

fn equal_without_case(left: &[&str], right: &[&str]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| left.eq_ignore_ascii_case(right))
}

fn names(segment: &str, id: &ContentId) -> bool {
    let decoded: Cow<'_, [u8]> = percent_decode_str(segment).into();
    segment == id.as_str() || *decoded == *id.as_str().as_bytes()
}
