//! Tokens, listing and fetching.

use std::{collections::BTreeSet, time::Duration};

use hyper::Method;

use super::{client::Client, config, id, tenant};
use crate::{
    content::{ContentId, ContentType},
    simulator::{
        Blob, Config, Fault, Feed, Operation, Simulator,
        generator::Records,
        microsoft::{IdForm, Publication},
    },
};

const FEED: ContentType = ContentType::Exchange;

/// A world with an enabled subscription without a webhook.
async fn world(config: Config) -> (Simulator, Client) {
    let simulator = Simulator::start(config).await.unwrap();
    simulator.microsoft().change_subscription(id(), FEED, |_| {});
    let client = Client::new(&simulator).await;
    (simulator, client)
}

#[tokio::test]
async fn a_token_is_given_for_the_right_secret_and_ends() {
    let simulator = Simulator::start(config()).await.unwrap();
    let stranger = Client::stranger(&simulator);
    let refused = stranger.token("wrong").await;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("AADSTS7000215"));
    let given = stranger.token(&tenant().client_secret).await.json();
    assert_eq!(given["expires_in"], "3599", "a string, as the real one");
    let claims = given["access_token"].as_str().unwrap().split('.').nth(1);
    assert!(claims.is_some(), "a JWT");

    let reply = stranger.feed(Method::GET, "subscriptions/list?", "").await;
    let denied = r#"{"Message":"Authorization has been denied for this request."}"#;
    assert_eq!((reply.status, reply.text().as_str()), (401, denied));

    let client = Client::new(&simulator).await;
    assert_eq!(client.list().await, serde_json::json!([]));
    simulator.clock().advance(Duration::from_secs(3600));
    let reply = client.feed(Method::GET, "subscriptions/list?", "").await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn roles_decide_what_can_be_read() {
    let (simulator, _) = world(config()).await;
    let microsoft = simulator.microsoft();
    microsoft.change_subscription(id(), ContentType::Dlp, |_| {});
    microsoft.set_roles(id(), &["ActivityFeed.Read"]);
    let client = Client::new(&simulator).await;
    assert_eq!(client.content(FEED, "").await.status, 200);
    assert_eq!(client.content(ContentType::Dlp, "").await.status, 401);
    microsoft.set_roles(id(), &[]);
    let client = Client::new(&simulator).await;
    let reply = client.content(FEED, "").await;
    assert_eq!(reply.json()["error"]["code"], "AF10001");
}

#[tokio::test]
async fn a_listing_comes_in_pages_that_each_appear_once() {
    let (simulator, client) = world(Config { page_size: 3, ..config() }).await;
    let published: BTreeSet<String> = (0..8)
        .map(|_| simulator.microsoft().publish(id(), FEED, &[b"{}"]))
        .map(|id| id.to_string())
        .collect();
    simulator.clock().advance(Duration::from_secs(1));

    let mut listed = Vec::new();
    let mut reply = client.content(FEED, "").await;
    let mut pages = 1;
    loop {
        for content in reply.json().as_array().unwrap() {
            listed.push(content["contentId"].as_str().unwrap().to_owned());
        }
        let Some(next) = reply.headers.get("nextpageuri") else {
            break;
        };
        let next = next.to_str().unwrap();
        assert!(!next.contains("PublisherIdentifier"));
        assert!(next.contains("contenttype="), "keys in lower case: {next}");
        let path = next.strip_prefix(simulator.management_url().as_str()).unwrap();
        let path = format!("/{path}");
        reply = client.send(Method::GET, &path, String::new()).await.unwrap();
        pages += 1;
    }
    assert_eq!(pages, 3);
    assert_eq!(listed.len(), 8, "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), published);
    let microsoft = simulator.microsoft();
    assert_eq!(microsoft.count(Some(id()), &Operation::NextPage), 2);
    assert_eq!(microsoft.without_publisher(), 2);

    let stale = client.content(FEED, "&nextpage=old").await;
    assert_eq!(stale.json()["error"]["code"], "AF20031");
}

#[tokio::test]
async fn windows_include_their_start_and_exclude_their_end() {
    let (simulator, client) = world(config()).await;
    let microsoft = simulator.microsoft();
    let whole_second = jiff::Timestamp::from_second(simulator.clock().now().as_second()).unwrap();
    let late = whole_second - jiff::SignedDuration::from_hours(3);
    microsoft.publish_as(
        id(),
        FEED,
        Publication { created: Some(late), ..Publication::of(Blob::array(&[b"{}"])) },
    );
    let window = |from: i64, to: i64| {
        let spell = |offset| {
            let at = late + jiff::SignedDuration::from_secs(offset);
            at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
        };
        format!("&startTime={}&endTime={}", spell(from), spell(to))
    };
    for (from, to, found) in [(0, 60, 1), (-60, 0, 0), (-60, 1, 1), (1, 60, 0)] {
        let reply = client.content(FEED, &window(from, to)).await;
        let listed = reply.json().as_array().unwrap().len();
        assert_eq!(listed, found, "from {from} to {to}");
    }
    let day = 24 * 3600;
    for (window, code) in [
        (window(0, day + 1), "AF20030"),
        (window(60, 0), "AF20030"),
        (window(-8 * day, -7 * day - 3600), "AF20055"),
        (format!("&startTime={whole_second}"), "AF20030"),
    ] {
        let reply = client.content(FEED, &window).await;
        assert_eq!(reply.json()["error"]["code"], code, "{window}");
    }
}

#[tokio::test]
async fn a_blob_is_fetched_by_every_form_of_its_id_until_it_expires() {
    let (simulator, client) = world(config()).await;
    let microsoft = simulator.microsoft();
    let content = microsoft.publish(id(), FEED, &[b"{}"]);
    for form in IdForm::ALL {
        let reply = client.blob(&form.spell(&content)).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "[{}]"));
    }
    microsoft.expire(id(), &content);
    let code = |reply: super::client::Reply| reply.json()["error"]["code"].clone();
    assert_eq!(code(client.blob(content.as_str()).await), "AF20051");
    assert_eq!(code(client.blob("1$2$a$A$na0001").await), "AF20050");
    assert_eq!(code(client.blob("nonsense").await), "AF20052");
    assert_eq!(microsoft.count(None, &Operation::Blob), 7);
    assert_eq!(microsoft.count(None, &Operation::BlobOf(content)), 5);
}

