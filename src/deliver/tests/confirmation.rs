//! Receivers that misbehave: nothing they do may pass for a confirmation.

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};

use super::*;
use crate::tls;

#[tokio::test]
async fn a_receiver_that_leaves_before_the_first_byte_is_replaced() {
    let absent_first = |number| match number {
        0 => Behaviour::Absent,
        _ => Behaviour::Proper,
    };
    let mut world = World::facing(absent_first, |_| {}).await;
    let receipt = world.parcel(0, 3).await;
    within(receipt.confirmed()).await.unwrap();
    assert_eq!(world.received().await, lines(0, 3));
    assert!(world.receiver.received()[0].is_empty());
}

#[tokio::test]
async fn an_idle_receiver_that_leaves_is_dialled_again() {
    let idle_first = |number| match number {
        0 => Behaviour::Leaving,
        _ => Behaviour::Proper,
    };
    let mut world = World::facing(idle_first, |_| {}).await;
    within(world.outlet.ready()).await;
    world.receiver.go();
    world.receiver.until(|received| received.len() == 2).await;
    let receipt = world.parcel(0, 1).await;
    within(receipt.confirmed()).await.unwrap();
}

#[tokio::test]
async fn a_reset_in_the_middle_fails_the_receipts() {
    let reset_first = |number| match number {
        0 => Behaviour::Resetting(5000),
        _ => Behaviour::Proper,
    };
    let world = World::facing(reset_first, |_| {}).await;
    let first = world.parcel(0, 1).await;
    let mut second = world.outlet.parcel();
    second.send(batch(1, 20)).await.unwrap();
    let lost = Err(Reason::ConnectionLost);
    assert_eq!(within(first.confirmed()).await, lost);
    // A parcel that has lost a batch takes no more.
    let refused = async { while second.send(batch(30, 1)).await.is_ok() {} };
    within(refused).await;
    assert_eq!(within(second.seal().confirmed()).await, lost);

    let again = world.parcel(0, 3).await;
    within(again.confirmed()).await.unwrap();
}

#[tokio::test]
async fn a_close_with_bytes_unread_confirms_nothing() {
    let rude_first = |number| match number {
        0 => Behaviour::Rude(1500),
        _ => Behaviour::Proper,
    };
    let world = World::facing(rude_first, |_| {}).await;
    let mut parcel = world.outlet.parcel();
    parcel.send(batch(0, 200)).await.unwrap();
    let lost = Err(Reason::ConnectionLost);
    assert_eq!(within(parcel.seal().confirmed()).await, lost);
}

#[tokio::test]
async fn an_end_of_stream_before_ours_confirms_nothing() {
    for tls in [true, false] {
        let certificates = tls.then(|| Certificates::new("127.0.0.1"));
        let server = certificates.as_ref().map(|certificates| certificates.server(false));
        // It gets everything, and says goodbye before it was asked to.
        let all = lines(0, 3).len();
        let receiver = Receiver::start(server, move |_| Behaviour::HalfClosing(all)).await;
        let world = World::new(receiver, certificates, |_| {}).await;
        let receipt = world.parcel(0, 3).await;
        let lost = Err(Reason::ConnectionLost);
        assert_eq!(within(receipt.confirmed()).await, lost, "TLS: {tls}");
    }
}

#[tokio::test]
async fn an_end_of_stream_that_crosses_our_last_bytes_confirms_nothing() {
    // The receiver ends its direction while bytes of ours are still under way to it.
    let (mut wire, mut theirs) = full_wire().await;
    let closing = closing::by_end_of_stream(&mut wire, Duration::from_secs(10));
    let mut closing = Box::pin(closing);
    let not_yet = timeout(Duration::from_millis(50), &mut closing).await;
    assert!(not_yet.is_err(), "closed, and waiting for the receiver");
    theirs.shutdown().await.unwrap();
    assert_eq!(within(closing).await, Err(Reason::ConnectionLost));
}

