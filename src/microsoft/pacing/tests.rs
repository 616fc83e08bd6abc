use tokio::task::JoinSet;

use super::*;
use crate::content::{ContentType, Tenant};

const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

fn pacing(requests_per_minute: u32) -> Pacing {
    let tenants = [A, B].map(|id| Tenant {
        id: tenant(id),
        client_id: id.parse().unwrap(),
        name: Arc::from(id),
        content_types: vec![ContentType::General],
    });
    Pacing::new(NonZeroU32::new(requests_per_minute).unwrap(), &Tenants::from_iter(tenants))
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_spent_at_once_and_comes_back_a_minute_later() {
    let pacing = pacing(3);
    let start = Instant::now();
    for left in [2, 1, 0] {
        drop(pacing.permit(tenant(A)).await.unwrap());
        assert_eq!(pacing.room(tenant(A)), left);
    }
    assert_eq!(pacing.room(tenant(B)), 3, "tenants share nothing");
    drop(pacing.permit(tenant(A)).await.unwrap());
    assert!(start.elapsed() >= Window::SPAN && start.elapsed() < Window::SPAN * 2);
}

#[tokio::test(start_paused = true)]
async fn callers_are_admitted_in_their_order() {
    let pacing = pacing(1);
    drop(pacing.permit(tenant(A)).await.unwrap());
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let (pacing, order) = (pacing.clone(), order.clone());
        callers.spawn(async move {
            let permit = pacing.permit(tenant(A)).await.unwrap();
            order.lock().unwrap().push(caller);
            drop(permit);
        });
        tokio::task::yield_now().await;
    }
    while callers.join_next().await.is_some() {}
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_place_in_flight_frees_its_waiter_a_minute_after_its_answer() {
    let pacing = pacing(1);
    let held = pacing.permit(tenant(A)).await.unwrap();
    let waiter = {
        let pacing = pacing.clone();
        async move {
            drop(pacing.permit(tenant(A)).await.unwrap());
            Instant::now()
        }
    };
    let mut waiters = JoinSet::new();
    waiters.spawn(waiter);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let answered = Instant::now();
    drop(held);
    let admitted = waiters.join_next().await.unwrap().unwrap();
    assert!(admitted - answered >= Window::SPAN);
}

#[tokio::test(start_paused = true)]
async fn a_pause_reaches_waiting_callers_of_its_tenant_only() {
    let pacing = pacing(1);
    drop(pacing.permit(tenant(A)).await.unwrap());
    let mut waiters = JoinSet::new();
    for _ in 0..2 {
        let pacing = pacing.clone();
        waiters.spawn(async move { pacing.permit(tenant(A)).await.map(drop) });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let until = pacing.pause(tenant(A), Some(Duration::from_secs(600)));
    let before = Instant::now();
    while let Some(waiter) = waiters.join_next().await {
        assert_eq!(waiter.unwrap(), Err(Paused { until }));
    }
    assert_eq!(Instant::now(), before, "told at once");
    assert_eq!(pacing.paused_until(tenant(A)), Some(until));
    assert_eq!(pacing.room(tenant(A)), 0);

    assert_eq!(pacing.paused_until(tenant(B)), None);
    pacing.permit(tenant(B)).await.unwrap();

    sleep_until(until).await;
    assert_eq!(pacing.paused_until(tenant(A)), None);
    pacing.permit(tenant(A)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn untold_pauses_grow_once_per_throttling_and_shrink_after_an_answer() {
    let pacing = pacing(100);
    let id = tenant(A);
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        let now = Instant::now();
        let until = pacing.pause(id, None);
        assert_eq!(pacing.pause(id, None), until, "the same throttling");
        assert!(until - now >= last / 2, "steps double, jitter halves");
        last = until - now;
        sleep_until(until).await;
    }
    assert!(last >= Duration::from_secs(4), "fourth step: {last:?}");
    for _ in 0..10 {
        let until = pacing.pause(id, None);
        assert!(until - Instant::now() <= PAUSE_MAX);
        sleep_until(until).await;
    }
    pacing.admitted(id);
    assert!(pacing.pause(id, None) - Instant::now() <= PAUSE_MIN);
}

#[tokio::test(start_paused = true)]
async fn a_told_wait_of_zero_is_still_a_pause_and_never_shortens_one() {
    let pacing = pacing(100);
    let long = pacing.pause(tenant(A), Some(Duration::from_secs(60)));
    assert_eq!(pacing.pause(tenant(A), Some(Duration::ZERO)), long);
    let short = pacing.pause(tenant(B), Some(Duration::ZERO));
    assert_eq!(short - Instant::now(), PAUSE_MIN);
}

#[tokio::test(start_paused = true)]
async fn replicas_divide_the_budget() {
    let pacing = pacing(10);
    pacing.keep_to_one_of(NonZeroU32::new(3).unwrap());
    assert_eq!(pacing.room(tenant(A)), 3);
    pacing.keep_to_one_of(NonZeroU32::new(100).unwrap());
    assert_eq!(pacing.room(tenant(A)), 1, "never nothing");
    pacing.keep_to_one_of(NonZeroU32::MIN);
    assert_eq!(pacing.room(tenant(A)), 10);
}

#[tokio::test(start_paused = true)]
async fn who_keeps_to_nothing_waits_until_there_is_something() {
    let pacing = pacing(10);
    pacing.keep_to(0, MILLION);
    assert_eq!(pacing.room(tenant(A)), 0);
    let start = Instant::now();
    let granted = async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        pacing.keep_to(MILLION / 2, MILLION);
    };
    let (permit, ()) = tokio::join!(pacing.permit(tenant(A)), granted);
    drop(permit.unwrap());
    assert_eq!((start.elapsed().as_secs(), pacing.room(tenant(A))), (300, 4));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_relaxed_while_more_than_half_of_its_budget_is_left() {
    let pacing = pacing(4);
    assert!(pacing.is_relaxed(tenant(A)));
    drop(pacing.permit(tenant(A)).await.unwrap());
    assert!(pacing.is_relaxed(tenant(A)));
    let held = pacing.permit(tenant(A)).await.unwrap();
    assert!(!pacing.is_relaxed(tenant(A)));
    assert!(pacing.is_relaxed(tenant(B)));
    drop(held);
    tokio::time::sleep(Window::SPAN).await;
    assert!(pacing.is_relaxed(tenant(A)));
    pacing.pause(tenant(A), None);
    assert!(!pacing.is_relaxed(tenant(A)), "nothing may be asked now");
}
