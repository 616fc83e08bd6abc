//! Notifications whose entries are not all ours: the good ones are delivered, the bad ones counted
//! by reason and never fetched, and nothing they name is dialled (I6, I10).

use m365_collector::{
    content::{ContentId, ContentType},
    simulator::{
        Blob, Operation,
        microsoft::{Announcing, Publication},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Service,
    bait::Bait,
    edge::{Protocol, notification},
    metrics::labelled,
    records,
};

const TYPE: ContentType = ContentType::Exchange;

/// Content that is there and that nobody was told of.
fn secret(service: &mut Service, tenant: usize, seed: u64, expected: bool) -> ContentId {
    let id = service.tenant(tenant);
    let records = records(seed, id, TYPE, 5);
    if expected {
        service.expect(&records);
    }
    let announcing = Some(Announcing::LOST);
    let publication = Publication { announcing, ..Publication::of(Blob::array(&records)) };
    service.simulator.microsoft().publish_as(id, TYPE, publication)
}

fn with(entry: &Value, field: &str, value: Value) -> Value {
    let mut entry = entry.clone();
    entry[field] = value;
    entry
}

async fn refused(service: &Service, tenant: &str, reason: &str) -> f64 {
    let labels = [("tenant", tenant), ("stage", "notification"), ("reason", reason)];
    service.metric(&labelled("m365_messages_unsuccessfully_processed_total", &labels)).await
}

fn blobs(service: &Service, id: &ContentId) -> u64 {
    service.simulator.microsoft().count(None, &Operation::BlobOf(id.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_entries_are_counted_by_reason_and_the_good_one_beside_them_is_delivered() {
    let mut service = Service::builder().tenants(2).start().await;
    let bait = Bait::lay();
    let good = secret(&mut service, 0, 1, true);
    let never = secret(&mut service, 0, 2, false);
    let tenant = service.tenant(0);
    let entry = service.entry(tenant, &never);
    let uri = entry["contentUri"].as_str().unwrap().to_owned();
    let root = service.simulator.management_url();
    let own = format!("{}:{}", root.host_str().unwrap(), root.port().unwrap());
    let other_port = format!("{}:{}", root.host_str().unwrap(), root.port().unwrap() ^ 1);
    let tempting =
        |scheme: &str| uri.replace(root.as_str(), &format!("{scheme}://{}/", bait.address));
    assert_ne!(tempting("https"), uri);

    let other_tenant = service.tenant(1).to_string();
    let unknown = Uuid::new_v4().to_string();
    let uris = |uris: &[String]| -> Vec<Value> {
        uris.iter().map(|uri| with(&entry, "contentUri", json!(uri))).collect()
    };
    let foreign = uris(&[
        tempting("https"),
        tempting("http"),
        uri.replace(&own, "manage-gcc.office.com"),
        uri.replace(&own, &other_port),
        uri.replace(&tenant.to_string(), &other_tenant),
        uri.replace(&tenant.to_string(), &unknown),
    ]);
    let malformed_uri = uris(&[
        uri.replace("://", &format!("://{own}@{}/", bait.address)),
        uri.replace("://", "://user:password@"),
        uri.replace("://", "://@"),
        "not a uri".into(),
        String::new(),
        format!("file:///{}", bait.address),
        uri.replace("/audit/", "/audit/../audit/x/"),
        uri.replace("/activity/", "/other/"),
        uri.replace(never.as_str(), good.as_str()),
        uri.replace("://", ":\\\\"),
    ]);
    let malformed_id = [json!(""), json!(".."), json!("a b"), json!("ä"), json!("x".repeat(2000))]
        .map(|id| with(&entry, "contentId", id));
    let malformed_entry =
        [with(&entry, "tenantId", json!(17)), with(&entry, "tenantId", json!("nobody")), json!({})];
    let lacking = ["contentType", "contentId", "contentUri"];
    let lacking = lacking.map(|field| with(&entry, field, Value::Null));
    let unknown_tenant = [
        with(&entry, "tenantId", json!(unknown)),
        // Ours in every respect but that it would be asked for at the bait.
        with(&with(&entry, "tenantId", json!(unknown)), "contentUri", json!(tempting("https"))),
    ];
    let other_client =
        [json!(unknown), json!("x"), json!(17)].map(|client| with(&entry, "clientId", client));
    let unknown_type = ["Audit.Nothing", "", "Audit.Exchange "]
        .map(|name| with(&entry, "contentType", json!(name)));
    let as_the_other = with(&entry, "tenantId", json!(other_tenant));

    let parts: [&[Value]; 9] = [
        &foreign,
        &malformed_uri,
        &malformed_id,
        &malformed_entry,
        &lacking,
        &unknown_tenant,
        &other_client,
        &unknown_type,
        &[as_the_other],
    ];
    let mut entries = parts.concat();
    entries.insert(entries.len() / 2, service.entry(tenant, &good));
    let request = service.post(notification(&entries));
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);
    service.delivered().await;

    let own = "tenant-0";
    assert_eq!(refused(&service, own, "foreign_uri").await, 6.0);
    assert_eq!(refused(&service, own, "malformed_uri").await, 10.0);
    assert_eq!(refused(&service, own, "malformed_id").await, 5.0);
    assert_eq!(refused(&service, "", "malformed_entry").await, 3.0);
    assert_eq!(refused(&service, own, "malformed_entry").await, 3.0);
    assert_eq!(refused(&service, "", "unknown_tenant").await, 2.0);
    assert_eq!(refused(&service, own, "other_client").await, 3.0);
    assert_eq!(refused(&service, own, "unknown_type").await, 3.0);
    // With our name on it and the other's application in it.
    assert_eq!(refused(&service, "tenant-1", "other_client").await, 1.0);

    assert_eq!(bait.taken(), 0, "nothing a notification says is dialled");
    assert_eq!(blobs(&service, &never), 0);
    assert_eq!(blobs(&service, &good), 1);
    assert_eq!(service.simulator.microsoft().count(None, &Operation::Blob), 1);
    assert_eq!(service.status().await.len(), 1, "nothing bad is in the ledger");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_is_not_configured_is_as_good_as_unknown() {
    let mut service =
        Service::builder().with("tenants.0.content_types", r#"["Audit.General"]"#).start().await;
    let id = secret(&mut service, 0, 1, false);
    let entry = service.entry(service.tenant(0), &id);
    let request = service.post(notification(&[entry]));
    assert_eq!(request.ask(service.webhook, Protocol::Http1).await.status, 200);
    assert_eq!(refused(&service, "tenant-0", "unknown_type").await, 1.0);
    assert!(service.status().await.is_empty());
    assert_eq!(blobs(&service, &id), 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn harmless_deviations_are_survived_and_fetched_from_our_own_root() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let mut entries = Vec::new();
    for seed in 1..=7 {
        let id = secret(&mut service, 0, seed, true);
        entries.push(service.entry(tenant, &id));
    }
    let uri = |entry: &Value, from: &str, to: &str| {
        json!(entry["contentUri"].as_str().unwrap().replace(from, to))
    };
    entries[0]["contentUri"] = uri(&entries[0], "https://", "http://");
    entries[1]["contentUri"] = uri(&entries[1], "/api/v1.0/", "/");
    entries[2]["contentType"] = json!("AUDIT.EXCHANGE");
    entries[3]["contentCreated"] = json!("soon");
    entries[3]["contentExpiration"] = Value::Null;
    entries[4].as_object_mut().unwrap().remove("clientId");
    entries[5]["somethingNew"] = json!({"a": [1, 2]});
    // The configured root is a proxy; Microsoft writes its own.
    let root = service.simulator.management_url();
    entries[6]["contentUri"] = uri(&entries[6], root.as_str(), "https://manage.office.com/");
    let request = service.post(notification(&entries));
    assert_eq!(request.ask(service.webhook, Protocol::Http2).await.status, 200);
    service.delivered().await;
    assert_eq!(service.simulator.microsoft().count(None, &Operation::Blob), 7);
    service.finish().await;
}
