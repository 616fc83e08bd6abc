//! The PROXY protocol, versions 1 and 2: for whom a proxy speaks that passes bytes on.
//!
//! Only read where the TCP peer is a trusted proxy; from anybody else the same bytes are a request
//! that makes no sense. This file finds the end of a header and caps its length, `ppp` reads what
//! is in it. A header that names nobody (version 1's UNKNOWN, version 2's LOCAL, which balancers
//! use for their own probes, and families that have no address) leaves the peer as it is.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use bytes::{Bytes, BytesMut};
use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Whether connections of trusted proxies begin with a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Those that do are understood, and those that do not as well.
    #[default]
    Auto,
    /// A header is a request that makes no sense.
    Off,
    /// A connection without one is closed.
    Required,
}

/// What the beginning of a connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// No header.
    Absent,
    /// A header of this many bytes, for this caller; none: the peer speaks for itself.
    Header {
        /// The caller.
        source: Option<SocketAddr>,
        /// How long the header is.
        length: usize,
    },
    /// It may become a header: more bytes are needed.
    Incomplete,
    /// It began as a header and is none.
    Malformed,
}

impl Beginning {
    /// Reads what has come so far. Never asks for more than [`MAX_HEADER`] bytes.
    pub fn of(bytes: &[u8]) -> Self {
        if begins(bytes, v2::PROTOCOL_PREFIX) {
            Self::of_binary(bytes)
        } else if begins(bytes, TEXT_PREFIX) {
            Self::of_text(bytes)
        } else {
            Self::Absent
        }
    }

    fn of_binary(bytes: &[u8]) -> Self {
        let Some(&[high, low]) = bytes.get(14..BINARY_HEAD) else {
            return Self::Incomplete;
        };
        let length = BINARY_HEAD + usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_HEADER {
            return Self::Malformed;
        }
        let Some(header) = bytes.get(..length) else {
            return Self::Incomplete;
        };
        let Ok(header) = v2::Header::try_from(header) else {
            return Self::Malformed;
        };
        let source = match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(v4)) => {
                Some((IpAddr::V4(v4.source_address), v4.source_port).into())
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(v6)) => {
                Some((IpAddr::V6(v6.source_address), v6.source_port).into())
            }
            _ => None,
        };
        Self::Header { source, length }
    }

    fn of_text(bytes: &[u8]) -> Self {
        let Some(end) = memchr::memchr(b'\n', bytes.get(..MAX_TEXT).unwrap_or(bytes)) else {
            return if bytes.len() < MAX_TEXT { Self::Incomplete } else { Self::Malformed };
        };
        let length = end + 1;
        let header = bytes.get(..length).and_then(|header| v1::Header::try_from(header).ok());
        let Some(header) = header else {
            return Self::Malformed;
        };
        let source = match header.addresses {
            v1::Addresses::Tcp4(v4) => Some((IpAddr::V4(v4.source_address), v4.source_port).into()),
            v1::Addresses::Tcp6(v6) => Some((IpAddr::V6(v6.source_address), v6.source_port).into()),
            v1::Addresses::Unknown => None,
        };
        Self::Header { source, length }
    }
}

/// Reads the header of a connection, if it has one, and gives back what was read beyond it.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    wanted: ProxyHeader,
) -> io::Result<(Option<SocketAddr>, Bytes)> {
    if wanted == ProxyHeader::Off {
        return Ok((None, Bytes::new()));
    }
    let mut read = BytesMut::new();
    loop {
        match Beginning::of(&read) {
            Beginning::Absent if wanted == ProxyHeader::Auto => return Ok((None, read.freeze())),
            Beginning::Header { source, length } => {
                let _header = read.split_to(length);
                return Ok((source, read.freeze()));
            }
            Beginning::Absent | Beginning::Malformed => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Beginning::Incomplete => {}
        }
        let mut room = [0; 1024];
        let count = stream.read(&mut room).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read.extend_from_slice(room.get(..count).unwrap_or(&room));
    }
}

/// Whether one is the beginning of the other.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(byte, expected)| byte == expected)
}

const TEXT_PREFIX: &[u8] = b"PROXY ";

/// The longest header of version 1, by its specification.
const MAX_TEXT: usize = 107;

