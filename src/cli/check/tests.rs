use expect_test::expect;

use super::*;
use crate::{content::ContentType, doctor::Check};

fn finding(check: Check, outcome: Outcome, subject: &str, cause: &str) -> Finding {
    Finding {
        check,
        subject: subject.into(),
        content_type: None,
        outcome,
        because: None,
        cause: cause.into(),
        evidence: String::new(),
        remedy: String::new(),
    }
}

fn report() -> Report {
    let content = |kind| Finding {
        content_type: Some(kind),
        ..finding(Check::Content, Outcome::Ok, "contoso", "12 listed")
    };
    let skipped = |check| finding(check, Outcome::Skipped, "fabrikam", "because of the token");
    Report {
        findings: vec![
            finding(Check::Ledger, Outcome::Ok, "/var/lib/m.db", "readable, held by nobody"),
            finding(Check::Token, Outcome::Ok, "contoso", "granted"),
            Finding {
                evidence: "what was\nseen".into(),
                remedy: "Entra administrator: make a new client secret for the application and \
                         put its value where client_secret points, which is a long way to say it"
                    .into(),
                ..finding(Check::Token, Outcome::Failed, "fabrikam", "the secret has expired")
            },
            skipped(Check::Roles),
            content(ContentType::Exchange),
            content(ContentType::General),
            content(ContentType::SharePoint),
            skipped(Check::Subscription),
            skipped(Check::Content),
            finding(
                Check::DevoTcp,
                Outcome::Ok,
                "d.example:443",
                "192.0.2.1:443 takes connections",
            ),
        ],
    }
}

fn listed(report: &Report, colour: bool) -> String {
    let mut text = Vec::new();
    let mut list = List::new(&mut text, colour);
    for finding in &report.findings {
        list.take(finding).unwrap();
    }
    list.end().unwrap();
    list.summary(report).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_list_groups_what_is_alike_and_explains_what_is_wrong() {
    expect![[r#"
        This machine
          ok       ledger                /var/lib/m.db: readable, held by nobody

        Tenants
          ok       token                 contoso: granted
          failed   token                 fabrikam: the secret has expired
                   seen   what was seen
                   to do  Entra administrator: make a new client secret for the application and put its
                          value where client_secret points, which is a long way to say it
          skipped  roles                 fabrikam: because of the token

        Feeds
          ok       content               contoso, 3 content types: 12 listed
          skipped                        fabrikam: subscription, content: because of the token

        The way to Devo
          ok       Devo connection       192.0.2.1:443 takes connections

        Mend this first: token (fabrikam): the secret has expired
          Entra administrator: make a new client secret for the application and put its value where
          client_secret points, which is a long way to say it
        1 failed, 3 skipped, 6 ok
    "#]].assert_eq(&listed(&report(), false));
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let coloured = listed(&report(), true);
    assert!(coloured.contains("\x1b[31;1mfailed"), "{coloured}");
    let mut plain = coloured;
    for style in ["0", "1", "2", "32", "33;1", "31;1"] {
        plain = plain.replace(&format!("\x1b[{style}m"), "");
    }
    assert_eq!(plain, listed(&report(), false));
}

#[test]
fn json_is_an_array_with_a_finding_on_each_line() {
    let mut text = Vec::new();
    write_json(&mut text, &report()).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), report().findings.len() + 2);
    expect![[r#"{"check":"token","outcome":"failed","subject":"fabrikam","content_type":null,"cause":"the secret has expired","evidence":"what was\nseen","remedy":"Entra administrator: make a new client secret for the application and put its value where client_secret points, which is a long way to say it","because":null},"#]].assert_eq(text.lines().nth(3).unwrap());
    let mut empty = Vec::new();
    write_json(&mut empty, &Report::default()).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<u8>>(&empty).unwrap(), Vec::<u8>::new());
}

#[test]
fn well_is_well() {
    let report = Report { findings: report().findings.into_iter().take(2).collect() };
    assert!(listed(&report, false).ends_with("\nEverything is well.\n2 ok\n"));
}
