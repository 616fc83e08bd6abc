//! One bad line, one problem, in words that help.

use expect_test::{Expect, expect};

use super::{MINIMAL, Site, with};

#[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn check(section: &str, lines: &[&str], expect: Expect) {
    let site = Site::new();
    let said: String = lines
        .iter()
        .map(|line| {
            format!(
                "{line}\n  {}\n",
                site.said(&with(section, line), &[]).replace('\n', "\n  ")
            )
        })
        .collect();
    expect.assert_eq(&said);
}

#[test]
fn webhook() {
    check(
        "webhook",
        &[
            r#"listen = "8080""#,
            r#"address = "http://m365.example.com/webhook""#,
            r#"address = "https://m365.example.com""#,
            r#"address = "https://m365.example.com/webhook?code=1""#,
            r#"address = "https://m365.example.com/webhook#x""#,
            r#"address = "https://joe:pw@m365.example.com/webhook""#,
            r#"address = "m365.example.com/webhook""#,
            r#"auth_id = { file = "missing" }"#,
            r#"auth_id = { file = "empty" }"#,
            r#"auth_id = { env = "MISSING" }"#,
            r#"auth_id = { env = "not a name" }"#,
            r#"auth_id = { file = "auth-id", env = "X" }"#,
            r#"auth_id = { path = "auth-id" }"#,
            "auth_id = 5",
            r#"auth_id = """#,
            r#"auth_id = "short""#,
            r#"auth_id = "long enough but with blanks""#,
            r#"auth_id = "long-enough-and-visible""#,
            r#"previous_auth_id = { file = "empty" }"#,
            r#"max_body = "64M""#,
            r#"max_body = "0""#,
            "max_body = -1",
            r#"max_body = "1 GiB""#,
            "max_connections = 0",
            r#"max_connections = "many""#,
            "max_connections = 1.5",
            "header_timeout = 10",
            r#"header_timeout = "0s""#,
            r#"request_timeout = "10 parsecs""#,
            r#"drain_delay = "30s""#,
            r#"trusted_proxies = "10.0.0.0/8""#,
            r#"trusted_proxies = ["10.0.0.0/8", "10.0.0.0/33", "::1", 4]"#,
            "allowed_sources = 1979-05-27",
            r#"tls = { cert = "missing" }"#,
            r#"tls = { cert = "domain.crt", key = "domain.key", client_names = ["x"] }"#,
        ],
        expect![[r#"
            listen = "8080"
              c.toml:3: webhook.listen: found "8080", expected an address and port such as "0.0.0.0:8080" or "[::]:8080"
            address = "http://m365.example.com/webhook"
              c.toml:3: webhook.address: found a plain http address, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
            address = "https://m365.example.com"
              c.toml:3: webhook.address: found an address without a path, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
            address = "https://m365.example.com/webhook?code=1"
              c.toml:3: webhook.address: found an address with a query, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
            address = "https://m365.example.com/webhook#x"
              c.toml:3: webhook.address: found an address with a fragment, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
            address = "https://joe:pw@m365.example.com/webhook"
              c.toml:3: webhook.address: found an address with a user name or password, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
            address = "m365.example.com/webhook"
              c.toml:3: webhook.address: found "m365.example.com/webhook", expected an address such as "https://host.example.com"
            auth_id = { file = "missing" }
              c.toml:3: webhook.auth_id: found "missing" (No such file or directory (os error 2)), expected a readable file
            auth_id = { file = "empty" }
              c.toml:3: webhook.auth_id: found a file that cannot be used (the file is empty), expected a readable file that holds the secret
            auth_id = { env = "MISSING" }
              c.toml:3: webhook.auth_id: found environment variable MISSING, not set, expected a variable that is set
            auth_id = { env = "not a name" }
              c.toml:3: webhook.auth_id: found a text that is no name, expected the name of an environment variable
            auth_id = { file = "auth-id", env = "X" }
              c.toml:3: webhook.auth_id: found a table, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            auth_id = { path = "auth-id" }
              c.toml:3: webhook.auth_id: found a table, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            auth_id = 5
              c.toml:3: webhook.auth_id: found an integer, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            auth_id = ""
              c.toml:3: webhook.auth_id: found an empty string, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            auth_id = "short"
              c.toml:3: webhook.auth_id: found another value (not shown), expected 16 to 1024 visible ASCII characters
            auth_id = "long enough but with blanks"
              c.toml:3: webhook.auth_id: found another value (not shown), expected 16 to 1024 visible ASCII characters
            auth_id = "long-enough-and-visible"
              warning: c.toml:3: webhook.auth_id: the secret itself is in the file; use { file = "…" } or { env = "…" }
            previous_auth_id = { file = "empty" }
              c.toml:3: webhook.previous_auth_id: found a file that cannot be used (the file is empty), expected a readable file that holds the secret
            max_body = "64M"
              c.toml:3: webhook.max_body: found "64M", expected a size such as "64 MiB", "256 KiB" or a plain number of bytes
            max_body = "0"
              c.toml:3: webhook.max_body: found 0 B, expected 1 B to 64 MiB
            max_body = -1
              c.toml:3: webhook.max_body: found -1, expected a size such as "64 MiB", "256 KiB" or a plain number of bytes
            max_body = "1 GiB"
              c.toml:3: webhook.max_body: found 1 GiB, expected 1 B to 64 MiB
            max_connections = 0
              c.toml:3: webhook.max_connections: found 0, expected 1 to 1000000
            max_connections = "many"
              c.toml:3: webhook.max_connections: found "many", expected a whole number
            max_connections = 1.5
              c.toml:3: webhook.max_connections: found 1.5, expected a whole number
            header_timeout = 10
              c.toml:3: webhook.header_timeout: found 10, expected a duration such as "30s", "5m", "24h" or "1h30m" (units ms, s, m, h, d)
            header_timeout = "0s"
              c.toml:3: webhook.header_timeout: found 0s, expected 1ms to 10m
            request_timeout = "10 parsecs"
              c.toml:3: webhook.request_timeout: found "10 parsecs", expected a duration such as "30s", "5m", "24h" or "1h30m" (units ms, s, m, h, d)
            drain_delay = "30s"
              c.toml:3: webhook.drain_delay: found 30s, expected 0s to 25s
            trusted_proxies = "10.0.0.0/8"
              c.toml:3: webhook.trusted_proxies: found "10.0.0.0/8", expected an array
            trusted_proxies = ["10.0.0.0/8", "10.0.0.0/33", "::1", 4]
              c.toml:3: webhook.trusted_proxies[1]: found "10.0.0.0/33", expected a range of addresses such as "10.0.0.0/8"
              c.toml:3: webhook.trusted_proxies[3]: found 4, expected a range of addresses such as "10.0.0.0/8"
            allowed_sources = 1979-05-27
              c.toml:3: webhook.allowed_sources: found 1979-05-27, expected an array
            tls = { cert = "missing" }
              c.toml:3: webhook.tls.key: found nothing, expected the path of a PEM file
              c.toml:3: webhook.tls: found a setting that is not available yet, expected this key to be left out
              c.toml:3: webhook.tls.cert: found "missing" (No such file or directory (os error 2)), expected a readable file
            tls = { cert = "domain.crt", key = "domain.key", client_names = ["x"] }
              c.toml:3: webhook.tls: found a setting that is not available yet, expected this key to be left out
              c.toml:3: webhook.tls.client_names: found names without webhook.tls.client_ca, expected client_ca as well, since without it no client certificate is asked for
        "#]],
    );
}

#[test]
fn tenants() {
    check(
        "tenants",
        &[
            r#"id = "contoso""#,
            r#"id = "00000000-0000-0000-0000-000000000000""#,
            r#"id = "{11111111-1111-1111-1111-111111111111}""#,
            r#"name = """#,
            r#"name = "Contoso \"Ltd\"""#,
            "client_id = true",
            "client_secret = {}",
            r#"client_secret = ["in", "a", "list"]"#,
            r#"client_secret = "plain""#,
            r#"certificate = { cert = "domain.crt", key = "missing" }"#,
            r#"federated_token = { env = "X" }"#,
            "content_types = []",
            r#"content_types = ["audit.exchange", "Audit.Exchange"]"#,
            r#"content_types = ["Audit.Everything", "DLP.All", "dlp"]"#,
            r#"client_secrt = "hidden""#,
        ],
        expect![[r#"
            id = "contoso"
              c.toml:6: tenants[0].id: found "contoso", expected a GUID such as "11111111-2222-3333-4444-555555555555"
            id = "00000000-0000-0000-0000-000000000000"
              c.toml:6: tenants[0].id: found "00000000-0000-0000-0000-000000000000", expected a GUID such as "11111111-2222-3333-4444-555555555555"
            id = "{11111111-1111-1111-1111-111111111111}"
              c.toml:6: tenants[0].id: found "{11111111-1111-1111-1111-111111111111}", expected a GUID such as "11111111-2222-3333-4444-555555555555"
            name = ""
              c.toml:6: tenants[0].name: found "", expected 1 to 64 letters, digits, '-', '_' or '.'
            name = "Contoso \"Ltd\""
              c.toml:6: tenants[0].name: found "Contoso \"Ltd\", expected 1 to 64 letters, digits, '-', '_' or '.'
            client_id = true
              c.toml:6: tenants[0].client_id: found true, expected a GUID such as "11111111-2222-3333-4444-555555555555"
            client_secret = {}
              c.toml:6: tenants[0].client_secret: found a table, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            client_secret = ["in", "a", "list"]
              c.toml:6: tenants[0].client_secret: found an array, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            client_secret = "plain"
              warning: c.toml:6: tenants[0].client_secret: the secret itself is in the file; use { file = "…" } or { env = "…" }
            certificate = { cert = "domain.crt", key = "missing" }
              c.toml:6: tenants[0].certificate: found client_secret and certificate, expected one of client_secret, certificate, federated_token
              c.toml:6: tenants[0].certificate: found a setting that is not available yet, expected this key to be left out
            federated_token = { env = "X" }
              c.toml:6: tenants[0].federated_token: found client_secret and federated_token, expected one of client_secret, certificate, federated_token
              c.toml:6: tenants[0].federated_token: found a setting that is not available yet, expected this key to be left out
            content_types = []
              c.toml:6: tenants[0].content_types: found an empty array, expected at least one content type, or the key left out for all
            content_types = ["audit.exchange", "Audit.Exchange"]
              c.toml:6: tenants[0].content_types: found Audit.Exchange twice, expected each content type once
            content_types = ["Audit.Everything", "DLP.All", "dlp"]
              c.toml:6: tenants[0].content_types[0]: found "Audit.Everything", expected one of "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"
              c.toml:6: tenants[0].content_types[2]: found "dlp", expected one of "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"
            client_secrt = "hidden"
              c.toml:6: tenants[0].client_secrt: found an unknown key (did you mean tenants[0].client_secret?), expected one of certificate, client_id, client_secret, content_types, federated_token, id, name
        "#]],
    );
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
              c.toml:13: ledger.url: found postgres, which is not available yet, expected "sqlite:FILE"
            lease = "29s"
              c.toml:9: devo.confirm_timeout: found 30s, expected less than ledger.lease (29s)
              c.toml:13: ledger.lease: found 29s, expected 30s to 24h
            lease = "30s"
              c.toml:9: devo.confirm_timeout: found 30s, expected less than ledger.lease (30s)
            lease = "35s"
              warning: c.toml:9: devo.confirm_interval: with devo.confirm_timeout (30s) it is not less than ledger.lease (35s); content may be sent again while its confirmation is under way
            keep_delivered = "6d"
              warning: c.toml:13: ledger.keep_delivered: shorter than the 7d in which content may be announced again and would be delivered again
            keep_dead = "0s"
              c.toml:13: ledger.keep_dead: found 0s, expected 1ms to 3650d
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
        &[
            r#"format = "xml""#,
            r#"filter = "info,=,""#,
            r#"filter = """#,
        ],
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
              c.toml:13: subscriptions.check_interval: found 25h, expected 1ms to 24h
            restart_after = "1m"
              warning: c.toml:13: subscriptions.restart_after: shorter than the 15m within which Microsoft refuses a second start
            webhook_expiry = "never"
              c.toml:13: subscriptions.webhook_expiry: found "never", expected "none" or a duration such as "24h"
            webhook_expiry = "20m"
              c.toml:13: subscriptions.webhook_expiry: found 20m, expected more than check_interval and restart_after together (5m and 15m)
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
              c.toml:13: fetch.requests_per_minute: found inf, expected a whole number
            timeout = "0s"
              c.toml:13: fetch.timeout: found 0s, expected 1ms to 60m
            retry_min = "16m"
              c.toml:13: fetch.retry_min: found 16m, expected at most fetch.retry_max (15m)
            retry_max = "1s"
              c.toml:13: fetch.retry_max: found 1s, expected at least fetch.retry_min (2s)
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
              c.toml:10: devo.confirm_bytes: found 0 B, expected 1 B to 64 GiB
            confirm_timeout = "5m"
              c.toml:10: devo.confirm_timeout: found 5m, expected less than ledger.lease (5m)
            confirm_timeout = "295s"
              warning: c.toml:9: devo.confirm_interval: with devo.confirm_timeout (4m55s) it is not less than ledger.lease (5m); content may be sent again while its confirmation is under way
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
              c.toml:13: devo.tables.prefix: found "cloud..office", expected levels of letters, digits, '_' or '-', separated by dots
            fallback = "Other"
              c.toml:13: devo.tables.fallback: found "Other", expected 1 to 128 of lower-case letters, digits and '_'
            workload = { Exchange = "ex change" }
              c.toml:13: devo.tables.workload.Exchange: found "ex change", expected 1 to 128 of lower-case letters, digits and '_'
            workload = { Exchange = "a", exchange = "b", "" = "c" }
              c.toml:13: devo.tables.workload.exchange: found the same Workload in another case, expected each Workload once
              c.toml:13: devo.tables.workload."": found a name no Workload has, expected the name of a Workload
            workload = { Exchange = 5 }
              c.toml:13: devo.tables.workload.Exchange: found 5, expected a string
            workload = 5
              c.toml:13: devo.tables.workload: found 5, expected a table
        "#]],
    );
}

#[test]
fn what_is_not_available_yet_is_refused_and_not_ignored() {
    check(
        "sweep",
        &[
            r#"interval = "10m""#,
            r#"settle = "2d""#,
            r#"startup_lookback = "168h""#,
            "",
        ],
        expect![[r#"
            interval = "10m"
              c.toml:13: sweep.interval: found a setting that is not available yet, expected this key to be left out
            settle = "2d"
              c.toml:13: sweep.settle: found 2d, expected 0s to 24h
              c.toml:13: sweep.settle: found a setting that is not available yet, expected this key to be left out
            startup_lookback = "168h"
              c.toml:13: sweep.startup_lookback: found 7d, expected 1ms to 6d23h55m
              c.toml:13: sweep.startup_lookback: found a setting that is not available yet, expected this key to be left out

  
        "#]],
    );
    check(
        "records",
        &["remember_max = 5", r#"remember = "15d""#],
        expect![[r#"
            remember_max = 5
              c.toml:13: records.remember_max: found a setting that is not available yet, expected this key to be left out
            remember = "15d"
              c.toml:13: records.remember: found 15d, expected at most ledger.keep_delivered (14d)
              c.toml:13: records.remember: found a setting that is not available yet, expected this key to be left out
        "#]],
    );
    let without_webhook = MINIMAL
        .lines()
        .filter(|line| {
            !["[webhook]", "address", "auth_id"]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .collect::<Vec<_>>()
        .join("\n");
    expect!["c.toml: webhook: found no such section, and collecting by sweep alone is not available yet, expected a [webhook] section with address and auth_id"].assert_eq(&Site::new().said(&without_webhook, &[]));
}

#[test]
fn text_that_is_no_toml_is_shown_by_line_and_column_and_never_quoted() {
    let site = Site::new();
    let cases = [
        "[webhook\n",
        "[webhook]\nauth_id = \"hidden\n",
        "[webhook]\nauth_id = hidden\n",
        "[webhook]\nauth_id = \"hidden\" \"hidden\"\n",
        "[webhook]\nauth_id = \"a\"\nauth_id = \"b\"\n",
        "[webhook]\nlisten = \"a\"\n[webhook]\n",
        "a = 1\n[a]\n",
        "x = [1,\n",
        "ä ö\n= 1\n",
        "auth_id = \"\\q\"\n",
        "\u{0}",
    ];
    let said: String = cases
        .iter()
        .map(|text| {
            format!(
                "{text:?}\n  {}\n",
                site.said(text, &[]).replace('\n', "\n  ")
            )
        })
        .collect();
    assert!(!said.replace("\"hidden", "").contains("found hidden"));
    expect![[r#"
        "[webhook\n"
          c.toml:1:9: found unclosed table, expected `]`
        "[webhook]\nauth_id = \"hidden\n"
          c.toml:2:18: found invalid basic string, expected `"`
        "[webhook]\nauth_id = hidden\n"
          c.toml:2:11: found string values must be quoted, expected literal string
        "[webhook]\nauth_id = \"hidden\" \"hidden\"\n"
          c.toml:2:20: found unexpected key or value, expected newline, `#`
        "[webhook]\nauth_id = \"a\"\nauth_id = \"b\"\n"
          c.toml:3:1: found duplicate key, expected valid TOML
        "[webhook]\nlisten = \"a\"\n[webhook]\n"
          c.toml:3:2: found duplicate key, expected valid TOML
        "a = 1\n[a]\n"
          c.toml:2:2: found duplicate key, expected valid TOML
        "x = [1,\n"
          c.toml:1:8: found unclosed array, expected `]`
        "ä ö\n= 1\n"
          c.toml:1:1: found invalid unquoted key, expected letters, numbers, `-`, `_`
          c.toml:1:3: found key with no value, expected `=`
        "auth_id = \"\\q\"\n"
          c.toml:1:13: found missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`
        "\0"
          c.toml:1:1: found invalid unquoted key, expected letters, numbers, `-`, `_`
          c.toml:1:2: found key with no value, expected `=`
    "#]].assert_eq(&said);
}

#[test]
fn sections_of_the_wrong_kind_are_one_problem_each() {
    let site = Site::new();
    expect![[r#"
        c.toml:1: webhook: found 5, expected a table
        c.toml:2: tenants: found a table, expected an array
        c.toml:3: devo: found an array, expected a table
        c.toml:4: fetch: found 1979-05-27, expected a table"#]]
    .assert_eq(&site.said(
        "webhook = 5\ntenants = {}\ndevo = [\"tls://host:1\"]\nfetch = 1979-05-27\n",
        &[],
    ));
    expect![[r#"
        c.toml:1: tenants[0]: found 5, expected a table
        c.toml:1: tenants[1].client_id: found nothing, expected the application (client) id, a GUID
        c.toml:1: tenants[1].client_secret: found nothing, expected one of client_secret, certificate, federated_token
        c.toml:1: tenants[1].id: found 5, expected a GUID such as "11111111-2222-3333-4444-555555555555"
        c.toml:1: tenants[2]: found "x", expected a table
        c.toml:1: tenants[3].client_id: found nothing, expected the application (client) id, a GUID
        c.toml:1: tenants[3].client_secret: found nothing, expected one of client_secret, certificate, federated_token
        c.toml:1: tenants[3].id: found "x", expected a GUID such as "11111111-2222-3333-4444-555555555555"
        c.toml:2: webhook: found an array, expected a table
        c.toml: devo.endpoint: found nothing, expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443""#]].assert_eq(&site.said(
        "tenants = [5, { id = 5 }, \"x\", { id = \"x\" }]\nwebhook = []\n",
        &[],
    ));
    expect![[r#"
        c.toml: tenants: found no tenant, expected at least one [[tenants]]
        c.toml: devo.endpoint: found nothing, expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443"
        c.toml: webhook: found no such section, and collecting by sweep alone is not available yet, expected a [webhook] section with address and auth_id"#]].assert_eq(&site.said("", &[]));
}

#[test]
fn unknown_keys_are_errors_with_a_guess_at_what_was_meant() {
    let site = Site::new();
    let text = format!(
        "{MINIMAL}\ncomfirm = \"tcp\"\nretry_max = \"1m\"\nquux = 1\n[devo.tables]\nprefx = \"x\"\n[webook]\nlisten = 5\n[admin]\n\"a.b\" = 1\n"
    );
    expect![[r#"
        c.toml:12: devo.comfirm: found an unknown key (did you mean devo.confirm?), expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, server_name, tables
        c.toml:13: devo.retry_max: found an unknown key (did you mean fetch.retry_max?), expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, server_name, tables
        c.toml:14: devo.quux: found an unknown key, expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, server_name, tables
        c.toml:16: devo.tables.prefx: found an unknown key (did you mean devo.tables.prefix?), expected one of fallback, prefix, workload
        c.toml:17: webook: found an unknown key (did you mean webhook?), expected one of admin, devo, fetch, ledger, log, microsoft, records, subscriptions, sweep, tenants, webhook
        c.toml:20: admin."a.b": found an unknown key, expected one of listen"#]].assert_eq(&site.said(&text, &[]));
}

#[test]
fn everything_is_said_at_once_in_the_order_of_the_file() {
    let site = Site::new();
    let text = r#"
[log]
format = "xml"

[fetch]
concurrency = "all"
retry_min = "1h"

[[tenants]]
id = "11111111-1111-1111-1111-111111111111"
name = "contoso"
client_secret = { file = "client-secret" }

[[tenants]]
id = "11111111-1111-1111-1111-111111111111"
name = "contoso"
client_id = 5
content_types = ["Audit.Exchange", "x", "DLP.All", "y"]

[devo]
endpoint = "devo"
cert = "missing"
colour = "red"

[webhook]
auth_id = "short"

[sweep]
interval = "10m"
"#;
    expect![[r#"
        c.toml:3: log.format: found "xml", expected "text" or "json"
        c.toml:6: fetch.concurrency: found "all", expected a whole number
        c.toml:7: fetch.retry_min: found 60m, expected at most fetch.retry_max (15m)
        c.toml:9: tenants[0].client_id: found nothing, expected the application (client) id, a GUID
        c.toml:14: tenants[1].client_secret: found nothing, expected one of client_secret, certificate, federated_token
        c.toml:15: tenants[1].id: found 11111111-1111-1111-1111-111111111111, expected another id than tenants[0].id
        c.toml:16: tenants[1].name: found "contoso", expected another name than tenants[0].name
        c.toml:17: tenants[1].client_id: found 5, expected a GUID such as "11111111-2222-3333-4444-555555555555"
        c.toml:18: tenants[1].content_types[1]: found "x", expected one of "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"
        c.toml:18: tenants[1].content_types[3]: found "y", expected one of "Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General", "DLP.All"
        c.toml:20: devo.key: found nothing, expected both devo.cert and devo.key, or neither
        c.toml:21: devo.endpoint: found "devo", expected tls://host:port or tcp://host:port such as "tls://collector-eu.devo.io:443"
        c.toml:22: devo.cert: found "missing" (No such file or directory (os error 2)), expected a readable file
        c.toml:23: devo.colour: found an unknown key, expected one of ca, cert, compression, confirm, confirm_bytes, confirm_interval, confirm_timeout, connections, endpoint, hostname, key, server_name, tables
        c.toml:25: webhook.address: found nothing, expected an https address with a path and nothing after it, such as "https://m365.example.com/webhook"
        c.toml:26: webhook.auth_id: found another value (not shown), expected 16 to 1024 visible ASCII characters
        c.toml:29: sweep.interval: found a setting that is not available yet, expected this key to be left out
        environment variable M365_COLLECTOR__ADMIN__LISTEN: admin.listen: found "nowhere", expected an address and port such as "0.0.0.0:8080" or "[::]:8080""#]].assert_eq(&site.said(text, &[("M365_COLLECTOR__ADMIN__LISTEN", "nowhere")]));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let site = Site::new();
    let load = |name: &str| {
        let error = super::Config::load(&site.path().join(name), []).unwrap_err();
        error
            .to_string()
            .replace(&format!("{}/", site.path().display()), "")
    };
    std::fs::write(site.path().join("latin1.toml"), b"name = \"\xe4\"").unwrap();
    expect!["missing.toml: found no such file, expected a readable TOML file (`m365-collector config sample` writes one to start from)"].assert_eq(&load("missing.toml"));
    expect!["latin1.toml: found an unreadable file (stream did not contain valid UTF-8), expected a readable TOML file (`m365-collector config sample` writes one to start from)"].assert_eq(&load("latin1.toml"));
    std::fs::create_dir(site.path().join("directory.toml")).unwrap();
    assert!(load("directory.toml").contains("unreadable"));
}
