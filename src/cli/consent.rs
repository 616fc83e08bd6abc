//! `consent`: an administrator of another organisation lets us collect its records.
//!
//! The address goes to standard error, where the person is; the lines for the configuration are the
//! result. Nothing is stored unless the consent is of the tenant that was named.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use url::Url;

use super::{CommandError, Consent, Exit, asking};
use crate::{
    clock::Clock,
    config::{Config, HumanDuration},
    consent::{Callback, WaitError},
    content::{ContentType, Tenant, TenantId, is_name},
    ledger::{Onboarding, StoredTenant},
    microsoft::tokens::TokenError,
    moment::after,
    redirect::{Answer, PATH, Redirect, Refused},
    tls,
};

mod expected;

use expected::{Expected, domain};

/// Asks, waits, and stores the tenant.
pub(super) async fn ask(config: Config, command: Consent) -> Result<Exit, CommandError> {
    let clock = Clock::system();
    let application = application(&config, command.application.as_deref())?;
    let client = asking::client(&config, &clock)?;
    let expected = Expected::find(client.tokens(), &command.tenant_of).await?;
    // Before anybody is bothered.
    let mut ledger = Onboarding::open(&config.ledger).await?;
    if let Expected::Tenant(id) = expected {
        free(&config, &ledger.tenants().await?, &label(&command, id), id)?;
    }

    let state = state()?;
    let way = Way::open(&config, &command).await?;
    // Whoever opens the address may be back before anything else happens here.
    way.expect(&mut ledger, &state, &clock, command.wait).await?;
    let redirect = way.address();
    let tokens = client.tokens();
    let address = tokens.consent_address(application.id, &redirect, &state);
    let address = address.expect("the application is of a configured tenant");
    writeln!(
        io::stderr(),
        "An administrator of {}{expected} opens this address, signs in and accepts:\n\n\
         {address}\n\nThe browser comes back to {redirect}, which must be a redirect URI of the \
         application (Entra, Authentication, platform Web). Waiting for it; Ctrl-C ends this \
         without a change.",
        command.tenant_of,
    )?;
    let returned = way.wait(&mut ledger, &state, command.wait).await?;
    let code = match returned.answer {
        Answer::Code(code) => code,
        Answer::Refused(refused) => return Err(ConsentError::Refused(refused).into()),
    };
    let redeemed = tokens.redeem(application.id, &redirect, &code).await;
    let id = expected.confirm(redeemed.map_err(ConsentError::Redeem)?)?;
    let tenant = StoredTenant {
        id,
        name: label(&command, id),
        client_id: application.client_id,
        content_types: match &command.content_types[..] {
            [] => ContentType::ALL.to_vec(),
            wanted => wanted.to_vec(),
        },
        added: clock.now(),
    };
    free(&config, &[], &tenant.name, id)?;
    if config.tenants.find(id).is_some() {
        writeln!(io::stderr(), "consent given; {} is in the configuration already", tenant.name)?;
        return Ok(Exit::Success);
    }
    ledger.store(tenant.clone()).await?;
    writeln!(
        io::stderr(),
        "consent given and {} stored; a running service collects it within seconds. To have it in \
         the configuration instead, add these lines and the credential of {}:",
        tenant.name,
        application.name,
    )?;
    write!(io::stdout(), "{}", lines(&tenant))?;
    Ok(Exit::Success)
}

/// Why there is no consent.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// Several applications are configured.
    #[error(
        "several applications are configured; say with --application which tenant's is consented to"
    )]
    Ambiguous,
    /// Somebody consented who is a guest in the tenant.
    #[error(
        "the consent is of tenant {given}, but was given with the account of a guest, so that it is \
         of {expected:?} cannot be told; nothing was stored. Give the tenant id with --tenant-of"
    )]
    Guest {
        /// Whose consent it is.
        given: TenantId,
        /// Whose it should be.
        expected: String,
    },
    /// The callback cannot be served.
    #[error("cannot listen on the address of --listen")]
    Listen(#[source] io::Error),
    /// Another tenant has the label.
    #[error("another tenant has the name {0:?} already; give another one with --name")]
    NameTaken(String),
    /// Nothing says whose consent it is.
    #[error(
        "the consent is of tenant {given}; whether that is the tenant of {expected:?} could not be \
         compared, because neither Entra's directory nor the token tells; nothing was stored. Give \
         the tenant id with --tenant-of"
    )]
    Uncompared {
        /// Whose consent it is.
        given: TenantId,
        /// Whose it should be.
        expected: String,
    },
    /// Another organisation consented.
    #[error(
        "the consent is of tenant {given}, but {expected} was expected; nothing was stored. Was \
         the administrator signed in with an account of another organisation?"
    )]
    Other {
        /// Whose consent it is.
        given: TenantId,
        /// Whose it should be.
        expected: TenantId,
    },
    /// An account of another domain consented.
    #[error(
        "the consent was given with an account of {found:?} (tenant {given}), but one of \
         {expected:?} was expected; nothing was stored. If both are of one organisation, give the \
         tenant id with --tenant-of"
    )]
    OtherDomain {
        /// Whose consent it is.
        given: TenantId,
        /// The domain of the account.
        found: String,
        /// The domain that was named.
        expected: String,
    },
    /// Entra does not exchange the code.
    #[error("the consent cannot be confirmed; nothing was stored, ask again")]
    Redeem(#[source] TokenError),
    /// The person, or Entra, said no.
    #[error("no consent, and nothing was stored: {0}")]
    Refused(Refused),
    /// The organisation is not found.
    #[error("the tenant of {address:?} cannot be found")]
    Unknown {
        /// As given.
        address: String,
        /// What Entra says.
        source: TokenError,
    },
    /// Nobody came back.
    #[error(transparent)]
    Wait(#[from] WaitError),
}

/// The tenant whose application is consented to: the one named, or any if they share one.
fn application(
    config: &Config,
    named: Option<&str>,
) -> Result<std::sync::Arc<Tenant>, CommandError> {
    let mut tenants: Vec<_> = config.tenants.iter().collect();
    tenants.sort_by_key(|tenant| tenant.id);
    if let Some(named) = named {
        let id = named.parse().ok();
        let found = tenants.into_iter().find(|t| *t.name == *named || Some(t.id) == id);
        return found.ok_or_else(|| CommandError::UnknownTenant(named.to_owned()));
    }
    let shared = tenants.windows(2).all(|pair| pair[0].client_id == pair[1].client_id);
    match tenants.into_iter().next() {
        Some(tenant) if shared => Ok(tenant),
        _ => Err(ConsentError::Ambiguous.into()),
    }
}

/// Sees that no other tenant has the label.
fn free(
    config: &Config,
    stored: &[StoredTenant],
    name: &str,
    id: TenantId,
) -> Result<(), ConsentError> {
    let mut configured = config.tenants.iter();
    let taken = configured.any(|other| *other.name == *name && other.id != id)
        || stored.iter().any(|other| other.name == name && other.id != id);
    if taken { Err(ConsentError::NameTaken(name.to_owned())) } else { Ok(()) }
}

fn label(command: &Consent, id: TenantId) -> String {
    command.name.clone().unwrap_or_else(|| match command.tenant_of.parse::<TenantId>() {
        Ok(_) => id.to_string(),
        Err(_) => name(domain(&command.tenant_of)).unwrap_or_else(|_| id.to_string()),
    })
}

/// Reads a label as the configuration does.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits, '-', '_' or '.'")
    }
}

