//! Neither secrets nor records reach the log, the metrics or the status page, at any level (I9).
//!
//! The real binary logs at `trace`, the libraries it uses included, and is driven through
//! successes and failures whose every part holds something that must not be seen again.

use std::{fs, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use m365_collector::{
    content::{ContentType, TenantId},
    simulator::{Blob, DevoMode, Fault, Operation, devo::fingerprint},
};
use tokio::{net::TcpStream, task::JoinSet};
use url::Url;
use uuid::Uuid;

use crate::support::{
    collector::{Collector, Said, Site},
    eventually, get, records,
    series::Scrape,
};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_secret_in_a_log_of_text() {
    check("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_secret_in_a_log_of_json() {
    check("json").await;
}

async fn check(format: &str) {
    let mut world = World::start(format).await;
    let collector = world.delivered_with_a_token_that_was_refused().await;
    world.called_with_right_and_wrong_auth_ids().await;
    world.dead_letters().await;
    world.broken_session().await;
    world.refused_credentials().await;

    let mut shown = Vec::new();
    for page in ["/metrics", "/api/status", "/", "/readyz"] {
        shown.push((page, get(world.site.admin, page).await.1));
    }
    shown.extend(world.answers.iter().map(|answer| ("an answer", answer.clone())));
    let Said { code, out, err } = collector.stop().await;
    assert_eq!(code, Some(0), "{err}");
    for spoken in ["TRACE", "hyper", "h2", "credentials_refused"] {
        assert!(err.contains(spoken), "the log is at trace, the libraries' too: no {spoken}");
    }
    shown.extend([("standard output", out), ("standard error", err)]);
    assert!(world.hidden.len() > 100, "there is something to look for");
    for (place, text) in shown {
        for (what, hidden) in &world.hidden {
            let line = text.lines().find(|line| line.contains(hidden));
            assert_eq!(line, None, "{what} in {place}");
        }
    }
}

struct World {
    site: Site,
    tenant: TenantId,
    /// The present one and the one before.
    auth_ids: [String; 2],
    /// Everything that was answered to callers.
    answers: Vec<String>,
    /// What it is, and a text that must not be seen.
    hidden: Vec<(&'static str, String)>,
}

impl World {
    async fn start(format: &str) -> Self {
        let mut site = Site::start(1, None, |_| ()).await;
        site.set("log.filter", "trace");
        site.set("log.format", format);
        site.set("fetch.max_record", "30 KiB");
        site.set("fetch.retry_max", "1s");
        let tenant = site.tenant(0);
        let auth_id = Uuid::new_v4().to_string();
        fs::write(site.folder.path().join("auth-id"), &auth_id).unwrap();
        let previous = Uuid::new_v4().to_string();
        fs::write(site.folder.path().join("previous-auth-id"), &previous).unwrap();
        site.set("webhook.previous_auth_id", "{ file = \"previous-auth-id\" }");
        let mut hidden = vec![
            ("the client secret", site.tenants[0].1.client_secret.clone()),
            ("the auth id", auth_id.clone()),
            ("the previous auth id", previous.clone()),
            // Every token of the simulated Entra is a JWT, and so are assertions.
            ("a token", "eyJ".to_owned()),
        ];
        // Once each way: with a secret, and with assertions made by a key.
        if format == "json" {
            let [cert, key] = site.simulator.material().application().unwrap();
            site.simulator.microsoft().register_certificates(tenant, &[&cert]).unwrap();
            let (cert, file) = (cert.display(), key.display());
            site.prove(0, &format!("certificate = {{ cert = \"{cert}\", key = \"{file}\" }}"));
            let key = fs::read_to_string(key).unwrap();
            hidden.push(("the application's key", key.lines().nth(1).unwrap().to_owned()));
        }
        let key = fs::read_to_string(site.simulator.devo_key_path()).unwrap();
        hidden.push(("Devo's key", key.lines().nth(1).unwrap().to_owned()));
        Self { site, tenant, auth_ids: [auth_id, previous], hidden, answers: Vec::new() }
    }

    /// A text that nobody else uses and that must not be seen.
    fn bait(&mut self, what: &'static str) -> String {
        let bait = Uuid::new_v4().simple().to_string();
        self.hidden.push((what, bait.clone()));
        bait
    }

    async fn delivered_with_a_token_that_was_refused(&mut self) -> Collector {
        let token = self.bait("a planted token");
        let body = format!(r#"{{"access_token":"{token}","expires_in":"3599"}}"#);
        let planted = Fault::Status { status: 200, headers: Vec::new(), body: body.into() };
        self.site.simulator.microsoft().fail(Operation::Token, planted, 1);
        let collector = self.site.run().await;
        self.site.registered(ContentType::ALL.len()).await;

        let mut all = Vec::new();
        for (seed, content_type) in (1..).zip(ContentType::ALL) {
            let bait = self.bait("a record's value");
            let mut records = records(seed, self.tenant, content_type, 20);
            let time = "2026-01-05T08:00:00";
            records.push(
                format!(r#"{{"Id":"{bait}","CreationTime":"{time}","Operation":"{bait}"}}"#).into(),
            );
            // From the middle of each, where no field is looked at.
            for record in &records {
                let middle = record.len() / 2;
                let some = String::from_utf8_lossy(&record[middle..middle + 40]).into_owned();
                self.hidden.push(("a part of a record", some));
            }
            self.site.simulator.microsoft().publish(self.tenant, content_type, &records);
            all.extend(records);
        }
        eventually("every record arrived", async || {
            let arrivals = self.site.simulator.devo().arrivals();
            all.iter().all(|record| arrivals.contains_key(&fingerprint(record)))
        })
        .await;
        collector
    }

    /// Over both versions of HTTP, whose libraries log differently.
    async fn called_with_right_and_wrong_auth_ids(&mut self) {
        let wrong = self.bait("a wrong auth id");
        let code = self.bait("a validation code");
        let entry = self.bait("an entry of a notification");
        let body = format!(
            r#"[{{"tenantId":"{}","contentType":"{entry}","contentId":"{entry}","contentUri":"https://{entry}/"}}]"#,
            self.tenant
        );
        let address = Url::parse("https://m365-collector.example.com/webhook").unwrap();
        let [right, previous] = self.auth_ids.clone();
        for (auth_id, status) in [(wrong, 401), (right, 200), (previous, 200)] {
            let mut request = Request::post("http://collector/webhook");
            request = request.header("webhook-authid", auth_id);
            let request = request.header("webhook-validationcode", &code);
            let request = request.body(Full::new(Bytes::from(body.clone()))).unwrap();
            let headers = request.headers().clone();
            let microsoft = self.site.simulator.microsoft();
            let answer = microsoft.notify_raw(&address, headers, body.clone()).await.unwrap();
            assert_eq!(answer.status, status);
            self.answers.push(format!("{:?} {:?}", answer.headers, answer.body));

            let tcp = TcpStream::connect(self.site.webhook).await.unwrap();
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
            let mut driver = JoinSet::new();
            driver.spawn(connection);
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            self.answers.push(format!("{:?}", answer.headers()));
        }
        self.counted("m365_messages_unsuccessfully_processed_total", "unknown_type", 4.0).await;
    }

    async fn dead_letters(&mut self) {
        let microsoft = self.site.simulator.microsoft().clone();
        let tenant = self.tenant;
        let no_json = self.bait("a body that is no JSON");
        microsoft.publish_raw(tenant, ContentType::General, Blob::Bytes(no_json.into()));
        let cut = format!(r#"[{{"Id":"1","Text":"{}""#, self.bait("a body cut short"));
        microsoft.publish_raw(tenant, ContentType::General, Blob::Bytes(cut.into()));
        let malformed = format!(r#"{{"Id":"{}",{}"A":1}}"#, self.bait("a bad record"), '\u{1}');
        let large = self.bait("a large record").repeat(1000);
        let large = format!(r#"{{"Id":"2","Text":"{large}"}}"#);
        microsoft.publish(tenant, ContentType::General, &[malformed, large]);
        for (status, code) in [(403, "AF10001"), (404, "AF20050"), (500, "nothing known")] {
            let message = self.bait("an error's message");
            let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
            let fault = Fault::Status { status, headers: Vec::new(), body: body.into() };
            let id = microsoft.publish(tenant, ContentType::Dlp, &[r#"{"Id":"3"}"#]);
            microsoft.fail(Operation::BlobOf(id), fault, u32::MAX);
        }
        let given_up = "m365_messages_unsuccessfully_processed_total";
        for reason in ["undecodable", "malformed_record", "record_too_large", "content_gone"] {
            self.counted(given_up, reason, 1.0).await;
        }
        for reason in ["cut_body", "role_missing", "server_error"] {
            self.counted("m365_attempts_failed_total", reason, 1.0).await;
        }
        microsoft.heal();
    }

    async fn broken_session(&mut self) {
        self.site.simulator.devo().behave(DevoMode::ResetAfter(1));
        let bait = self.bait("a record in a broken session");
        let record = format!(r#"{{"Id":"{bait}"}}"#);
        let microsoft = self.site.simulator.microsoft();
        microsoft.publish(self.tenant, ContentType::Exchange, &[&record]);
        self.counted("m365_attempts_failed_total", "connection_lost", 1.0).await;
        self.site.simulator.devo().behave(DevoMode::Normal);
        eventually("the record arrived", async || {
            self.site.simulator.devo().times_received(record.as_bytes()) > 0
        })
        .await;
    }

    /// Last, because Entra is asked less and less often then.
    async fn refused_credentials(&mut self) {
        let secret = &self.site.tenants[0].1.client_secret;
        let echo = format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS7000215: {secret} is wrong"}}"#
        );
        let fault = Fault::Status { status: 401, headers: Vec::new(), body: echo.into() };
        let microsoft = self.site.simulator.microsoft();
        microsoft.fail(Operation::Token, fault, u32::MAX);
        microsoft.forget_tokens();
        // A token that was just replaced is not replaced again at once.
        eventually("the credentials are refused", async || {
            microsoft.publish(self.tenant, ContentType::Exchange, &[r#"{"Id":"4"}"#]);
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.count("m365_attempts_failed_total", "credentials_refused").await >= 1.0
        })
        .await;
    }

    async fn counted(&self, name: &str, reason: &str, least: f64) {
        eventually(reason, async || self.count(name, reason).await >= least).await;
    }

    async fn count(&self, name: &str, reason: &str) -> f64 {
        let text = get(self.site.admin, "/metrics").await.1;
        Scrape::parse(&text).sum(name, &[("reason", reason)])
    }
}
