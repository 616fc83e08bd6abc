//! Who we are to the receiver, who it is to us, and receivers that are not there.

use super::*;

#[tokio::test]
async fn a_receiver_that_demands_a_certificate_gets_ours() {
    for tls13 in [true, false] {
        let certificates = Certificates::new("127.0.0.1");
        let server = if tls13 { certificates.server(true) } else { certificates.server_1_2(true) };
        let receiver = Receiver::start(Some(server), |_| Behaviour::Proper).await;
        let identity = (certificates.path("client.pem"), certificates.path("client.key"));
        let world = World::new(receiver, Some(certificates), |config| {
            config.identity = Some(identity);
        })
        .await;
        let receipt = world.parcel(0, 1).await;
        within(receipt.confirmed()).await.unwrap();
    }
}

#[tokio::test]
async fn without_a_certificate_such_a_receiver_is_unreachable() {
    for tls13 in [true, false] {
        let certificates = Certificates::new("127.0.0.1");
        let server = if tls13 { certificates.server(true) } else { certificates.server_1_2(true) };
        let receiver = Receiver::start(Some(server), |_| Behaviour::Proper).await;
        let world = World::new(receiver, Some(certificates), |_| {}).await;
        let state = world.state_becomes(|state| matches!(state, State::Unreachable { .. })).await;
        let State::Unreachable { cause } = state else { unreachable!("just matched") };
        // TLS 1.2 has no alert of its own for a missing certificate.
        let expected = match &*cause {
            DialError::IdentityRefused(_) => true,
            DialError::Handshake(_) => !tls13,
            _ => false,
        };
        assert!(expected, "TLS 1.3: {tls13}, {cause:?}");
        assert_eq!(world.gauge(), 0);
    }
}

#[tokio::test]
async fn the_certificate_must_carry_the_expected_name() {
    let certificates = Certificates::new("devo.example.com");
    let server = certificates.server(false);
    let receiver = Receiver::start(Some(server), |_| Behaviour::Proper).await;
    let world = World::new(receiver, Some(certificates), |_| {}).await;
    let state = world.state_becomes(|state| matches!(state, State::Unreachable { .. })).await;
    let State::Unreachable { cause } = state else { unreachable!("just matched") };
    assert!(matches!(*cause, DialError::OtherName(_)), "{cause:?}");

    let certificates = Certificates::new("devo.example.com");
    let server = certificates.server(false);
    let receiver = Receiver::start(Some(server), |_| Behaviour::Proper).await;
    let world = World::new(receiver, Some(certificates), |config| {
        config.server_name = Some("devo.example.com".to_owned());
    })
    .await;
    let receipt = world.parcel(0, 1).await;
    within(receipt.confirmed()).await.unwrap();
}

#[tokio::test]
async fn a_foreign_authority_is_not_trusted() {
    let certificates = Certificates::new("127.0.0.1");
    let server = certificates.server(false);
    let receiver = Receiver::start(Some(server), |_| Behaviour::Proper).await;
    let other = Certificates::new("127.0.0.1");
    let world = World::new(receiver, Some(other), |_| {}).await;
    let state = world.state_becomes(|state| matches!(state, State::Unreachable { .. })).await;
    let State::Unreachable { cause } = state else { unreachable!("just matched") };
    let untrusted = matches!(*cause, DialError::UntrustedIssuer(_) | DialError::Handshake(_));
    assert!(untrusted, "{cause:?}");
}

#[tokio::test]
async fn a_receiver_without_tickets_is_welcome_too() {
    let certificates = Certificates::new("127.0.0.1");
    let server = certificates.server_without_tickets();
    let receiver = Receiver::start(Some(server), |_| Behaviour::Proper).await;
    let world = World::new(receiver, Some(certificates), |_| {}).await;
    let receipt = world.parcel(0, 1).await;
    within(receipt.confirmed()).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_takes_every_connection_away_is_unreachable() {
    let world = World::facing(|_| Behaviour::Absent, |_| {}).await;
    let state = world.state_becomes(|state| matches!(state, State::Unreachable { .. })).await;
    let State::Unreachable { cause } = state else { unreachable!("just matched") };
    assert!(matches!(*cause, DialError::ClosedAtOnce), "{cause:?}");
}

#[tokio::test]
async fn an_absent_receiver_makes_nobody_ready_and_fails_what_waits() {
    let receiver = Receiver::start(None, |_| Behaviour::Proper).await;
    let config = Config { confirm_timeout: Duration::from_millis(300), ..config(&receiver, None) };
    let address = receiver.address;
    receiver.stop().await;

    let metrics = Metrics::register(&Registry::new()).unwrap();
    let (outlet, loops) = Outlet::open(config, metrics).unwrap();
    let mut sessions = JoinSet::new();
    sessions.spawn(loops.run(Shutdown::new()));
    let mut parcel = outlet.parcel();
    parcel.send(batch(0, 1)).await.unwrap();
    let unreachable = Err(Reason::Unreachable);
    assert_eq!(within(parcel.seal().confirmed()).await, unreachable);
    assert!(matches!(outlet.state(), State::Unreachable { .. }));

    let waiting = timeout(Duration::from_millis(100), outlet.ready()).await;
    assert!(waiting.is_err());
    let _listener = tokio::net::TcpListener::bind(address).await.unwrap();
    within(outlet.ready()).await;
    assert!(matches!(outlet.state(), State::Connected));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    let certificates = Certificates::new("127.0.0.1");
    let receiver = Receiver::start(None, |_| Behaviour::Proper).await;
    let config = config(&receiver, Some(&certificates));
    let open = |config: Config| {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        Outlet::open(config, metrics).map(|_| ()).unwrap_err()
    };
    let missing = Config { ca: Some(certificates.path("missing.pem")), ..config.clone() };
    assert!(matches!(open(missing), OpenError::Tls(_)));
    let mismatched = Config {
        identity: Some((certificates.path("client.pem"), certificates.path("server.key"))),
        ..config.clone()
    };
    assert!(matches!(open(mismatched), OpenError::Tls(_)));
    let nameless = Config { server_name: Some("not a name".to_owned()), ..config };
    assert!(matches!(open(nameless), OpenError::ServerName { .. }));
}
