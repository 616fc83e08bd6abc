use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::{
    admin::{
        looks::{Looks, STEPS},
        status::{Seen, gather},
    },
    completeness::{Day, Source, Week},
    content::{ContentType, Tenant, Tenants},
    deliver::{DialError, State},
    expiry::Kind,
    ledger::{Depth, GivenUp, Tally, Traffic},
    moment::{after, before},
    reason::Reason,
    subscriptions,
};

/// So many tenants with five feeds each, all of them busy.
struct World {
    now: Timestamp,
    tenants: Tenants,
    looks: Looks,
    observed: Vec<subscriptions::Status>,
    depth: Vec<Depth>,
    outlet: State,
}

impl World {
    fn new(count: u128) -> Self {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let tenants: Vec<_> = (0..count).map(tenant).collect();
        let feeds = || {
            let feed = |tenant: &Tenant| ContentType::ALL.map(|kind| (tenant.id, kind));
            tenants.iter().flat_map(feed).collect::<Vec<_>>()
        };
        let busy = |index: usize| {
            let steps = |by: usize| {
                (0..STEPS).map(move |step| u64::try_from((step * by + index) % 50).unwrap())
            };
            let records: Vec<_> = steps(11).collect();
            let late = vec![SignedDuration::from_secs(100); STEPS];
            let (announced, delivered) = (steps(7).collect(), steps(7).collect());
            let at = Some(before(now, SignedDuration::from_secs(90)));
            Traffic { announced, delivered, records, late, notified: at, found: at, last: at }
        };
        let week = |(tenant, content_type)| {
            let day = |ago: i64| Day {
                tenant,
                content_type,
                day: before(now, SignedDuration::from_hours(24 * ago))
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .date(),
                tally: Tally { listed: 90, delivered: 90, ..Tally::default() },
                source: Source::Sweep,
            };
            Week { days: (0..8).rev().map(day).collect(), ..Week::default() }
        };
        let looks = Looks {
            traffic: Some(Arc::new(
                feeds().into_iter().enumerate().map(|(index, feed)| (feed, busy(index))).collect(),
            )),
            weeks: Some(Arc::new(feeds().into_iter().map(|feed| (feed, week(feed))).collect())),
            waiting: Some(Arc::default()),
            given_up: Some([].into()),
            certificates: Some([].into()),
            ..Looks::default()
        };
        let observed = tenants
            .iter()
            .map(|tenant| subscriptions::Status {
                tenant: tenant.id,
                name: tenant.name.clone(),
                checked: Some(now),
                problem: None,
                subscriptions: Vec::new(),
            })
            .collect();
        let tenants = tenants.into_iter().collect();
        Self { now, tenants, looks, observed, depth: Vec::new(), outlet: State::Connected }
    }

    fn status(&self) -> Status {
        gather(&Seen {
            now: self.now,
            draining: false,
            writable: true,
            depth: &self.depth,
            outlet: &self.outlet,
            observed: &self.observed,
            is_called: true,
            tenants: &self.tenants,
            looks: &self.looks,
            file: None,
        })
    }

    fn page(&self) -> String {
        Page::new(&self.status(), &View::All).document(&View::All)
    }
}

fn tenant(serial: u128) -> Tenant {
    Tenant {
        id: Uuid::from_u128(serial).into(),
        client_id: Uuid::from_u128(serial).into(),
        name: format!("customer-{serial:03}").into(),
        content_types: ContentType::ALL.into(),
    }
}

fn title(page: &str) -> &str {
    page.split_once("<title>").unwrap().1.split_once(" · ").unwrap().0
}

#[test]
fn the_title_says_the_state() {
    let mut world = World::new(2);
    assert_eq!(title(&world.page()), "All is well");
    world.outlet = State::Unreachable { cause: Arc::new(DialError::Timeout) };
    assert_eq!(title(&world.page()), "Working, with something to look at");
    world.observed[0].problem = Some(Reason::RoleMissing);
    assert_eq!(title(&world.page()), "1 thing needs you");
    world.outlet = State::Connected;
    world.observed.clear();
    world.looks =
        Looks { traffic: Some(Arc::default()), weeks: Some(Arc::default()), ..Looks::default() };
    assert_eq!(title(&world.page()), "Waiting for the first records");
}

#[test]
fn one_cause_is_told_once_and_troubled_tenants_come_first() {
    let mut world = World::new(300);
    for tenant in &mut world.observed[250..] {
        tenant.problem = Some(Reason::AuditingOff);
    }
    let page = world.page();
    let what = page.split_once("id=\"attention\"").unwrap().1.split_once("</section>").unwrap().0;
    assert_eq!(what.matches("<article").count(), 1, "{what}");
    assert!(what.contains("customer-257 and 42 more"), "{what}");
    let tenants = page.split_once("id=\"tenants\"").unwrap().1;
    let first = tenants.find("customer-250").unwrap();
    assert!(first < tenants.find("customer-000").unwrap());
    assert_eq!(page.matches("<details").count(), 40);
    assert_eq!(
        page.matches(
            "<details class=\"tenant\" id=\"t-00000000-0000-0000-0000-0000000000fa\" open"
        )
        .count(),
        1
    );
}

#[test]
fn what_others_named_is_escaped() {
    let mut world = World::new(0);
    let evil = Tenant { name: "<b onload=\"x\"><script>alert(1)</script>&'".into(), ..tenant(1) };
    let feed = (evil.id, ContentType::General);
    world.tenants = Tenants::from_iter([evil]);
    let given_up = GivenUp {
        feed,
        reason: Some(Reason::Undecodable),
        letters: 3,
        replayable: 2,
        at: world.now,
    };
    world.looks.given_up = Some([given_up].into());
    let ends = (Kind::Client, Arc::from("<i>"), after(world.now, SignedDuration::from_hours(50)));
    world.looks.certificates = Some([ends].into());
    let page = world.page();
    for raw in ["<b onload", "<script>alert", "<i>"] {
        assert!(!page.contains(raw), "{raw}: {page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert!(page.contains("--tenant '&lt;b onload=&quot;x&quot;&gt;"), "{page}");
    assert!(page.contains("The client certificate expires in 2 days"));
}

#[test]
fn five_hundred_tenants_are_a_small_page() {
    let mut world = World::new(500);
    for tenant in world.observed.iter_mut().step_by(3) {
        tenant.problem = Some(Reason::Timeout);
    }
    let status = world.status();
    let page = Page::new(&status, &View::All).document(&View::All);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    assert!(page.contains("customer-499"), "everybody is on it");
    let one = View::Tenant(Uuid::from_u128(499).to_string());
    let page = Page::new(&status, &one).document(&one);
    assert!(page.contains("Audit.Exchange") && page.len() < 60_000, "{} bytes", page.len());
}

#[test]
fn nothing_is_inline_that_the_policy_forbids() {
    let page = World::new(3).page();
    for forbidden in [" style=\"", " onclick", " onload", "javascript:", "http://", "https://"] {
        let body = page.split_once("<body").unwrap().1.split_once("<script").unwrap().0;
        assert!(!body.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("<style>").count(), 1);
    assert!(!policy().contains("unsafe"), "{}", policy());
}

#[test]
fn every_part_can_be_replaced_alone() {
    let world = World::new(3);
    let page = Page::new(&world.status(), &View::All);
    let mut ids: HashMap<&str, u32> = HashMap::new();
    for part in page.parts() {
        *ids.entry(&part.id).or_default() += 1;
        assert!(part.html.contains(&format!("id=\"{}\"", part.id)), "{}", part.html);
    }
    assert!(ids.values().all(|times| *times == 1), "{ids:?}");
}
