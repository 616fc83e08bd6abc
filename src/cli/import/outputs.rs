//! Where records go: the first output that reaches a Devo.

use std::fmt::Write as _;

use serde_json::Value;

use super::{LeftOut, quoted};

/// `[devo]` as it goes into the configuration.
#[derive(Debug)]
pub(super) struct Devo {
    endpoint: String,
    /// CA, certificate and key; none for plain TCP.
    files: Option<[String; 3]>,
    connections: u64,
    gzip: bool,
    /// Whether it is an example, because the file names none that is understood.
    is_example: bool,
}

impl Default for Devo {
    /// Cloud collectors name no output: Devo is where they run, and which one that is, only its
    /// console says.
    fn default() -> Self {
        Self {
            endpoint: "tls://collector-eu.devo.io:443".to_owned(),
            files: Some(["chain.crt", "domain.crt", "domain.key"].map(str::to_owned)),
            connections: 1,
            gzip: false,
            is_example: true,
        }
    }
}

impl Devo {
    pub(super) fn write(&self, text: &mut String) {
        text.push_str("\n[devo]\n");
        if self.is_example {
            text.push_str(EXAMPLE);
        }
        // Writing into a string cannot fail.
        let _infallible = writeln!(text, "endpoint = {}", quoted(&self.endpoint));
        for (name, path) in ["ca", "cert", "key"].into_iter().zip(self.files.iter().flatten()) {
            let _infallible = writeln!(text, "{name} = {}", quoted(path));
        }
        if self.connections != 1 {
            let _infallible = writeln!(text, "connections = {}", self.connections);
        }
        if self.gzip {
            text.push_str("compression = \"gzip\"\n");
        }
    }
}

/// Reads the outputs.
pub(super) fn read(outputs: Option<&Value>, left: &mut LeftOut) -> Devo {
    let mut found = None;
    for (name, output) in outputs.and_then(Value::as_object).into_iter().flatten() {
        let at = format!("outputs.{name}");
        let kind = output.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "devo_platform" | "syslog" | "relay" if found.is_none() => {
                found = one(&at, kind == "devo_platform", output.get("config"), left);
            }
            "devo_platform" | "syslog" | "relay" => {
                left.note(&at, "records go to one receiver only");
            }
            _ => left.note(&at, "no receiver of syslog"),
        }
    }
    found.unwrap_or_else(|| {
        left.note("outputs", "none; set devo.endpoint and the files from Devo's console");
        Devo::default()
    })
}

fn one(at: &str, is_tls: bool, config: Option<&Value>, left: &mut LeftOut) -> Option<Devo> {
    let config = config?;
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let port = config.get("port").and_then(|port| match port {
        Value::String(text) => text.trim().parse::<u16>().ok(),
        port => port.as_u64().and_then(|port| u16::try_from(port).ok()),
    });
    let (Some(address), Some(port)) = (text("address"), port) else {
        left.note(&format!("{at}.config"), "it needs an address and a port");
        return None;
    };
    let scheme = if is_tls { "tls" } else { "tcp" };
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let file = |key: &str, default: &str| text(key).unwrap_or(default).to_owned();
    let files = || [("chain", "chain.crt"), ("cert", "domain.crt"), ("key", "domain.key")];
    let number = |key: &str| config.get(key).and_then(Value::as_u64).unwrap_or_default();
    for (key, _) in config.as_object().into_iter().flatten() {
        if !KNOWN.contains(&key.as_str()) {
            left.note(&format!("{at}.config.{key}"), "unknown");
        }
    }
    Some(Devo {
        endpoint: format!("{scheme}://{host}:{port}"),
        files: is_tls.then(|| files().map(|(key, default)| file(key, default))),
        connections: number("concurrent_connections").clamp(1, MOST_CONNECTIONS),
        gzip: number("compression_level") > 0,
        is_example: false,
    })
}

const KNOWN: [&str; 8] = [
    "address",
    "cert",
    "chain",
    "compression_level",
    "concurrent_connections",
    "key",
    "port",
    "type",
];

const EXAMPLE: &str = "\
# An example: the file names no output that could be carried over. Set the endpoint, and the files of
# your domain, from Devo's console.
";

const MOST_CONNECTIONS: u64 = 256;