#[tokio::test]
async fn bytes_the_receiver_never_takes_are_stalled_not_unconfirmed() {
    let patience = Duration::from_millis(100);
    let (mut wire, _theirs) = full_wire().await;
    let stalled = Err(Reason::Stalled);
    let acknowledged = closing::by_acknowledgement(&mut wire, patience);
    assert_eq!(within(acknowledged).await, stalled);
    let closed = closing::by_end_of_stream(&mut wire, patience);
    assert_eq!(within(closed).await, stalled);
}

#[tokio::test]
async fn a_goodbye_followed_by_a_reset_confirms_nothing() {
    // The kernel of the receiver has acknowledged every byte; its program reads none of them.
    let (mut wire, mut theirs) = tls_wire().await;
    let patience = Duration::from_secs(10);
    wire.write(&lines(0, 3), patience).await.unwrap();
    let mut closing = Box::pin(closing::by_end_of_stream(&mut wire, patience));
    let not_yet = timeout(Duration::from_millis(50), &mut closing).await;
    assert!(not_yet.is_err(), "closed, and waiting for the receiver");
    theirs.get_mut().1.send_close_notify();
    theirs.flush().await.unwrap();
    let not_yet = timeout(Duration::from_millis(50), &mut closing).await;
    assert!(not_yet.is_err(), "a goodbye is no end of the stream");
    drop(theirs);
    assert_eq!(within(closing).await, Err(Reason::ConnectionLost));
}

