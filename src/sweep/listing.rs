//! Reading a window of Microsoft's listing to its end.
//!
//! One page is in memory at a time, and only so many tenants hold one. A page that has gone stale
//! sends the reader back to the first page, a throttled tenant is waited for, and a passing failure
//! is tried again; whatever else happens ends the reading with an error, because a window that was
//! not read to its end proves nothing.
//!
//! The listing gives way to the blobs of its tenant, but not for ever: what is not found in time
//! expires.

use std::{collections::HashSet, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    backoff::{Backoff, jitter},
    clock::Clock,
    content::{Announcement, ContentType, TenantId},
    ledger::LedgerError,
    microsoft::{
        ApiError, Client,
        answer::Action,
        client::{ForeignPage, NextPage, Page, Window},
    },
    reason::Reason,
};

/// Opens windows of the listing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lister {
    client: Client,
    clock: Clock,
    places: Arc<Semaphore>,
    backoff: Backoff,
    max_pages: usize,
    throttled: Throttled,
}

impl Lister {
    /// A lister of which at most `places` pages are read or held at a time.
    pub fn new(client: Client, clock: Clock, places: NonZeroUsize) -> Self {
        Self {
            client,
            clock,
            places: Arc::new(Semaphore::new(places.get())),
            backoff: Backoff::try_new(AGAIN_MIN, AGAIN_MAX).expect("the bounds are in order"),
            max_pages: MAX_PAGES,
            throttled: Throttled(Arc::new(|_, _| ())),
        }
    }

    /// Tells of each time that it waits because Microsoft throttles a tenant, and for how long.
    #[must_use]
    pub fn telling(
        mut self,
        throttled: impl Fn(TenantId, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.throttled = Throttled(Arc::new(throttled));
        self
    }

    /// The pages of a window, none of them asked for yet.
    pub fn pages(&self, tenant: TenantId, content_type: ContentType, window: Window) -> Pages<'_> {
        Pages {
            lister: self,
            tenant,
            content_type,
            window,
            step: Some(Step::First),
            seen: HashSet::new(),
            restarts: 0,
            malformed: 0,
            place: None,
        }
    }

    /// How far Microsoft's clock is ahead of ours, as far as is known.
    pub fn skew(&self) -> SignedDuration {
        self.client.clock_skew().unwrap_or(SignedDuration::ZERO)
    }

    /// Our time, corrected by a skew.
    pub fn now(&self, skew: SignedDuration) -> Timestamp {
        self.clock.now().saturating_add(skew).unwrap_or(Timestamp::MAX)
    }

    /// Waits while the tenant's budget is needed for its blobs.
    async fn give_way(&self, tenant: TenantId) {
        let until = Instant::now() + COURTESY;
        while !self.client.pacing().is_relaxed(tenant) && Instant::now() < until {
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// A window being read.
#[derive(Debug)]
pub struct Pages<'a> {
    lister: &'a Lister,
    tenant: TenantId,
    content_type: ContentType,
    window: Window,
    step: Option<Step>,
    seen: HashSet<NextPage>,
    restarts: u32,
    malformed: usize,
    /// Held while a page is in memory.
    place: Option<OwnedSemaphorePermit>,
}

impl Pages<'_> {
    /// What the next page lists; none after the last. After a stale page the window begins anew, so
    /// content may come more than once.
    ///
    /// # Errors
    ///
    /// [`ListError`]; the window was then not read to its end.
    pub async fn next(&mut self) -> Result<Option<Vec<Announcement>>, ListError> {
        self.place = None;
        let Some(step) = self.step.take() else {
            return Ok(None);
        };
        if let Step::Foreign(foreign) = step {
            return Err(ApiError::from(foreign).into());
        }
        if let Step::Further(page) = &step {
            if self.seen.len() >= self.lister.max_pages {
                return Err(ListError::TooManyPages);
            }
            if !self.seen.insert(page.clone()) {
                return Err(ListError::PageCycle);
            }
        }
        let page = self.ask(step).await?;
        self.malformed += page.malformed;
        // What the page lists counts, wherever it wants to be followed to.
        self.step = match page.next {
            Ok(next) => next.map(Step::Further),
            Err(foreign) => Some(Step::Foreign(foreign)),
        };
        Ok(Some(page.items))
    }

    /// Entries without a usable id so far; they can be neither fetched nor named.
    pub const fn malformed(&self) -> usize {
        self.malformed
    }

    async fn ask(&mut self, mut step: Step) -> Result<Page, ListError> {
        let mut failures = 0;
        loop {
            self.place = None;
            let error = match self.request(&step).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            match error {
                ApiError::Throttled { until } => {
                    let wait = until.saturating_duration_since(Instant::now());
                    (self.lister.throttled.0)(self.tenant, wait);
                    sleep_until(until).await;
                }
                _ if error.action() == Some(Action::StalePage) => {
                    self.restarts += 1;
                    if self.restarts > MAX_RESTARTS {
                        return Err(ListError::StalePages);
                    }
                    self.seen.clear();
                    self.malformed = 0;
                    step = Step::First;
                }
                _ if is_passing(&error) && failures < MAX_FAILURES => {
                    failures += 1;
                    sleep(self.lister.backoff.delay(failures, jitter())).await;
                }
                _ => return Err(error.into()),
            }
        }
    }

    async fn request(&mut self, step: &Step) -> Result<Page, ApiError> {
        let Lister { client, places, .. } = self.lister;
        self.lister.give_way(self.tenant).await;
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let page = match step {
            Step::First => client.list_content(self.tenant, self.content_type, self.window).await,
            Step::Further(page) => {
                client.next_page(self.tenant, self.content_type, page.clone()).await
            }
            Step::Foreign(foreign) => Err((*foreign).into()),
        }?;
        self.place = Some(place);
        Ok(page)
    }
}

/// Why a window was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Microsoft does not list it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Microsoft's clock is not where it was taken to be.
    #[error("our clock and Microsoft's differ by another amount at every answer")]
    Clock,
    /// What was read cannot be recorded.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A page names one as the next that was read before.
    #[error("the pages of the listing go in a circle")]
    PageCycle,
    /// The pages went stale each time.
    #[error("the pages of the listing went stale again and again")]
    StalePages,
    /// There are more pages than make sense.
    #[error("the listing has more than {MAX_PAGES} pages")]
    TooManyPages,
}

