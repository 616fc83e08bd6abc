//! One bad line, one problem, in words that help.

mod inbound;
mod outbound;

use expect_test::{Expect, expect};

use super::{Site, with};

#[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn check(section: &str, lines: &[&str], expect: Expect) {
    let cases: Vec<(&str, String)> =
        lines.iter().map(|line| (*line, with(section, line))).collect();
    expect.assert_eq(&Site::new().said_of_each(&cases));
}

#[test]
fn storage_and_operation() {
    check(
        "ledger",
        &[
            r#"url = "m365-collector.db""#,
            r#"url = "sqlite::memory:""#,
            r#"url = "sqlite:missing/m365-collector.db""#,
            r#"url = "sqlite:.""#,
            r#"url = "mysql://joe:pw@db/ledger""#,
            r#"url = "postgres://joe:pw@db/ledger""#,
            r#"url = "postgres://joe@db/ledger?sslmod=verify-full""#,
            r#"password = """#,
            r#"lease = "29s""#,
            r#"lease = "30s""#,
            r#"lease = "35s""#,
            r#"keep_delivered = "6d""#,
            r#"keep_dead = "0s""#,
        ],
        expect![[r#"
            url = "m365-collector.db"
              c.toml:13: ledger.url: found "m365-collector.db", expected "sqlite:FILE" or "postgres://user@host/database"
            url = "sqlite::memory:"
              c.toml:13: ledger.url: found "sqlite::memory:", expected "sqlite:FILE" or "postgres://user@host/database"
            url = "sqlite:missing/m365-collector.db"
              c.toml:13: ledger.url: found "missing/m365-collector.db", whose directory does not exist, expected a file in a directory that exists
            url = "sqlite:."
              c.toml:13: ledger.url: found a directory, expected the path of a file
            url = "mysql://joe:pw@db/ledger"
              c.toml:13: ledger.url: found "…@db/ledger", expected "sqlite:FILE" or "postgres://user@host/database"
            url = "postgres://joe:pw@db/ledger"
              warning: c.toml:13: ledger.url: holds a password in plain text; ledger.password = { file = "…" } is a better place
            url = "postgres://joe@db/ledger?sslmod=verify-full"
              c.toml:13: ledger.url: found "…@db/ledger…", expected "sqlite:FILE" or "postgres://user@host/database"
            password = ""
              c.toml:13: ledger.password: found an empty string, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            lease = "29s"
              c.toml:13: ledger.lease: found "29s", expected 30s to 24h
            lease = "30s"
              c.toml:13: ledger.lease: found "30s", expected more than devo.confirm_timeout (30s)
            lease = "35s"
              warning: c.toml:9: devo.confirm_interval: with devo.confirm_timeout (30s) it is not less than ledger.lease (35s); content may be sent again while its confirmation is under way
            keep_delivered = "6d"
              warning: c.toml:13: ledger.keep_delivered: shorter than the 7d in which content may be announced again and would be delivered again
            keep_dead = "0s"
              c.toml:13: ledger.keep_dead: found "0s", expected 1ms to 3650d
        "#]],
    );
    check(
        "admin",
        &[
            r#"listen = "127.0.0.1:8080""#,
            r#"listen = "[::]:8080""#,
            r#"listen = "localhost:9464""#,
        ],
        expect![[r#"
            listen = "127.0.0.1:8080"
              c.toml:13: admin.listen: found 127.0.0.1:8080, expected another port than webhook.listen (0.0.0.0:8080)
            listen = "[::]:8080"
              c.toml:13: admin.listen: found [::]:8080, expected another port than webhook.listen (0.0.0.0:8080)
            listen = "localhost:9464"
              c.toml:13: admin.listen: found "localhost:9464", expected an address and port such as "0.0.0.0:8080" or "[::]:8080"
        "#]],
    );
    check(
        "log",
        &[r#"format = "xml""#, r#"filter = "info,=,""#, r#"filter = """#],
        expect![[r#"
            format = "xml"
              c.toml:13: log.format: found "xml", expected "text" or "json"
            filter = "info,=,"
              c.toml:13: log.filter: found "info,=,", expected a level (error, warn, info, debug, trace) or a filter such as "info,m365_collector=debug"
            filter = ""
              c.toml:13: log.filter: found "", expected a level (error, warn, info, debug, trace) or a filter such as "info,m365_collector=debug"
        "#]],
    );
}

#[test]
fn listing() {
    check(
        "sweep",
        &[r#"interval = "10m""#, r#"settle = "2d""#, r#"startup_lookback = "168h""#],
        expect![[r#"
            interval = "10m"
              accepted
            settle = "2d"
              c.toml:13: sweep.settle: found "2d", expected 0s to 24h
            startup_lookback = "168h"
              c.toml:13: sweep.startup_lookback: found "168h", expected 1ms to 167h55m
        "#]],
    );
}

#[test]
fn what_is_not_available_yet_is_refused_and_not_ignored() {
    check(
        "records",
        &["remember_max = 5", r#"remember = "15d""#],
        expect![[r#"
            remember_max = 5
              accepted
            remember = "15d"
              c.toml:13: records.remember: found "15d", expected at most ledger.keep_delivered (14d)
        "#]],
    );
}
