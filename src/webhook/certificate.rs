//! The client certificate that a trusted proxy ended TLS with and passes on in a header.
//!
//! Proxies write it in different ways, all of which are understood: PEM with percent escapes
//! (nginx, AWS), DER in base64 (`HAProxy`, Traefik), the same between colons (RFC 9440). It is
//! judged here, by the same rule as in a handshake, so that the proxy only has to ask for it. A
//! header from anybody who is no trusted proxy is as good as none, and so are two of them.

use std::{error::Error as _, sync::Mutex, time::Duration};

use hyper::header::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::Instant;

use super::config::PassedCertificate;
use crate::tls::{ClientCertificates, ClientVerifier, TlsError};

/// Looks for the certificate and judges it.
#[derive(Debug)]
pub(super) struct Certificates {
    header: HeaderName,
    acceptable: ClientCertificates,
    read: Mutex<(ClientVerifier, Instant)>,
}

impl Certificates {
    pub(super) fn open(config: PassedCertificate) -> Result<Self, CertificateError> {
        let header =
            config.header.parse().map_err(|_| CertificateError::Header(config.header.clone()))?;
        let read = Mutex::new((config.acceptable.verifier()?, Instant::now()));
        Ok(Self { header, acceptable: config.acceptable, read })
    }

    /// Whether the headers, which came from a trusted proxy, hold an acceptable certificate.
    pub(super) fn acceptable(&self, headers: &HeaderMap) -> bool {
        let mut passed = headers.get_all(&self.header).iter();
        let (Some(passed), None) = (passed.next(), passed.next()) else {
            return false;
        };
        certificates(passed.as_bytes()).is_some_and(|chain| self.verifier().accepts(&chain))
    }

    /// The authorities, read again now and then.
    fn verifier(&self) -> ClientVerifier {
        let mut read = self.read.lock().expect("no holder of this lock panics");
        if read.1.elapsed() >= READ_AGAIN {
            read.1 = Instant::now();
            match self.acceptable.verifier() {
                Ok(verifier) => read.0 = verifier,
                Err(error) => {
                    let cause = error.source();
                    tracing::warn!(%error, cause, "the last client authorities serve");
                }
            }
        }
        read.0.clone()
    }
}

/// Passed certificates cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The configured name is no header's.
    #[error("{0:?} is not the name of a header")]
    Header(String),
    /// The authorities cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The certificates in the value of a header, in their order.
fn certificates(value: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    // `+` is no space here: base64 has it, and what escapes PEM writes a space as %20.
    let text: Vec<u8> = percent_decode(value).collect();
    if text.trim_ascii_start().starts_with(b"-----BEGIN") {
        return CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().ok();
    }
    let bare = text.trim_ascii();
    let bare = bare.strip_prefix(b":").and_then(|bare| bare.strip_suffix(b":")).unwrap_or(bare);
    // The reader of PEM is the one decoder of base64 there is.
    let pem = [BEGIN, bare, END].concat();
    CertificateDer::from_pem_slice(&pem).ok().map(|leaf| vec![leaf])
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----\n";

const END: &[u8] = b"\n-----END CERTIFICATE-----\n";

/// Authorities change once in years.
const READ_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_certificate_is_read() {
        let pem = "-----BEGIN CERTIFICATE-----\nAQID\n+/8=\n-----END CERTIFICATE-----\n";
        let escaped = pem.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B");
        let half = pem.replace('\n', "%0A").replace(' ', "%20");
        let expected = vec![CertificateDer::from(vec![1, 2, 3, 0xFB, 0xFF])];
        for spelled in [&*escaped, &half, "AQID+/8=", "AQID%2B/8=", ":AQID+/8=:", " AQID+/8= "] {
            assert_eq!(certificates(spelled.as_bytes()), Some(expected.clone()), "{spelled}");
        }
        let twice = certificates(escaped.repeat(2).as_bytes());
        assert_eq!(twice.map(|chain| chain.len()), Some(2));
        for nonsense in ["", ":", "Ä", "-----BEGIN CERTIFICATE-----", "%00", "CN=manage.office.com"]
        {
            let none = certificates(nonsense.as_bytes()).is_none_or(|chain| {
                // Whatever base64 it is, no certificate comes of it.
                chain.iter().all(|der| rustls::server::ParsedCertificate::try_from(der).is_err())
            });
            assert!(none, "{nonsense}");
        }
    }
}
