//! From an announcement to the receiver: bodies of every shape, errors of every kind.

use m365_collector::content::ContentType;

use crate::support::{Service, records};

#[tokio::test(flavor = "multi_thread")]
async fn every_record_of_every_type_arrives_exactly_once() {
    let mut service = Service::builder().tenants(2).start().await;
    for tenant in 0..2 {
        for (seed, content_type) in (1..).zip(ContentType::ALL) {
            let records = records(seed, service.tenant(tenant), content_type, 40);
            service.publish(tenant, content_type, &records);
        }
    }
    service.delivered().await;
    service.finish().await;
}
