//! The notifier: gathers what is published and posts it to the webhooks.
//!
//! Each notification is retried on its own while later ones go out, so repeats and disorder come
//! by themselves, as with the real one. What is lost with a disabled webhook stays in the listing.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    HeaderMap,
    header::{CONTENT_TYPE, HeaderValue},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, Semaphore},
    time,
};
use url::Url;
use uuid::Uuid;

use super::{World, contents::Content, subscriptions::WebhookState};
use crate::{
    content::ContentId,
    simulator::{Feed, locked},
};

/// One entry of a notification; every field is text so that a test can put anything there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The tenant's id.
    pub tenant_id: String,
    /// The application's id.
    pub client_id: String,
    /// The feed.
    pub content_type: String,
    /// The content's id, in the form chosen.
    pub content_id: String,
    /// Where it is fetched.
    pub content_uri: String,
    /// When it was notified, as with the real one.
    pub content_created: String,
    /// When it expires.
    pub content_expiration: String,
}

/// How a content is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcing {
    /// How often; 0 is a lost notification, 2 a repeated one.
    pub copies: usize,
    /// How its id is spelled.
    pub form: IdForm,
    /// Whether it overtakes what already waits.
    pub first: bool,
}

impl Announcing {
    /// Not at all.
    pub const LOST: Self = Self { copies: 0, form: IdForm::Listed, first: false };
}

impl Default for Announcing {
    fn default() -> Self {
        Self { copies: 1, form: IdForm::Listed, first: false }
    }
}

/// The spellings of a content id in notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdForm {
    /// As in the listing.
    Listed,
    /// With `$IsFromNotification` behind it.
    Marked,
    /// With `$IsFromNotification$6` behind it.
    MarkedNumbered,
    /// With its last segment twice.
    RepeatedRegion,
}

impl IdForm {
    /// Every form.
    pub const ALL: [Self; 4] =
        [Self::Listed, Self::Marked, Self::MarkedNumbered, Self::RepeatedRegion];

    /// Spells an id in this form.
    pub fn spell(self, id: &ContentId) -> String {
        match self {
            Self::Listed => id.to_string(),
            Self::Marked => format!("{id}$IsFromNotification"),
            Self::MarkedNumbered => format!("{id}$IsFromNotification$6"),
            Self::RepeatedRegion => match id.as_str().rsplit_once('$') {
                Some((_, region)) => format!("{id}${region}"),
                None => id.to_string(),
            },
        }
    }
}

/// One try to post a notification.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// Whose webhook was called.
    pub feed: Feed,
    /// What was in it.
    pub entries: Arc<[Entry]>,
    /// The answer; `None` when there was none.
    pub status: Option<u16>,
}

/// Entries waiting to be posted, and what became of those that were.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<Feed, VecDeque<Entry>>,
    attempts: VecDeque<Attempt>,
}

impl Outbox {
    pub(super) fn push(&self, feed: Feed, entry: &Entry, announcing: Announcing) {
        let mut state = locked(&self.state);
        let lane = state.lanes.entry(feed).or_default();
        for _ in 0..announcing.copies.min(LONGEST_LANE.saturating_sub(lane.len())) {
            if announcing.first {
                lane.push_front(entry.clone());
            } else {
                lane.push_back(entry.clone());
            }
        }
        drop(state);
        self.filled.notify_one();
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        locked(&self.state).attempts.iter().cloned().collect()
    }

    fn batches(&self, most: usize) -> Vec<(Feed, Arc<[Entry]>)> {
        let mut batches = Vec::new();
        for (feed, lane) in &mut locked(&self.state).lanes {
            while !lane.is_empty() {
                let length = lane.len().min(most.max(1));
                batches.push((*feed, lane.drain(..length).collect()));
            }
        }
        batches
    }

    fn note(&self, attempt: Attempt) {
        let mut state = locked(&self.state);
        if state.attempts.len() == KEPT_ATTEMPTS {
            state.attempts.pop_front();
        }
        state.attempts.push_back(attempt);
    }
}

