//! Whom we call: Microsoft and Devo.

use expect_test::expect;

use super::check;

#[test]
fn microsoft() {
    check(
        "microsoft",
        &[
            r#"cloud = "china""#,
            r#"management_url = "http://manage.office.com""#,
            r#"management_url = "http://127.0.0.1:1234""#,
            r#"management_url = "https://manage.office.com/api""#,
            r#"management_url = "ftp://manage.office.com""#,
            r#"login_url = "https://joe:pw@login.microsoftonline.com""#,
            r#"login_url = "https://login.microsoftonline.com/?x""#,
            r#"resource = "https://manage.office.com/api""#,
            r#"resource = "manage.office.com""#,
            r#"ca = "missing.pem""#,
            r#"ca = ".""#,
            r#"publisher_id = "me""#,
        ],
        expect![[r#"
            cloud = "china"
              c.toml:13: microsoft.cloud: found "china", expected "commercial", "gcc", "gcc-high" or "dod"
            management_url = "http://manage.office.com"
              c.toml:13: microsoft.management_url: found a plain http address of another machine, expected an https address without path, query and user name
            management_url = "http://127.0.0.1:1234"
              warning: c.toml:13: microsoft.management_url: plain http: tokens and secrets travel unencrypted
            management_url = "https://manage.office.com/api"
              c.toml:13: microsoft.management_url: found an address with a path, expected an https address without path, query and user name
            management_url = "ftp://manage.office.com"
              c.toml:13: microsoft.management_url: found "ftp://manage.office.com", expected an address such as "https://host.example.com"
            login_url = "https://joe:pw@login.microsoftonline.com"
              c.toml:13: microsoft.login_url: found an address with a user name or password, expected an https address without path, query and user name
            login_url = "https://login.microsoftonline.com/?x"
              c.toml:13: microsoft.login_url: found an address with a query or fragment, expected an https address without path, query and user name
            resource = "https://manage.office.com/api"
              c.toml:13: microsoft.resource: found an address with a path, expected an https address without path, query and user name
            resource = "manage.office.com"
              c.toml:13: microsoft.resource: found "manage.office.com", expected an address such as "https://host.example.com"
            ca = "missing.pem"
              c.toml:13: microsoft.ca: found "missing.pem" (No such file or directory (os error 2)), expected a readable file
            ca = "."
              c.toml:13: microsoft.ca: found ".", a directory, expected a readable file
            publisher_id = "me"
              c.toml:13: microsoft.publisher_id: found "me", expected a GUID such as "11111111-2222-3333-4444-555555555555"
        "#]],
    );
    check(
        "subscriptions",
        &[
            r#"manage = "yes""#,
            r#"check_interval = "25h""#,
            r#"restart_after = "1m""#,
            r#"webhook_expiry = "never""#,
            r#"webhook_expiry = "20m""#,
        ],
        expect![[r#"
            manage = "yes"
              c.toml:13: subscriptions.manage: found "yes", expected true or false
            check_interval = "25h"
              c.toml:13: subscriptions.check_interval: found "25h", expected 1ms to 24h
            restart_after = "1m"
              warning: c.toml:13: subscriptions.restart_after: shorter than the 15m within which Microsoft refuses a second start
            webhook_expiry = "never"
              c.toml:13: subscriptions.webhook_expiry: found "never", expected "none" or a duration such as "24h"
            webhook_expiry = "20m"
              c.toml:13: subscriptions.webhook_expiry: found "20m", expected more than check_interval and restart_after together (5m and 15m)
        "#]],
    );
    check(
        "fetch",
        &[
            "concurrency = 0",
            "requests_per_minute = 0",
            "requests_per_minute = 99999999999999999999",
            r#"timeout = "0s""#,
            r#"retry_min = "16m""#,
            r#"retry_max = "1s""#,
            "max_record = 0",
        ],
        expect![[r#"
            concurrency = 0
              c.toml:13: fetch.concurrency: found 0, expected 1 to 4096
            requests_per_minute = 0
              c.toml:13: fetch.requests_per_minute: found 0, expected 1 to 1000000
            requests_per_minute = 99999999999999999999
              c.toml:13: fetch.requests_per_minute: found a number that is too large, expected a whole number
            timeout = "0s"
              c.toml:13: fetch.timeout: found "0s", expected 1ms to 60m
            retry_min = "16m"
              c.toml:13: fetch.retry_min: found "16m", expected at most fetch.retry_max (15m)
            retry_max = "1s"
              c.toml:13: fetch.retry_max: found "1s", expected at least fetch.retry_min (2s)
            max_record = 0
              c.toml:13: fetch.max_record: found 0 B, expected 1 B to 1 GiB
        "#]],
    );
}

#[test]
fn delivery() {
    check(
        "devo",
        &[
            r#"endpoint = "collector-eu.devo.io:443""#,
            r#"endpoint = "tls://joe:pw@collector-eu.devo.io:443""#,
            r#"endpoint = "tcp://127.0.0.1:13000""#,
            r#"cert = "domain.crt""#,
            r#"key = "domain.key""#,
            r#"key = 5"#,
            r#"ca = "missing""#,
            r#"server_name = "a b""#,
            r#"hostname = "a b""#,
            "connections = 0",
            r#"compression = "zstd""#,
            r#"confirm = "udp""#,
            r#"confirm_bytes = "0 B""#,
            r#"confirm_timeout = "5m""#,
            r#"confirm_timeout = "295s""#,
        ],
        expect![[r#"
            endpoint = "collector-eu.devo.io:443"
              c.toml:10: devo.endpoint: found "collector-eu.devo.io:443", expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443"
            endpoint = "tls://joe:pw@collector-eu.devo.io:443"
              c.toml:10: devo.endpoint: found "…@collector-eu.devo.io:443", expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443"
            endpoint = "tcp://127.0.0.1:13000"
              accepted
            cert = "domain.crt"
              c.toml:9: devo.key: found nothing, expected both devo.cert and devo.key, or neither
            key = "domain.key"
              c.toml:9: devo.cert: found nothing, expected both devo.key and devo.cert, or neither
            key = 5
              c.toml:9: devo.cert: found nothing, expected both devo.key and devo.cert, or neither
              c.toml:10: devo.key: found 5, expected the path of a file
            ca = "missing"
              c.toml:10: devo.ca: found "missing" (No such file or directory (os error 2)), expected a readable file
            server_name = "a b"
              c.toml:10: devo.server_name: found "a b", expected a host name
            hostname = "a b"
              c.toml:10: devo.hostname: found "a b", expected 1 to 255 visible ASCII characters
            connections = 0
              c.toml:10: devo.connections: found 0, expected 1 to 256
            compression = "zstd"
              c.toml:10: devo.compression: found "zstd", expected "none" or "gzip"
            confirm = "udp"
              c.toml:10: devo.confirm: found "udp", expected "end-of-stream" or "tcp"
            confirm_bytes = "0 B"
              c.toml:10: devo.confirm_bytes: found "0 B", expected 1 B to 64 GiB
            confirm_timeout = "5m"
              c.toml:10: devo.confirm_timeout: found "5m", expected less than ledger.lease (5m)
            confirm_timeout = "295s"
              warning: c.toml:9: devo.confirm_interval: with devo.confirm_timeout (4m55s) it is not less than ledger.lease (5m); content may be sent again while its confirmation is under way
        "#]],
    );
    check(
        "devo.stats",
        &[
            r#"table = """#,
            r#"table = "my.app.Our-own""#,
            r#"table = "stats""#,
            r#"table = "my..stats""#,
            r#"table = "my.app stats""#,
            r#"interval = "0s""#,
        ],
        expect![[r#"
            table = ""
              accepted
            table = "my.app.Our-own"
              accepted
            table = "stats"
              c.toml:13: devo.stats.table: found "stats", expected "", or a whole tag of two levels or more, such as "my.app.m365_collector.stats"
            table = "my..stats"
              c.toml:13: devo.stats.table: found "my..stats", expected "", or a whole tag of two levels or more, such as "my.app.m365_collector.stats"
            table = "my.app stats"
              c.toml:13: devo.stats.table: found "my.app stats", expected "", or a whole tag of two levels or more, such as "my.app.m365_collector.stats"
            interval = "0s"
              c.toml:13: devo.stats.interval: found "0s", expected 1s to 60m
        "#]],
    );
    check(
        "devo.log",
        &[
            r#"table = """#,
            r#"table = "my.app.log""#,
            r#"table = "log""#,
            r#"level = "info""#,
            r#"level = "debug""#,
        ],
        expect![[r#"
            table = ""
              accepted
            table = "my.app.log"
              accepted
            table = "log"
              c.toml:13: devo.log.table: found "log", expected "", or a whole tag of two levels or more, such as "my.app.m365_collector.log"
            level = "info"
              accepted
            level = "debug"
              c.toml:13: devo.log.level: found "debug", expected "error", "warn" or "info"
        "#]],
    );
    check(
        "devo.tables",
        &[
            r#"prefix = "cloud..office""#,
            r#"fallback = "Other""#,
            r#"workload = { Exchange = "ex change" }"#,
            r#"workload = { Exchange = "a", exchange = "b", "" = "c" }"#,
            "workload = { Exchange = 5 }",
            "workload = 5",
        ],
        expect![[r#"
            prefix = "cloud..office"
              c.toml:13: devo.tables.prefix: found "cloud..office", expected at least two levels of [a-z0-9_]
            fallback = "Other"
              c.toml:13: devo.tables.fallback: found "Other", expected a table of [a-z0-9_]
            workload = { Exchange = "ex change" }
              c.toml:13: devo.tables.workload.Exchange: found "ex change", expected a table of [a-z0-9_]
            workload = { Exchange = "a", exchange = "b", "" = "c" }
              c.toml:13: devo.tables.workload.exchange: found "exchange", expected each workload once, whatever its case
              c.toml:13: devo.tables.workload."": found a name no Workload has, expected the name of a Workload
            workload = { Exchange = 5 }
              c.toml:13: devo.tables.workload.Exchange: found 5, expected a string
            workload = 5
              c.toml:13: devo.tables.workload: found 5, expected a table
        "#]],
    );
}
