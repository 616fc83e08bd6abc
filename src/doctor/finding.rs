//! What a look at one hop came to, in words.

use std::{fmt, path::Path};

use crate::content::ContentType;

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $variant:ident = ($place:ident, $text:literal, $title:literal),)+) => {
        /// What is looked at, in the order of the walk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Check {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Check {
            /// Every check, in the order of the walk.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Its name for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// Where it looks.
            pub const fn place(self) -> Place {
                match self { $(Self::$variant => Place::$place,)+ }
            }
        }
    };
}

checks! {
    /// The configuration file: valid, and what in it deserves a look.
    Configuration = (Machine, "configuration", "configuration"),
    /// Secrets and keys are readable by nobody but their owner and group.
    SecretFiles = (Machine, "secret_files", "secret files"),
    /// The certificate and key of `[webhook.tls]`.
    WebhookCertificate = (Machine, "webhook_certificate", "webhook certificate"),
    /// The certificate and key for Devo.
    DevoCertificate = (Machine, "devo_certificate", "Devo certificate"),
    /// The ledger: readable, of a schema this version knows.
    Ledger = (Machine, "ledger", "ledger"),
    /// The ledger's disk: writable, with room.
    LedgerDisk = (Machine, "ledger_disk", "ledger disk"),
    /// The admin port: free, or our own service's.
    AdminPort = (Machine, "admin_port", "admin port"),
    /// The public port: free, or our own service's.
    WebhookPort = (Machine, "webhook_port", "webhook port"),

    /// The name of the login host.
    LoginDns = (Microsoft, "login_dns", "login name"),
    /// A connection to the login host.
    LoginTcp = (Microsoft, "login_tcp", "login connection"),
    /// TLS with the login host.
    LoginTls = (Microsoft, "login_tls", "login TLS"),
    /// The login host answers as Entra does.
    LoginAnswer = (Microsoft, "login_answer", "login answer"),
    /// The name of the management host.
    ManagementDns = (Microsoft, "management_dns", "management name"),
    /// A connection to the management host.
    ManagementTcp = (Microsoft, "management_tcp", "management connection"),
    /// TLS with the management host.
    ManagementTls = (Microsoft, "management_tls", "management TLS"),
    /// Our clock against the `Date` header.
    Clock = (Microsoft, "clock", "clock"),

    /// The tenant is known, and lives in the configured cloud.
    Tenant = (Tenants, "tenant", "tenant"),
    /// The certificate or federated token that proves who we are is good for a while.
    ClientCertificate = (Tenants, "client_certificate", "client certificate"),
    /// Entra grants a token for the right resource, tenant and application.
    Token = (Tenants, "token", "token"),
    /// The token holds the role of each content type.
    Roles = (Tenants, "roles", "roles"),

    /// The name of `webhook.address`.
    AddressDns = (Address, "address_dns", "address name"),
    /// A connection to `webhook.address`.
    AddressTcp = (Address, "address_tcp", "address connection"),
    /// TLS with `webhook.address`, its chain and expiry.
    AddressTls = (Address, "address_tls", "address TLS"),
    /// `webhook.address` answers a validation with the right auth id with 200.
    AddressAnswer = (Address, "address_answer", "validation"),
    /// `webhook.address` answers one with a wrong auth id with 401.
    AddressRefusal = (Address, "address_refusal", "wrong auth id"),

    /// Each subscription is as wanted.
    Subscription = (Feeds, "subscription", "subscription"),
    /// Content can be listed and fetched.
    Content = (Feeds, "content", "content"),
    /// Microsoft's tries to notify us in the last day.
    Notifications = (Feeds, "notifications", "notifications"),

    /// The name of `devo.endpoint`.
    DevoDns = (Devo, "devo_dns", "Devo name"),
    /// A connection to `devo.endpoint`.
    DevoTcp = (Devo, "devo_tcp", "Devo connection"),
    /// TLS with `devo.endpoint`, or that there is none where none is wanted.
    DevoTls = (Devo, "devo_tls", "Devo TLS"),
    /// Devo takes a record, if a table was chosen, and confirms.
    DevoConfirmation = (Devo, "devo_confirmation", "Devo confirmation"),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stretch of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This machine.
    Machine,
    /// The way to Microsoft.
    Microsoft,
    /// Who we are at Microsoft.
    Tenants,
    /// The public address.
    Address,
    /// What Microsoft has for us.
    Feeds,
    /// The way to Devo.
    Devo,
}

impl Place {
    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Machine => "This machine",
            Self::Microsoft => "The way to Microsoft",
            Self::Tenants => "Tenants",
            Self::Address => "Public address",
            Self::Feeds => "Feeds",
            Self::Devo => "The way to Devo",
        }
    }
}

/// How a look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and might not for long.
    Warning,
    /// It does not work.
    Failed,
    /// Not looked at, because of something else.
    Skipped,
}

impl Outcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a look at one hop came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// Whose: a tenant, a host, a file; empty where there is only one.
    pub subject: String,
    /// Of which feed.
    pub content_type: Option<ContentType>,
    /// How it ended.
    pub outcome: Outcome,
    /// The check because of which it was skipped.
    pub because: Option<Check>,
    /// What is wrong, or what holds; of what was skipped, because of what.
    pub cause: String,
    /// What was seen.
    pub evidence: String,
    /// Who has to do what; empty where there is nothing to do.
    pub remedy: String,
}

impl Finding {
    /// A problem of the configuration file, which ends the walk before it begins.
    pub fn invalid(file: &Path, problem: String) -> Self {
        let remedy = "correct the key named here; `m365-collector config sample` explains each";
        Self::failed(Check::Configuration, problem, remedy).of(file.display().to_string())
    }

    pub(super) fn ok(check: Check, cause: impl Into<String>) -> Self {
        Self::new(check, Outcome::Ok, cause.into())
    }

    pub(super) fn warning(
        check: Check,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: remedy.into(), ..Self::new(check, Outcome::Warning, cause.into()) }
    }

    pub(super) fn failed(
        check: Check,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: remedy.into(), ..Self::new(check, Outcome::Failed, cause.into()) }
    }

    /// Not looked at because of another check, which did not end well.
    pub(super) fn skipped(check: Check, because: Check) -> Self {
        Self {
            because: Some(because),
            ..Self::new(check, Outcome::Skipped, format!("because of the {}", because.title()))
        }
    }

    fn new(check: Check, outcome: Outcome, cause: String) -> Self {
        Self {
            check,
            subject: String::new(),
            content_type: None,
            because: None,
            outcome,
            cause,
            evidence: String::new(),
            remedy: String::new(),
        }
    }

    #[must_use]
    pub(super) fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..self }
    }

    #[must_use]
    pub(super) fn feed(self, content_type: ContentType) -> Self {
        Self { content_type: Some(content_type), ..self }
    }

    #[must_use]
    pub(super) fn seen(self, evidence: impl Into<String>) -> Self {
        Self { evidence: evidence.into(), ..self }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of the walk.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many ended in this way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    /// What to mend first: the first failure on the way, or else the first warning.
    pub fn first(&self) -> Option<&Finding> {
        let first = |outcome| self.findings.iter().find(move |found| found.outcome == outcome);
        first(Outcome::Failed).or_else(|| first(Outcome::Warning))
    }

    /// Whether nothing failed.
    pub fn is_well(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }
}
