//! What is forgotten, and when.

use super::*;
use crate::{
    ledger::{DeadRecord, prune::Retention},
    reason::Reason,
};

/// Settles one content in every way, all at second 0 and expiring after `expires` seconds.
async fn one_of_each(ledger: &Ledger, expires: i64) {
    let ids = ["delivered", "with-dead-record", "dead", "expired", "waiting"];
    let announcements =
        ids.iter().map(|id| Announcement { expires: at(expires), ..content(TENANT, id) });
    let announced = ledger.announce(Via::Sweep, announcements.collect(), at(0));
    in_time(announced).await.unwrap();
    let leases = in_time(ledger.claim(tenant(TENANT), 4, at(0))).await.unwrap();
    let with_dead_record = Settlement::Delivered {
        records: 1,
        duplicates: 0,
        dead: vec![DeadRecord { index: 0, reason: Reason::RecordTooLarge }],
        keys: Arc::default(),
    };
    let settlements = [
        delivered(2),
        with_dead_record,
        Settlement::Dead(Reason::ContentGone),
        Settlement::Expired(Reason::PastExpiration),
    ];
    for (lease, settlement) in leases.iter().zip(settlements) {
        let settled = in_time(ledger.settle(lease.key, settlement, at(0))).await;
        assert_eq!(settled.unwrap(), Settled::Applied);
    }
}

/// Prunes at a moment and returns what is left.
async fn left_after(writer: &mut Writer, config: &Config, seconds: i64) -> Vec<String> {
    writer.now = Some(at(seconds));
    while writer.prune().await {}
    let mut tool = tool(config).await;
    let rows = query("SELECT content_id FROM content ORDER BY id").fetch_all(&mut tool).await;
    rows.unwrap().iter().map(|row| row.first().unwrap()).collect()
}

/// A ledger with [`one_of_each`], and its writer for taking in hand.
async fn settled(expires: i64) -> (TempDir, Config, Writer) {
    let running = Running::start().await;
    one_of_each(&running.ledger, expires).await;
    let (directory, config) = running.stop().await;
    let (_, writer) = Ledger::open(&config).await.unwrap();
    (directory, config, writer)
}

#[tokio::test]
async fn each_state_is_kept_for_its_own_time() {
    let (_directory, config, mut writer) = settled(7 * DAY).await;
    let all = ["delivered", "with-dead-record", "dead", "expired", "waiting"];
    assert_eq!(left_after(&mut writer, &config, 14 * DAY - 1).await, all);
    assert_eq!(left_after(&mut writer, &config, 14 * DAY).await, all[1..]);
    assert_eq!(left_after(&mut writer, &config, 30 * DAY - 1).await, all[1..]);
    assert_eq!(left_after(&mut writer, &config, 30 * DAY).await, ["waiting"]);
    let letters = "SELECT COUNT(*) FROM dead_letter";
    assert_eq!(number(&mut tool(&config).await, letters).await, 0);
}

#[tokio::test]
async fn what_microsoft_still_has_is_never_pruned() {
    let (_directory, config, mut writer) = settled(40 * DAY).await;
    assert_eq!(left_after(&mut writer, &config, 40 * DAY - 1).await.len(), 5);
    assert_eq!(left_after(&mut writer, &config, 40 * DAY).await, ["waiting"]);
}

#[tokio::test]
async fn a_short_time_of_keeping_does_not_make_every_step_read_what_is_still_listed() {
    let (_directory, config, mut writer) = settled(7 * DAY).await;
    let hour = Duration::from_secs(3600);
    writer.retention = Retention { delivered: hour, dead: hour, ..writer.retention };
    // Nothing that is settled for less than a week is looked at, whatever its expiry: not even what
    // could go.
    let mut tool = tool(&config).await;
    run(&mut tool, "UPDATE content SET expires = 0").await;
    assert_eq!(left_after(&mut writer, &config, 7 * DAY - 1).await.len(), 5);
    assert_eq!(left_after(&mut writer, &config, 7 * DAY).await, ["waiting"]);
}

#[tokio::test]
async fn nothing_is_pruned_before_a_caller_has_told_the_time() {
    let (_directory, config, mut writer) = settled(7 * DAY).await;
    assert!(!writer.prune().await);
    let rows = "SELECT COUNT(*) FROM content";
    assert_eq!(number(&mut tool(&config).await, rows).await, 5);
}
