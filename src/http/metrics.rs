//! What became of connections, as opposed to requests: a closed set.

use prometheus::{IntCounterVec, Opts, Registry};

/// The counter of a listener's connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(IntCounterVec);

impl Metrics {
    /// Creates the series of every ending at zero.
    ///
    /// # Errors
    ///
    /// When the registry already holds the name.
    pub fn register(registry: &Registry, name: &str) -> Result<Self, prometheus::Error> {
        let help = "Connections, by how they ended.";
        let connections = IntCounterVec::new(Opts::new(name, help), &["outcome"])?;
        registry.register(Box::new(connections.clone()))?;
        for ending in Ending::ALL {
            connections.with_label_values(&[ending.as_str()]);
        }
        Ok(Self(connections))
    }

    pub(super) fn ended(&self, ending: Ending) {
        self.0.with_label_values(&[ending.as_str()]).inc();
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its place was given to another one.
    Displaced,
    /// It was broken off, or what came was no HTTP.
    Failed,
    /// There was no place for it.
    Full,
    /// The header of a trusted proxy is malformed or missing.
    ProxyHeader,
    /// Too many requests were taken back.
    Resets,
    /// In order.
    Served,
    /// It did not get anywhere in its time.
    TimedOut,
    /// TLS could not be agreed on, or the client certificate is not acceptable.
    TlsFailed,
}

impl Ending {
    const ALL: [Self; 8] = [
        Self::Displaced,
        Self::Failed,
        Self::Full,
        Self::ProxyHeader,
        Self::Resets,
        Self::Served,
        Self::TimedOut,
        Self::TlsFailed,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::Failed => "failed",
            Self::Full => "full",
            Self::ProxyHeader => "proxy_header",
            Self::Resets => "resets",
            Self::Served => "served",
            Self::TimedOut => "timed_out",
            Self::TlsFailed => "tls_failed",
        }
    }
}
