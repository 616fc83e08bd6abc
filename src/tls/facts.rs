//! What a certificate says of itself. Nothing here is verified.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl Facts {
    /// Reads a certificate; none when it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        let at = |seconds| Timestamp::from_second(seconds).ok();
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: at(validity.not_before.timestamp())?,
            not_after: at(validity.not_after.timestamp())?,
        })
    }
}

/// The RSA public key of a certificate, as PKCS#1; none when its key is of another kind.
pub fn rsa_public_key(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key = certificate.public_key();
    let rsa = matches!(key.parsed(), Ok(x509_parser::public_key::PublicKey::RSA(_)));
    rsa.then(|| key.subject_public_key.data.to_vec())
}

// The certificates are made by rcgen, which comes with the demonstration.
#[cfg(all(test, feature = "demo"))]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_tells_its_name_and_its_life() {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "collector");
        params.not_before = date_time_ymd(2026, 1, 2);
        params.not_after = date_time_ymd(2027, 3, 4);
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let facts = Facts::of(certificate.der()).unwrap();
        assert!(facts.subject.contains("CN=collector"), "{facts:?}");
        assert_eq!(facts.issuer, facts.subject);
        assert_eq!(facts.not_before, "2026-01-02T00:00:00Z".parse().unwrap());
        assert_eq!(facts.not_after, "2027-03-04T00:00:00Z".parse().unwrap());
        let public = rsa_public_key(certificate.der()).unwrap();
        assert!((260..300).contains(&public.len()), "2048 bits in PKCS#1: {}", public.len());

        let elliptic = CertificateParams::default().self_signed(&KeyPair::generate().unwrap());
        assert_eq!(rsa_public_key(elliptic.unwrap().der()), None);
        assert_eq!(Facts::of(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
