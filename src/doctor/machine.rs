//! This machine: files, the ledger and its disk.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    Given,
    finding::{Check, Finding},
    way::{SOON, days_left, good_until, with_source},
};
use crate::{
    app,
    ledger::{Examination, Location, OpenError, Space},
    microsoft::Credential,
    secret::Secret,
    tls::{ClientVerifier, Facts, Identity},
};

/// What there is to say of a valid configuration file.
pub fn configuration(config: &app::Config, given: &Given) -> Vec<Finding> {
    let file = given.file.display().to_string();
    let warned = |text: &String| {
        let remedy = "see whether it is meant; `config sample` explains every key";
        Finding::warning(Check::Configuration, text.clone(), remedy).of(&file)
    };
    if given.warnings.is_empty() {
        return vec![Finding::ok(Check::Configuration, summary(config)).of(&file)];
    }
    given.warnings.iter().map(warned).collect()
}

fn summary(config: &app::Config) -> String {
    let feeds: usize = config.tenants.iter().map(|one| one.content_types.len()).sum();
    let plural =
        |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let tenants = plural(config.tenants.len(), "tenant");
    format!("valid, with {tenants} and {}", plural(feeds, "feed"))
}

/// Secrets and keys that everybody on this machine may read.
pub(super) fn secret_files(config: &app::Config) -> Vec<Finding> {
    let files = private_files(config);
    let open = |path: &&PathBuf| {
        let mode = fs::metadata(path).map(|file| file.permissions().mode());
        mode.is_ok_and(|mode| mode & READABLE_BY_OTHERS != 0)
    };
    let opened: Vec<_> = files.iter().filter(open).collect();
    if opened.is_empty() {
        let cause = match files.len() {
            0 => "no secret lies in a file of its own".to_owned(),
            1 => "1 file, which others cannot read".to_owned(),
            count => format!("{count} files, none of which others can read"),
        };
        return vec![Finding::ok(Check::SecretFiles, cause)];
    }
    let warning = |path: &&PathBuf| {
        let shown = path.display();
        let cause = format!("every user of this machine can read {shown}");
        let remedy = format!("take the right away: chmod o-rwx {shown}");
        let mode = fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777);
        Finding::warning(Check::SecretFiles, cause, remedy)
            .of(shown.to_string())
            .seen(format!("mode {mode:04o}"))
    };
    opened.iter().map(warning).collect()
}

fn private_files(config: &app::Config) -> Vec<PathBuf> {
    let ledger = match &config.ledger.location {
        Location::Postgres(server) => server.password().and_then(Secret::path),
        Location::Sqlite(_) => None,
    };
    let secrets = config.microsoft.credentials.values().filter_map(Credential::private_file);
    let webhook = config.webhook.iter().flat_map(|webhook| {
        let ids = [Some(&webhook.auth_id), webhook.previous_auth_id.as_ref()];
        let ids = ids.into_iter().flatten().filter_map(|secret| secret.path());
        ids.chain(webhook.tls.iter().map(|tls| &*tls.key))
    });
    let devo = config.deliver.identity.iter().map(|(_, key)| &**key);
    let mut files: Vec<_> =
        secrets.chain(webhook).chain(devo).chain(ledger).map(Path::to_owned).collect();
    files.sort();
    files.dedup();
    files
}

/// A certificate of ours and its key.
pub(super) fn certificate(
    check: Check,
    (cert, key): (&Path, &Path),
    ca: Option<&Path>,
    now: Timestamp,
) -> Finding {
    let (where_from, keys) = match check {
        Check::DevoCertificate => ("Devo administrator: download", "devo.cert and devo.key"),
        _ => ("make, or ask your authority for,", "webhook.tls.cert and webhook.tls.key"),
    };
    let again =
        format!("{where_from} certificate and key anew, both at once, and name them in {keys}");
    let identity = match Identity::load(cert, key) {
        Ok(identity) => identity,
        Err(error) => {
            let cause = "the certificate or its key cannot be read";
            return Finding::failed(check, cause, again).seen(with_source(&error));
        }
    };
    let chain = identity.chain().to_vec();
    let subject = cert.display().to_string();
    if let Err(error) = identity.check() {
        let cause = if error.is_key_mismatch() {
            "the key does not belong to the certificate"
        } else {
            "certificate and key cannot be used"
        };
        let seen = format!("{} beside {}: {error}", key.display(), cert.display());
        return Finding::failed(check, cause, again).of(subject).seen(seen);
    }
    let Some(leaf) = chain.first().and_then(Facts::of) else {
        return Finding::failed(check, "the certificate cannot be read", again).of(subject);
    };
    let seen = format!("good from {:.0} until {:.0}", leaf.not_before, leaf.not_after);
    if leaf.not_after <= now {
        let cause = format!("the certificate expired on {:.0}", leaf.not_after);
        return Finding::failed(check, cause, again).of(subject).seen(seen);
    }
    if leaf.not_before > now {
        let cause = format!("the certificate is not good yet; here it is {now:.0}");
        let remedy = "set this machine's clock by NTP, or wait";
        return Finding::failed(check, cause, remedy).of(subject).seen(seen);
    }
    let left = days_left(leaf.not_after, now);
    if left < SOON {
        let cause = format!("the certificate expires in {left} days");
        return Finding::warning(check, cause, again).of(subject).seen(seen);
    }
    if let Some(ca) = ca
        && ClientVerifier::any_of(ca).is_ok_and(|accepts| !accepts(&chain))
    {
        let cause = "the certificate was not signed by the authority in devo.ca";
        let remedy = "nothing, if Devo accepts it below; otherwise Devo administrator: download \
                      certificate, key and chain together from Devo's console";
        return Finding::warning(check, cause, remedy).of(subject).seen(seen);
    }
    let cause = format!("fits its key, {}", good_until(leaf.not_after, left));
    Finding::ok(check, cause).of(subject)
}

