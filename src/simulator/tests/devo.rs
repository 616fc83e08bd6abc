//! The syslog receiver.

use std::{io::Write as _, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{DEADLINE, config, eventually};
use crate::{
    simulator::{Config, DevoMode, Simulator},
    tls::{self, Identity},
};

fn line(record: &str) -> Vec<u8> {
    format!("<14>Nov  2 09:08:07 host cloud.office365.management.exchange: {record}\n").into()
}

async fn world() -> Simulator {
    Simulator::start(Config { keep_lines: true, ..config() }).await.unwrap()
}

async fn tcp(simulator: &Simulator) -> TcpStream {
    let endpoint = simulator.devo_endpoint();
    let (_, address) = endpoint.split_once("://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

async fn connect(simulator: &Simulator) -> std::io::Result<TlsStream<TcpStream>> {
    let identity = Identity::load(simulator.devo_cert_path(), simulator.devo_key_path()).unwrap();
    let roots = tls::certificates(simulator.devo_ca_path()).unwrap();
    let client = tls::client(Some(roots), Some(identity)).unwrap();
    let stream = tcp(simulator).await;
    let name = "localhost".try_into().unwrap();
    TlsConnector::from(Arc::new(client)).connect(name, stream).await
}

/// Ends the write side and reads to the peer's end of stream.
async fn confirm(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.map(|_| ())
}

#[tokio::test]
async fn lines_are_counted_before_they_are_confirmed() {
    let simulator = world().await;
    let mut stream = connect(&simulator).await.unwrap();
    stream.write_all(&line("{\"a\":1}")).await.unwrap();
    stream.write_all(&line("{\"a\":1}")).await.unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&line("{\"a\":2}")).unwrap();
    let packed = packed.finish().unwrap();
    stream.write_all(&packed).await.unwrap();
    stream.write_all(b"no syslog\n").await.unwrap();
    timeout(DEADLINE, confirm(&mut stream)).await.unwrap().unwrap();

    let devo = simulator.devo();
    let received = devo.received();
    assert_eq!((received.lines, received.malformed), (4, 1));
    assert_eq!((received.distinct, received.repeated), (2, 1));
    assert_eq!(received.members, 1);
    assert_eq!(received.tags["cloud.office365.management.exchange"], 3);
    assert_eq!(devo.times_received(b"{\"a\":1}"), 2);
    assert_eq!(devo.times_received(b"{\"a\":2}"), 1);
    assert_eq!(devo.times_received(b"{\"a\":3}"), 0);
    assert_eq!(devo.lines()[3], "no syslog");
    assert_eq!(received.sessions.confirmed, 1);
    devo.wait_for(4, DEADLINE).await.unwrap();
    let short = devo.wait_for(5, Duration::from_millis(5)).await.unwrap_err();
    assert_eq!((short.expected, short.arrived), (5, 4));
}

#[tokio::test]
async fn a_session_without_a_certificate_is_refused() {
    let simulator = world().await;
    let roots = tls::certificates(simulator.devo_ca_path()).unwrap();
    let client = tls::client(Some(roots), None).unwrap();
    let name = "localhost".try_into().unwrap();
    let connected = TlsConnector::from(Arc::new(client)).connect(name, tcp(&simulator).await).await;
    // With TLS 1.3 the client learns of the refusal only when it reads.
    if let Ok(mut stream) = connected {
        assert!(confirm(&mut stream).await.is_err());
    }
    eventually("the refusal is counted", || {
        (simulator.devo().received().sessions.refused == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_never_closes_confirms_when_it_is_healed() {
    let simulator = world().await;
    simulator.devo().behave(DevoMode::NeverClose);
    let mut stream = connect(&simulator).await.unwrap();
    stream.write_all(&line("{}")).await.unwrap();
    let waited = timeout(Duration::from_millis(100), confirm(&mut stream)).await;
    assert!(waited.is_err());
    simulator.devo().wait_for(1, DEADLINE).await.unwrap();
    simulator.devo().behave(DevoMode::Normal);
    let mut rest = Vec::new();
    let closed = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert_eq!(closed.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_reset_loses_what_came_before_it() {
    let simulator = world().await;
    simulator.devo().behave(DevoMode::ResetAfter(10));
    let mut stream = connect(&simulator).await.unwrap();
    stream.write_all(&line("{}")).await.unwrap();
    let mut rest = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert!(read.unwrap().is_err());
    let received = simulator.devo().received();
    assert_eq!((received.lines, received.sessions.broken), (0, 1));
}

#[tokio::test]
async fn a_stalled_receiver_goes_on_where_it_stopped() {
    let simulator = world().await;
    simulator.devo().behave(DevoMode::Stall);
    let mut stream = connect(&simulator).await.unwrap();
    stream.write_all(&line("{}")).await.unwrap();
    stream.flush().await.unwrap();
    let waited = simulator.devo().wait_for(1, Duration::from_millis(50));
    assert!(waited.await.is_err());
    simulator.devo().behave(DevoMode::Normal);
    simulator.devo().wait_for(1, DEADLINE).await.unwrap();
}

#[tokio::test]
async fn an_idle_session_is_closed_and_a_new_one_may_be_refused() {
    let simulator = world().await;
    simulator.devo().behave(DevoMode::CloseIdle(Duration::from_millis(20)));
    let mut stream = connect(&simulator).await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert_eq!(closed.unwrap().unwrap(), 0);
    simulator.devo().behave(DevoMode::Refuse);
    assert!(connect(&simulator).await.is_err());
}

#[tokio::test]
async fn plain_tcp_serves_as_an_in_house_relay() {
    let simulator = Simulator::start(Config { devo_tls: false, ..config() }).await.unwrap();
    assert!(simulator.devo_endpoint().starts_with("tcp://127.0.0.1:"));
    let mut stream = tcp(&simulator).await;
    stream.write_all(&line("{}")).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert_eq!(closed.unwrap().unwrap(), 0);
    assert_eq!(simulator.devo().received().lines, 1);
    assert!(simulator.devo().lines().is_empty(), "not asked to keep any");
}