/// Reads how long to wait for a person.
pub(super) fn patience(text: &str) -> Result<Duration, &'static str> {
    match text.parse::<HumanDuration>() {
        Ok(HumanDuration(wait)) if (LEAST_WAIT..=MOST_WAIT).contains(&wait) => Ok(wait),
        _ => Err("expected a duration of 1s to 24h, such as 15m"),
    }
}

/// Where the browser comes back to.
enum Way {
    Loopback(Callback),
    Public(Url),
}

impl Way {
    async fn open(config: &Config, command: &Consent) -> Result<Self, CommandError> {
        match config.webhook.as_ref().filter(|webhook| webhook.consent_callback) {
            None => {
                let callback = Callback::bind(command.listen).await;
                Ok(Self::Loopback(callback.map_err(ConsentError::Listen)?))
            }
            Some(webhook) => {
                let mut address = webhook.address.clone();
                address.set_path(PATH);
                Ok(Self::Public(address))
            }
        }
    }

    fn address(&self) -> Url {
        match self {
            Self::Loopback(callback) => callback.address(),
            Self::Public(address) => address.clone(),
        }
    }

    async fn expect(
        &self,
        ledger: &mut Onboarding,
        state: &str,
        clock: &Clock,
        limit: Duration,
    ) -> Result<(), CommandError> {
        if let Self::Public(_) = self {
            let now = clock.now();
            ledger.expect(state, now, after(now, limit)).await?;
        }
        Ok(())
    }

    async fn wait(
        self,
        ledger: &mut Onboarding,
        state: &str,
        limit: Duration,
    ) -> Result<Redirect, CommandError> {
        match self {
            Self::Loopback(callback) => {
                let stray = || {
                    let line = "a browser came with a state that was not asked for, and is ignored";
                    writeln!(io::stderr(), "warning: {line}").unwrap_or_default();
                };
                Ok(callback.wait(state, limit, stray).await.map_err(ConsentError::Wait)?)
            }
            Self::Public(_) => {
                let returned = poll(ledger, state, limit).await;
                ledger.forget(state).await?;
                returned
            }
        }
    }
}

/// The service takes the answer at the public port and leaves it in the ledger.
async fn poll(
    ledger: &mut Onboarding,
    state: &str,
    limit: Duration,
) -> Result<Redirect, CommandError> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        let answer = ledger.answer(state).await?;
        if let Some(redirect) = answer.as_deref().and_then(Redirect::read) {
            return Ok(redirect);
        }
        sleep(POLL).await;
    }
    Err(ConsentError::Wait(WaitError::Nobody).into())
}

/// 256 bits that nobody guesses.
fn state() -> Result<String, CommandError> {
    let random = tls::random::<32>()?;
    Ok(random.map(|byte| format!("{byte:02x}")).concat())
}

fn lines(tenant: &StoredTenant) -> String {
    let kinds: Vec<_> = tenant.content_types.iter().map(|kind| format!("\"{kind}\"")).collect();
    format!(
        "[[tenants]]\nid = \"{}\"\nname = \"{}\"\nclient_id = \"{}\"\ncontent_types = [{}]\n",
        tenant.id,
        tenant.name,
        tenant.client_id,
        kinds.join(", ")
    )
}

const LEAST_WAIT: Duration = Duration::from_secs(1);

const MOST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const POLL: Duration = Duration::from_millis(500);