/// The ledger itself.
pub(super) fn ledger(seen: &Examination, running: bool) -> Finding {
    let path = seen.path.display().to_string();
    let held = if seen.in_use { "held by a running service" } else { "held by nobody" };
    let finding = match &seen.schema {
        Ok(()) if seen.in_use && !running => {
            let remedy = format!(
                "stop that process (`fuser {path}.lock` names it), or set ledger.url to a file of \
                 its own for this service; it may be that the service is only starting or ending"
            );
            let cause = "another process holds the ledger, and no service of ours answers";
            Finding::failed(Check::Ledger, cause, remedy)
                .seen("the lock is taken, and the admin port does not answer")
        }
        Ok(()) if seen.on_server => Finding::ok(Check::Ledger, "reachable, with our schema"),
        Ok(()) => Finding::ok(Check::Ledger, format!("readable, {held}")),
        Err(OpenError::Missing { .. }) => {
            Finding::ok(Check::Ledger, "there is none yet; `run` creates it")
        }
        Err(error @ OpenError::Outdated { .. }) => {
            Finding::ok(Check::Ledger, "of an older version; `run` brings it up to date")
                .seen(error.to_string())
        }
        Err(error @ OpenError::Schema { .. }) => Finding::failed(
            Check::Ledger,
            "the ledger was written by a newer version",
            "run that version, or set ledger.url to another file: what Microsoft still has is \
             then collected anew, and delivered a second time where it was delivered before",
        )
        .seen(error.to_string()),
        Err(error @ OpenError::Damaged { .. }) => Finding::failed(
            Check::Ledger,
            "the ledger is damaged, or the file is no ledger",
            "move it away together with its -wal and -shm files, or correct ledger.url",
        )
        .seen(with_source(error)),
        Err(error) if seen.on_server => Finding::failed(
            Check::Ledger,
            "the database of the ledger cannot be used",
            "start the server, or correct ledger.url and ledger.password; the user needs the right \
             to connect, and to create tables at the first start of a version",
        )
        .seen(with_source(error)),
        Err(error) => Finding::failed(
            Check::Ledger,
            "the ledger cannot be opened",
            "let the service's user read and write the file and its folder",
        )
        .seen(with_source(error)),
    };
    finding.of(path)
}

/// The disk under it.
pub(super) fn ledger_disk(seen: &Examination) -> Finding {
    if seen.on_server {
        return Finding::ok(Check::LedgerDisk, "the server's to watch")
            .of(seen.path.display().to_string());
    }
    let folder = seen.path.parent().unwrap_or(Path::new(".")).display().to_string();
    let room = seen.space.map(|space| format!("{} free", size(space))).unwrap_or_default();
    let check = Check::LedgerDisk;
    let finding = match (&seen.writable, seen.space) {
        (Err(error), _) if is_full(error) => {
            let remedy = "make room on the file system of the ledger (a gigabyte is plenty), or \
                          lift the quota of the service's user";
            Finding::failed(check, "the disk of the ledger is full", remedy)
                .seen(format!("{error}; {room}"))
        }
        (Err(error), _) => {
            let remedy = format!(
                "let the service's user write to {folder}; if it is mounted read-only, mount it \
                 for writing, or set ledger.url to a file elsewhere"
            );
            Finding::failed(check, "the folder of the ledger cannot be written to", remedy)
                .seen(error.to_string())
        }
        (Ok(()), Some(space)) if space.free < LITTLE => {
            let remedy = "make room on the file system of the ledger: an outage of Devo costs a \
                          few hundred bytes for each blob, and a full disk stops everything";
            Finding::warning(check, "the disk of the ledger is almost full", remedy).seen(room)
        }
        (Ok(()), _) => Finding::ok(check, format!("writable, {room}")),
    };
    finding.of(folder)
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn size(space: Space) -> String {
    let gib = |bytes: u64| format!("{}.{}", bytes >> 30, ((bytes >> 20) % 1024) / 103);
    format!("{} of {} GiB", gib(space.free), gib(space.total))
}

const READABLE_BY_OTHERS: u32 = 0o004;

/// The ledger of a busy week takes less.
const LITTLE: u64 = 256 << 20;