/// Signature, version and command, family, length.
const BINARY_HEAD: usize = 16;

/// Addresses and the extensions that cloud balancers add; the format would allow 64 KiB.
pub const MAX_HEADER: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::*;

    fn binary(version_command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([version_command, family]);
        header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        header.extend_from_slice(payload);
        header
    }

    fn check(header: &[u8], source: Option<&str>) {
        let expected = Beginning::Header {
            source: source.map(|source| source.parse().unwrap()),
            length: header.len(),
        };
        let text = header.escape_ascii();
        assert_eq!(Beginning::of(header), expected, "{text}");
        assert_eq!(Beginning::of(&[header, b"POST / HTTP/1.1"].concat()), expected, "{text}");
        for length in 0..header.len() {
            let part = Beginning::of(&header[..length]);
            assert_eq!(part, Beginning::Incomplete, "{length} bytes of {text}");
        }
    }

    #[test]
    fn both_versions_name_the_caller() {
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 8080\r\n", Some("192.0.2.7:4711"));
        check(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 8080\r\n", Some("[2001:db8::7]:4711"));
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 18, 103, 31, 144];
        check(&binary(0x21, 0x11, &v4), Some("192.0.2.7:4711"));
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 7;
        v6[32..34].copy_from_slice(&[18, 103]);
        check(&binary(0x21, 0x21, &v6), Some("[2001:db8::7]:4711"));
        // An extension of a cloud balancer behind the addresses.
        let extended = [&v4[..], &[0xEA, 0, 3, 1, 2, 3]].concat();
        check(&binary(0x21, 0x11, &extended), Some("192.0.2.7:4711"));
    }

    #[test]
    fn a_header_that_names_nobody_leaves_the_peer() {
        check(b"PROXY UNKNOWN\r\n", None);
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None);
        check(&binary(0x20, 0x00, &[]), None);
        check(&binary(0x20, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 18, 103, 31, 144]), None);
        check(&binary(0x21, 0x31, &[b'x'; 216]), None);
    }

    #[test]
    fn what_is_no_header_is_left_alone_and_a_broken_one_is_not() {
        for request in ["POST /webhook HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM", "P\r\n"] {
            assert_eq!(Beginning::of(request.as_bytes()), Beginning::Absent, "{request}");
        }
        assert_eq!(Beginning::of(&[0x16, 3, 1]), Beginning::Absent);
        let long: Vec<u8> = b"PROXY TCP4 ".iter().copied().chain(repeat_n(b'1', 200)).collect();
        let huge = binary(0x21, 0x11, &[0; MAX_HEADER]);
        for broken in [
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 8080\n".as_slice(),
            b"PROXY TCP4 192.0.2.700 10.0.0.1 4711 8080\r\n",
            b"PROXY TCP4 2001:db8::7 10.0.0.1 4711 8080\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80800\r\n",
            b"PROXY \r\n",
            &long,
            &binary(0x11, 0x11, &[0; 12]),
            &binary(0x2F, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; 4]),
            &huge,
            // Refused for its length alone, before anybody waits for so much.
            &huge[..BINARY_HEAD],
        ] {
            let text = broken.escape_ascii().to_string();
            assert_eq!(Beginning::of(broken), Beginning::Malformed, "{text:.80}");
        }
    }

    #[tokio::test]
    async fn what_follows_the_header_is_not_lost() {
        let mut stream: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 8080\r\nPOST";
        let (source, rest) = read(&mut stream, ProxyHeader::Required).await.unwrap();
        assert_eq!(source, Some("192.0.2.7:4711".parse().unwrap()));
        assert_eq!(&*rest, b"POST");
        let mut stream: &[u8] = b"POST";
        let (source, rest) = read(&mut stream, ProxyHeader::Auto).await.unwrap();
        assert_eq!((source, &*rest), (None, b"POST".as_slice()));
        for (mut stream, wanted) in [
            (b"POST".as_slice(), ProxyHeader::Required),
            (b"PROXY ", ProxyHeader::Auto),
            (b"PROXY \r\n", ProxyHeader::Auto),
            (b"", ProxyHeader::Auto),
        ] {
            assert!(read(&mut stream, wanted).await.is_err(), "{wanted:?}");
        }
    }
}
