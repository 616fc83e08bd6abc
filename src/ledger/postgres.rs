//! Everything that is particular to `PostgreSQL`: the address, the sessions and the schema.
//!
//! Commits reach the server's disk before they are acknowledged: `synchronous_commit` is never left
//! `off` (I1). Every wait has a bound, on this side and on the server's, so that neither a network
//! that is gone nor a replica that stopped in the middle of a transaction holds anybody for good.
//!
//! Only one process changes the schema at a time: it holds a row of a table of its own meanwhile,
//! rather than an advisory lock, which `CockroachDB` has only in name and pools in front of a
//! server lose.

use std::{
    fmt, io,
    str::FromStr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Executor as _, PgConnection, PgPool,
    migrate::{MigrateError, Migration, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::secret::Secret;

/// The address of a `PostgreSQL` database, or of one that speaks its protocol.
#[derive(Clone)]
pub struct Server {
    url: Arc<SecretString>,
    options: Box<PgConnectOptions>,
    password: Option<Secret>,
    name: String,
}

impl Server {
    /// Reads `postgres://user@host:port/database?sslmode=…&sslrootcert=…`. What it does not say is
    /// taken from the environment, as other clients do: `PGPASSWORD`, or the file of `PGPASSFILE`.
    ///
    /// # Errors
    ///
    /// [`InvalidServer`] when it is no such address, or has a parameter that is not known here.
    pub fn parse(text: &str) -> Result<Self, InvalidServer> {
        let url = Url::parse(text).map_err(|_no_url| InvalidServer)?;
        let known = url.query_pairs().all(|(name, _)| PARAMETERS.contains(&&*name));
        let is_ours = matches!(url.scheme(), "postgres" | "postgresql");
        let has_host = url.has_host() || url.query_pairs().any(|(name, _)| name == "host");
        if !(known && is_ours && has_host) {
            return Err(InvalidServer);
        }
        let options = PgConnectOptions::from_str(text).map_err(|_unknown| InvalidServer)?;
        let options = options.application_name(APPLICATION).disable_statement_logging();
        let host = options
            .get_socket()
            .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
        let database = options.get_database().unwrap_or(options.get_username());
        Ok(Self {
            name: format!("postgres://{host}:{}/{database}", options.get_port()),
            url: Arc::new(SecretString::from(text)),
            options: Box::new(options),
            password: None,
        })
    }

    /// The password to use instead of one in the address.
    #[must_use]
    pub fn with_password(self, password: Secret) -> Self {
        Self { password: Some(password), ..self }
    }

    /// Whether the address itself holds a password.
    pub fn holds_password(&self) -> bool {
        Url::parse(self.url.expose_secret()).is_ok_and(|url| url.password().is_some())
    }

    /// Where the password comes from, if it has a place of its own.
    pub const fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    pub(super) fn database(&self) -> Database {
        Database {
            options: self.options.clone(),
            password: self.password.clone(),
            name: self.name.clone(),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.name)
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
    }
}

impl Eq for Server {}

/// The text is no address of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address of a PostgreSQL database")]
pub struct InvalidServer;

/// How to connect to a database.
#[derive(Clone)]
pub(super) struct Database {
    options: Box<PgConnectOptions>,
    password: Option<Secret>,
    pub(super) name: String,
}

impl Database {
    /// Connects for writing.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        self.connect_with(SESSION).await
    }

    /// Connections for reading, made when they are needed.
    pub(super) fn reads(&self) -> PgPool {
        // A file that cannot be read now may be later; the server says what it thinks of it.
        let options = self.options().unwrap_or_else(|_| (*self.options).clone());
        PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(CONNECT)
            .idle_timeout(IDLE)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(READ_SESSION).await.map(drop) })
            })
            .connect_lazy_with(options)
    }

    /// Lets a pool connect with the password as it is now.
    pub(super) fn renew(&self, reads: &PgPool) {
        if let (Some(_), Ok(options)) = (&self.password, self.options()) {
            reads.set_connect_options(options);
        }
    }

    /// Brings the schema up to date while no other process does, and older versions go on.
    pub(super) async fn migrate(&self) -> Result<(), MigrateError> {
        // Neither waiting for another process nor a large table is bounded by a session's limits.
        let mut lock = self.connect_with("").await?;
        self.lock(&mut lock).await?;
        let mut connection = self.connect_with("").await?;
        for step in MIGRATIONS.iter() {
            change(&mut connection, step).await?;
        }
        connection.close().await?;
        lock.execute("ROLLBACK").await?;
        lock.close().await?;
        Ok(())
    }

    async fn lock(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let mut tries = 0;
        // Two that make the same table at once collide, whether or not it may exist already.
        while let Err(error) = connection.execute(MAKE_LOCK).await {
            tries += 1;
            if error.as_database_error().is_none() || tries == LOCK_TRIES {
                return Err(error);
            }
            sleep(LOCK_AGAIN).await;
        }
        loop {
            connection.execute("BEGIN").await?;
            if connection.fetch_optional(TAKE_LOCK).await?.is_some() {
                return Ok(());
            }
            // Whoever waits in the server looks at old rows meanwhile, and an index that is made
            // beside running transactions waits for those who do: both would wait for good.
            connection.execute("ROLLBACK").await?;
            sleep(LOCK_AGAIN).await;
        }
    }

    async fn connect_with(&self, session: &'static str) -> sqlx::Result<PgConnection> {
        // Shaking hands takes more room than whoever connects now and then should hold.
        let connecting = Box::pin(async {
            let mut connection = self.options()?.connect().await?;
            connection.execute(session).await?;
            Ok(connection)
        });
        timeout(CONNECT, connecting)
            .await
            .unwrap_or_else(|_late| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    /// With the password as it is now.
    fn options(&self) -> sqlx::Result<PgConnectOptions> {
        let options = (*self.options).clone();
        let Some(password) = &self.password else {
            return Ok(options);
        };
        let password = password.current().map_err(sqlx::Error::config)?;
        Ok(options.password(password.expose_secret()))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.name)
    }
}