impl ListError {
    /// A word for logs, the same as long as the trouble is the same.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Api(error) => error.reason().as_str(),
            Self::Clock => "clock",
            Self::Ledger(_) => "ledger",
            Self::PageCycle => "page_cycle",
            Self::StalePages => "stale_pages",
            Self::TooManyPages => "too_many_pages",
        }
    }

    /// Whether it may be the trouble of one window, and others can be listed.
    pub const fn is_of_one_window(&self) -> bool {
        match self {
            Self::PageCycle | Self::StalePages | Self::TooManyPages => true,
            Self::Api(error) => matches!(
                error.reason(),
                Reason::BadAnswer | Reason::CutBody | Reason::ServerError | Reason::Timeout
            ),
            Self::Clock | Self::Ledger(_) => false,
        }
    }

    /// Whether asking again in a moment may help.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Api(error) if is_passing(error))
    }

    /// Whether there is no enabled subscription to what should be listed.
    pub const fn is_not_subscribed(&self) -> bool {
        matches!(self, Self::Api(error) if matches!(error.reason(), Reason::NotSubscribed))
    }

    /// Whether somebody has to allow the listing first.
    pub const fn is_refusal(&self) -> bool {
        let Self::Api(error) = self else {
            return false;
        };
        matches!(
            error.reason(),
            Reason::AuditingOff
                | Reason::CredentialsRefused
                | Reason::NotSubscribed
                | Reason::RoleMissing
                | Reason::Unauthorized
        )
    }
}

/// Who wants to know of waiting.
#[derive(Clone)]
struct Throttled(Arc<dyn Fn(TenantId, Duration) + Send + Sync>);

impl fmt::Debug for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttled")
    }
}

#[derive(Clone, Debug)]
enum Step {
    First,
    Further(NextPage),
    /// One that is not asked.
    Foreign(ForeignPage),
}

/// Whether asking again in a moment may help.
const fn is_passing(error: &ApiError) -> bool {
    matches!(
        error.reason(),
        Reason::Connection
            | Reason::CutBody
            | Reason::ServerError
            | Reason::Timeout
            | Reason::TokenUnavailable
    )
}

/// Ten thousand pages of some hundred entries are millions of contents in a day. It also bounds the
/// memory of the pages seen to some megabytes.
const MAX_PAGES: usize = 10_000;

/// Pages live for minutes; one that goes stale this often is not about time.
const MAX_RESTARTS: u32 = 3;

/// A failure that lasts longer is left to the next sweep.
const MAX_FAILURES: u32 = 3;

const AGAIN_MIN: Duration = Duration::from_millis(500);

const AGAIN_MAX: Duration = Duration::from_secs(10);

/// How long a page gives way to blobs. A tenant whose budget is always spent is still listed, at
/// twelve requests a minute.
const COURTESY: Duration = Duration::from_secs(5);

const LOOK_AGAIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::microsoft::world::{A, Reply, World, tenant};

    #[tokio::test]
    async fn a_listing_that_never_ends_is_left_at_the_cap() {
        let world = World::api(|asked| {
            let next = format!("{}?{}0", asked.path, asked.query);
            Reply::new(200, "[]").header("NextPageUri", next)
        })
        .await;
        let mut lister = Lister::new(world.client(), Clock::system(), NonZeroUsize::MIN);
        lister.max_pages = 5;
        let window = Window {
            start: "2026-01-02T00:00:00Z".parse().unwrap(),
            end: "2026-01-03T00:00:00Z".parse().unwrap(),
        };
        let mut pages = lister.pages(tenant(A), ContentType::General, window);
        for _ in 0..6 {
            assert!(pages.next().await.unwrap().is_some());
        }
        assert!(matches!(pages.next().await, Err(ListError::TooManyPages)));
        assert_eq!(world.asked().len(), 6, "the first and five further ones");
    }

    #[tokio::test]
    async fn waiting_for_a_throttled_tenant_is_told() {
        let first = AtomicBool::new(true);
        let world = World::api(move |_| {
            if first.swap(false, Ordering::Relaxed) {
                Reply::new(429, "").header("Retry-After", "2")
            } else {
                Reply::new(200, "[]")
            }
        })
        .await;
        let told = Arc::<Mutex<Vec<_>>>::default();
        let log = told.clone();
        let lister = Lister::new(world.client(), Clock::system(), NonZeroUsize::MIN)
            .telling(move |tenant, wait| log.lock().unwrap().push((tenant, wait)));
        let window = Window {
            start: "2026-01-02T00:00:00Z".parse().unwrap(),
            end: "2026-01-03T00:00:00Z".parse().unwrap(),
        };
        let mut pages = lister.pages(tenant(A), ContentType::General, window);
        assert!(pages.next().await.unwrap().is_some());
        let told = told.lock().unwrap();
        let [(of, wait)] = told[..] else { panic!("once: {told:?}") };
        assert_eq!(of, tenant(A));
        assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(2), "{wait:?}");
    }
}
