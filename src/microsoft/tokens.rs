//! One access token per tenant, shared by every caller.
//!
//! - Concurrent callers without a token share one request to Entra. If the caller that makes it
//!   goes away, the next one takes over.
//! - At 70 % of its life a token is refreshed by one caller while the others keep using it.
//! - A token that Microsoft refused is replaced once, however many callers were refused with it.
//! - A failure is remembered for a short, growing time, so that a broken Entra, or a wrong secret,
//!   is not asked by every blob.
//! - What proves who we are is read again when it changes, and used from the next request on.
//! - Neither token nor secret is printed (I9).
//!
//! Nothing is stored: a restart asks again.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use dashmap::DashMap;
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use tokio::time::Instant;
use url::Url;

use crate::{
    backoff::{Backoff, jitter},
    clock::Clock,
    content::{ClientId, TenantId, Tenants},
};

mod assertion;
mod claims;
mod consent;
mod credential;
mod entra;
mod error;
mod exchange;
mod refusal;

pub use claims::{Claims, role};
pub use consent::{Account, Consented};
pub use credential::{CertificateError, ClientCertificate, Credential};
use entra::{Grant, refresh_after};
pub use error::TokenError;
pub use refusal::Refusal;

/// The tokens of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

impl Tokens {
    pub(super) fn new(
        http: reqwest::Client,
        login: Url,
        resource: String,
        credentials: HashMap<TenantId, Credential>,
        tenants: Tenants,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            http,
            login,
            resource,
            credentials,
            tenants,
            clock,
            backoff: Backoff::try_new(FAILURE_MIN, FAILURE_MAX).expect("the bounds are in order"),
            slots: DashMap::new(),
        }))
    }

    /// A token for the tenant that is believed to be good.
    ///
    /// # Errors
    ///
    /// [`TokenError`] when there is none and Entra gives none, or gave none a moment ago.
    pub async fn bearer(&self, tenant: TenantId) -> Result<Bearer, TokenError> {
        let slot = self.slot(tenant);
        if let Some(bearer) = slot.state().fresh(Instant::now()) {
            return Ok(bearer);
        }
        let _flight = if let Some(aging) = slot.state().alive(Instant::now()) {
            match slot.flight.try_lock() {
                Ok(flight) => flight,
                // Somebody is refreshing it; it serves until then.
                Err(_) => return Ok(aging),
            }
        } else {
            slot.flight.lock().await
        };
        self.fly(tenant, &slot).await
    }

    /// Notes that Microsoft refused the token of this generation. Says whether trying again makes
    /// sense: with a newer token, or because a new one will be asked for.
    pub(super) fn refused(&self, tenant: TenantId, generation: u64) -> bool {
        let slot = self.slot(tenant);
        let mut state = slot.state();
        // Replaced already, or dropped by another caller that was refused with it.
        let known = |token: &Token| token.bearer.generation == generation;
        if !state.current.as_ref().is_some_and(known) {
            return true;
        }
        let now = Instant::now();
        // A missing role is answered like an expired token. A new token does not help then, and
        // must not be asked for by every request.
        let lately = state
            .replaced
            .is_some_and(|replaced| now.duration_since(replaced) < REPLACE_AT_MOST_EVERY);
        if lately {
            return false;
        }
        state.replaced = Some(now);
        state.current = None;
        tracing::debug!(
            tenant = &*self.0.tenants.name(tenant),
            "access token refused, replacing it"
        );
        true
    }

    /// The holder of the flight: asks Entra unless somebody else just did.
    async fn fly(&self, tenant: TenantId, slot: &Slot) -> Result<Bearer, TokenError> {
        {
            let state = slot.state();
            let now = Instant::now();
            if let Some(bearer) = state.fresh(now) {
                return Ok(bearer);
            }
            if let Some(failure) = &state.failure
                && failure.until > now
            {
                return state
                    .alive(now)
                    .ok_or_else(|| TokenError::Lately(failure.error.clone().into()));
            }
        }
        let answer = self.ask(tenant).await;
        let mut state = slot.state();
        let now = Instant::now();
        match answer {
            Ok((header, life)) => Ok(state.granted(header, life, now)),
            Err(error) => {
                let times = state.failure.as_ref().map_or(1, |last| last.times + 1);
                let until = now + self.0.backoff.delay(times, jitter());
                let alive = state.alive(now);
                tracing::warn!(
                    tenant = &*self.0.tenants.name(tenant),
                    %error,
                    remedy = error.advice(),
                    serving_old_token = alive.is_some(),
                    "no new access token from Entra"
                );
                state.failure = Some(Failure { error: error.clone(), times, until });
                alive.ok_or(error)
            }
        }
    }

    async fn ask(&self, tenant: TenantId) -> Result<(HeaderValue, Duration), TokenError> {
        let Inner { tenants, resource, .. } = &*self.0;
        let (Some(credential), Some(tenant)) = (self.credential(tenant), tenants.find(tenant))
        else {
            return Err(TokenError::NotConfigured);
        };
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        let endpoint = self.directory(&tenant.id.to_string(), &["oauth2", "token"]);
        let Grant { token, life } =
            self.granted(&endpoint, tenant.client_id, credential, &form).await?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| TokenError::Unreadable)?;
        header.set_sensitive(true);
        Ok((header, life))
    }

    /// The tenant's own credential, or that of a configured tenant with the same application: an
    /// application of several tenants has one.
    fn credential(&self, tenant: TenantId) -> Option<&Credential> {
        let Inner { credentials, tenants, .. } = &*self.0;
        credentials.get(&tenant).or_else(|| {
            let application = tenants.find(tenant)?.client_id;
            let mut same: Vec<_> = tenants
                .iter()
                .filter(|other| other.client_id == application)
                .map(|other| other.id)
                .filter(|other| credentials.contains_key(other))
                .collect();
            // The same one every time.
            same.sort_unstable();
            credentials.get(same.first()?)
        })
    }

    fn slot(&self, tenant: TenantId) -> Arc<Slot> {
        // A tenant that consents anew, to another application, needs another token.
        let application = self.0.tenants.find(tenant).map(|tenant| tenant.client_id);
        let key = (tenant, application);
        if let Some(slot) = self.0.slots.get(&key) {
            return slot.clone();
        }
        self.0.slots.entry(key).or_default().clone()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("tenants", &self.0.slots.len()).finish_non_exhaustive()
    }
}

