//! Credentials other than a secret, and consent.

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::{application, client::Client, config, id};
use crate::simulator::{Simulator, certificates::Material, microsoft::Federation};

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

/// A client whose application has the certificate of the world's material.
struct World {
    simulator: Simulator,
    client: Client,
    key: EncodingKey,
    thumbprints: [String; 2],
}

impl World {
    async fn new() -> Self {
        let simulator = Simulator::start(config()).await.unwrap();
        let [cert, key] = simulator.material().application().unwrap();
        simulator.microsoft().register_certificates(id(), &[&cert]).unwrap();
        let der = crate::tls::certificates(&cert).unwrap().remove(0);
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &der);
        let sha256 = digest::digest(&digest::SHA256, &der);
        let client = Client::stranger(&simulator);
        let key = EncodingKey::from_rsa_pem(&std::fs::read(key).unwrap()).unwrap();
        let thumbprints = [URL_SAFE_NO_PAD.encode(sha1), URL_SAFE_NO_PAD.encode(sha256)];
        Self { simulator, client, key, thumbprints }
    }

    fn now(&self) -> i64 {
        self.simulator.clock().now().as_second()
    }

    fn header(&self) -> Header {
        Header { x5t: Some(self.thumbprints[0].clone()), ..Header::new(Algorithm::RS256) }
    }

    fn claims(&self) -> serde_json::Value {
        let application = application().to_string();
        json!({
            "aud": format!("{}{}/oauth2/token", self.simulator.login_url(), id()),
            "iss": application,
            "sub": application,
            "jti": uuid::Uuid::new_v4().to_string(),
            "nbf": self.now(),
            "exp": self.now() + 600,
        })
    }

    fn with(&self, claim: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
        let mut claims = self.claims();
        claims[claim] = value.into();
        claims
    }

    async fn ask(&self, header: &Header, claims: &serde_json::Value) -> Result<(), u64> {
        let assertion = jsonwebtoken::encode(header, claims, &self.key).unwrap();
        code(with_assertion(&self.client, &assertion).await)
    }
}

/// The number of the refusal, if it is one.
fn code((status, answer): (u16, serde_json::Value)) -> Result<(), u64> {
    match status {
        200 => Ok(()),
        401 => Err(answer["error_codes"][0].as_u64().unwrap()),
        other => panic!("{other}: {answer}"),
    }
}

#[tokio::test]
async fn an_assertion_signed_by_the_certificate_gives_a_token_and_each_mistake_its_number() {
    let world = World::new().await;
    let header = world.header();
    assert_eq!(world.ask(&header, &world.claims()).await, Ok(()));
    for (claims, expected) in [
        (world.with("aud", "https://login.example.com/"), 700_023),
        (world.with("iss", "another"), 700_021),
        (world.with("sub", "another"), 700_021),
        (world.with("exp", world.now() - 301), 700_024),
        (world.with("nbf", world.now() + 301), 700_024),
        (world.with("exp", world.now() + 25 * 3600), 700_024),
        (world.with("jti", ""), 700_027),
    ] {
        assert_eq!(world.ask(&header, &claims).await, Err(expected), "{claims}");
    }
    let wrong = Header { x5t: Some(world.thumbprints[1].clone()), ..Header::new(Algorithm::RS256) };
    assert_eq!(world.ask(&wrong, &world.claims()).await, Err(700_027));
    let nameless = Header::new(Algorithm::RS256);
    assert_eq!(world.ask(&nameless, &world.claims()).await, Err(700_027));

    let good = jsonwebtoken::encode(&header, &world.claims(), &world.key).unwrap();
    let (signed, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.AAAA");
    assert_eq!(code(with_assertion(&world.client, &forged).await), Err(700_027));
    assert_eq!(code(with_assertion(&world.client, "no token").await), Err(50_027));
    assert_eq!(code(with_assertion(&world.client, &good).await), Ok(()));
    assert_eq!(code(with_assertion(&world.client, &good).await), Err(700_027), "a replay");
}

#[tokio::test]
async fn the_newer_form_is_taken_and_can_be_demanded() {
    let world = World::new().await;
    let newer =
        Header { x5t_s256: Some(world.thumbprints[1].clone()), ..Header::new(Algorithm::PS256) };
    assert_eq!(world.ask(&newer, &world.claims()).await, Ok(()));
    world.simulator.microsoft().demand_sha256(id());
    assert_eq!(world.ask(&newer, &world.claims()).await, Ok(()));
    assert_eq!(world.ask(&world.header(), &world.claims()).await, Err(700_027));
}

#[tokio::test]
async fn a_certificate_that_is_not_registered_or_past_its_life_is_refused() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let other = Material::open(Some(folder.path())).unwrap().application().unwrap();
    world.simulator.microsoft().register_certificates(id(), &[&other[0]]).unwrap();
    assert_eq!(world.ask(&world.header(), &world.claims()).await, Err(700_027));

    let own = world.simulator.material().application().unwrap();
    world.simulator.microsoft().register_certificates(id(), &[&other[0], &own[0]]).unwrap();
    assert_eq!(world.ask(&world.header(), &world.claims()).await, Ok(()));
    let century = Duration::from_secs(100 * 366 * 24 * 3600);
    world.simulator.clock().advance(century);
    let assertion = jsonwebtoken::encode(&world.header(), &world.claims(), &world.key).unwrap();
    let (status, answer) = with_assertion(&world.client, &assertion).await;
    assert_eq!((status, &answer["error_codes"][0]), (401, &json!(700_027)));
    let text = answer["error_description"].as_str().unwrap();
    assert!(text.contains("The key used is expired"), "{text}");
}