/// Runs until the task is ended.
pub(super) async fn run(world: Arc<World>) {
    let under_way = Arc::new(Semaphore::new(MOST_UNDER_WAY));
    loop {
        world.outbox.filled.notified().await;
        time::sleep(world.notification_delay).await;
        for (feed, entries) in world.outbox.batches(world.notification_batch) {
            let (world, under_way) = (world.clone(), under_way.clone());
            let tasks = world.tasks.clone();
            tasks.spawn(async move { deliver(&world, &under_way, feed, entries).await });
        }
    }
}

/// Posts one notification until it is taken, or disables the webhook.
async fn deliver(world: &World, under_way: &Semaphore, feed: Feed, entries: Arc<[Entry]>) {
    let body = Bytes::from(serde_json::to_vec(&*entries).expect("entries are plain text"));
    let waits = world.notification_retries.iter().copied();
    for wait in std::iter::once(Duration::ZERO).chain(waits) {
        time::sleep(wait).await;
        let Ok(permit) = under_way.acquire().await else {
            return;
        };
        let Some((address, auth_id)) = world.webhook(feed) else {
            return;
        };
        let answer = post(world, &address, auth_id.as_deref(), None, body.clone()).await;
        drop(permit);
        let status = answer.ok().map(|answer| answer.status);
        world.outbox.note(Attempt {
            at: world.clock.now(),
            feed,
            entries: entries.clone(),
            status,
        });
        if status == Some(200) {
            return;
        }
    }
    locked(&world.subscriptions).entry(feed).set_webhook_state(WebhookState::Disabled);
}

/// Asks a webhook to prove itself; the error is what the start call then says.
pub(super) async fn validate(
    world: &World,
    address: &str,
    auth_id: Option<&str>,
) -> Result<(), String> {
    let code = Uuid::new_v4().to_string();
    let body = serde_json::to_vec(&Validation { validation_code: &code });
    let body = Bytes::from(body.expect("a code is plain text"));
    match post(world, address, auth_id, Some(&code), body).await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("The endpoint answered {}.", answer.status)),
        Err(error) => Err(format!("The endpoint did not answer: {error}.")),
    }
}

async fn post(
    world: &World,
    address: &str,
    auth_id: Option<&str>,
    validation: Option<&str>,
    body: Bytes,
) -> io::Result<super::Answer> {
    let address = Url::parse(address).map_err(io::Error::other)?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    for (name, value) in [("webhook-authid", auth_id), ("webhook-validationcode", validation)] {
        if let Some(value) = value {
            let value = HeaderValue::from_str(value).map_err(io::Error::other)?;
            headers.insert(name, value);
        }
    }
    world.poster.post(&address, headers, body).await
}

impl World {
    /// The address and auth id to notify, if the feed has a webhook that is called.
    pub(super) fn webhook(&self, feed: Feed) -> Option<(String, Option<String>)> {
        let subscriptions = locked(&self.subscriptions);
        let subscription = subscriptions.find(feed)?;
        let called = subscription.notifies(self.clock.now());
        let webhook = subscription.webhook.as_ref().filter(|_| called)?;
        Some((webhook.address.clone(), webhook.auth_id.clone()))
    }

    /// The entry that announces a content.
    pub(super) fn entry(&self, feed: Feed, content: &Content, form: IdForm) -> Entry {
        let client = self.tenants.get(&feed.tenant);
        let id = form.spell(&content.id);
        Entry {
            tenant_id: feed.tenant.to_string(),
            client_id: client.map_or_else(String::new, |tenant| tenant.client_id.to_string()),
            content_type: feed.content_type.to_string(),
            content_uri: self.content_uri(feed.tenant, &id),
            content_id: id,
            content_created: super::answers::time(self.clock.now()),
            content_expiration: super::answers::time(content.expires),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Validation<'a> {
    validation_code: &'a str,
}

/// As in the reference's own sample; strict parsers refuse it.
const MEDIA_TYPE: &str = "application/json; utf-8";

/// Notifications posted at the same time, over all webhooks.
pub(super) const MOST_UNDER_WAY: usize = 64;

/// Entries waiting for one webhook; what does not fit is a lost notification.
const LONGEST_LANE: usize = 100_000;

/// Enough for any test; a long demonstration keeps only the end.
const KEPT_ATTEMPTS: usize = 10_000;