async fn tls_wire() -> (wire::Wire, TlsStream<TcpStream>) {
    let certificates = Certificates::new("127.0.0.1");
    let ca = tls::certificates(&certificates.path("ca.pem")).unwrap();
    let connector = TlsConnector::from(Arc::new(tls::client(Some(ca), None).unwrap()));
    let acceptor = TlsAcceptor::from(Arc::new(certificates.server_without_tickets()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ours = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        connector.connect(name, socket).await.unwrap()
    };
    let theirs = async {
        let (socket, _) = listener.accept().await.unwrap();
        acceptor.accept(socket).await.unwrap()
    };
    let (ours, theirs) = tokio::join!(ours, theirs);
    (wire::Wire::tls(ours, 0), theirs)
}

/// A connection with so many bytes under way that neither kernel has room for more.
async fn full_wire() -> (wire::Wire, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let filling = async {
        let chunk = vec![b'x'; 1 << 20];
        loop {
            socket.writable().await.unwrap();
            socket.try_write(&chunk).ok();
        }
    };
    let full = timeout(Duration::from_millis(300), filling).await;
    assert!(full.is_err(), "never ends by itself");
    (wire::Wire::plain(socket), theirs)
}

#[tokio::test]
async fn a_receiver_that_never_closes_leaves_the_session_unconfirmed() {
    let timeout = Duration::from_millis(400);
    let world = World::facing(
        |_| Behaviour::Holding,
        |config| {
            config.confirm_interval = Duration::from_millis(50);
            config.confirm_timeout = timeout;
        },
    )
    .await;
    for consecutive in 1..=2 {
        within(world.outlet.ready()).await;
        let receipt = world.parcel(0, 1).await;
        let unconfirmed = Err(Reason::Unconfirmed);
        assert_eq!(within(receipt.confirmed()).await, unconfirmed);
        world
            .state_becomes(
                |state| matches!(state, State::Unconfirmed { consecutive: n } if *n == consecutive),
            )
            .await;
    }
    // The second time in a row holds for at least one whole timeout.
    let held = Instant::now();
    within(world.outlet.ready()).await;
    let seen_late = Duration::from_millis(100);
    assert!(held.elapsed() >= timeout - seen_late, "{:?}", held.elapsed());
    assert!(world.receiver.received().len() <= 4, "no storm");
}

#[tokio::test]
async fn a_receiver_that_closes_after_all_ends_the_doubt() {
    let holding_first = |number| match number {
        0 => Behaviour::Holding,
        _ => Behaviour::Proper,
    };
    let world = World::facing(holding_first, |config| {
        config.confirm_interval = Duration::from_millis(50);
        config.confirm_timeout = Duration::from_millis(400);
    })
    .await;
    let receipt = world.parcel(0, 1).await;
    let unconfirmed = Err(Reason::Unconfirmed);
    assert_eq!(within(receipt.confirmed()).await, unconfirmed);
    let again = world.parcel(0, 1).await;
    within(again.confirmed()).await.unwrap();
    world.state_becomes(|state| matches!(state, State::Connected)).await;
}

#[tokio::test]
async fn a_receiver_that_stops_reading_stalls() {
    let world = World::facing(
        |_| Behaviour::Deaf,
        |config| config.confirm_timeout = Duration::from_millis(400),
    )
    .await;
    let mut parcel = world.outlet.parcel();
    let failed = async {
        loop {
            if let Err(reason) = parcel.send(batch(0, 500)).await {
                return reason;
            }
        }
    };
    assert_eq!(within(failed).await, Reason::Stalled);
    assert_eq!(within(parcel.seal().confirmed()).await, Err(Reason::Stalled));
}

#[tokio::test]
async fn a_slow_receiver_gets_everything_and_confirms() {
    let mut world = World::facing(|_| Behaviour::Sluggish, |_| {}).await;
    let mut sending = JoinSet::new();
    let mut parcel = world.outlet.parcel();
    sending.spawn(async move {
        // More than fits into the socket buffers of both sides.
        for number in 0..100 {
            parcel.send(batch(number * 200, 200)).await.unwrap();
        }
        parcel.seal().confirmed().await
    });
    world.state_becomes(|state| matches!(state, State::Connected)).await;
    world.receiver.go();
    within(sending.join_next()).await.unwrap().unwrap().unwrap();
    assert!(world.received().await == lines(0, 20_000));
}

#[tokio::test]
async fn a_probe_tells_who_confirms_and_sends_nothing() {
    let config = |receiver: &Receiver| Config {
        confirm_timeout: Duration::from_millis(300),
        ..config(receiver, None)
    };
    for (behaviour, confirmed) in
        [(Behaviour::Proper, Ok(())), (Behaviour::Holding, Err(Reason::Unconfirmed))]
    {
        let receiver = Receiver::start(None, move |_| behaviour).await;
        let probe = within(trial(&config(&receiver), b"")).await.unwrap();
        assert_eq!(probe.confirmed, confirmed);
        assert_eq!(receiver.received(), [b""]);
    }
    let receiver = Receiver::start(None, |_| Behaviour::Absent).await;
    let failed = within(trial(&config(&receiver), b"")).await;
    let expected = matches!(failed, Err(ProbeError::Dial(DialError::ClosedAtOnce)));
    assert!(expected, "{failed:?}");
}

#[tokio::test]
async fn tcp_mode_needs_no_end_of_stream_and_keeps_its_connection() {
    let mut world = World::facing(
        |_| Behaviour::Holding,
        |config| {
            config.confirm = Confirm::Tcp;
            config.confirm_interval = Duration::from_millis(50);
        },
    )
    .await;
    for number in 0..3 {
        let receipt = world.parcel(number, 1).await;
        within(receipt.confirmed()).await.unwrap();
    }
    let received =
        world.receiver.until(|received| received.concat().len() >= lines(0, 3).len()).await;
    assert_eq!(received, [lines(0, 3)]);
    world.stop().await;
}

#[tokio::test]
async fn tcp_mode_still_notices_a_receiver_that_takes_nothing_or_resets() {
    for (behaviour, reason) in
        [(Behaviour::Deaf, Reason::Stalled), (Behaviour::Resetting(5000), Reason::ConnectionLost)]
    {
        let world = World::facing(
            move |_| behaviour,
            |config| {
                config.confirm = Confirm::Tcp;
                config.confirm_timeout = Duration::from_millis(400);
            },
        )
        .await;
        let mut parcel = world.outlet.parcel();
        let failed = async {
            loop {
                if let Err(reason) = parcel.send(batch(0, 500)).await {
                    return reason;
                }
            }
        };
        assert_eq!(within(failed).await, reason);
    }
}

#[tokio::test]
async fn loops_that_are_dropped_confirm_nothing() {
    let mut world = World::proper().await;
    within(world.outlet.ready()).await;
    let receipt = world.parcel(0, 1).await;
    world.sessions.shutdown().await;
    let lost = Err(Reason::ConnectionLost);
    assert_eq!(within(receipt.confirmed()).await, lost);
}
