//! `consent`: an administrator at a browser, the real binary, and what comes of it.

use std::time::Duration;

use m365_collector::{
    clock::Clock,
    content::{ContentType, TenantId},
    ledger::{self, Onboarding},
    moment::after,
    simulator::{Fault, Operation, SimulatedTenant, microsoft::ConsentFault},
};
use reqwest::redirect::Policy;
use url::Url;
use uuid::Uuid;

use crate::support::{
    collector::{Collector, Said, Site},
    eventually, get, ports, records,
};

/// A site with one tenant of its own, and a customer's that knows the same application.
pub struct Provider {
    pub site: Site,
    pub customer: TenantId,
    pub stranger: TenantId,
}

impl Provider {
    pub async fn start() -> Self {
        let ids = [Uuid::new_v4(), Uuid::new_v4()].map(TenantId::from);
        let mut site = Site::start(1, None, |world| {
            let own = world.tenants[0].clone();
            world.tenants.extend(ids.map(|id| SimulatedTenant { id, ..own.clone() }));
        })
        .await;
        // What nobody was told of is found at once.
        site.set("sweep.settle", "0s");
        site.set("sweep.interval", "1s");
        let [customer, stranger] = ids;
        let microsoft = site.simulator.microsoft();
        microsoft.set_domain("customer.example", customer);
        microsoft.consent_as(customer);
        Self { site, customer, stranger }
    }

    /// Begins a consent, as far as its address.
    pub async fn ask(&self, arguments: &[&str]) -> (Collector, Url) {
        let listen = ports::free().to_string();
        let with = ["consent", "--tenant-of", "admin@customer.example", "--listen", &listen];
        let asking = self.site.spawn(&[&with, arguments].concat());
        let address = || {
            let said = asking.stderr();
            let line = said.lines().find(|line| line.contains("/oauth2/authorize?"))?;
            Some(line.parse::<Url>().expect("the line is an address"))
        };
        eventually("the address is shown", async || address().is_some()).await;
        let address = address().unwrap();
        (asking, address)
    }

    /// Opens the page at Entra; says where the browser is sent then.
    pub async fn open(&self, address: Url) -> Url {
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .redirect(Policy::none())
            .build()
            .unwrap();
        let answer = client.get(address).send().await.expect("Entra answers");
        assert_eq!(answer.status(), 302);
        let location = answer.headers()["location"].to_str().unwrap();
        location.parse().expect("the browser is sent to an address")
    }

    /// Follows the browser back to this machine.
    pub async fn come_back(&self, location: &Url) -> (u16, String) {
        assert_eq!((location.scheme(), location.host_str()), ("http", Some("localhost")));
        let address = ([127, 0, 0, 1], location.port().unwrap()).into();
        get(address, &target(location)).await
    }

    /// A consent from its beginning to its end.
    pub async fn consent(&self, arguments: &[&str]) -> Said {
        let (asking, address) = self.ask(arguments).await;
        let location = self.open(address).await;
        self.come_back(&location).await;
        asking.said().await
    }

    fn ledger(&self) -> ledger::Config {
        ledger::Config {
            location: ledger::Location::Sqlite(self.site.folder.path().join("ledger.db")),
            lease: Duration::from_secs(300),
            keep_delivered: Duration::from_secs(14 * 86_400),
            keep_dead: Duration::from_secs(30 * 86_400),
        }
    }

    pub async fn stored(&self) -> String {
        self.site.command(&["tenants", "list", "--json"]).await.out
    }
}

