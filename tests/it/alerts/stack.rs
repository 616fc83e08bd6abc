//! A real Prometheus with the operators' rules, and a real Alertmanager that tells the test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

use super::{rules, shortened::shortened};
use crate::support::{eventually, get, patience, ports, processes::Process};

/// Both of them, and what was received from the second. Dropping it ends them.
pub struct Stack {
    folder: TempDir,
    prometheus: SocketAddr,
    told: Told,
    client: reqwest::Client,
    _receiver: JoinSet<()>,
    _processes: [Process; 2],
}

/// The last word on each alert, by its labels.
type Told = Arc<Mutex<BTreeMap<Labels, bool>>>;

type Labels = BTreeMap<String, String>;

impl Stack {
    /// Starts them, to scrape these jobs every second.
    pub async fn start(jobs: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path();
        let told = Told::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let receiver = listener.local_addr().expect("it is bound");
        let mut receiving = JoinSet::new();
        receiving.spawn(receive(listener, told.clone()));

        let (prometheus, alertmanager) = (ports::free(), ports::free());
        let rules = fs::read_to_string(rules::rules()).expect("the rules are there");
        write(path, "rules.yml", &shortened(&rules));
        write(path, "alertmanager.yml", &alertmanager_config(receiver));
        write(path, "prometheus.yml", &prometheus_config(path, alertmanager));
        announce(path, jobs);
        let arguments = [
            format!("--config.file={}/alertmanager.yml", path.display()),
            format!("--storage.path={}/alertmanager", path.display()),
            format!("--web.listen-address={alertmanager}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let second = start(path, "prometheus-alertmanager", &arguments);
        ready(alertmanager, &folder.path().join("prometheus-alertmanager.log")).await;
        let arguments = [
            format!("--config.file={}/prometheus.yml", path.display()),
            format!("--storage.tsdb.path={}/prometheus", path.display()),
            format!("--web.listen-address={prometheus}"),
            "--rules.alert.resend-delay=1s".to_owned(),
        ];
        let first = start(path, "prometheus", &arguments);
        ready(prometheus, &folder.path().join("prometheus.log")).await;
        let stack = Self {
            prometheus,
            told,
            client: reqwest::Client::new(),
            _receiver: receiving,
            _processes: [first, second],
            folder,
        };
        // Targets are taken up some seconds later, and what a counter was before is needed.
        stack.holds(&format!("count(count_over_time(up[1m]) > 2) == {}", jobs.len())).await;
        stack
    }

    /// Scrapes these from now on, and no others.
    pub fn announce(&self, jobs: &[(&str, SocketAddr)]) {
        announce(self.folder.path(), jobs);
    }

    /// Every alert that ever fired, with the job and tenant it names, and whether it still does.
    pub fn told(&self) -> BTreeMap<Alert, bool> {
        let told = self.told.lock().expect("no holder panics");
        let mut alerts = BTreeMap::new();
        for (labels, fires) in &*told {
            *alerts.entry(Alert::of(labels)).or_default() |= fires;
        }
        alerts
    }

    /// Where the processes are that an alert was ever about.
    pub fn instances(&self, alert: &Alert) -> BTreeSet<String> {
        let told = self.told.lock().expect("no holder panics");
        let of_alert = told.keys().filter(|labels| Alert::of(labels) == *alert);
        of_alert.filter_map(|labels| labels.get("instance").cloned()).collect()
    }

    /// Waits until somebody is woken up by this.
    pub async fn fires(&self, alert: &Alert) {
        self.becomes(alert, true).await;
    }

    /// Waits until it is over for each of its feeds.
    pub async fn resolves(&self, alert: &Alert) {
        self.becomes(alert, false).await;
    }

    async fn becomes(&self, alert: &Alert, fires: bool) {
        let deadline = Instant::now() + patience();
        while self.told().get(alert) != Some(&fires) {
            let told = self.told();
            assert!(
                Instant::now() < deadline,
                "not in time: {alert:?} fires: {fires}\n{told:#?}\n{}",
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the programs had to say, for the message of a failure.
    fn said(&self) -> String {
        let log = |name: &str| fs::read_to_string(self.folder.path().join(name));
        let logs = [log("prometheus.log"), log("prometheus-alertmanager.log")];
        let lines: Vec<_> = logs.into_iter().flatten().collect();
        let lines = lines.iter().flat_map(|log| log.lines());
        lines.filter(|line| !line.contains("level=info")).collect::<Vec<_>>().join("\n")
    }

    /// How many series an expression has now.
    #[expect(clippy::disallowed_methods, reason = "a program of ours answers")]
    pub async fn results(&self, expression: &str) -> usize {
        let url = format!("http://{}/api/v1/query", self.prometheus);
        let answer = self.client.post(url).form(&[("query", expression)]).send().await;
        let text = answer.expect("Prometheus answers").text().await.expect("it ends its answer");
        let answer: Answer = serde_json::from_str(&text).expect("the answer is JSON");
        let data = answer.data.unwrap_or_else(|| panic!("{expression}: {text}"));
        match data.result {
            serde_json::Value::Array(series) => series.len(),
            other => panic!("{expression}: {other}"),
        }
    }

    /// Waits until an expression has a result.
    pub async fn holds(&self, expression: &str) {
        eventually(expression, async || self.results(expression).await > 0).await;
    }
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    pub job: String,
    pub tenant: String,
    pub name: String,
}

impl Alert {
    pub fn new(job: &str, tenant: &str, name: &str) -> Self {
        Self { job: job.to_owned(), tenant: tenant.to_owned(), name: name.to_owned() }
    }

    fn of(labels: &Labels) -> Self {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let job = label("job").trim_start_matches("m365-collector-").to_owned();
        Self { job, tenant: label("tenant"), name: label("alertname") }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: serde_json::Value,
}

/// What the Alertmanager posts.
#[derive(Deserialize)]
struct Post {
    alerts: Vec<Posted>,
}

#[derive(Deserialize)]
struct Posted {
    status: String,
    labels: Labels,
}

async fn receive(listener: TcpListener, told: Told) {
    loop {
        let (connection, _) = listener.accept().await.expect("the port stays open");
        let post = read(connection).await;
        let post: Post = serde_json::from_slice(&post).expect("an alert is JSON");
        let mut told = told.lock().expect("no holder panics");
        told.extend(post.alerts.into_iter().map(|alert| (alert.labels, alert.status == "firing")));
    }
}

/// The body of one request, which is answered with 200.
async fn read(mut connection: TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    loop {
        connection.read_buf(&mut request).await.expect("the request comes");
        let text = String::from_utf8_lossy(&request);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.expect("it has a length").parse().expect("a number");
        let body = head.len() + 4;
        if request.len() >= body + length {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            connection.write_all(answer).await.expect("the answer is taken");
            return request.split_off(body);
        }
    }
}

fn prometheus_config(folder: &Path, alertmanager: SocketAddr) -> String {
    format!(
        "global:
  scrape_interval: 1s
  scrape_timeout: 1s
rule_files: [rules.yml]
scrape_configs:
  - job_name: m365-collector
    file_sd_configs:
      - files: ['{}/targets.json']
        refresh_interval: 1s
alerting:
  alertmanagers:
    - static_configs:
        - targets: ['{alertmanager}']
",
        folder.display()
    )
}

/// Nothing is inhibited: it is the rules that say one thing for one cause.
fn alertmanager_config(receiver: SocketAddr) -> String {
    format!(
        "route:
  receiver: test
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: test
    webhook_configs:
      - url: http://{receiver}/
        send_resolved: true
"
    )
}

fn announce(folder: &Path, jobs: &[(&str, SocketAddr)]) {
    let targets = jobs.iter().map(|(job, address)| {
        json!({ "targets": [address.to_string()], "labels": { "job": format!("m365-collector-{job}") } })
    });
    let text = serde_json::Value::Array(targets.collect()).to_string();
    // Whole or not at all.
    write(folder, "targets.new", &text);
    fs::rename(folder.join("targets.new"), folder.join("targets.json")).expect("it was written");
}

fn start(folder: &Path, program: &str, arguments: &[String]) -> Process {
    let log = fs::File::create(folder.join(format!("{program}.log"))).expect("it is writable");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    Process::start(command.stderr(log))
}

async fn ready(address: SocketAddr, log: &Path) {
    eventually("the program is ready", async || {
        if TcpStream::connect(address).await.is_ok() {
            return get(address, "/-/ready").await.0 == 200;
        }
        let log = fs::read_to_string(log).unwrap_or_default();
        assert!(!log.contains("level=error"), "{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        false
    })
    .await;
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the folder is writable");
}
