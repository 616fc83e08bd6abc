//! Receivers that misbehave: nothing they do may pass for a confirmation.

use super::*;

/// More than fits into the socket buffers of both sides.
const FLOOD: u64 = 40_000;

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
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut theirs, _) = listener.accept().await.unwrap();
    let full = async {
        let chunk = vec![b'x'; 1 << 20];
        loop {
            socket.writable().await.unwrap();
            socket.try_write(&chunk).ok();
        }
    };
    assert!(timeout(Duration::from_millis(300), full).await.is_err());

    let mut wire = wire::Wire::plain(socket);
    let mut closing = Box::pin(closing::by_end_of_stream(&mut wire, Duration::from_secs(10)));
    let not_yet = timeout(Duration::from_millis(50), &mut closing).await;
    assert!(not_yet.is_err(), "closed, and waiting for the receiver");
    tokio::io::AsyncWriteExt::shutdown(&mut theirs).await.unwrap();
    assert_eq!(within(closing).await, Err(Reason::ConnectionLost));
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
    assert!(held.elapsed() >= timeout / 2, "{:?}", held.elapsed());
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
async fn bytes_the_receiver_never_takes_are_stalled_not_unconfirmed() {
    // The kernel of this side has room for what the other's has not, so that the write succeeds.
    let mut world = World::facing(
        |_| Behaviour::Sluggish,
        |config| config.confirm_timeout = Duration::from_secs(2),
    )
    .await;
    let mut parcel = world.outlet.parcel();
    let mut sent = 0;
    while sent < FLOOD {
        match timeout(Duration::from_millis(500), parcel.send(batch(sent, 100))).await {
            Ok(sending) => sending.unwrap(),
            Err(_full) => break,
        }
        sent += 100;
    }
    assert!(sent < FLOOD, "the buffers hold less");
    let receipt = parcel.seal();
    let stalled = Err(Reason::Stalled);
    assert_eq!(within(receipt.confirmed()).await, stalled);
    world.receiver.go();
    let again = world.parcel(0, 1).await;
    within(again.confirmed()).await.unwrap();
    assert!(!world.received().await.is_empty());
}

#[tokio::test]
async fn a_slow_receiver_gets_everything_and_confirms() {
    let mut world = World::facing(|_| Behaviour::Sluggish, |_| {}).await;
    let mut sending = JoinSet::new();
    let mut parcel = world.outlet.parcel();
    sending.spawn(async move {
        for number in 0..200 {
            parcel.send(batch(number * 200, 200)).await.unwrap();
        }
        parcel.seal().confirmed().await
    });
    world.state_becomes(|state| matches!(state, State::Connected)).await;
    world.receiver.go();
    within(sending.join_next()).await.unwrap().unwrap().unwrap();
    assert!(world.received().await == lines(0, FLOOD));
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
