//! Credentials other than a secret, and consent.

use std::collections::HashMap;

use hyper::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{application, client::Client, config, id};
use crate::simulator::Simulator;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn post(client: &Client, directory: &str, form: &[(&str, &str)]) -> (u16, serde_json::Value) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .append_pair("client_id", &application().to_string())
        .append_pair("resource", "https://manage.office.com")
        .finish();
    let path = format!("/{directory}/oauth2/token");
    let reply = client.send(Method::POST, &path, body).await.unwrap();
    (reply.status, reply.json())
}

async fn with_assertion(client: &Client, assertion: &str) -> (u16, serde_json::Value) {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    post(client, &id().to_string(), &form).await
}

#[tokio::test]
async fn an_assertion_signed_by_the_certificate_gives_a_token() {
    let simulator = Simulator::start(config()).await.unwrap();
    let client = Client::stranger(&simulator);
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.crt");
    std::fs::write(&path, certificate.pem()).unwrap();
    let thumbprint = Some("thumbprint".to_owned());
    simulator.microsoft().trust_certificate(id(), &path, thumbprint).unwrap();

    let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
    let now = simulator.clock().now().as_second();
    let endpoint = format!("{}{}/oauth2/token", simulator.login_url(), id());
    let signed = |audience: &str, thumbprint: &str, expires: i64| {
        let header = Header { x5t: Some(thumbprint.to_owned()), ..Header::new(Algorithm::RS256) };
        let claims = json!({
            "aud": audience,
            "iss": application().to_string(),
            "sub": application().to_string(),
            "jti": "1",
            "nbf": now,
            "exp": expires,
        });
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    };
    let good = signed(&endpoint, "thumbprint", now + 600);
    assert_eq!(with_assertion(&client, &good).await.0, 200);
    let (head, _) = good.rsplit_once('.').unwrap();
    for bad in [
        format!("{head}.AAAA"),
        signed("https://login.example.com/", "thumbprint", now + 600),
        signed(&endpoint, "other", now + 600),
        signed(&endpoint, "thumbprint", now - 1),
    ] {
        let (status, answer) = with_assertion(&client, &bad).await;
        assert_eq!((status, &answer["error_codes"][0]), (401, &json!(700_027)));
    }
}

#[tokio::test]
async fn a_federated_token_is_taken_as_it_is() {
    let simulator = Simulator::start(config()).await.unwrap();
    let client = Client::stranger(&simulator);
    simulator.microsoft().trust_federated(id(), "projected");
    assert_eq!(with_assertion(&client, "projected").await.0, 200);
    assert_eq!(with_assertion(&client, "stale").await.0, 401);
}

#[tokio::test]
async fn consent_gives_a_code_that_is_good_once() {
    let simulator = Simulator::start(config()).await.unwrap();
    let client = Client::stranger(&simulator);
    let path = format!(
        "/common/oauth2/authorize?response_type=code&client_id={}&state=s\
         &redirect_uri=http://localhost:1/callback",
        application()
    );
    let reply = client.send(Method::GET, &path, String::new()).await.unwrap();
    assert_eq!(reply.status, 302);
    let location: url::Url = reply.headers["location"].to_str().unwrap().parse().unwrap();
    let query: HashMap<_, _> = location.query_pairs().collect();
    assert_eq!(query["state"], "s");

    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*query["code"]),
        ("client_secret", &super::tenant().client_secret),
    ];
    let (status, answer) = post(&client, "common", &form).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = post(&client, "common", &form).await;
    assert_eq!((status, &answer["error_codes"][0]), (400, &json!(70_008)));
}
