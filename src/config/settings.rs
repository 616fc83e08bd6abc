//! What each module is configured with, as plain values that were checked.
//!
//! One inner module per part of the program, so that a part and its settings have the same name.
//! Nothing here parses; whoever holds one of these may rely on every field.

pub mod webhook {
    //! The public port.

    use std::{net::SocketAddr, time::Duration};

    use ipnet::IpNet;
    use url::Url;

    use crate::secret::Secret;

    /// How the public port is served and whom it believes.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Where to listen.
        pub listen: SocketAddr,
        /// The https address registered with Microsoft; its path is the path served.
        pub address: Url,
        /// What Microsoft sends back as `Webhook-AuthID`.
        pub auth_id: Secret,
        /// Also accepted, while rotating.
        pub previous_auth_id: Option<Secret>,
        /// The largest body, in bytes.
        pub max_body: usize,
        /// Connections served at once.
        pub max_connections: usize,
        /// How long a client may take for the head of a request.
        pub header_timeout: Duration,
        /// How long a whole request may take, the ledger's commit included.
        pub request_timeout: Duration,
        /// How long the port is still served, unready, after the request to stop.
        pub drain_delay: Duration,
        /// Peers whose `X-Forwarded-For` is believed.
        pub trusted_proxies: Vec<IpNet>,
        /// Sources that may call; empty means any.
        pub allowed_sources: Vec<IpNet>,
    }
}

pub mod admin {
    //! The port for operators.

    use std::net::SocketAddr;

    /// Where metrics, health and status are served.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Where to listen.
        pub listen: SocketAddr,
    }
}

pub mod ledger {
    //! The durable store.

    use std::{path::PathBuf, time::Duration};

    /// Where the ledger is and how long it remembers.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// The database.
        pub location: Location,
        /// How long a claim lasts without renewal.
        pub lease: Duration,
        /// How long delivered content is remembered.
        pub keep_delivered: Duration,
        /// How long dead letters are kept.
        pub keep_dead: Duration,
    }

    /// The database engine and where it lives.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Location {
        /// One file, for one process.
        Sqlite(PathBuf),
    }
}

pub mod microsoft {
    //! The management API and its token endpoint.

    use std::{collections::HashMap, num::NonZeroU32, path::PathBuf, time::Duration};

    use url::Url;
    use uuid::Uuid;

    use crate::{content::TenantId, secret::Secret};

    /// Whom to call, as whom, and how often.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// The root of the management API.
        pub management_url: Url,
        /// The root of the token endpoint.
        pub login_url: Url,
        /// Roots trusted in addition to the system's.
        pub ca: Option<PathBuf>,
        /// The `PublisherIdentifier`; the tenant's own id when absent.
        pub publisher_id: Option<Uuid>,
        /// Requests per tenant in any 60 seconds, token requests not counted.
        pub requests_per_minute: NonZeroU32,
        /// How long a call may go without a byte.
        pub timeout: Duration,
        /// The client secret of each tenant.
        pub credentials: HashMap<TenantId, Secret>,
    }
}

pub mod subscriptions {
    //! The subscriptions kept at Microsoft.

    use std::time::Duration;

    use url::Url;

    use crate::secret::Secret;

    /// What is registered with Microsoft and how it is looked after.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// False: start and stop are never called.
        pub manage: bool,
        /// The time between two looks at the list.
        pub check_interval: Duration,
        /// The least time between two starts of one subscription.
        pub restart_after: Duration,
        /// After how long an abandoned webhook dies; none: never.
        pub webhook_expiry: Option<Duration>,
        /// What notifications are sent to; none: nothing is notified.
        pub webhook: Option<Webhook>,
    }

    /// The webhook as registered.
    #[derive(Clone, Debug)]
    pub struct Webhook {
        /// The https address.
        pub address: Url,
        /// The `authId`.
        pub auth_id: Secret,
    }
}

