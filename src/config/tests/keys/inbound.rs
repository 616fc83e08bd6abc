//! The public port and the tenants.

use expect_test::expect;

use super::check;

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
            r#"allow_short_auth_id = true"#,
            r#"max_connections_per_source = 0"#,
            r#"max_header = "4 KiB""#,
            "max_streams = 0",
            "max_resets = -1",
            r#"body_timeout = "0s""#,
            r#"idle_timeout = "1d""#,
            r#"proxy_protocol = "v2""#,
            r#"allowed_sources_file = "missing""#,
            r#"allowed_sources_file = "empty""#,
            "allowed_sources_file = \"service-tags.json\"\nallowed_sources_tag = \"Storage\"",
            r#"allowed_sources_tag = "Storage""#,
            r#"client_certificate = { header = "X Y" }"#,
            r#"client_certificate = { header = "X-Cert", ca = "chain.crt", names = [] }"#,
            r#"client_certificate = { header = "X-Cert", ca = "chain.crt", names = ["a b"] }"#,
            r#"client_certificate = { header = "X-Cert", ca = "chain.crt" }"#,
            r#"tls = { cert = "domain.crt", key = "domain.key", handshake_timeout = "1h" }"#,
            r#"tls = { cert = "domain.crt", key = "domain.key", client_ca = "chain.crt", client_names = [""] }"#,
            r#"tls = { cert = "domain.crt", key = "domain.key", client_ca = "chain.crt" }"#,
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
              c.toml:3: webhook.auth_id: found a value that does not fit (not shown), expected 16 to 1024 visible ASCII characters
            auth_id = "long enough but with blanks"
              c.toml:3: webhook.auth_id: found a value that does not fit (not shown), expected 16 to 1024 visible ASCII characters
            auth_id = "long-enough-and-visible"
              warning: c.toml:3: webhook.auth_id: the secret itself is in the file; use { file = "…" } or { env = "…" }
            previous_auth_id = { file = "empty" }
              c.toml:3: webhook.previous_auth_id: found a file that cannot be used (the file is empty), expected a readable file that holds the secret
            max_body = "64M"
              c.toml:3: webhook.max_body: found "64M", expected a size such as "64 MiB", "256 KiB" or a plain number of bytes
            max_body = "0"
              c.toml:3: webhook.max_body: found "0", expected 1 B to 64 MiB
            max_body = -1
              c.toml:3: webhook.max_body: found -1, expected a size such as "64 MiB", "256 KiB" or a plain number of bytes
            max_body = "1 GiB"
              c.toml:3: webhook.max_body: found "1 GiB", expected 1 B to 64 MiB
            max_connections = 0
              c.toml:3: webhook.max_connections: found 0, expected 1 to 1000000
            max_connections = "many"
              c.toml:3: webhook.max_connections: found "many", expected a whole number
            max_connections = 1.5
              c.toml:3: webhook.max_connections: found 1.5, expected a whole number
            header_timeout = 10
              c.toml:3: webhook.header_timeout: found 10, expected a duration such as "30s", "5m", "24h" or "1h30m" (units ms, s, m, h, d)
            header_timeout = "0s"
              c.toml:3: webhook.header_timeout: found "0s", expected 1ms to 10m
            request_timeout = "10 parsecs"
              c.toml:3: webhook.request_timeout: found "10 parsecs", expected a duration such as "30s", "5m", "24h" or "1h30m" (units ms, s, m, h, d)
            drain_delay = "30s"
              c.toml:3: webhook.drain_delay: found "30s", expected 0s to 10s
            trusted_proxies = "10.0.0.0/8"
              c.toml:3: webhook.trusted_proxies: found "10.0.0.0/8", expected an array
            trusted_proxies = ["10.0.0.0/8", "10.0.0.0/33", "::1", 4]
              c.toml:3: webhook.trusted_proxies[1]: found "10.0.0.0/33", expected a range of addresses such as "10.0.0.0/8"
              c.toml:3: webhook.trusted_proxies[3]: found 4, expected a range of addresses such as "10.0.0.0/8"
            allowed_sources = 1979-05-27
              c.toml:3: webhook.allowed_sources: found 1979-05-27, expected an array
            allow_short_auth_id = true
              warning: c.toml:3: webhook.allow_short_auth_id: a short auth id can be guessed
            max_connections_per_source = 0
              c.toml:3: webhook.max_connections_per_source: found 0, expected 1 to 1000000
            max_header = "4 KiB"
              c.toml:3: webhook.max_header: found "4 KiB", expected 8 KiB to 1 MiB
            max_streams = 0
              c.toml:3: webhook.max_streams: found 0, expected 1 to 1000
            max_resets = -1
              c.toml:3: webhook.max_resets: found -1, expected a whole number
            body_timeout = "0s"
              c.toml:3: webhook.body_timeout: found "0s", expected 1ms to 10m
            idle_timeout = "1d"
              c.toml:3: webhook.idle_timeout: found "1d", expected 1ms to 10m
            proxy_protocol = "v2"
              c.toml:3: webhook.proxy_protocol: found "v2", expected "auto", "off" or "required"
            allowed_sources_file = "missing"
              c.toml:3: webhook.allowed_sources_file: found "missing" (No such file or directory (os error 2)), expected a readable file
            allowed_sources_file = "empty"
              c.toml:3: webhook.allowed_sources_file: found a file that cannot be used (cannot read empty as Microsoft's service tags), expected the service tags that Microsoft publishes as JSON, with the tag in it
            allowed_sources_file = "service-tags.json"
            allowed_sources_tag = "Storage"
              c.toml:3: webhook.allowed_sources_file: found a file that cannot be used (service-tags.json has no address ranges for Storage), expected the service tags that Microsoft publishes as JSON, with the tag in it
            allowed_sources_tag = "Storage"
              c.toml:3: webhook.allowed_sources_tag: found a tag without webhook.allowed_sources_file, expected allowed_sources_file as well, since the tag is one in that file
            client_certificate = { header = "X Y" }
              c.toml:3: webhook.client_certificate.ca: found nothing, expected the path of a PEM file
              c.toml:3: webhook.client_certificate.header: found "x y", expected the name of a header such as "X-SSL-Client-Cert"
            client_certificate = { header = "X-Cert", ca = "chain.crt", names = [] }
              c.toml:3: webhook.client_certificate.names: found no name, expected at least one subject name
            client_certificate = { header = "X-Cert", ca = "chain.crt", names = ["a b"] }
              c.toml:3: webhook.client_certificate.names: found a text that is no name, expected names such as "manage.office.com"
            client_certificate = { header = "X-Cert", ca = "chain.crt" }
              accepted
            tls = { cert = "domain.crt", key = "domain.key", handshake_timeout = "1h" }
              c.toml:3: webhook.tls.handshake_timeout: found "1h", expected 1ms to 10m
            tls = { cert = "domain.crt", key = "domain.key", client_ca = "chain.crt", client_names = [""] }
              c.toml:3: webhook.tls.client_names: found no name, expected at least one subject name
            tls = { cert = "domain.crt", key = "domain.key", client_ca = "chain.crt" }
              accepted
            tls = { cert = "missing" }
              c.toml:3: webhook.tls.key: found nothing, expected the path of a PEM file
              c.toml:3: webhook.tls.cert: found "missing" (No such file or directory (os error 2)), expected a readable file
            tls = { cert = "domain.crt", key = "domain.key", client_names = ["x"] }
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
            r#"certificate = { cert = "domain.crt" }"#,
            r#"federated_token = { env = "X" }"#,
            r#"federated_token = { file = "missing" }"#,
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
              c.toml:6: tenants[0].name: found "Contoso \"Ltd\"", expected 1 to 64 letters, digits, '-', '_' or '.'
            client_id = true
              c.toml:6: tenants[0].client_id: found true, expected a GUID such as "11111111-2222-3333-4444-555555555555"
            client_secret = {}
              c.toml:6: tenants[0].client_secret: found a table, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            client_secret = ["in", "a", "list"]
              c.toml:6: tenants[0].client_secret: found an array, expected { file = "…" } or { env = "…" } (or the secret itself as a string)
            client_secret = "plain"
              warning: c.toml:6: tenants[0].client_secret: the secret itself is in the file; use { file = "…" } or { env = "…" }
            certificate = { cert = "domain.crt", key = "missing" }
              c.toml:6: tenants[0].certificate: found client_secret and certificate, expected exactly one of client_secret, certificate, federated_token
            certificate = { cert = "domain.crt" }
              c.toml:6: tenants[0].certificate: found client_secret and certificate, expected exactly one of client_secret, certificate, federated_token
            federated_token = { env = "X" }
              c.toml:6: tenants[0].federated_token: found client_secret and federated_token, expected exactly one of client_secret, certificate, federated_token
            federated_token = { file = "missing" }
              c.toml:6: tenants[0].federated_token: found client_secret and federated_token, expected exactly one of client_secret, certificate, federated_token
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
