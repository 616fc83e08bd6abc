//! What a certificate says of itself. Nothing here is verified.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension,
    oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS, prelude::FromDer as _,
};

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
    /// Whether it says where the certificate of its issuer can be had, as those of public
    /// authorities do.
    pub locates_issuer: bool,
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
            locates_issuer: locates_issuer(&certificate),
        })
    }

    /// Whether it names itself as its issuer, as authorities do.
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }
}

/// The RSA public key of a certificate, as PKCS#1; none when its key is of another kind.
pub fn rsa_public_key(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key = certificate.public_key();
    let rsa = matches!(key.parsed(), Ok(x509_parser::public_key::PublicKey::RSA(_)));
    rsa.then(|| key.subject_public_key.data.to_vec())
}

fn locates_issuer(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(told) => {
            let mut descriptions = told.accessdescs.iter();
            descriptions.any(|one| one.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS)
        }
        _ => false,
    })
}

// The certificates are made by rcgen, which comes with the demonstration.
#[cfg(all(test, feature = "demo"))]
mod tests;