/// What a failed statement says of the transaction that it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// Others were at it at the same time; all of it may succeed when it is done again.
    Conflict,
    /// The server: it is going, full, read-only, or the connection is lost.
    Server,
    /// The statement.
    Statement,
}

/// Whose fault a failure is.
pub(super) fn blame(error: &sqlx::Error) -> Blame {
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else {
        return Blame::Server;
    };
    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    match code.get(..2).unwrap_or_default() {
        "40" => Blame::Conflict,
        "08" | "25" | "53" | "55" | "57" | "58" | "XX" => Blame::Server,
        _ => Blame::Statement,
    }
}

/// What a newer version has added is not missed here.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("src/ledger/migrations/postgres");
    migrations.set_ignore_missing(true);
    // A locked row keeps others away.
    migrations.set_locking(false);
    migrations
});

/// Makes one step, unless it was made before.
async fn change(connection: &mut PgConnection, step: &Migration) -> Result<(), MigrateError> {
    // An index that is made beside others' work waits for them, and keeps nobody waiting.
    connection.execute(if step.no_tx { PATIENT } else { HURRIED }).await?;
    if step.no_tx {
        clear(connection).await?;
    }
    let mut tries = 0;
    while let Err(error) = MIGRATIONS.run_direct(Some(step.version), connection, false).await {
        tries += 1;
        if tries == CHANGE_TRIES || !is_late(&error) {
            return Err(error);
        }
        sleep(CHANGE_AGAIN).await;
    }
    Ok(())
}

