//! TLS here: certificates, ours and the callers'.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use m365_collector::tls::{self, Identity};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::target::{Rude, Target};
use crate::support::{collector::Site, edge::Post, eventually, within};

/// A world whose Microsoft posts over TLS, to a collector with certificates of this world.
async fn site(names: &str) -> Site {
    let mut site = Site::start(1, None, |_| ()).await;
    site.simulator.set_tls_edge(site.webhook);
    let material = site.simulator.material();
    let path = |path: &Path| path.display().to_string();
    let (cert, key) = (site.folder.path().join("tls.crt"), site.folder.path().join("tls.key"));
    fs::copy(material.server_cert(), &cert).unwrap();
    fs::copy(material.server_key(), &key).unwrap();
    let ca = path(material.microsoft_ca());
    site.set("webhook.tls.cert", &path(&cert));
    site.set("webhook.tls.key", &path(&key));
    site.set("webhook.tls.client_ca", &ca);
    site.set("webhook.tls.client_names", names);
    // Enough for Microsoft's own, on a machine that is busy.
    site.set("webhook.tls.handshake_timeout", "2s");
    site
}

fn client(
    site: &Site,
    identity: Option<(&Path, &Path)>,
    more: &[CertificateDer<'static>],
) -> ClientConfig {
    let mut roots = tls::certificates(site.simulator.material().microsoft_ca()).unwrap();
    roots.extend_from_slice(more);
    let identity = identity.map(|(cert, key)| Identity::load(cert, key).unwrap());
    tls::client(Some(roots), identity).unwrap()
}

async fn connect(port: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(port).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within(
        Duration::from_secs(20),
        "a handshake",
        TlsConnector::from(Arc::new(config)).connect(name, tcp),
    )
    .await
}

async fn ask(stream: &mut TlsStream<TcpStream>, post: &Post) -> io::Result<u16> {
    stream.write_all(&post.bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8(head).expect("the head is text");
    Ok(text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"))
}

fn notifier(site: &Site) -> (std::path::PathBuf, std::path::PathBuf) {
    let cert = site.simulator.material().notifier_cert().to_owned();
    let key = cert.with_extension("key");
    (cert, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn microsoft_with_its_certificate_gets_in_and_nobody_else_does() {
    let site = site(r#"["manage.office.com"]"#).await;
    let target = Target::of(site).await;
    let site = &target.site;
    // Every validation of the simulated Microsoft comes over TLS with its certificate.
    site.registered(5).await;

    let (cert, key) = notifier(site);
    let mut honest = connect(site.webhook, client(site, Some((&cert, &key)), &[])).await.unwrap();
    assert_eq!(ask(&mut honest, &target.post("[]")).await.unwrap(), 200);

    // No certificate, and one of another authority: TLS 1.3 tells the client with the first read.
    let material = site.simulator.material();
    for identity in [None, Some((material.domain_cert(), material.domain_key()))] {
        let stream = connect(site.webhook, client(site, identity, &[])).await;
        let answered = match stream {
            Ok(mut stream) => ask(&mut stream, &target.post("[]")).await,
            Err(error) => Err(error),
        };
        assert!(answered.is_err(), "{answered:?}");
    }
    // Plain HTTP is no TLS, and who never begins is cut.
    let mut plain = Rude::connect(site.webhook).await;
    plain.send(target.post("[]").bytes()).await;
    assert_eq!(plain.status().await, None);
    let mut silent = Rude::connect(site.webhook).await;
    silent.closed().await;
    eventually("they are counted", async || {
        target.connections("tls_failed").await >= 3.0
            && target.connections("timed_out").await >= 1.0
    })
    .await;
    assert_eq!(ask(&mut honest, &target.post("[]")).await.unwrap(), 200);
    target.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_made_out_to_somebody_else_is_refused() {
    let target = Target::of(site(r#"["other.example"]"#).await).await;
    let (cert, key) = notifier(&target.site);
    let stream = connect(target.site.webhook, client(&target.site, Some((&cert, &key)), &[])).await;
    let answered = match stream {
        Ok(mut stream) => ask(&mut stream, &target.post("[]")).await,
        Err(error) => Err(error),
    };
    assert!(answered.is_err(), "{answered:?}");
    target.gone().await;
}

/// Nothing else ends these in time: the time of heads is far longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_takes_only_so_long() {
    let mut site = site(r#"["manage.office.com"]"#).await;
    site.set("webhook.header_timeout", "5m");
    let target = Target::of(site).await;
    // A record of a client hello that announces 500 bytes of it.
    let hello = [&[0x16, 3, 1, 1, 0xF8, 1, 0, 1, 0xF4, 3, 3][..], &[7; 32]].concat();
    for begin in [&b""[..], &hello[..1], &hello] {
        let mut slow = Rude::connect(target.site.webhook).await;
        slow.send(begin).await;
        // Progress of a kind is none; all that it announced would end another way, and later.
        while begin.len() > 1 && slow.send([7]).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slow.closed().await;
    }
    target.ended(3.0, &["timed_out"]).await;
    target.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_without_dropping_a_connection() {
    let site = site(r#"["manage.office.com"]"#).await;
    let target = Target::of(site).await;
    let site = &target.site;
    let (cert, key) = notifier(site);
    let renewed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let trusting = || client(site, Some((&cert, &key)), &[renewed.cert.der().clone()]);
    let mut old = connect(site.webhook, trusting()).await.unwrap();
    assert_eq!(ask(&mut old, &target.post("[]")).await.unwrap(), 200);
    let served = |stream: &TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let first = served(&old);

    // A certificate without its key is there for a moment, and must not stop anybody.
    fs::write(site.folder.path().join("tls.crt"), renewed.cert.pem()).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut between = connect(site.webhook, trusting()).await.unwrap();
    assert_eq!(served(&between), first);
    assert_eq!(ask(&mut between, &target.post("[]")).await.unwrap(), 200);
    fs::write(site.folder.path().join("tls.key"), renewed.signing_key.serialize_pem()).unwrap();
    eventually("the renewed certificate is served", async || {
        let stream = connect(site.webhook, trusting()).await.unwrap();
        served(&stream) == *renewed.cert.der()
    })
    .await;
    assert_eq!(ask(&mut old, &target.post("[]")).await.unwrap(), 200, "the old one goes on");
    target.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_proxy_passes_on_must_be_acceptable() {
    let mut site = Site::start(1, None, |_| ()).await;
    let ca = site.simulator.material().microsoft_ca().display().to_string();
    site.set("webhook.trusted_proxies", r#"["127.0.0.1/32"]"#);
    site.set("webhook.client_certificate.header", "X-SSL-Client-Cert");
    site.set("webhook.client_certificate.ca", &ca);
    let target = Target::of(site).await;
    let escaped = |path: &Path| {
        fs::read_to_string(path)
            .unwrap()
            .replace('\n', "%0A")
            .replace(' ', "%20")
            .replace('+', "%2B")
    };
    let material = target.site.simulator.material();
    let (good, other) = (escaped(material.notifier_cert()), escaped(material.domain_cert()));
    let server = escaped(material.server_cert());
    let with = |value: &str| target.post("[]").with("x-ssl-client-cert", value);
    assert_eq!(target.ask(&with(&good)).await, 200);
    assert_eq!(target.ask(&with(&other)).await, 403);
    assert_eq!(target.ask(&with(&server)).await, 403, "made out to another name");
    assert_eq!(target.ask(&with("manage.office.com")).await, 403);
    assert_eq!(target.ask(&with(&good).with("x-ssl-client-cert", &*good)).await, 403);
    assert_eq!(target.honest().await, 403);
    // Not from somebody who is no proxy.
    let mut stranger = Rude::from(target.site.webhook, [127, 0, 5, 1].into()).await.unwrap();
    stranger.send(with(&good).bytes()).await;
    assert_eq!(stranger.status().await, Some(403));
    assert!(target.requests("certificate").await >= 9.0);
    target.gone().await;
}