pub mod pipeline {
    //! The way from a claim to a sent record.

    use std::num::NonZeroUsize;

    use crate::backoff::Backoff;

    /// How much happens at once and what a failure costs.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// Blobs in flight, all tenants together.
        pub concurrency: NonZeroUsize,
        /// The delays between attempts at one content.
        pub backoff: Backoff,
        /// The largest record, in bytes.
        pub max_record: usize,
        /// The host in the syslog header.
        pub hostname: String,
    }
}

pub mod deliver {
    //! The sessions to Devo.

    use std::{fmt, num::NonZeroUsize, path::PathBuf, time::Duration};

    /// Where records go and how their arrival is confirmed.
    #[derive(Clone, Debug)]
    pub struct Config {
        /// The receiver.
        pub endpoint: Endpoint,
        /// The only roots trusted; none: the system's.
        pub ca: Option<PathBuf>,
        /// The client certificate and its key.
        pub identity: Option<(PathBuf, PathBuf)>,
        /// The name expected in the receiver's certificate; none: the endpoint's host.
        pub server_name: Option<String>,
        /// Sessions kept open at once.
        pub connections: NonZeroUsize,
        /// Whether batches are compressed.
        pub compression: Compression,
        /// What counts as confirmation.
        pub confirm: Confirm,
        /// How long a session collects before it is confirmed.
        pub confirm_interval: Duration,
        /// How many bytes a session carries before it is confirmed.
        pub confirm_bytes: u64,
        /// How long the confirmation may take.
        pub confirm_timeout: Duration,
    }

    /// A syslog receiver.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Endpoint {
        /// Whether the connection is encrypted.
        pub scheme: Scheme,
        /// A name or an address, without brackets.
        pub host: String,
        /// The port.
        pub port: u16,
    }

    impl fmt::Display for Endpoint {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let scheme = match self.scheme {
                Scheme::Tcp => "tcp",
                Scheme::Tls => "tls",
            };
            let Self { host, port, .. } = self;
            if host.contains(':') {
                write!(f, "{scheme}://[{host}]:{port}")
            } else {
                write!(f, "{scheme}://{host}:{port}")
            }
        }
    }

    /// How the receiver is spoken to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Scheme {
        /// Plain text.
        Tcp,
        /// Encrypted.
        Tls,
    }

    /// How batches are packed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Compression {
        /// One gzip member for each batch.
        Gzip,
        /// As they are.
        None,
    }

    /// What counts as confirmation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Confirm {
        /// The receiver ended its own stream after ours.
        EndOfStream,
        /// The peer's TCP acknowledged every byte.
        Tcp,
    }
}

pub mod route {
    //! The table of a record.

    use std::collections::BTreeMap;

    /// How tags are made.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// The levels before the table.
        pub prefix: String,
        /// The table of a record that names none.
        pub fallback: String,
        /// The table for a `Workload`.
        pub workload: BTreeMap<String, String>,
    }
}

pub mod sweep {
    //! The listing of what Microsoft has.

    use std::time::Duration;

    /// How often and how far back the listing goes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// The time between two sweeps.
        pub interval: Duration,
        /// Content younger than this is left to the webhook.
        pub settle: Duration,
        /// How far back the first sweep after a start goes.
        pub startup_lookback: Duration,
    }
}

pub mod records {
    //! The window of record identities.

    use std::{num::NonZeroUsize, time::Duration};

    /// How long and how many delivered records are remembered.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// The window in time.
        pub remember: Duration,
        /// The window in number.
        pub remember_max: NonZeroUsize,
    }
}

pub mod log {
    //! The program's own log.

    /// What is logged and how it looks.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Config {
        /// The form of a line.
        pub format: Format,
        /// A valid filter of `tracing_subscriber::EnvFilter`.
        pub filter: String,
    }

    /// The form of a line.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Format {
        /// One JSON object a line.
        Json,
        /// For people.
        Text,
    }
}