#[tokio::test]
async fn generated_blobs_are_equal_each_time_plain_and_compressed() {
    let (simulator, client) = world(config()).await;
    let blob = Blob::Generated { total_bytes: 3_000_000, seed: 7 };
    let publish = |gzip| {
        simulator.microsoft().publish_as(
            id(),
            FEED,
            Publication { gzip: Some(gzip), ..Publication::of(blob.clone()) },
        )
    };
    let (plain, packed) = (publish(false), publish(true));
    let plain = client.blob(plain.as_str()).await;
    let packed = client.blob(packed.as_str()).await;
    assert!(plain.headers.get("content-encoding").is_none());
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() < plain.body.len() / 2);
    assert!(packed.gunzipped() == plain.body);
    let feed = Feed { tenant: id(), content_type: FEED };
    let records: Vec<Vec<u8>> = Records::new(7, feed, 3_000_000).collect();
    let Blob::Bytes(expected) = Blob::array(&records) else { panic!("an array is bytes") };
    assert!(plain.body == expected);
    assert_eq!(simulator.microsoft().held(), (2, 0));
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered() {
    for http2 in [true, false] {
        let (simulator, client) = world(Config { http2, ..config() }).await;
        let blob = Blob::Generated { total_bytes: 1_000_000, seed: 1 };
        let content = simulator.microsoft().publish_raw(id(), FEED, blob);
        let fetched = client.blob_over_http2(content.as_str()).await;
        if http2 {
            let same = client.blob(content.as_str()).await.body;
            assert!(fetched.unwrap() == same);
            let fault = Fault::CutBody { after: 70_000 };
            simulator.microsoft().fail(Operation::Blob, fault, 1);
        }
        assert!(client.blob_over_http2(content.as_str()).await.is_none());
    }
}

#[tokio::test]
async fn fetched_blobs_make_room_and_others_stay() {
    let (simulator, client) = world(Config { retain: 1000, ..config() }).await;
    let microsoft = simulator.microsoft();
    let record = [vec![b'x'; 400]];
    let publish = || microsoft.publish(id(), FEED, &record);
    let (first, second, third) = (publish(), publish(), publish());
    assert_eq!(microsoft.held().0, 3, "nobody fetched any");
    client.blob(second.as_str()).await;
    let fourth = publish();
    let statuses = async |id: &ContentId| client.blob(id.as_str()).await.status;
    assert_eq!(statuses(&second).await, 404);
    for id in [&first, &third, &fourth] {
        assert_eq!(statuses(id).await, 200);
    }
}
