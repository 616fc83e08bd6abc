//! What Entra is shown: secrets, assertions, tokens of others, and what comes of changed files.

// The certificates are made by rcgen, which comes with the demonstration.
#![cfg(feature = "demo")]

use std::{fs, path::PathBuf};

use aws_lc_rs::digest;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData as _, date_time_ymd};
use serde::Deserialize;

use super::*;
use crate::{microsoft::Client, secret::Secret};

/// A folder with the files of one application.
struct Files(tempfile::TempDir);

struct Made {
    der: Vec<u8>,
    pair: KeyPair,
}

impl Made {
    fn new() -> Self {
        Self::of(KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
    }

    fn of(pair: KeyPair) -> Self {
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(2030, 1, 1);
        let certificate = params.self_signed(&pair).unwrap();
        Self { der: certificate.der().to_vec(), pair }
    }

    fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    fn pkcs8(&self) -> String {
        pem("PRIVATE KEY", self.pair.serialized_der())
    }

    /// What PKCS#8 wraps, for a key of 2048 bits, begins after 26 bytes.
    fn pkcs1(&self) -> String {
        pem("RSA PRIVATE KEY", &self.pair.serialized_der()[26..])
    }

    fn thumbprint(&self, algorithm: &'static digest::Algorithm) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(algorithm, &self.der))
    }

    /// Verifies an assertion with the public key alone.
    fn verify(&self, assertion: &str, algorithm: Algorithm) -> Claims {
        let key = DecodingKey::from_rsa_der(self.pair.der_bytes());
        let mut validation = Validation::new(algorithm);
        validation.validate_aud = false;
        jsonwebtoken::decode::<Claims>(assertion, &key, &validation).unwrap().claims
    }
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn open(&self, cert: &str, key: &str) -> Result<ClientCertificate, CertificateError> {
        self.write("app.crt", cert);
        self.write("app.key", key);
        ClientCertificate::open(self.path("app.crt"), self.path("app.key"))
    }
}

fn client(world: &World, credential: Credential) -> Client {
    world.client_with(|config| config.credentials = HashMap::from([(tenant(A), credential)]))
}

/// Has the token replaced at once, so that no time passes between a change and the request.
async fn replaced(client: &Client, bearer: &Bearer) -> Bearer {
    let tokens = client.tokens();
    assert!(tokens.refused(tenant(A), bearer.generation));
    let bearer = tokens.bearer(tenant(A)).await.unwrap();
    pass(REPLACE_AT_MOST_EVERY).await;
    bearer
}

fn forms(world: &World) -> Vec<HashMap<String, String>> {
    let form = |body: &str| url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    world.tokens().iter().map(|asked| form(&asked.body)).collect()
}

fn algorithm(form: &HashMap<String, String>) -> Algorithm {
    jsonwebtoken::decode_header(&form["client_assertion"]).unwrap().alg
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

#[tokio::test]
async fn an_assertion_is_as_entra_wants_it_from_either_kind_of_key() {
    let made = Made::new();
    for key in [made.pkcs8(), made.pkcs1()] {
        let files = Files::new();
        // Of a chain the first counts, and others may be in the same file.
        let chain = made.pem() + &Made::new().pem();
        let certificate = files.open(&chain, &key).unwrap();
        assert_eq!(certificate.expires(), "2030-01-01T00:00:00Z".parse().ok());
        let world = entra(|_| true).await;
        let client = client(&world, Credential::Certificate(certificate));
        let before = Clock::system().now().as_second();
        let bearer = client.tokens().bearer(tenant(A)).await.unwrap();
        replaced(&client, &bearer).await;

        let forms = forms(&world);
        assert_eq!(forms.len(), 2);
        let form = &forms[0];
        assert_eq!(form["grant_type"], "client_credentials");
        assert_eq!(
            form["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        assert_eq!(form["client_id"], A);
        assert!(!form.contains_key("client_secret"));
        let header = jsonwebtoken::decode_header(&form["client_assertion"]).unwrap();
        assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::RS256, Some("JWT")));
        assert_eq!(header.x5t, Some(made.thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY)));
        assert_eq!(header.x5t_s256, None);
        let claims = made.verify(&form["client_assertion"], Algorithm::RS256);
        assert_eq!(claims.aud, format!("{}login/{A}/oauth2/token", world.root));
        assert_eq!((&*claims.iss, &*claims.sub), (A, A));
        let now = Clock::system().now().as_second();
        assert!((before..=now).contains(&claims.iat), "{}", claims.iat);
        assert_eq!((claims.iat - claims.nbf, claims.exp - claims.iat), (300, 600));
        let second = made.verify(&forms[1]["client_assertion"], Algorithm::RS256);
        assert_ne!(second.jti, claims.jti, "each is good for one request");
        assert!(claims.jti.parse::<uuid::Uuid>().is_ok());
    }
}

#[tokio::test]
async fn an_entra_that_wants_no_sha1_gets_the_newer_form_and_is_remembered() {
    let made = Made::new();
    let certificate = Files::new().open(&made.pem(), &made.pkcs8()).unwrap();
    let world = World::new(|asked| {
        let form: HashMap<_, _> =
            url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
        match algorithm(&form) {
            Algorithm::PS256 => Reply::token("t"),
            _ => Reply::new(401, r#"{"error_description":"AADSTS700027: signature"}"#),
        }
    })
    .await;
    let client = client(&world, Credential::Certificate(certificate));
    let bearer = client.tokens().bearer(tenant(A)).await.unwrap();
    replaced(&client, &bearer).await;
    let forms = forms(&world);
    let algorithms: Vec<_> = forms.iter().map(algorithm).collect();
    assert_eq!(algorithms, [Algorithm::RS256, Algorithm::PS256, Algorithm::PS256]);
    let header = jsonwebtoken::decode_header(&forms[1]["client_assertion"]).unwrap();
    assert_eq!(header.x5t_s256, Some(made.thumbprint(&digest::SHA256)));
    assert_eq!(header.x5t, None);
    made.verify(&forms[1]["client_assertion"], Algorithm::PS256);
}

#[tokio::test]
async fn only_a_refused_assertion_is_tried_in_the_other_form() {
    for (code, times) in [("700027", 2), ("700016", 1), ("700024", 1)] {
        let made = Made::new();
        let certificate = Files::new().open(&made.pem(), &made.pkcs8()).unwrap();
        let body = format!(r#"{{"error_description":"AADSTS{code}: no"}}"#);
        let world = World::new(move |_| Reply::new(401, body.clone())).await;
        let client = client(&world, Credential::Certificate(certificate));
        let error = client.tokens().bearer(tenant(A)).await.unwrap_err();
        assert!(error.to_string().contains(code), "{error}");
        assert!(error.advice().is_some(), "{error}");
        assert_eq!(world.tokens().len(), times, "{code}");
    }
}

#[tokio::test]
async fn a_changed_certificate_signs_the_next_request_and_a_broken_one_does_not() {
    let [first, second] = [Made::new(), Made::new()];
    let files = Files::new();
    let certificate = files.open(&first.pem(), &first.pkcs8()).unwrap();
    let world = entra(|_| true).await;
    let client = client(&world, Credential::Certificate(certificate.clone()));
    let bearer = client.tokens().bearer(tenant(A)).await.unwrap();
    // Half of a renewal.
    files.write("app.crt", &second.pem());
    let bearer = replaced(&client, &bearer).await;
    // Looked at a moment before the other half comes.
    certificate.expires();
    files.write("app.key", &second.pkcs1());
    replaced(&client, &bearer).await;
    let forms = forms(&world);
    for (form, made) in forms.iter().zip([&first, &first, &second]) {
        let header = jsonwebtoken::decode_header(&form["client_assertion"]).unwrap();
        assert_eq!(header.x5t, Some(made.thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY)));
        made.verify(&form["client_assertion"], Algorithm::RS256);
    }
    assert_eq!(forms.len(), 3);
}

#[tokio::test]
async fn a_token_file_is_read_for_each_request() {
    let files = Files::new();
    files.write("token", "first\n");
    let world = entra(|_| true).await;
    let credential = Credential::Federated(Secret::file(files.path("token")));
    let client = client(&world, credential);
    let mut bearer = client.tokens().bearer(tenant(A)).await.unwrap();
    for text in ["second", "third"] {
        files.write("token", text);
        bearer = replaced(&client, &bearer).await;
    }
    let forms = forms(&world);
    let sent: Vec<_> = forms.iter().map(|form| &*form["client_assertion"]).collect();
    assert_eq!(sent, ["first", "second", "third"]);
    for form in &forms {
        assert!(form["client_assertion_type"].ends_with("jwt-bearer"));
        assert!(!form.contains_key("client_secret"));
    }
}

#[tokio::test]
async fn a_changed_secret_is_sent_with_the_next_request() {
    let files = Files::new();
    files.write("secret", "first\n");
    let world = entra(|_| true).await;
    let client = client(&world, Secret::file(files.path("secret")).into());
    let bearer = client.tokens().bearer(tenant(A)).await.unwrap();
    files.write("secret", "second\n");
    let bearer = replaced(&client, &bearer).await;
    files.write("secret", "");
    replaced(&client, &bearer).await;
    let forms = forms(&world);
    let sent: Vec<_> = forms.iter().map(|form| &*form["client_secret"]).collect();
    assert_eq!(sent, ["first", "second", "second"]);
}

#[test]
fn what_is_wrong_with_a_pair_is_said() {
    let (made, other) = (Made::new(), Made::new());
    let elliptic = Made::of(KeyPair::generate().unwrap());
    let files = Files::new();
    let open = |cert: &str, key: &str| files.open(cert, key).unwrap_err();
    let mismatch = open(&made.pem(), &other.pkcs8());
    assert!(matches!(mismatch, CertificateError::Mismatch { .. }), "{mismatch:?}");
    let kind = open(&elliptic.pem(), &elliptic.pkcs8());
    assert!(matches!(kind, CertificateError::NotRsa { .. }), "{kind:?}");
    let encrypted = open(&made.pem(), &pem("ENCRYPTED PRIVATE KEY", b"anything"));
    assert!(matches!(encrypted, CertificateError::Encrypted { .. }), "{encrypted:?}");
    let broken = open(&made.pem(), &pem("RSA PRIVATE KEY", b"anything"));
    assert!(matches!(broken, CertificateError::Tls(_)), "{broken:?}");
    for (cert, key) in [("", made.pkcs8()), ("text", made.pkcs8()), (&made.pem(), String::new())] {
        let nothing = open(cert, &key);
        assert!(matches!(nothing, CertificateError::Tls(_)), "{nothing:?}");
    }
    assert!(files.open(&made.pem(), &made.pkcs1()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_credential_tells_its_kind_its_end_and_its_trouble_and_nothing_else() {
    let made = Made::new();
    let files = Files::new();
    let certificate = Credential::Certificate(files.open(&made.pem(), &made.pkcs8()).unwrap());
    let payload = URL_SAFE_NO_PAD.encode(r#"{"exp":1800000000}"#);
    files.write("token", &format!("e30.{payload}.c2lnbmF0dXJl"));
    let token = Credential::Federated(Secret::file(files.path("token")));
    let secret = Credential::Secret(Secret::fixed("hunter2hunter2"));
    let facts = |credential: &Credential| {
        let expires = credential.expires().unwrap().map(|end| end.as_second());
        (credential.kind(), expires, credential.trouble())
    };
    assert_eq!(facts(&certificate), ("certificate", Some(1_893_456_000), None));
    assert_eq!(facts(&token), ("federated_token", Some(1_800_000_000), None));
    assert_eq!(facts(&secret), ("client_secret", None, None));
    files.write("app.key", &Made::new().pkcs8());
    tokio::time::advance(Duration::from_secs(1)).await;
    let (_, expires, trouble) = facts(&certificate);
    assert_eq!(expires, Some(1_893_456_000), "of the one in use");
    assert!(trouble.unwrap().contains("not the one of the certificate"));
    let missing = Credential::Federated(Secret::file(files.path("missing")));
    assert!(missing.expires().is_err() && missing.trouble().unwrap().contains("No such file"));

    let shown = format!("{certificate:?} {token:?} {secret:?}");
    let private = made.pkcs8();
    let line = private.lines().nth(3).unwrap();
    for hidden in ["hunter2", &payload, line] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
