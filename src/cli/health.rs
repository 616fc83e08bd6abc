//! `health`: whether the service that runs with this configuration is ready, for a container that
//! has no other program to ask with.
//!
//! Asks `/readyz` of the admin port and shows its answer. Knows nothing that the port does not.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{CommandError, Exit};

/// Shows what the admin port at `listen` says about readiness.
pub(super) async fn ask(listen: SocketAddr) -> Result<Exit, CommandError> {
    let answer = timeout(PATIENCE, readiness(reachable(listen)))
        .await
        .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
    match answer {
        Ok(answer) => {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            writeln!(io::stdout(), "{}", body.trim_end())?;
            let is_ready = head.split(' ').nth(1) == Some("200");
            Ok(if is_ready { Exit::Success } else { Exit::Failed })
        }
        Err(error) => {
            writeln!(io::stderr(), "nobody answers at admin.listen ({listen}): {error}")?;
            Ok(Exit::Failed)
        }
    }
}

async fn readiness(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Who listens on every address is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

const REQUEST: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Many times what it answers; whoever else listens there is not read for ever.
const LONGEST: u64 = 64 * 1024;

/// Below what container engines wait for.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_where_it_can_be_reached() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.5:1", "10.0.0.5:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
