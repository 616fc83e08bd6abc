use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

mod uris;

const TENANT: &str = "41463f53-8812-40f4-890f-865bf6e35190";
const OTHER: &str = "99999999-8812-40f4-890f-865bf6e35190";
const CLIENT: &str = "1d7cd7d4-5b6e-4a2e-8a4d-0c4a4b3a2b1c";
const ID: &str = "20150523173500$20150523173759$audit_exchange$Audit_Exchange$na0017";

fn tenants() -> Tenants {
    [Tenant {
        id: TENANT.parse().unwrap(),
        client_id: CLIENT.parse().unwrap(),
        name: "contoso".into(),
        content_types: vec![ContentType::Exchange, ContentType::Dlp],
    }]
    .into_iter()
    .collect()
}

fn root() -> Url {
    "https://manage.office.com".parse().unwrap()
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// The fields of a good entry as JSON texts.
fn good() -> Vec<(&'static str, String)> {
    vec![
        ("tenantId", format!("\"{TENANT}\"")),
        ("clientId", format!("\"{CLIENT}\"")),
        ("contentType", "\"Audit.Exchange\"".into()),
        ("contentId", format!("\"{ID}\"")),
        ("contentUri", format!("\"{}\"", uri("https://manage.office.com"))),
        ("contentCreated", "\"2026-06-01T11:58:00.000Z\"".into()),
        ("contentExpiration", "\"2026-06-08T11:58:00.000Z\"".into()),
    ]
}

fn uri(root: &str) -> String {
    format!("{root}/api/v1.0/{TENANT}/activity/feed/audit/{ID}")
}

/// A good entry with one field replaced, or left out.
fn entry(field: &str, value: Option<&str>) -> String {
    let mut object = String::from("{");
    for (name, good) in good() {
        let value = if name == field { value } else { Some(&*good) };
        if let Some(value) = value {
            let comma = if object.len() > 1 { "," } else { "" };
            write!(object, "{comma}\"{name}\":{value}").unwrap();
        }
    }
    object + "}"
}

fn judge_one(entry: &str) -> Result<Announcement, Refused> {
    let body = format!("[{entry}]");
    let Ok(Body::Entries(entries)) = parse(body.as_bytes()) else {
        panic!("no notification: {body}");
    };
    judge(&entries[0], &tenants(), &[root()], now())
}

fn check(field: &str, value: Option<&str>, expected: Result<(), Reason>) {
    let entry = entry(field, value);
    let judged = judge_one(&entry).map(drop).map_err(|refused| refused.reason);
    assert_eq!(judged, expected, "{entry}");
}

#[test]
fn a_good_entry_becomes_an_announcement_with_its_own_times() {
    let announcement = judge_one(&entry("", None)).unwrap();
    assert_eq!(
        announcement,
        Announcement {
            tenant: TENANT.parse().unwrap(),
            content_type: ContentType::Exchange,
            id: ContentId::parse(ID).unwrap(),
            created: "2026-06-01T11:58:00Z".parse().unwrap(),
            expires: "2026-06-08T11:58:00Z".parse().unwrap(),
        }
    );
}

#[test]
fn shapes_of_bodies() {
    let validation: &[&str] =
        &[r#"{"validationCode":"abc"}"#, "\u{feff} {\"validationCode\":null,\"more\":[1]}\r\n"];
    for body in validation {
        assert!(matches!(parse(body.as_bytes()), Ok(Body::Validation)), "{body}");
    }
    let notifications = [("[]", 0), (" [ ]\n", 0), ("\u{feff}[{}]", 1), ("[{},{\"a\":1}]", 2)];
    for (body, entries) in notifications {
        match parse(body.as_bytes()) {
            Ok(Body::Entries(parsed)) => assert_eq!(parsed.len(), entries, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    let neither: &[&[u8]] = &[
        b"",
        b" ",
        b"\xef\xbb\xbf",
        b"null",
        b"42",
        b"\"text\"",
        b"{}",
        b"{\"tenantId\":\"x\"}",
        b"[1]",
        b"[{},null]",
        b"[[]]",
        b"[\"x\"]",
        b"[{}",
        b"[{}]x",
        b"{\"validationCode\":\"a\"}{",
        b"<html></html>",
        b"[{\"a\":\"\xff\"}]",
    ];
    for body in neither {
        assert_eq!(parse(body).err(), Some(NotANotification), "{body:?}");
    }
}

#[test]
fn nesting_however_deep_needs_no_stack() {
    let deep = format!("[{{\"x\":{}{}}}]", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(parse(deep.as_bytes()).err(), Some(NotANotification));
}

#[test]
fn missing_and_wrong_fields_are_refused_one_by_one() {
    use Reason::{MalformedEntry, MalformedId, MalformedUri};
    for field in ["tenantId", "contentType", "contentId", "contentUri"] {
        for value in [None, Some("null"), Some("7"), Some("{}"), Some(r#""\ud800""#)] {
            check(field, value, Err(MalformedEntry));
        }
    }
    check("tenantId", Some("\"no guid\""), Err(MalformedEntry));
    check("contentId", Some("\"\""), Err(MalformedId));
    check("contentId", Some("\"a b\""), Err(MalformedId));
    check("contentId", Some("\"..\""), Err(MalformedId));
    check("contentUri", Some("\"\""), Err(MalformedUri));
    check("contentType", Some("7,\"contentType\":\"DLP.All\""), Err(MalformedEntry));
}

#[test]
fn what_is_not_ours_is_refused() {
    use Reason::{OtherClient, UnknownTenant, UnknownType};
    check("tenantId", Some(&format!("\"{OTHER}\"")), Err(UnknownTenant));
    check("clientId", Some(&format!("\"{OTHER}\"")), Err(OtherClient));
    check("clientId", Some("\"\""), Err(OtherClient));
    check("clientId", Some("7"), Err(OtherClient));
    check("contentType", Some("\"Audit.General\""), Err(UnknownType));
    check("contentType", Some("\"Audit.Nothing\""), Err(UnknownType));
}

#[test]
fn what_varies_in_captures_is_survived() {
    check("clientId", None, Ok(()));
    check("clientId", Some("null"), Ok(()));
    check("clientId", Some(&format!("\"{}\"", CLIENT.to_uppercase())), Ok(()));
    check("tenantId", Some(&format!("\"{}\"", TENANT.to_uppercase())), Ok(()));
    check("contentType", Some("\"audit.EXCHANGE\""), Ok(()));
    check("contentType", Some("\"dlp.all\""), Ok(()));
    check("contentCreated", Some("\"x\",\"new\":{\"a\":[\"\\ud800\"]}"), Ok(()));
}

#[test]
fn a_refusal_names_the_tenant_only_when_it_is_configured() {
    let cases = [
        (entry("clientId", Some("\"x\"")), Some(TENANT)),
        (entry("contentId", None), Some(TENANT)),
        (entry("tenantId", Some(&format!("\"{OTHER}\""))), None),
        (entry("tenantId", None), None),
    ];
    for (entry, tenant) in cases {
        let expected = tenant.map(|tenant| tenant.parse().unwrap());
        assert_eq!(judge_one(&entry).unwrap_err().tenant, expected, "{entry}");
    }
}

#[test]
fn times_are_taken_from_the_wire_when_they_make_sense() {
    let now = "2026-06-01T12:00:00Z";
    let week = "2026-06-08T12:00:00Z";
    let cases = [
        ("contentCreated", Some("\"2026-06-01T10:00:00\""), "2026-06-01T10:00:00Z"),
        ("contentCreated", Some("\"2026-06-01T10:00:00.1234567\""), "2026-06-01T10:00:00.1234567Z"),
        ("contentCreated", Some("\"2026-06-01T10:00:00+02:00\""), "2026-06-01T08:00:00Z"),
        ("contentCreated", Some("\"2026-06-02T11:00:00Z\""), "2026-06-02T11:00:00Z"),
        ("contentCreated", None, now),
        ("contentCreated", Some("null"), now),
        ("contentCreated", Some("\"\""), now),
        ("contentCreated", Some("1748779200"), now),
        ("contentCreated", Some("\"0001-01-01T00:00:00\""), now),
        ("contentCreated", Some("\"9999-12-31T23:59:59Z\""), now),
        ("contentExpiration", Some("\"2026-06-21T12:00:00\""), "2026-06-21T12:00:00Z"),
        ("contentExpiration", Some("\"2026-06-01T12:00:01Z\""), "2026-06-01T12:00:01Z"),
        ("contentExpiration", Some("\"2026-06-01T12:00:00Z\""), week),
        ("contentExpiration", Some("\"2026-05-31T12:00:00Z\""), week),
        ("contentExpiration", None, week),
        ("contentExpiration", Some("\"soon\""), week),
        ("contentExpiration", Some("\"0001-01-01T00:00:00Z\""), week),
        ("contentExpiration", Some("\"9999-12-31T23:59:59Z\""), week),
    ];
    for (field, value, expected) in cases {
        let announcement = judge_one(&entry(field, value)).unwrap();
        let time = match field {
            "contentCreated" => announcement.created,
            _ => announcement.expires,
        };
        assert_eq!(time, expected.parse().unwrap(), "{field} {value:?}");
    }
}

fn never_panics(body: &[u8]) {
    if let Ok(Body::Entries(entries)) = parse(body) {
        for entry in &entries {
            drop(judge(entry, &tenants(), &[root()], now()));
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>) {
        never_panics(&body);
    }

    #[test]
    fn arbitrary_field_values_never_panic(field in 0_usize..7, value in "\\PC*") {
        let quoted = serde_json::to_string(&value).unwrap();
        let name = good()[field].0;
        never_panics(format!("[{},{}]", entry(name, Some(&quoted)), entry(name, Some(&value))).as_bytes());
    }

    #[test]
    fn a_cut_or_damaged_notification_never_panics(at: prop::sample::Index, byte: u8) {
        let mut body = format!("[{}]", entry("", None)).into_bytes();
        let at = at.index(body.len());
        never_panics(&body[..at]);
        body[at] = byte;
        never_panics(&body);
    }
}

#[test]
fn depth_and_number_are_capped() {
    let nested = |depth: usize| {
        let (open, close) = (r#"{"a":["#.repeat(depth), "]}".repeat(depth));
        format!("[{open}{close}]").into_bytes()
    };
    // The array around it is one level, and each pair two.
    assert!(parse(&nested((MAX_DEPTH - 1) / 2)).is_ok());
    assert!(parse(&nested(MAX_DEPTH / 2 + 1)).is_err());
    assert!(parse(&vec![b'['; 1 << 20]).is_err());
    // Brackets in texts are text, whatever quotes are escaped there.
    let brackets = format!(r#"[{{"a":"\"{}\\"}}]"#, "[".repeat(1000));
    assert!(parse(brackets.as_bytes()).is_ok());

    let entries = |count: usize| format!("[{}]", vec!["{}"; count].join(",")).into_bytes();
    assert!(parse(&entries(MAX_ENTRIES)).is_ok());
    assert!(parse(&entries(MAX_ENTRIES + 1)).is_err());
}
