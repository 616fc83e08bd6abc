//! What can be asked about tenants, their subscriptions and the ledger.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::Timestamp;

use super::{Select, backfill, consent, content_type};
use crate::{
    content::{ContentId, ContentType, InvalidContentId},
    ledger::Location,
    reason::Reason,
};

/// Whose consent is asked for, and how the browser comes back.
#[derive(Clone, Debug, Args)]
pub struct Consent {
    /// Whose consent is expected: a mail address or domain of the organisation, or its tenant id
    ///
    /// The consent of any other organisation is refused and nothing is stored. A tenant id is always
    /// compared; an address by what Entra tells of its domain and of the account that consents.
    #[arg(long, value_name = "ADDRESS")]
    pub tenant_of: String,
    /// The label of the tenant in logs and metrics; without it the domain, or the id
    #[arg(long, value_name = "NAME", value_parser = consent::name)]
    pub name: Option<String>,
    /// Only this content type, in any case; can be repeated; without it all
    #[arg(long = "type", value_name = "C", value_parser = content_type(), ignore_case = true)]
    pub content_types: Vec<ContentType>,
    /// The configured tenant whose application is consented to; needed where there are several
    #[arg(long, value_name = "T")]
    pub application: Option<String>,
    /// Where the browser comes back to on this machine; not with `webhook.consent_callback`
    ///
    /// http://localhost:PORT/consent/callback must be a redirect URI of the application.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8400")]
    pub listen: SocketAddr,
    /// How long to wait for the browser
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = consent::patience)]
    pub wait: Duration,
}

/// Views of the tenants.
#[derive(Clone, Debug, Subcommand)]
pub enum TenantsCommand {
    /// List the tenants of the configuration and those added by `consent`
    List {
        /// Write JSON to standard output instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Collect a tenant no more that was added by `consent`
    ///
    /// A running service lets go of it within seconds. Its subscriptions stay at Microsoft; stop
    /// them before with `subscriptions stop --tenant T`.
    Remove {
        /// The tenant, by its name or its id
        #[arg(value_name = "T")]
        tenant: String,
    },
}

/// Views of the subscriptions.
#[derive(Clone, Debug, Subcommand)]
pub enum SubscriptionsCommand {
    /// List the state at Microsoft beside the state wanted
    ///
    /// With the age of the newest content and of the last delivery, as the ledger knows them.
    List {
        /// Which subscriptions.
        #[command(flatten)]
        select: Select,
    },
    /// Start what is not as wanted, as the service would
    ///
    /// What is as wanted is left alone. Microsoft allows one start of a subscription in 15 minutes:
    /// within `subscriptions.restart_after` of the last one, whoever made it, nothing is asked of
    /// Microsoft, and the command says when the next one may be and fails. This is a start by hand:
    /// it works with subscriptions.manage = false as well, which keeps only the service from it.
    Start {
        /// Which subscriptions.
        #[command(flatten)]
        select: Select,
        /// Start also what is as wanted
        #[arg(long)]
        again: bool,
    },
    /// Stop subscriptions, so that Microsoft collects and announces nothing more for us
    ///
    /// Without --tenant those of every tenant that is collected, wanted or not.
    /// A service that runs with subscriptions.manage starts what is configured again. Content may
    /// stay away for hours after the next start; never stop in order to change something.
    Stop {
        /// Which subscriptions.
        #[command(flatten)]
        select: Select,
    },
}

/// From where to where a ledger is copied.
#[derive(Clone, Debug, Args)]
pub struct Copying {
    /// The ledger as it is, such as `sqlite:m365-collector.db`
    #[arg(long, value_name = "URL")]
    pub from: Location,
    /// Where it is to be, such as `postgres://user@host/database`, which exists and is empty
    ///
    /// A password in it would be seen by whoever lists processes. Without one it is that of
    /// ledger.password where ledger.url of the configuration is a database on a server, or of
    /// PGPASSWORD or PGPASSFILE.
    #[arg(long, value_name = "URL")]
    pub to: Location,
    /// Write JSON to standard output instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Views of the ledger.
#[derive(Clone, Debug, Subcommand)]
pub enum LedgerCommand {
    /// Say whether everything Microsoft lists has arrived, by tenant, type and day
    ///
    /// Asks Microsoft what it lists and looks each content up in the ledger. Fails when something
    /// is missing or dead, or a day is not known: no sweep covers it and Microsoft was not asked or
    /// did not answer. Days are those of UTC.
    Completeness {
        /// Which content.
        #[command(flatten)]
        select: Select,
        /// The first moment: a date (UTC), or a time such as 2026-01-31T13:00:00Z; without it 7
        /// days before the last
        #[arg(long, value_name = "TIME", value_parser = backfill::moment)]
        from: Option<Timestamp>,
        /// The moment after the last; without it now
        #[arg(long, value_name = "TIME", value_parser = backfill::moment)]
        to: Option<Timestamp>,
        /// Do not ask Microsoft; take what the last sweeps found
        #[arg(long)]
        offline: bool,
    },
    /// Move the ledger to another database, such as from a file to a `PostgreSQL` server
    ///
    /// Copies all that waits, was delivered or is dead, the identities of delivered records, sweeps,
    /// backfills, consents and stored tenants; not who runs and who does what. Then everything is
    /// read back and compared, row for row, and only if both sides agree is the copy kept: whatever
    /// happens before leaves the target without content, and the command is run again.
    ///
    /// Stop every service on both sides first; the command refuses while one runs (a replica that was
    /// killed is watched for a few seconds) and where the target holds anything already. The old
    /// ledger is only read. Then set ledger.url to the new one and start the service.
    Copy(Copying),
    /// List what was given up on, the newest on top
    Dead {
        /// Which content.
        #[command(flatten)]
        select: Select,
        /// Only what was given up on for this reason
        #[arg(long, value_name = "R", value_parser = reason())]
        reason: Option<Reason>,
        /// Only what was given up on at this moment or later
        #[arg(long, value_name = "TIME", value_parser = backfill::moment)]
        since: Option<Timestamp>,
        /// The most lines to show; without it all
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroU32>,
    },
    /// List content that waits to be delivered, the oldest on top
    Pending {
        /// Which content.
        #[command(flatten)]
        select: Select,
        /// The most lines to show
        #[arg(long, value_name = "N", default_value = "100")]
        limit: NonZeroU32,
    },
    /// Try again what was given up on
    ///
    /// Dead content is due again at once, and its dead letters are gone; a running service takes it
    /// up within moments. Of a content with dead records everything is fetched again, and what the
    /// service remembers is not sent again. Fails when something selected cannot be replayed
    /// because Microsoft has deleted it.
    Replay {
        /// Which content.
        #[command(flatten)]
        select: Select,
        /// Only what was given up on for this reason
        #[arg(long, value_name = "R", value_parser = reason())]
        reason: Option<Reason>,
        /// Only the content with this id; can be repeated
        #[arg(long = "id", value_name = "ID", value_parser = content_id)]
        ids: Vec<ContentId>,
    },
    /// Count content by tenant, type and state, and show who does what
    Status {
        /// Only the replicas: their duties, and their parts of the budget
        #[arg(long)]
        replicas: bool,
        /// Which content.
        #[command(flatten)]
        select: Select,
    },
}

fn content_id(text: &str) -> Result<ContentId, InvalidContentId> {
    ContentId::parse(text)
}

fn reason() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.iter().map(|reason| reason.as_str()))
        .try_map(|text| text.parse::<Reason>())
}