/// Removes what is left of indexes whose making was cut off.
async fn clear(connection: &mut PgConnection) -> sqlx::Result<()> {
    let halves: Vec<String> = sqlx::query_scalar(HALF_MADE).fetch_all(&mut *connection).await?;
    if halves.is_empty() {
        return Ok(());
    }
    // The server goes on making one for somebody who was killed. Whoever waits for that within the
    // server may be waited for by it. It lets go of the table a moment before the index is whole.
    for busy in [MAKING, NOTING] {
        while connection.fetch_optional(busy).await?.is_some() {
            sleep(LOCK_AGAIN).await;
        }
    }
    let halves: Vec<String> = sqlx::query_scalar(HALF_MADE).fetch_all(&mut *connection).await?;
    for index in halves {
        // The server has quoted the name where it has to be.
        let drop = AssertSqlSafe(format!("DROP INDEX CONCURRENTLY IF EXISTS {index}"));
        connection.execute(drop).await?;
    }
    Ok(())
}

/// Whether a change waited so long for a lock that it gave up.
fn is_late(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some(LOCK_NOT_AVAILABLE)
}

/// What may be in an address. Passwords have a better place, and a misspelt `sslmode` must not be
/// overlooked.
const PARAMETERS: [&str; 8] =
    ["host", "port", "dbname", "user", "sslmode", "sslrootcert", "sslcert", "sslkey"];

const APPLICATION: &str = "m365-collector";

/// A stronger `synchronous_commit` than `on` stays, and so does `local`, which is on disk as well.
/// The server ends what a process that was cut off has begun, before others, which may have to wait
/// for it with their signs of life, are taken for dead.
const SESSION: &str = "SELECT set_config('statement_timeout', '20s', false), \
     set_config('lock_timeout', '15s', false), \
     set_config('idle_in_transaction_session_timeout', '5s', false), \
     set_config('default_transaction_isolation', 'read committed', false), \
     set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
     WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)";

const READ_SESSION: &str = "SELECT set_config('statement_timeout', '60s', false), \
     set_config('default_transaction_read_only', 'on', false)";

const MAKE_LOCK: &str = "CREATE TABLE IF NOT EXISTS schema_lock (id BIGINT PRIMARY KEY); \
     INSERT INTO schema_lock (id) VALUES (1) ON CONFLICT (id) DO NOTHING";

const TAKE_LOCK: &str = "SELECT id FROM schema_lock WHERE id = 1 FOR UPDATE SKIP LOCKED";

/// A change that waits for a table keeps everybody else waiting for it, too.
const HURRIED: &str = "SELECT set_config('lock_timeout', '2s', false)";
const PATIENT: &str = "SELECT set_config('lock_timeout', '0', false)";

const HALF_MADE: &str = "SELECT CAST(CAST(indexrelid AS REGCLASS) AS TEXT) FROM pg_index \
     WHERE NOT indisvalid AND indrelid IN (to_regclass('content'), to_regclass('identity'), \
     to_regclass('dead_letter'))";

/// Whoever makes an index beside others' work, or does something else that would not go with it.
const MAKING: &str = "SELECT 1 FROM pg_locks WHERE relation IN (to_regclass('content'), \
     to_regclass('identity'), to_regclass('dead_letter')) \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND mode = 'ShareUpdateExclusiveLock' AND granted LIMIT 1";

/// Whoever changes what is known of an index, and has not committed it.
const NOTING: &str = "SELECT 1 FROM pg_locks WHERE relation = CAST('pg_index' AS REGCLASS) \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND mode = 'RowExclusiveLock' AND granted LIMIT 1";

/// Longer than any statement of ours holds a table.
const CHANGE_TRIES: u32 = 60;
const CHANGE_AGAIN: Duration = Duration::from_secs(1);

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const LOCK_NOT_AVAILABLE: &str = "55P03";

const LOCK_TRIES: u32 = 20;
const LOCK_AGAIN: Duration = Duration::from_millis(100);

/// A server across the world that is reached at all answers within this.
const CONNECT: Duration = Duration::from_secs(5);

/// Gauges, due checks and a slow status query; with the one that writes, five for each replica.
const READERS: u32 = 4;

const IDLE: Duration = Duration::from_secs(300);
