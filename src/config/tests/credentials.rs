//! Exactly one credential for each tenant, and one that can be used.

use expect_test::{Expect, expect};

use super::{MINIMAL, Site};

/// What is said of a tenant with these lines instead of its client secret.
fn check(site: &Site, lines: &str, expected: &Expect) {
    let text = MINIMAL.replace("client_secret = { file = \"client-secret\" }", lines);
    expected.assert_eq(&site.said(&text, &[]));
}

fn site() -> Site {
    let site = Site::new();
    site.write_pair("app");
    site.write_pair("other");
    let elliptic = rcgen::generate_simple_self_signed(["app".to_owned()]).unwrap();
    site.write("ec.crt", &elliptic.cert.pem());
    site.write("ec.key", &elliptic.signing_key.serialize_pem());
    site.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    site
}

#[test]
fn a_certificate_must_be_able_to_sign() {
    let site = site();
    let pair =
        |cert: &str, key: &str| format!("certificate = {{ cert = \"{cert}\", key = \"{key}\" }}");
    check(&site, &pair("app.crt", "app.key"), &expect![""]);
    check(
        &site,
        &pair("app.crt", "other.key"),
        &expect![
            "c.toml:8: tenants[0].certificate.key: found the key of another certificate, expected the key of certificate.cert"
        ],
    );
    check(
        &site,
        &pair("ec.crt", "ec.key"),
        &expect![
            "c.toml:8: tenants[0].certificate.key: found no RSA key of 2048 to 8192 bits, expected an RSA key, as Entra takes no other"
        ],
    );
    check(
        &site,
        &pair("app.crt", "locked.key"),
        &expect![
            "c.toml:8: tenants[0].certificate.key: found an encrypted key, expected a key without a passphrase (openssl pkey)"
        ],
    );
    check(
        &site,
        &pair("app.crt", "app.crt"),
        &expect![
            "c.toml:8: tenants[0].certificate.key: found a file that cannot be used (no items found), expected the certificate's RSA key, PEM, in PKCS#1 or PKCS#8"
        ],
    );
    check(
        &site,
        &pair("app.key", "app.key"),
        &expect![
            "c.toml:8: tenants[0].certificate.cert: found a file that cannot be used (app.key holds no PEM certificate), expected a certificate, PEM"
        ],
    );
    check(
        &site,
        &pair("empty", "app.key"),
        &expect![
            "c.toml:8: tenants[0].certificate.cert: found a file that cannot be used (empty holds no PEM certificate), expected a certificate, PEM"
        ],
    );
    check(
        &site,
        &pair("app.crt", "missing.key"),
        &expect![[
            r#"c.toml:8: tenants[0].certificate.key: found "missing.key" (No such file or directory (os error 2)), expected a readable file"#
        ]],
    );
    check(
        &site,
        &pair("missing.crt", "app.key"),
        &expect![[
            r#"c.toml:8: tenants[0].certificate.cert: found "missing.crt" (No such file or directory (os error 2)), expected a readable file"#
        ]],
    );
}

#[test]
fn a_tenant_has_exactly_one_credential() {
    let site = site();
    let certificate = "certificate = { cert = \"app.crt\", key = \"app.key\" }";
    let secret = "client_secret = { file = \"client-secret\" }";
    let token = "federated_token = { file = \"auth-id\" }";
    check(&site, token, &expect![""]);
    check(
        &site,
        "",
        &expect![
            "c.toml:5: tenants[0].client_secret: found nothing, expected exactly one of client_secret, certificate, federated_token"
        ],
    );
    check(
        &site,
        &[secret, certificate].join("\n"),
        &expect![
            "c.toml:9: tenants[0].certificate: found client_secret and certificate, expected exactly one of client_secret, certificate, federated_token"
        ],
    );
    check(
        &site,
        &[certificate, token].join("\n"),
        &expect![
            "c.toml:9: tenants[0].federated_token: found certificate and federated_token, expected exactly one of client_secret, certificate, federated_token"
        ],
    );
    check(
        &site,
        &[secret, certificate, token].join("\n"),
        &expect![
            "c.toml:10: tenants[0].federated_token: found client_secret and certificate and federated_token, expected exactly one of client_secret, certificate, federated_token"
        ],
    );
    check(
        &site,
        "federated_token = \"eyJ\"",
        &expect![[
            r#"c.toml:8: tenants[0].federated_token: found a token that cannot be renewed, expected { file = "…" }"#
        ]],
    );
}