/// An access token, ready to be sent.
#[derive(Clone)]
pub struct Bearer {
    pub(super) header: HeaderValue,
    pub(super) generation: u64,
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer(generation {})", self.generation)
    }
}

struct Inner {
    http: reqwest::Client,
    login: Url,
    resource: String,
    credentials: HashMap<TenantId, Credential>,
    tenants: Tenants,
    clock: Clock,
    backoff: Backoff,
    slots: DashMap<(TenantId, Option<ClientId>), Arc<Slot>>,
}

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held by the one caller that asks Entra.
    flight: tokio::sync::Mutex<()>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

#[derive(Default)]
struct State {
    current: Option<Token>,
    /// Of the newest token ever granted.
    generation: u64,
    /// When a refused token was last dropped.
    replaced: Option<Instant>,
    failure: Option<Failure>,
}

impl State {
    fn granted(&mut self, header: HeaderValue, life: Duration, now: Instant) -> Bearer {
        self.failure = None;
        self.generation += 1;
        let bearer = Bearer { header, generation: self.generation };
        let refresh_after = refresh_after(life);
        self.current = Some(Token {
            bearer: bearer.clone(),
            refresh_at: now + refresh_after,
            dies_at: now + life.clamp(refresh_after, LIFE_MAX),
        });
        bearer
    }

    /// A token that need not be refreshed yet.
    fn fresh(&self, now: Instant) -> Option<Bearer> {
        let token = self.current.as_ref()?;
        (now < token.refresh_at).then(|| token.bearer.clone())
    }

    /// A token that still serves.
    fn alive(&self, now: Instant) -> Option<Bearer> {
        let token = self.current.as_ref()?;
        (now < token.dies_at).then(|| token.bearer.clone())
    }
}

struct Token {
    bearer: Bearer,
    refresh_at: Instant,
    dies_at: Instant,
}

struct Failure {
    error: TokenError,
    times: u32,
    until: Instant,
}

/// Entra answers within a second; a caller must not hang on a dead one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Tokens with many roles have a few kilobytes.
const MAX_ANSWER: usize = 64 * 1024;

const FAILURE_MIN: Duration = Duration::from_secs(1);

const FAILURE_MAX: Duration = Duration::from_secs(60);

const REPLACE_AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// No token lives longer; keeps arithmetic on times far from its limits.
const LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests;
