use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::microsoft::world::{A, B, Reply, World, tenant};

mod credentials;

/// A world that grants `t1`, `t2`, … as long as `healthy` says so for the number of the request.
async fn entra(healthy: impl Fn(usize) -> bool + Send + Sync + 'static) -> World {
    let count = AtomicUsize::new(0);
    World::new(move |asked| {
        assert!(asked.is_token(), "nobody calls the API here");
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        if healthy(number) {
            Reply::token(&format!("t{number}"))
        } else {
            Reply::new(401, r#"{"error_description":"AADSTS7000222: expired"}"#)
        }
        .after(Duration::from_millis(20))
    })
    .await
}

/// Lets time pass at once. Real time otherwise: a paused clock would run ahead of the sockets.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn text(bearer: &Bearer) -> &str {
    bearer.header.to_str().unwrap()
}

#[tokio::test]
async fn concurrent_callers_share_one_request_per_tenant() {
    let world = entra(|_| true).await;
    let client = world.client();
    let mut callers = JoinSet::new();
    for caller in 0..100 {
        let tokens = client.tokens().clone();
        let tenant = tenant(if caller % 2 == 0 { A } else { B });
        callers.spawn(async move { tokens.bearer(tenant).await.unwrap() });
    }
    while let Some(bearer) = callers.join_next().await {
        let bearer = bearer.unwrap();
        assert_eq!(bearer.generation, 1);
        assert!(bearer.header.is_sensitive(), "I9");
        assert_eq!(format!("{bearer:?}"), "Bearer(generation 1)", "I9");
    }
    let asked = world.tokens();
    assert_eq!(asked.len(), 2);
    let mut of_a = asked.iter().filter(|asked| asked.path.contains(A));
    let asked = of_a.next().unwrap();
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.path, format!("/login/{A}/oauth2/token"));
    let form: HashMap<_, _> = url::form_urlencoded::parse(asked.body.as_bytes()).collect();
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["resource"], "https://manage.office.com", "not the proxy's address");
    assert_eq!(form["client_id"], A);
    assert_eq!(form["client_secret"], "secret-a");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_flight_to_the_next() {
    let world = entra(|_| true).await;
    let client = world.client();
    let gone =
        tokio::time::timeout(Duration::from_millis(5), client.tokens().bearer(tenant(A))).await;
    assert!(gone.is_err());
    assert!(client.tokens().bearer(tenant(A)).await.is_ok());
}

#[tokio::test]
async fn an_aging_token_serves_while_one_caller_refreshes_it() {
    let world = entra(|_| true).await;
    let client = world.client();
    let tokens = client.tokens();
    tokens.bearer(tenant(A)).await.unwrap();
    pass(Duration::from_secs(2500)).await;
    assert_eq!(text(&tokens.bearer(tenant(A)).await.unwrap()), "Bearer t1");
    pass(Duration::from_secs(30)).await;
    let (refresher, other) = tokio::join!(tokens.bearer(tenant(A)), tokens.bearer(tenant(A)));
    assert_eq!(text(&refresher.unwrap()), "Bearer t2");
    assert_eq!(text(&other.unwrap()), "Bearer t1");
    assert_eq!(world.tokens().len(), 2);
}

#[tokio::test]
async fn an_aging_token_outlives_a_broken_entra_until_its_end() {
    let world = entra(|number| number == 1).await;
    let client = world.client();
    let tokens = client.tokens();
    tokens.bearer(tenant(A)).await.unwrap();
    pass(Duration::from_secs(2600)).await;
    assert_eq!(text(&tokens.bearer(tenant(A)).await.unwrap()), "Bearer t1");
    assert_eq!(text(&tokens.bearer(tenant(A)).await.unwrap()), "Bearer t1");
    assert_eq!(world.tokens().len(), 2, "the failure is remembered");
    pass(Duration::from_secs(1100)).await;
    let error = tokens.bearer(tenant(A)).await.unwrap_err();
    assert!(matches!(error, TokenError::Refused(Refusal::ExpiredSecret)), "{error}");
}

#[tokio::test]
async fn a_failing_entra_is_asked_with_growing_pauses() {
    let world = entra(|number| number > 3).await;
    let client = world.client();
    let tokens = client.tokens();
    for failures in 1..=3 {
        let asked = tokens.bearer(tenant(A)).await.unwrap_err();
        assert!(matches!(asked, TokenError::Refused(Refusal::ExpiredSecret)), "{asked:?}");
        for _ in 0..20 {
            let remembered = tokens.bearer(tenant(A)).await.unwrap_err();
            assert!(matches!(remembered, TokenError::Lately(_)), "{remembered:?}");
            assert_eq!(remembered.cause().to_string(), asked.to_string());
        }
        assert_eq!(world.tokens().len(), failures);
        pass(Duration::from_secs(1 << failures)).await;
    }
    assert!(tokens.bearer(tenant(A)).await.is_ok());
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_everybody() {
    let world = entra(|_| true).await;
    let client = world.client();
    let tokens = client.tokens();
    let first = tokens.bearer(tenant(A)).await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (tokens, generation) = (tokens.clone(), first.generation);
        callers.spawn(async move {
            assert!(tokens.refused(tenant(A), generation));
            tokens.bearer(tenant(A)).await.unwrap().generation
        });
    }
    while let Some(generation) = callers.join_next().await {
        assert_eq!(generation.unwrap(), 2);
    }
    assert_eq!(world.tokens().len(), 2);

    // The new one refused as well: that is no token's fault, and Entra is left alone for a while.
    assert!(!tokens.refused(tenant(A), 2));
    assert_eq!(tokens.bearer(tenant(A)).await.unwrap().generation, 2);
    pass(REPLACE_AT_MOST_EVERY).await;
    assert!(tokens.refused(tenant(A), 2));
    assert_eq!(tokens.bearer(tenant(A)).await.unwrap().generation, 3);
}

#[tokio::test]
async fn answers_without_a_usable_token_are_errors() {
    for (reply, expected) in [
        (Reply::new(200, "<html>"), "holds no usable token"),
        (Reply::token("a\\nb"), "holds no usable token"),
        (Reply::new(302, "").header("location", "http://127.0.0.1:9/"), "status 302"),
        (Reply::new(503, "AADSTS7000215"), "status 503"),
        (Reply::new(200, "{").cut(10), "cannot be reached"),
    ] {
        let world = World::new(move |_| reply.clone()).await;
        let error = world.client().tokens().bearer(tenant(A)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let world = entra(|_| true).await;
    let client = world.client_with(|config| config.credentials.clear());
    let error = client.tokens().bearer(tenant(A)).await.unwrap_err();
    assert!(matches!(error, TokenError::NotConfigured));
    assert!(world.tokens().is_empty());
}
