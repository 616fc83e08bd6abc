//! A process that has just started, and whose balancer has not noticed it yet.

use super::*;

#[tokio::test]
async fn nothing_is_started_before_a_balancer_has_noticed_that_we_are_ready() {
    let feeds = Feeds::default();
    let world = World::api(move |asked| feeds.answer(asked)).await;
    let within = Duration::from_millis(600);
    let (keeper, _, _) = keeper(&world, |config| config.noticed_within = within);
    let shutdown = Shutdown::new();
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    tasks.spawn(keeper.clone().run(shutdown.clone()));
    let looked = async {
        while keeper.observed().status().iter().any(|tenant| tenant.checked.is_none()) {
            sleep(Duration::from_millis(5)).await;
        }
        let early = starts(&world, A) + starts(&world, B);
        assert!(early == 0 || begun.elapsed() >= within, "it only looks at first");
        while starts(&world, A) == 0 || starts(&world, B) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(begun.elapsed() >= within);
    };
    timeout(DEADLINE, looked).await.expect("both are started then");
    shutdown.request();
    timeout(DEADLINE, tasks.join_next()).await.expect("run ends at once");
}