fn target(location: &Url) -> String {
    format!("{}?{}", location.path(), location.query().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_consents_is_collected_without_a_restart() {
    let provider = Provider::start().await;
    let site = &provider.site;
    let mut collector = site.run().await;
    site.registered(5).await;

    let (asking, address) = provider.ask(&["--name", "customer", "--type", "Audit.Exchange"]).await;
    let query: std::collections::HashMap<_, _> = address.query_pairs().into_owned().collect();
    assert_eq!(query["client_id"], site.tenants[0].1.client_id.to_string());
    assert_eq!(query["resource"], "https://manage.office.com");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["state"].len(), 64);
    let location = provider.open(address).await;
    let (status, page) = provider.come_back(&location).await;
    assert_eq!(status, 200);
    assert!(!page.contains(&query["state"]), "nothing of the request is shown");
    let said = asking.said().await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    for line in [
        format!("id = \"{}\"", provider.customer),
        "name = \"customer\"".to_owned(),
        format!("client_id = \"{}\"", site.tenants[0].1.client_id),
        "content_types = [\"Audit.Exchange\"]".to_owned(),
    ] {
        assert!(said.out.lines().any(|found| found == line), "{line}\n{}", said.out);
    }

    // The running service takes the tenant up: its subscription, its notifications, its content.
    site.registered(6).await;
    let wanted = records(1, provider.customer, ContentType::Exchange, 12);
    site.simulator.microsoft().publish(provider.customer, ContentType::Exchange, &wanted);
    eventually("the customer's records arrive", async || {
        site.simulator.devo().received().distinct == 12
    })
    .await;
    eventually("they are counted under its name", async || {
        let (_, metrics) = get(site.admin, "/metrics").await;
        metrics.contains(
            "m365_messages_successfully_processed_total{content_type=\"Audit.Exchange\",\
             tenant=\"customer\"} 12",
        )
    })
    .await;
    let (_, status) = get(site.admin, "/api/status").await;
    assert!(status.contains("\"name\": \"customer\""), "{status}");
    assert!(collector.process.is_running());

    // Commands know it by its name, and a restart still does.
    let said = site.command(&["ledger", "status", "--tenant", "customer", "--json"]).await;
    assert!(said.out.contains("\"tenant\": \"customer\""), "{}{}", said.out, said.err);
    assert_eq!(collector.stop().await.code, Some(0));
    let _collector = site.run().await;
    site.simulator.microsoft().publish(
        provider.customer,
        ContentType::Exchange,
        &records(2, provider.customer, ContentType::Exchange, 3),
    );
    eventually("after a restart as well", async || site.simulator.devo().received().distinct == 15)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_is_declined_stores_nothing_and_says_so() {
    let provider = Provider::start().await;
    for (error, description, words) in [
        ("access_denied", "AADSTS65004: User declined to consent.", "declined at the browser"),
        ("access_denied", "AADSTS90094: An administrator is required.", "Global Administrator"),
        ("invalid_client", "AADSTS650052: The app needs access.", "ActivityFeed.Read"),
        ("server_error", "AADSTS50000: Issuing failed.", "AADSTS50000: Issuing failed."),
    ] {
        let (error, description) = (error.to_owned(), description.to_owned());
        let fault = ConsentFault::Denied { error, description };
        provider.site.simulator.microsoft().fail_consent(fault);
        let said = provider.consent(&[]).await;
        assert_eq!((said.code, &*said.out), (Some(1), ""), "{}", said.err);
        assert!(said.err.contains(words), "{words}\n{}", said.err);
        assert!(said.err.contains("nothing was stored"), "{}", said.err);
    }
    assert!(!provider.stored().await.contains(&provider.customer.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_with_another_state_is_not_believed() {
    let provider = Provider::start().await;
    provider.site.simulator.microsoft().fail_consent(ConsentFault::OtherState);
    let (mut asking, address) = provider.ask(&["--wait", "10m"]).await;
    let location = provider.open(address.clone()).await;
    assert_eq!(provider.come_back(&location).await.0, 404);
    eventually("it is said", async || asking.stderr().contains("not asked for")).await;
    assert!(asking.process.is_running(), "it still waits for the right one");
    // Somebody who goes on trying ends it.
    for _ in 0..18 {
        assert_eq!(provider.come_back(&location).await.0, 404);
    }
    assert!(asking.process.is_running());
    provider.come_back(&location).await;
    let said = asking.said().await;
    assert_eq!((said.code, &*said.out), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("too many requests came with a state"), "{}", said.err);
    assert!(!provider.stored().await.contains(&provider.customer.to_string()));

    // Nor is anybody waited for longer than was said.
    let (asking, _) = provider.ask(&["--wait", "1s"]).await;
    let said = asking.said().await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("nobody came back"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consent_of_another_organisation_is_refused() {
    let provider = Provider::start().await;
    provider.site.simulator.microsoft().consent_as(provider.stranger);
    let said = provider.consent(&[]).await;
    assert_eq!((said.code, &*said.out), (Some(1), ""), "{}", said.err);
    let words = format!("of tenant {}, but {} was expected", provider.stranger, provider.customer);
    assert!(said.err.contains(&words), "{}", said.err);
    let stored = provider.stored().await;
    for tenant in [provider.stranger, provider.customer] {
        assert!(!stored.contains(&tenant.to_string()), "{stored}");
    }
    // An address of nobody is found out before anybody is bothered.
    let said = provider.site.command(&["consent", "--tenant-of", "nobody.example"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("the tenant of \"nobody.example\" cannot be found"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_port_takes_the_browser_where_that_is_switched_on() {
    let mut provider = Provider::start().await;
    let anybody = format!("/consent/callback?code=x&state={}", "a".repeat(64));
    let collector = provider.site.run().await;
    // It is off by itself, also for a state that is waited with.
    let mut ledger = Onboarding::open(&provider.ledger()).await.unwrap();
    let (now, state) = (Clock::system().now(), "a".repeat(64));
    ledger.expect(&state, now, after(now, Duration::from_secs(600))).await.unwrap();
    assert_eq!(get(provider.site.webhook, &anybody).await.0, 404);
    assert_eq!(ledger.answer(&state).await.unwrap(), None);
    ledger.forget(&state).await.unwrap();
    // A start that is cut off here may not be repeated for 15 minutes.
    provider.site.registered(5).await;
    collector.stop().await;
    provider.site.set("webhook.consent_callback", "true");
    let _collector = provider.site.run().await;
    let (asking, address) = provider.ask(&["--name", "customer"]).await;
    let location = provider.open(address).await;
    assert_eq!(location.scheme(), "https");
    assert_eq!(location.path(), "/consent/callback");
    let webhook = provider.site.webhook;
    // Strangers, posts and half of an answer change nothing.
    assert_eq!(get(webhook, &anybody).await.0, 404);
    assert_eq!(get(webhook, "/consent/callback").await.0, 404);
    let (status, page) = get(webhook, &target(&location)).await;
    assert_eq!(status, 200);
    assert!(page.contains("You can close this window"), "{page}");
    assert_eq!(get(webhook, &target(&location)).await.0, 404, "a state is good once");
    let said = asking.said().await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(provider.stored().await.contains(&provider.customer.to_string()));
    provider.site.registered(10).await;
    let (_, metrics) = get(provider.site.admin, "/metrics").await;
    assert!(metrics.contains("m365_webhook_requests_total{outcome=\"consented\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_does_not_answer_is_made_up_for_by_the_account() {
    let provider = Provider::start().await;
    let microsoft = provider.site.simulator.microsoft();
    let absent = || Fault::Status { status: 404, headers: Vec::new(), body: Vec::new() };
    microsoft.fail(Operation::Directory, absent(), u32::MAX);

    // Somebody of another organisation.
    microsoft.consent_as(provider.stranger);
    microsoft.set_administrator("admin@stranger.example");
    let said = provider.consent(&[]).await;
    assert_eq!((said.code, &*said.out), (Some(1), ""), "{}", said.err);
    let words = "warning: the tenant of customer.example could not be looked up in Entra's \
                 directory (it answered with status 404)";
    assert!(said.err.contains(words), "{}", said.err);
    assert!(!said.err.contains("token endpoint"), "{}", said.err);
    assert!(said.err.contains("with an account of \"stranger.example\""), "{}", said.err);
    assert!(!provider.stored().await.contains(&provider.stranger.to_string()));

    // The right one.
    microsoft.consent_as(provider.customer);
    microsoft.set_administrator("Admin@Customer.example");
    let said = provider.consent(&[]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains(&format!("id = \"{}\"", provider.customer)), "{}", said.out);
    assert!(!said.err.contains("not compared"), "{}", said.err);
    assert!(provider.stored().await.contains(&provider.customer.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_not_stored() {
    let provider = Provider::start().await;
    let microsoft = provider.site.simulator.microsoft();
    microsoft.fail(Operation::Directory, Fault::Html(502), u32::MAX);
    let said = provider.consent(&[]).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    let words = format!("the consent is of tenant {}; whether", provider.customer);
    assert!(said.err.contains(&words) && said.err.contains("--tenant-of"), "{}", said.err);
    assert!(!provider.stored().await.contains(&provider.customer.to_string()));
}
