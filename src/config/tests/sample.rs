//! The sample file: it works, it is complete, and it says the truth about defaults.

use std::collections::BTreeSet;

use super::{SAMPLE, Site};
use crate::config::{key::Key, schema::paths};

/// The sample with its placeholders filled in.
fn filled() -> String {
    SAMPLE
        .replacen(ZEROS, "11111111-1111-1111-1111-111111111111", 1)
        .replacen(ZEROS, "22222222-2222-2222-2222-222222222222", 1)
        .replace("/run/secrets/previous-auth-id", "auth-id")
        .replace("/run/secrets/auth-id", "auth-id")
        .replace("/run/secrets/contoso-client-secret", "client-secret")
        .replace("\"extra-root.pem\"", "\"chain.crt\"")
}

/// The sample with everything in it that it can say.
pub(super) fn whole() -> String {
    uncommented(&filled(), |_, _| true)
}

/// Takes the `#` away from the optional keys that `wanted` picks by their comment and their line.
fn uncommented(text: &str, wanted: impl Fn(&str, &str) -> bool) -> String {
    let mut prose = String::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("# ") {
            prose.push_str(line);
        }
        match line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')) {
            Some(key) if wanted(&prose, key) => lines.push(key),
            _ => lines.push(line),
        }
        if !line.starts_with("# ") {
            prose.clear();
        }
    }
    lines.join("\n")
}

#[test]
fn with_its_placeholders_filled_in_it_is_accepted_without_a_word() {
    assert_eq!(Site::new().said(&filled(), &[]), "");
}

#[test]
fn as_it_comes_its_placeholders_are_what_is_wrong_with_it() {
    let said = Site::new().said(SAMPLE, &[]);
    for key in
        ["webhook.auth_id", "tenants[0].id", "tenants[0].client_id", "tenants[0].client_secret"]
    {
        assert!(said.contains(&format!(": {key}: ")), "{key}\n{said}");
    }
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn every_line_can_be_uncommented_but_alternatives() {
    let text = uncommented(&filled(), |prose, _| !prose.contains("Instead of client_secret"));
    assert_eq!(Site::new().said(&text, &[]), "");
}

#[test]
fn a_commented_key_shows_its_default() {
    let site = Site::new();
    let defaults = uncommented(&filled(), |prose, _| !prose.contains("Example:"));
    assert!(defaults.contains("\nretry_max"));
    assert_eq!(format!("{:?}", site.accept(&defaults)), format!("{:?}", site.accept(&filled())),);
}

// The certificates are made by rcgen, which comes with the demonstration.
#[cfg(feature = "demo")]
#[test]
fn each_alternative_takes_the_place_of_the_secret() {
    let site = Site::new();
    site.write_pair("contoso");
    let filled = filled().replace("client_secret = { file", "#client_secret = { file");
    for kind in ["certificate", "federated_token"] {
        let text = uncommented(&filled, |prose, line| {
            prose.contains("Instead of client_secret") && line.starts_with(kind)
        });
        let text = text.replace("/var/run/secrets/azure/tokens/azure-identity-token", "auth-id");
        let config = site.accept(&text);
        let credentials: Vec<_> = config.microsoft.credentials.values().collect();
        assert_eq!(credentials.iter().map(|one| one.kind()).collect::<Vec<_>>(), [kind]);
    }
}

#[test]
fn it_has_every_key_of_the_schema_and_no_other() {
    let text = uncommented(&filled(), |_, _| true);
    let document = crate::config::Document::parse("sample.toml".as_ref(), &text)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let known: BTreeSet<String> = paths().into_iter().collect();
    let written: BTreeSet<String> =
        document.keys().map(|key| key.to_string().replace("[0]", "[]")).collect();
    for path in &known {
        assert!(written.contains(path), "the sample lacks {path}");
    }
    for key in document.keys() {
        let path = key.to_string().replace("[0]", "[]");
        let known_here = known.iter().any(|known| {
            // A section, a key, or a part of the value of a key.
            known.starts_with(&path)
                || Key::from(path.as_str()).is_within(&Key::from(known.as_str()))
        });
        assert!(known_here, "the schema lacks {path}");
    }
}

const ZEROS: &str = "00000000-0000-0000-0000-000000000000";
