//! Other balancers than the usual one: every replica is replaced in its turn, and nobody who notifies
//! over HTTP/1.1 or HTTP/2 hears of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use m365_collector::{
    content::ContentType,
    shutdown::Shutdown,
    simulator::{Generator, microsoft::IdForm},
    tls,
};
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    books::{Load, again, all_taken, say},
    fleet::Fleet,
    watch::Ledger,
};
use crate::support::{
    balancer::Kind,
    edge::{Post, notification},
    postgres::Postgres,
};

/// nginx looks at nobody before it asks, so nobody has to give it time to notice.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_refuses_nothing_while_replicas_come_and_go() {
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::behind(Kind::Nginx, &database, 2, 3, |_| ()).await;
    fleet.site.set("webhook.drain_delay", "1s");
    let second = rolling(&mut fleet, &database, Duration::ZERO).await;
    // Nor does it matter that one says nothing before it goes.
    fleet.kill(0);
    sleep(Duration::from_secs(1)).await;
    second.stop().await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_passed_through_refuses_nothing_while_replicas_come_and_go() {
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::behind(Kind::Passthrough, &database, 2, 2, |_| ()).await;
    // Until the balancer, which looks every two seconds, has seen who is there.
    let second = rolling(&mut fleet, &database, Duration::from_secs(3)).await;
    second.stop().await;
    fleet.finish().await;
}

/// Replaces everybody under load, which goes on over HTTP/2.
async fn rolling(fleet: &mut Fleet, database: &str, noticed: Duration) -> Second {
    fleet.assemble().await;
    sleep(noticed).await;
    // Every validation came through the balancer as well.
    fleet.site.registered(2 * ContentType::ALL.len()).await;
    let second = Second::start(fleet);
    let load = Load::start(fleet, 20);
    for place in 0..fleet.places.len() {
        fleet.stop(place).await;
        fleet.begin(place);
        fleet.is_up(place).await;
        sleep(noticed).await;
    }
    let book = load.stop().await;
    let arrivals = book.delivered_beside(fleet, &mut Ledger::new(database), 1).await;
    assert_eq!(again(&arrivals).count(), 0, "nothing comes twice");
    say(&format!("{} notifications, all answered with 200", all_taken(fleet)));
    second
}

/// Somebody who notifies over HTTP/2, of what is known already.
struct Second {
    notifying: JoinSet<usize>,
    stop: Shutdown,
}

impl Second {
    fn start(fleet: &Fleet) -> Self {
        let (microsoft, tenant) = (fleet.site.simulator.microsoft(), fleet.site.tenant(0));
        let records = Generator::new(1).records(tenant, ContentType::General, 1);
        let id = microsoft.publish(tenant, ContentType::General, &records);
        let entry = microsoft.entry(tenant, &id, IdForm::Listed).expect("it is published");
        let body = notification(&[serde_json::json!(entry)]);
        let auth_id = std::fs::read_to_string(fleet.site.folder.path().join("auth-id"));
        let post = Post::new(auth_id.expect("it was written").trim(), body);
        let roots = tls::certificates(fleet.site.simulator.material().microsoft_ca());
        let mut config = tls::client(Some(roots.expect("it was made")), None).expect("they fit");
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (connector, port) = (TlsConnector::from(Arc::new(config)), fleet.balancer.port);
        let connect = async move || {
            let tcp = TcpStream::connect(port).await.expect("the balancer listens");
            let name = ServerName::from(port.ip());
            let tls = connector.connect(name, tcp).await.expect("TLS is spoken");
            let io = TokioIo::new(tls);
            let made = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection): (SendRequest<Full<Bytes>>, _) = made.expect("so is HTTP/2");
            let mut task = JoinSet::new();
            task.spawn(async { drop(connection.await) });
            (sender, task)
        };
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let mut notifying = JoinSet::new();
        notifying.spawn(async move {
            let (mut answered, mut connections) = (0, 0);
            let mut kept = None;
            while !stopped.is_requested() {
                let (mut sender, task) = match kept.take() {
                    Some(kept) => kept,
                    None => {
                        connections += 1;
                        connect().await
                    }
                };
                let answer = async {
                    sender.ready().await?;
                    sender.send_request(request(&post)).await
                };
                match timeout(SOON, answer).await.expect("an answer comes soon") {
                    Ok(answer) => {
                        assert_eq!(answer.status(), 200);
                        answered += 1;
                        kept = Some((sender, task));
                    }
                    // It said before that it goes, and this was never sent.
                    Err(error) if error.is_canceled() || error.is_closed() => {}
                    Err(error) => panic!("{answered} were answered, then: {error:?}"),
                }
                sleep(Duration::from_millis(10)).await;
            }
            say(&format!("{answered} over HTTP/2, on {connections} connections, all with 200"));
            answered
        });
        Self { notifying, stop }
    }

    /// Ends it; every answer was 200.
    async fn stop(mut self) {
        self.stop.request();
        let answered = self.notifying.join_next().await.expect("it was started");
        assert!(answered.expect("every answer is 200") > 100);
    }
}

fn request(post: &Post) -> Request<Full<Bytes>> {
    let uri = format!("https://m365.example.com{}", post.path);
    let mut request = Request::builder().method(post.method).uri(uri);
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(post.body.clone())).expect("it is a request")
}

const SOON: Duration = Duration::from_secs(20);
