//! The receiver's address as configured: `tls://host:port` or `tcp://host:port`.

use std::{fmt, str::FromStr};

/// Where Devo, or a relay in front of it, listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What runs on the connection.
    pub transport: Transport,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What runs on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Plain TCP, for a relay in the same house.
    Tcp,
    /// TLS 1.2 or 1.3.
    Tls,
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let (transport, rest) = if let Some(rest) = text.strip_prefix("tls://") {
            (Transport::Tls, rest)
        } else if let Some(rest) = text.strip_prefix("tcp://") {
            (Transport::Tcp, rest)
        } else {
            return Err(InvalidEndpoint::Scheme);
        };
        let (host, port) = rest.rsplit_once(':').ok_or(InvalidEndpoint::Port)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or(InvalidEndpoint::Host)?,
            // A bare IPv6 address would lose its last group to the port.
            None if host.contains(':') => return Err(InvalidEndpoint::Host),
            None => host,
        };
        let forbidden = |c: char| c.is_whitespace() || "/@?#[]".contains(c);
        if host.is_empty() || host.contains(forbidden) {
            return Err(InvalidEndpoint::Host);
        }
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if port != 0 && digits => Ok(Self { transport, host: host.to_owned(), port }),
            _ => Err(InvalidEndpoint::Port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        let scheme = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// The text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// The host is missing or holds what no host can.
    #[error("the host is missing or malformed, expected tls://host:port or tcp://host:port")]
    Host,
    /// The port is missing or no number from 1 to 65535.
    #[error(
        "the port is missing or not from 1 to 65535, expected tls://host:port or tcp://host:port"
    )]
    Port,
    /// Neither of the two schemes.
    #[error("expected tls://host:port or tcp://host:port")]
    Scheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_as_they_were_read() {
        for text in
            ["tls://collector-eu.devo.io:443", "tcp://127.0.0.1:13000", "tls://[2001:db8::1]:443"]
        {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, wrong) in [
            ("collector-eu.devo.io:443", InvalidEndpoint::Scheme),
            ("https://collector-eu.devo.io:443", InvalidEndpoint::Scheme),
            ("tls://collector-eu.devo.io", InvalidEndpoint::Port),
            ("tls://collector-eu.devo.io:0", InvalidEndpoint::Port),
            ("tls://collector-eu.devo.io:65536", InvalidEndpoint::Port),
            ("tls://collector-eu.devo.io:+1", InvalidEndpoint::Port),
            ("tls://a b:443", InvalidEndpoint::Host),
            ("tls://collector-eu.devo.io:443/", InvalidEndpoint::Port),
            ("tls://:443", InvalidEndpoint::Host),
            ("tls://2001:db8::1:443", InvalidEndpoint::Host),
            ("tls://[2001:db8::1:443", InvalidEndpoint::Host),
            ("tls://user@host:443", InvalidEndpoint::Host),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(wrong), "{text}");
        }
    }
}
