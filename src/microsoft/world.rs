//! For tests: Microsoft's side on a loopback socket, answering as a closure says.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use url::Url;

use super::{Client, Config, Metrics, cloud::Cloud};
use crate::{
    clock::Clock,
    content::{ContentType, Tenant, TenantId, Tenants},
    secret::Secret,
};

pub(crate) const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
pub(crate) const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";

pub(crate) fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

/// Two tenants, the first named "a", the second "b".
pub(crate) fn tenants() -> Tenants {
    [(A, "a"), (B, "b")]
        .into_iter()
        .map(|(id, name)| Tenant {
            id: tenant(id),
            client_id: id.parse().unwrap(),
            name: name.into(),
            content_types: vec![ContentType::General, ContentType::Exchange],
        })
        .collect()
}

/// The listening side; ends with its owner.
pub(crate) struct World {
    pub(crate) root: Url,
    seen: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl World {
    /// Answers every request as `script` says.
    pub(crate) async fn new(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Asked>>>::default();
        let (script, log) = (Arc::new(script), seen.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, script.clone(), log.clone()));
            }
        });
        Self { root: root.parse().unwrap(), seen, _tasks: tasks }
    }

    /// A working Entra, which grants `t1`, `t2`, …, and an API that answers as `script` says.
    pub(crate) async fn api(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let tokens = AtomicUsize::new(0);
        Self::new(move |asked| {
            if asked.is_token() {
                let number = tokens.fetch_add(1, Ordering::Relaxed) + 1;
                Reply::token(&format!("t{number}"))
            } else {
                script(asked)
            }
        })
        .await
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(|_| ())
    }

    pub(crate) fn client_with(&self, change: impl FnOnce(&mut Config)) -> Client {
        let metrics = Metrics::register(&Registry::new(), &tenants()).unwrap();
        Client::new(self.config(change), tenants(), Clock::system(), metrics).unwrap()
    }

    pub(crate) fn config(&self, change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config {
            cloud: Cloud::Commercial,
            management_url: self.root.clone(),
            login_url: self.root.join("login").unwrap(),
            ca: None,
            publisher_id: None,
            requests_per_minute: NonZeroU32::new(1000).unwrap(),
            timeout: Duration::from_secs(20),
            resource: Cloud::Commercial.resource().to_owned(),
            credentials: HashMap::from([
                (tenant(A), Secret::fixed("secret-a").into()),
                (tenant(B), Secret::fixed("secret-b").into()),
            ]),
        };
        change(&mut config);
        config
    }

    /// What was asked so far, without token requests.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|asked| !asked.is_token()).cloned().collect()
    }

    /// The token requests so far.
    pub(crate) fn tokens(&self) -> Vec<Asked> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|asked| asked.is_token()).cloned().collect()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn is_token(&self) -> bool {
        self.path.ends_with("/oauth2/token")
    }

    pub(crate) fn bearer(&self) -> &str {
        self.headers["authorization"].strip_prefix("Bearer ").unwrap()
    }

    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut words = lines.next().unwrap().split(' ');
        let method = words.next().unwrap().to_owned();
        let target = words.next().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        Some(Self {
            method,
            path: path.into(),
            query: query.into(),
            headers,
            body: String::from_utf8(body).unwrap(),
        })
    }
}

#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    missing: usize,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO, missing: 0 }
    }

    /// A token that lives for an hour.
    pub(crate) fn token(token: &str) -> Self {
        let body = format!(r#"{{"access_token":"{token}","expires_in":"3600"}}"#);
        Self::new(200, body)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Answers only after a while.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Promises more bytes than come before the connection is closed.
    pub(crate) fn cut(mut self, missing: usize) -> Self {
        self.missing = missing;
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let length = self.body.len() + self.missing;
        let mut bytes = format!("HTTP/1.1 {} X\r\ncontent-length: {length}\r\n", self.status);
        for (name, value) in &self.headers {
            bytes += &format!("{name}: {value}\r\n");
        }
        bytes += "\r\n";
        [bytes.as_bytes(), &self.body].concat()
    }
}

async fn serve<S>(mut stream: TcpStream, script: Arc<S>, seen: Arc<Mutex<Vec<Asked>>>)
where
    S: Fn(&Asked) -> Reply,
{
    while let Some(asked) = Asked::read(&mut stream).await {
        seen.lock().unwrap().push(asked.clone());
        let reply = script(&asked);
        tokio::time::sleep(reply.delay).await;
        if stream.write_all(&reply.to_bytes()).await.is_err() || reply.missing > 0 {
            return;
        }
    }
}
