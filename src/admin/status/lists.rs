//! Dead letters and certificates, as they are shown. Pure.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::Seen;
use crate::{expiry::Kind, ledger::GivenUp};

/// Dead letters of one feed and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::admin) struct DeadGroup {
    /// The tenant's label, or its id if it is not collected any more.
    pub(in crate::admin) tenant: String,
    /// The feed.
    pub(in crate::admin) content_type: &'static str,
    /// Why.
    pub(in crate::admin) reason: &'static str,
    /// How many letters.
    pub(in crate::admin) letters: u64,
    /// Of those, how many Microsoft still has.
    pub(in crate::admin) replayable: u64,
    /// When the last one was given up on.
    pub(in crate::admin) last: Timestamp,
    /// What replays them; none: Microsoft has deleted all of it.
    pub(in crate::admin) command: Option<String>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::admin) struct CertificateStatus {
    /// What it is for.
    #[serde(serialize_with = "as_str")]
    pub(in crate::admin) kind: Kind,
    /// The tenant's label; empty: it belongs to none.
    pub(in crate::admin) tenant: String,
    /// When it ends.
    pub(in crate::admin) expires: Timestamp,
    /// Full days until then; negative: it is over.
    pub(in crate::admin) days: i64,
}

pub(super) fn dead_letters(seen: &Seen<'_>) -> Option<Vec<DeadGroup>> {
    let all = seen.looks.given_up.as_ref()?;
    Some(all.iter().map(|group| dead_group(seen, group)).collect())
}

fn dead_group(seen: &Seen<'_>, group: &GivenUp) -> DeadGroup {
    let (tenant, content_type) = group.feed;
    let name = seen.tenants.find(tenant).map(|tenant| tenant.name.clone());
    let tenant = name.map_or_else(|| tenant.to_string(), |name| name.to_string());
    let reason = group.reason.map(crate::reason::Reason::as_str);
    let mut words = vec!["ledger", "replay", "--tenant", &tenant];
    words.extend(["--type", content_type.as_str()]);
    words.extend(reason.into_iter().flat_map(|reason| ["--reason", reason]));
    let command = (group.replayable > 0).then(|| command(&words, seen.file));
    DeadGroup {
        tenant,
        content_type: content_type.as_str(),
        reason: reason.unwrap_or("unknown"),
        letters: group.letters,
        replayable: group.replayable,
        last: group.at,
        command,
    }
}

pub(super) fn certificates(seen: &Seen<'_>) -> Vec<CertificateStatus> {
    let known = seen.looks.certificates.iter().flat_map(|all| all.iter());
    let status = |(kind, tenant, expires): &(Kind, std::sync::Arc<str>, Timestamp)| {
        let seconds = expires.as_second() - seen.now.as_second();
        CertificateStatus {
            kind: *kind,
            tenant: tenant.to_string(),
            expires: *expires,
            days: seconds.div_euclid(24 * 3600),
        }
    };
    let mut all: Vec<_> = known.map(status).collect();
    all.sort_by(|one, other| (one.expires, &one.tenant).cmp(&(other.expires, &other.tenant)));
    all
}

/// A command line that a shell takes as it is.
pub(super) fn command(words: &[&str], file: Option<&Path>) -> String {
    let mut line = String::from("m365-collector");
    for word in words {
        line.push(' ');
        line.push_str(&quoted(word));
    }
    if let Some(file) = file {
        line.push_str(" --config ");
        line.push_str(&quoted(&file.to_string_lossy()));
    }
    line
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn as_str<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_a_shell() {
        let line = |tenant, file: Option<&str>| {
            command(&["ledger", "replay", "--tenant", tenant], file.map(Path::new))
        };
        assert_eq!(line("contoso", None), "m365-collector ledger replay --tenant contoso");
        assert_eq!(
            line("a'b $(c)", Some("/etc/m365 collector.toml")),
            r"m365-collector ledger replay --tenant 'a'\''b $(c)' --config '/etc/m365 collector.toml'"
        );
    }
}
