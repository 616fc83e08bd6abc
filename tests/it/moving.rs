//! A ledger that moves from a file to a server, with its service stopped in between.

use m365_collector::{
    content::ContentType,
    simulator::{Fault, Operation},
};
use serde_json::Value;

use crate::support::{
    books::Doomed,
    collector::{Said, Site},
    eventually, patience,
    postgres::Postgres,
    records,
};

const FEED: ContentType = ContentType::Exchange;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_moves_to_a_server_loses_nothing_and_repeats_nothing() {
    let mut site = Site::start(2, None, |_| ()).await;
    let mut collector = site.run().await;
    site.registered(2 * ContentType::ALL.len()).await;
    let microsoft = site.simulator.microsoft().clone();
    let devo = site.simulator.devo();

    // Something is dead, something delivered.
    microsoft.fail(Operation::Blob, Fault::Af(20_050), 1);
    let lost = microsoft.publish(site.tenant(0), FEED, &records(0, site.tenant(0), FEED, 3));
    eventually("it is dead", async || rows(&site, &["dead"]).await.len() == 1).await;
    let known = records(1, site.tenant(0), FEED, 7);
    microsoft.publish(site.tenant(0), FEED, &known);
    microsoft.publish(site.tenant(1), FEED, &records(2, site.tenant(1), FEED, 8));
    devo.wait_for(15, patience()).await.expect("both arrive");
    let delivered = async |site: &Site| {
        let rows = rows(site, &["status"]).await;
        rows.iter().map(|row| row["delivered"].as_u64().unwrap()).sum::<u64>()
    };
    eventually("both are settled", async || delivered(&site).await == 2).await;

    // Something waits, leased and not, when the service is killed.
    microsoft.fail(Operation::Blob, Fault::Hang, 3);
    for seed in 10..13 {
        microsoft.publish(site.tenant(0), FEED, &records(seed, site.tenant(0), FEED, 5));
    }
    eventually("three are leased", async || {
        rows(&site, &["pending"]).await.iter().filter(|row| row["leased"] == true).count() == 3
    })
    .await;
    microsoft.fail(Operation::Blob, Fault::Empty(500), u32::MAX);
    for seed in 20..25 {
        microsoft.publish(site.tenant(1), FEED, &records(seed, site.tenant(1), FEED, 5));
    }
    eventually("eight wait", async || rows(&site, &["pending"]).await.len() == 8).await;

    let file = format!("sqlite:{}", site.folder.path().join("ledger.db").display());
    let server = Postgres::shared().database().await;
    let refused = copy(&site, &file, &server).await;
    assert_eq!((refused.code, &*refused.out), (Some(1), ""), "{}", refused.err);
    assert!(refused.err.contains("in use by another process"), "{}", refused.err);
    collector.process.kill();
    drop(collector);
    let dead = rows(&site, &["dead"]).await;

    let said = copy(&site, &file, &server).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("copying content: 11 rows\n"), "{}", said.err);
    assert!(said.err.contains("verifying content: 11 rows\n"), "{}", said.err);
    let tables: Vec<Value> = serde_json::from_str(&said.out).expect("the rows are JSON");
    for table in &tables {
        assert_eq!(table["copied"], table["verified"], "{table}");
    }
    let count =
        |name| tables.iter().find(|table| table["table"] == name).unwrap()["copied"].clone();
    assert_eq!((count("content"), count("dead_letter")), (11.into(), 1.into()));
    assert!(count("identity").as_u64() >= Some(2) && count("sweep").as_u64() > Some(0));
    let again = copy(&site, &file, &server).await;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("is not empty"), "{}", again.err);

    site.set("ledger.url", &server);
    assert_eq!(rows(&site, &["dead"]).await, dead);
    microsoft.heal();
    let mut collector = site.run().await;
    // What is known is known there, too: the same records in another content.
    microsoft.publish(site.tenant(0), FEED, &known);
    site.simulator.devo().wait_for(15 + 8 * 5, patience()).await.expect("what waited arrives");
    eventually("all is settled", async || delivered(&site).await == 11).await;
    let received = site.simulator.devo().received();
    assert_eq!((received.distinct, received.repeated), (55, 0), "nothing lost, nothing again");
    let mut doomed = Doomed::default();
    doomed.content(&lost);
    site.agrees(&doomed).await;
    assert!(collector.process.is_running());

    // Nor is a ledger copied that a replica uses.
    let away = format!("sqlite:{}", site.folder.path().join("away.db").display());
    let refused = copy(&site, &server, &away).await;
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("in use by the replica"), "{}", refused.err);
    assert_eq!(collector.stop().await.code, Some(0));
}

async fn copy(site: &Site, from: &str, to: &str) -> Said {
    site.command(&["ledger", "copy", "--from", from, "--to", to, "--json"]).await
}

async fn rows(site: &Site, view: &[&str]) -> Vec<Value> {
    let said = site.command(&[&["ledger"], view, &["--json"]].concat()).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).expect("the rows are JSON")
}
