//! The service's clock jumps while it works.

use std::time::Duration;

use m365_collector::{clock::Clock, simulator::DevoMode};

use super::{Traffic, failed_deliveries};
use crate::support::{Service, books::Doomed, eventually};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug)]
enum Jump {
    Ahead,
    Back,
}

impl Jump {
    fn of(self, clock: &Clock) {
        match self {
            Self::Ahead => clock.advance(HOUR),
            Self::Back => clock.set_back(HOUR),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jumps_of_an_hour_lose_and_repeat_nothing() {
    let ours = Clock::system();
    let builder = Service::builder().tenants(2).with("devo.confirm_interval", "300ms");
    let mut service = builder.clock(ours.clone()).start().await;
    let mut traffic = Traffic::new();
    for jump in [Jump::Ahead, Jump::Back, Jump::Back, Jump::Ahead, Jump::Ahead] {
        let before = traffic.moment(Duration::from_secs(1));
        traffic.flow(&mut service, before).await;
        jump.of(&ours);
        traffic.flow(&mut service, Duration::from_millis(500)).await;
        let agree = async || service.is_in_agreement(&Doomed::default()).await;
        eventually("the books agree between jumps", agree).await;
    }
    service.delivered().await;
    assert_eq!(service.simulator.devo().received().repeated, 0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

/// Every lease seems to have run out while everything is sent and waited for, and then none seems
/// ever to.
#[tokio::test(flavor = "multi_thread")]
async fn a_jump_while_sessions_are_unconfirmed_repeats_nothing() {
    let ours = Clock::system();
    let mut service = Service::builder().clock(ours.clone()).start().await;
    let mut traffic = Traffic::new();
    for jump in [Jump::Ahead, Jump::Back] {
        service.simulator.devo().behave(DevoMode::NeverClose);
        traffic.flow(&mut service, Duration::from_secs(1)).await;
        jump.of(&ours);
        traffic.flow(&mut service, Duration::from_secs(3)).await;
        service.simulator.devo().behave(DevoMode::Normal);
        service.delivered().await;
        service.agrees(&Doomed::default()).await;
    }
    assert_eq!(failed_deliveries(&service).await, 0, "no confirmation was cut");
    assert_eq!(service.simulator.devo().received().repeated, 0);
    service.finish().await;
}
