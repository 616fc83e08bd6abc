//! The status page in a real browser.

use m365_collector::{
    content::ContentType,
    simulator::{Blob, Fault, Operation},
};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    Service, collector::Site, eventually, get, patience, ports, postgres::Postgres, records, within,
};

mod browser;

use browser::{Browser, EVERY, Look, USUAL};

#[tokio::test(flavor = "multi_thread")]
async fn all_well_is_seen_by_everybody_and_lives() {
    let mut service = Service::builder().tenants(3).start().await;
    a_week_of(&service).await;
    let sent = records(1, service.tenant(0), ContentType::Exchange, 5);
    service.publish(0, ContentType::Exchange, &sent);
    service.delivered().await;
    let url = format!("http://{}/", service.admin);
    let mut browser = Browser::start();
    eventually("all is well", async || {
        get(service.admin, "/").await.1.contains("<title>All is well")
    })
    .await;
    accessible(&mut browser, &url, "well").await;

    // What happens arrives without a reload.
    assert_eq!(browser.visit(&url, USUAL).await, 200);
    browser.until("the number is the ledger's", &shown(&service).await).await;
    browser.evaluate::<()>("void (window.mark = document.querySelector('details'))").await;
    browser.until("it listens", LIVE).await;
    let sent = records(2, service.tenant(1), ContentType::General, 7);
    service.publish(1, ContentType::General, &sent);
    service.delivered().await;
    browser.until("the number changes", &shown(&service).await).await;
    // The page is the same one, with what a person had opened.
    assert_eq!(browser.navigations().await, 1);
    assert!(browser.evaluate::<bool>("window.mark.isConnected").await);
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    // The service is gone, and comes back on the same port.
    let port = service.admin.port();
    service.stop().await;
    browser.until("it says so", "document.querySelector('main').className === 'lost'").await;
    service.run_with(|config| config.admin.listen.set_port(port)).await;
    browser.until("it listens again", LIVE).await;
    let sent = records(3, service.tenant(1), ContentType::General, 4);
    service.publish(1, ContentType::General, &sent);
    service.delivered().await;
    browser.until("the number changes again", &shown(&service).await).await;
    assert_eq!(browser.navigations().await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_tenant_comes_first_with_what_to_do() {
    let mut service = Service::builder()
        .tenants(3)
        .with("subscriptions.check_interval", "1s")
        .with("fetch.retry_max", "2s")
        .start()
        .await;
    a_week_of(&service).await;
    let sent = records(1, service.tenant(0), ContentType::Exchange, 5);
    service.publish(0, ContentType::Exchange, &sent);
    service.delivered().await;
    let microsoft = service.simulator.microsoft();
    microsoft.publish_raw(service.tenant(1), ContentType::General, Blob::Bytes("no JSON".into()));
    let body = r#"{"error":{"code":"AF10001","message":"<b>The permission set</b>"}}"#;
    let fault = Fault::Status { status: 403, headers: Vec::new(), body: body.into() };
    microsoft.fail_tenant(service.tenant(2), Operation::List, fault, u32::MAX);
    let url = format!("http://{}/", service.admin);
    eventually("a person is asked for", async || {
        let page = get(service.admin, "/").await.1;
        page.contains("<title>1 thing needs you") && page.contains("given up on")
    })
    .await;
    let mut browser = Browser::start();
    accessible(&mut browser, &url, "broken").await;
    browser.visit(&url, USUAL).await;
    let first = browser.text("#attention article h3").await;
    assert!(first.contains("role missing"), "{first}");
    assert!(browser.text("#attention article").await.contains("ActivityFeed.Read"));
    assert_eq!(browser.text("#tenants .tenant .name").await, "tenant-2");
    let command = browser.text("#dead code").await;
    let file = service.config_path.display();
    assert_eq!(
        command,
        format!(
            "m365-collector ledger replay --tenant tenant-1 --type Audit.General --reason \
             undecodable --config {file}"
        )
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_says_what_comes_next() {
    let mut service = Service::builder()
        .with("subscriptions.manage", false)
        .devo(format!("tcp://{}", ports::free()))
        .start_unregistered()
        .await;
    let url = format!("http://{}/", service.admin);
    eventually("it waits", async || {
        let page = get(service.admin, "/").await.1;
        page.contains("What comes next") && page.contains("and subscriptions.manage is off")
    })
    .await;
    let mut browser = Browser::start();
    accessible(&mut browser, &url, "first").await;
    browser.visit(&url, USUAL).await;
    assert_eq!(browser.text("h1").await, "Waiting for the first records");
    assert!(browser.text("#first .next h3").await.starts_with("Subscribe at Microsoft"));
    let steps = browser.text("#first").await;
    for command in ["m365-collector subscriptions start --config", "m365-collector check --config"]
    {
        assert!(steps.contains(command), "{steps}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_shown_with_what_each_does_and_one_that_is_silent() {
    let mut site = Site::start(4, None, |_| ()).await;
    site.set("ledger.url", &Postgres::shared().database().await);
    let _first = site.run().await;
    let (webhook, admin) = (ports::free(), ports::free());
    site.set("webhook.listen", &webhook);
    site.set("admin.listen", &admin);
    let mut second = site.spawn(&["run"]);
    let page = async |text: &str| get(site.admin, "/").await.1.contains(text);
    eventually("both are shown", async || page("50.0 %").await).await;
    for tenant in 0..4 {
        let (tenant, content_type) = (site.tenant(tenant), ContentType::Exchange);
        let sent = records(1, tenant, content_type, 5);
        site.simulator.microsoft().publish(tenant, content_type, &sent);
    }
    eventually("all is well", async || page("<title>All is well").await).await;
    let mut browser = Browser::start();
    let url = format!("http://{}/", site.admin);
    accessible(&mut browser, &url, "replicas").await;
    browser.visit(&url, USUAL).await;
    let rows = "[...document.querySelectorAll('#replicas tbody tr')].map((e) => e.innerText)";
    let shown: Vec<String> = browser.evaluate(rows).await;
    let [one, other] = &shown[..] else { panic!("two replicas: {shown:?}") };
    for tenant in 0..4 {
        let name = format!("tenant-{tenant}");
        let duties = one.matches(&name).count() + other.matches(&name).count();
        assert_eq!(duties, 2, "somebody sweeps and somebody keeps {name}: {shown:?}");
    }
    second.process.kill();
    // Silent, and then taken for dead.
    let lost = async || page(">silent<").await || page(">gone<").await;
    eventually("one is lost", lost).await;
    accessible(&mut browser, &url, "lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_reaches_everything_and_one_tenant_has_a_page() {
    let mut service = Service::builder().tenants(3).start().await;
    let url = format!("http://{}/", service.admin);
    let mut browser = Browser::start();
    browser.visit(&url, USUAL).await;
    browser.press(&["Tab"]).await;
    let focused = "document.activeElement.textContent";
    assert_eq!(browser.evaluate::<String>(focused).await, "Skip to the tenants");
    browser.press(&["Enter", "Tab", "Enter"]).await;
    let open = "document.querySelectorAll('details[open]').length";
    assert_eq!(browser.evaluate::<u32>(open).await, 1, "the first tenant opens");
    // What is pushed leaves open what a person opened.
    let sent = records(1, service.tenant(0), ContentType::Exchange, 5);
    service.publish(0, ContentType::Exchange, &sent);
    browser.until("it is delivered", "document.body.innerText.includes('just now')").await;
    assert_eq!(browser.evaluate::<u32>(open).await, 1);

    let id = service.tenant(1);
    assert_eq!(browser.visit(&format!("{url}?tenant={id}"), USUAL).await, 200);
    assert_eq!(browser.evaluate::<u32>("document.querySelectorAll('.tenant').length").await, 1);
    browser.until("it listens", LIVE).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    service.delivered().await;
    service.finish().await;
}

/// Listeners are few and end with the process; one that reads nothing is cut.
#[tokio::test(flavor = "multi_thread")]
async fn listeners_are_bounded_and_end_with_the_process() {
    let mut service = Service::builder().start().await;
    let mut listeners = Vec::new();
    let listen = async || {
        let mut tcp = tokio::net::TcpStream::connect(service.admin).await.unwrap();
        tcp.write_all(b"GET /api/events HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        tcp.read_exact(&mut head).await.unwrap();
        (tcp, String::from_utf8(head.to_vec()).unwrap())
    };
    loop {
        let (tcp, status) = listen().await;
        if status != "HTTP/1.1 200" {
            assert_eq!(status, "HTTP/1.1 503");
            break;
        }
        listeners.push(tcp);
    }
    assert_eq!(listeners.len(), 24);
    // Whoever goes makes room.
    listeners.pop();
    eventually("there is room again", async || listen().await.1 == "HTTP/1.1 200").await;
    service.stop().await;
    for mut listener in listeners {
        let mut said = Vec::new();
        within(patience(), "the stream ends", listener.read_to_end(&mut said)).await.unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("text/event-stream"), "{said}");
        assert!(said.contains("data-title=\"Stopping"), "{said}");
        assert!(said.ends_with("\r\n0\r\n\r\n"), "it ends in order: {said}");
    }
}

/// Whether what is there is there for everybody: light and dark, wide and on a phone, with and
/// without scripts.
async fn accessible(browser: &mut Browser, url: &str, name: &str) {
    for look in EVERY {
        assert_eq!(browser.visit(url, look).await, 200);
        browser.until("it listens", LIVE).await;
        assert_eq!(browser.axe().await, Vec::<String>::new(), "{look:?}");
        let width: u32 = browser.evaluate("document.documentElement.scrollWidth").await;
        assert!(width <= look.width, "it is {width} wide in {look:?}");
        let spilled: Vec<String> = browser.evaluate(SPILLED).await;
        assert_eq!(spilled, Vec::<String>::new(), "it runs into its neighbour in {look:?}");
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{look:?}");
        let shade = if look.dark { "dark" } else { "light" };
        browser.screenshot(&format!("{name}-{shade}-{}", look.width)).await;
    }
    let seen = "[...document.querySelectorAll('h1, h2, h3, .name, tbody th')].map((e) => e.textContent).join()";
    browser.visit(url, USUAL).await;
    let with: String = browser.evaluate(seen).await;
    browser.visit(url, Look { script: false, ..USUAL }).await;
    let without: String = browser.evaluate(seen).await;
    assert_eq!(with, without);
    assert!(without.contains("Audit.Exchange"), "{without}");
    let complaints: Vec<String> = browser.complaints().await;
    assert_eq!(complaints, Vec::<String>::new());
    let language: String = browser.evaluate("document.documentElement.lang").await;
    assert_eq!(language, "en");
}

/// As if the service had collected for a week: written beside it, as a tool of an operator might.
async fn a_week_of(service: &Service) {
    service.swept().await;
    let mut ledger = ledger_of(service).await;
    let mut feeds = Vec::new();
    for (index, (_, tenant)) in service.tenants.iter().enumerate() {
        for (of, kind) in ContentType::ALL.into_iter().enumerate() {
            // Rarer from feed to feed.
            let every = 6 + 7 * of + 3 * index;
            feeds.push(format!("('{}', '{kind}', {every})", tenant.id));
        }
    }
    // A night and a day, busier in the middle of it. The page tells of twelve hours in steps of half
    // an hour: of what is about to leave them, there is nothing.
    let sql = format!(
        "WITH RECURSIVE feed(tenant, kind, every) AS (VALUES {}), \
         minute(n) AS (SELECT 10030 UNION ALL SELECT n - 1 FROM minute WHERE n > 10), \
         at(created, n) AS (SELECT \
         (CAST(strftime('%s', 'now') AS INTEGER) - 60 * n) * 1000, n FROM minute) \
         INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, \
         expires, announced, state, due, settled, records, listed, listed_created) \
         SELECT tenant, kind, 'past-' || every || '-' || n, 'past-' || every || '-' || n, \
         'webhook', created, created + 604800000, created + 2000, 'delivered', created, \
         created + 2000 + 1000 * (n % 7), 40 + n % 23, created, created FROM at, feed \
         WHERE n % every = 0 AND n NOT BETWEEN 650 AND 730 \
         AND (n * 7919) % 100 < 35 + 60 * abs(((created / 60000) % 1440) - 720) / 720 \
         ORDER BY created",
        feeds.join(", ")
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
}

/// Whether the page tells as many records as the ledger has of its hours.
async fn shown(service: &Service) -> String {
    let mut ledger = ledger_of(service).await;
    let sql = "SELECT SUM(records) FROM content WHERE state = 'delivered' \
               AND settled >= (CAST(strftime('%s', 'now') AS INTEGER) - 690 * 60) * 1000";
    let records: i64 = sqlx::query_scalar(sql).fetch_one(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
    format!(
        "Number(document.querySelector('#state dd').textContent.replace(/\\D/g, '')) === {records}"
    )
}

async fn ledger_of(service: &Service) -> SqliteConnection {
    let path = service.folder.path().join("ledger.db");
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(patience());
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// What is shown beyond the cell it is in.
const SPILLED: &str = "[...document.querySelectorAll('td > *, th > *')]
    .filter((e) => e.getBoundingClientRect().right > e.parentElement.getBoundingClientRect().right + 1
        && getComputedStyle(e).position !== 'absolute')
    .map((e) => e.innerText)";

/// Whether the page was told something since it was loaded.
const LIVE: &str = "document.getElementById('connection').textContent.startsWith('live')";
