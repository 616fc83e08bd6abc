//! `tenants list` and `tenants remove`.

use m365_collector::{content::ContentType, simulator::Operation};
use serde::Deserialize;

use super::consent::Provider;
use crate::support::{eventually, get, metrics, records};

#[derive(Deserialize)]
struct Row {
    tenant: String,
    id: String,
    from: String,
    collected: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_removed_is_let_go_of_without_a_restart() {
    let provider = Provider::start().await;
    let site = &provider.site;
    let list = async || {
        let said = site.command(&["tenants", "list", "--json"]).await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        serde_json::from_str::<Vec<Row>>(&said.out).expect("the rows are JSON")
    };
    // Without a ledger the configuration alone is shown.
    assert_eq!(list().await.len(), 1);
    let mut collector = site.run().await;
    assert_eq!(provider.consent(&["--name", "customer"]).await.code, Some(0));
    let rows = list().await;
    let [customer, own] = &rows[..] else { panic!("two rows") };
    assert_eq!((&*customer.tenant, &*customer.from), ("customer", "consent"));
    assert_eq!((customer.id.clone(), customer.collected), (provider.customer.to_string(), true));
    assert_eq!((&*own.tenant, &*own.from), ("tenant-0", "configuration"));
    site.registered(10).await;

    let said = site.command(&["tenants", "remove", "tenant-0"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("is in the configuration"), "{}", said.err);
    let said = site.command(&["tenants", "remove", "nobody"]).await;
    assert!(said.err.contains("no tenant is configured with the name or id \"nobody\""));
    let said = site.command(&["tenants", "remove", "customer"]).await;
    assert_eq!((said.code, &*said.out), (Some(0), ""), "{}", said.err);
    assert_eq!(list().await.len(), 1);

    eventually("its series and its status are gone", async || {
        let (_, metrics) = get(site.admin, "/metrics").await;
        let (_, status) = get(site.admin, "/api/status").await;
        !metrics.contains("\"customer\"") && !status.contains("\"customer\"")
    })
    .await;
    // What is announced for it is refused, and nothing is asked for it any more.
    let microsoft = site.simulator.microsoft();
    let asked = || {
        let requests = microsoft.requests();
        requests.iter().filter(|request| request.tenant == Some(provider.customer)).count()
    };
    let before = asked();
    let kind = ContentType::General;
    microsoft.publish(provider.customer, kind, &records(1, provider.customer, kind, 5));
    eventually("its notification is refused", async || {
        let (_, text) = get(site.admin, "/metrics").await;
        let series = "m365_messages_unsuccessfully_processed_total\
                      {reason=\"unknown_tenant\",stage=\"notification\",tenant=\"\"}";
        metrics::value(&text, series) == Some(1.0)
    })
    .await;
    let own = site.tenant(0);
    microsoft.publish(own, kind, &records(2, own, kind, 7));
    eventually("others are collected as before", async || {
        site.simulator.devo().received().distinct == 7
    })
    .await;
    // A listing that gives way to blobs does so for seconds, so others are listed often meanwhile.
    let listings = || microsoft.count(Some(own), &Operation::Content);
    let enough = listings() + 5 * 8;
    eventually("others are listed again and again", async || listings() >= enough).await;
    assert_eq!(asked(), before, "nothing is asked of Microsoft for a tenant that is not ours");
    assert!(collector.process.is_running());

    // It can come back.
    assert_eq!(provider.consent(&["--name", "customer"]).await.code, Some(0));
    microsoft.publish(provider.customer, kind, &records(3, provider.customer, kind, 4));
    eventually("what was announced meanwhile is found as well", async || {
        site.simulator.devo().received().distinct == 7 + 5 + 4
    })
    .await;
}
