//! Answers that point elsewhere: nothing is followed, no token leaves our roots (I6).

use m365_collector::simulator::Fault;

use crate::support::{Service, bait::Bait};

fn pointing(status: u16, header: &str, to: &str, body: &str) -> Fault {
    let headers = vec![(header.to_owned(), to.to_owned())];
    Fault::Status { status, headers, body: body.as_bytes().to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_redirects_nor_foreign_pages_are_followed() {
    let bait = Bait::lay();
    let mut service = Service::builder()
        .with("fetch.retry_min", "50ms")
        .with("fetch.retry_max", "200ms")
        .start()
        .await;
    let address = bait.address;
    let own = service.simulator.management_url();
    let tenant = service.tenant(0);
    let with_user = format!("https://{}@{address}/", own.host_str().unwrap());
    let faults = [
        pointing(301, "location", &format!("https://{address}/"), ""),
        pointing(302, "location", &format!("http://{address}/"), ""),
        pointing(307, "location", &format!("//{address}/"), ""),
        pointing(308, "location", &with_user, ""),
        pointing(
            200,
            "NextPageUri",
            &format!("https://{address}/api/v1.0/{tenant}/activity/feed/audit/x"),
            "[]",
        ),
        pointing(200, "nextpageuri", &format!("http://{address}/"), "[]"),
        pointing(200, "NextPageUri", &with_user, "[]"),
    ];
    let count = faults.len();
    let mut asked = Vec::new();
    for (seed, fault) in (1..).zip(faults) {
        asked.push(service.publish_faulty(0, seed, fault, 1));
    }
    service.delivered().await;
    assert_eq!(bait.taken(), 0, "nobody took the bait");
    for id in &asked {
        assert_eq!(service.fetches(id), 2, "{id}");
    }
    assert_eq!(service.failed_attempts(0, "fetch", "bad_answer").await as usize, count);
    service.finish_published().await;
}