#[tokio::test]
async fn a_federated_token_is_verified() {
    let simulator = Simulator::start(config()).await.unwrap();
    let client = Client::stranger(&simulator);
    let material = simulator.material();
    let token = material.token().unwrap();
    let asked = async |token: &str| code(with_assertion(&client, token).await);
    assert_eq!(asked(&token).await, Err(700_211), "nobody trusts it yet");
    let federation = material.federation().unwrap();
    simulator.microsoft().federate(id(), federation.clone());
    assert_eq!(asked(&token).await, Ok(()));
    assert_eq!(asked(&token).await, Ok(()), "it is good for as long as it lives");
    let now = simulator.clock().now();
    let subject = material.token_for("another", now, 600).unwrap();
    assert_eq!(asked(&subject).await, Err(700_213));
    let past = now - jiff::SignedDuration::from_hours(2);
    let old = material.token_for(&federation.subject, past, 600).unwrap();
    assert_eq!(asked(&old).await, Err(700_024));
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(asked(&format!("{signed}.AAAA")).await, Err(50_013));
    let elsewhere = Federation { audience: "api://another".to_owned(), ..federation };
    simulator.microsoft().federate(id(), elsewhere);
    assert_eq!(asked(&token).await, Err(700_212));

    simulator.microsoft().trust_federated(id(), "projected");
    assert_eq!(asked("projected").await, Ok(()));
    assert_eq!(asked("stale").await, Err(50_027));
}

#[tokio::test]
async fn a_secret_that_expired_is_not_a_wrong_one() {
    let simulator = Simulator::start(config()).await.unwrap();
    let client = Client::stranger(&simulator);
    let asked = async |secret: &str| {
        let form = [("grant_type", "client_credentials"), ("client_secret", secret)];
        code(post(&client, &id().to_string(), &form).await)
    };
    let secret = super::tenant().client_secret;
    assert_eq!(asked(&secret).await, Ok(()));
    assert_eq!(asked("wrong").await, Err(7_000_215));
    assert_eq!(asked("").await, Err(7_000_215));
    simulator.microsoft().expire_secret(id());
    assert_eq!(asked(&secret).await, Err(7_000_222));
    assert_eq!(asked("wrong").await, Err(7_000_215));
    simulator.microsoft().set_secret(id(), "new");
    assert_eq!(asked("new").await, Ok(()));
    // As of an application that has only a certificate.
    simulator.microsoft().set_secret(id(), "");
    assert_eq!(asked("").await, Err(7_000_215));
    let nothing = post(&client, &id().to_string(), &[("grant_type", "client_credentials")]).await;
    assert_eq!(code(nothing), Err(7_000_218));
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
