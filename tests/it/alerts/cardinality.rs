//! How many series there are, which decides what a Prometheus has to be given for 500 tenants.

use std::{fs, path::Path};

use crate::support::{Service, ports, series::Scrape};

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_500_tenants_are_as_many_as_is_said() {
    let (one, three) = (series(1).await, series(3).await);
    let each = (three - one) / 2;
    let own = one - each;
    assert_eq!(series(2).await, own + 2 * each, "each tenant has as many");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/README.md");
    let said = fs::read_to_string(readme).unwrap().replace('\n', " ");
    let total = own + 500 * each;
    let total = format!("{},{:03}", total / 1000, total % 1000);
    for part in [
        format!("all five content types has {each} series"),
        format!("the process itself {own}"),
        format!("**{total} for 500 tenants**"),
    ] {
        assert!(said.contains(&part), "the README says: {part} of {own} + {each}, {total}");
    }
}

/// The series of a process that has not delivered anything.
async fn series(tenants: usize) -> usize {
    let service = Service::builder()
        .tenants(tenants)
        .with("subscriptions.manage", false)
        .devo(format!("tcp://{}", ports::free()))
        .start_unregistered()
        .await;
    let (_, text) = service.admin("/metrics").await;
    service.finish().await;
    Scrape::parse(&text).0.len()
}
