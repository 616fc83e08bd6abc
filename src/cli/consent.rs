//! `consent`: an administrator of another organisation lets us collect its records.
//!
//! The address goes to standard error, where the person is; the lines for the configuration are the
//! result. Nothing is stored unless the consent is of the tenant that was named.

use std::{
    io::{self, Write},
    time::Duration,
};

use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use url::Url;

use super::{CommandError, Consent, Exit, asking};
use crate::{
    clock::Clock,
    config::{Config, HumanDuration},
    consent::{Callback, WaitError},
    content::{ContentType, Tenant, TenantId},
    ledger::{Onboarding, StoredTenant},
    microsoft::tokens::{TokenError, Tokens},
    moment::after,
    redirect::{Answer, PATH, Redirect, Refused},
    tls,
};

/// Asks, waits, and stores the tenant.
pub(super) async fn ask(config: Config, command: Consent) -> Result<Exit, CommandError> {
    let clock = Clock::system();
    let application = application(&config, command.application.as_deref())?;
    let client = asking::client(&config, &clock)?;
    let expected = expected(client.tokens(), &command.tenant_of).await?;
    // Before anybody is bothered.
    let mut ledger = Onboarding::open(&config.ledger).await?;
    let tenant = StoredTenant {
        id: expected,
        name: label(&command, expected),
        client_id: application.client_id,
        content_types: match &command.content_types[..] {
            [] => ContentType::ALL.to_vec(),
            wanted => wanted.to_vec(),
        },
        added: clock.now(),
    };
    if let Some(other) = config.tenants.iter().find(|other| *other.name == *tenant.name)
        && other.id != expected
    {
        return Err(ConsentError::NameTaken(tenant.name).into());
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
        "An administrator of {} ({expected}) opens this address, signs in and accepts:\n\n\
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
    confirm(tokens, application.id, &redirect, &code, expected).await?;
    if config.tenants.find(expected).is_some() {
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
    /// The callback cannot be served.
    #[error("cannot listen on the address of --listen")]
    Listen(#[source] io::Error),
    /// A configured tenant has the label.
    #[error("a configured tenant has the name {0:?} already; give another one with --name")]
    NameTaken(String),
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

async fn expected(tokens: &Tokens, address: &str) -> Result<TenantId, CommandError> {
    if let Ok(id) = address.parse() {
        return Ok(id);
    }
    let unknown = |source| ConsentError::Unknown { address: address.to_owned(), source };
    Ok(tokens.tenant_of(domain(address)).await.map_err(unknown)?)
}

/// What of an address says whose it is.
fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}

fn label(command: &Consent, id: TenantId) -> String {
    command.name.clone().unwrap_or_else(|| match command.tenant_of.parse::<TenantId>() {
        Ok(_) => id.to_string(),
        Err(_) => name(domain(&command.tenant_of)).unwrap_or_else(|_| id.to_string()),
    })
}

/// Reads a label as the configuration does.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
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

async fn confirm(
    tokens: &Tokens,
    application: TenantId,
    redirect: &Url,
    code: &SecretString,
    expected: TenantId,
) -> Result<(), ConsentError> {
    let given = tokens.redeem(application, redirect, code).await.map_err(ConsentError::Redeem)?;
    if given == expected { Ok(()) } else { Err(ConsentError::Other { given, expected }) }
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
