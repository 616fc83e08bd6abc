//! Which client certificates are acceptable: signed by a given authority and made out to one of
//! the given names. The same rule serves a handshake and a certificate that a proxy passes on.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{danger::HandshakeSignatureValid, verify_server_name},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{TlsError, certificates, provider, with_certificates};

/// Whom a client certificate must be signed by and made out to.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    ca: PathBuf,
    names: Arc<[ServerName<'static>]>,
}

impl ClientCertificates {
    /// The authorities in a PEM file, and the subject names that are acceptable.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when one of the names cannot be that of a certificate.
    pub fn new<'n>(
        ca: PathBuf,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self, InvalidName> {
        let name = |name: &str| ServerName::try_from(name.to_owned()).map_err(|_| InvalidName);
        let names: Result<Vec<_>, _> = names.into_iter().map(name).collect();
        Ok(Self { ca, names: names?.into() })
    }

    /// The file of the authorities.
    pub fn path(&self) -> &Path {
        &self.ca
    }

    /// Reads the authorities.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when the file cannot be used.
    pub fn verifier(&self) -> Result<ClientVerifier, TlsError> {
        let roots = with_certificates(RootCertStore::empty(), certificates(&self.ca)?)?;
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| TlsError::Refused(Error::General(error.to_string())))?;
        Ok(ClientVerifier { inner, names: self.names.clone() })
    }
}

/// The text is no subject name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a name that a certificate can be made out to")]
pub struct InvalidName;

/// Judges client certificates.
#[derive(Clone)]
pub struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    names: Arc<[ServerName<'static>]>,
}

impl ClientVerifier {
    /// Asks for the signature of an authority in a PEM file, and for no name.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when the file cannot be used.
    pub fn any_of(ca: &Path) -> Result<impl Fn(&[CertificateDer<'_>]) -> bool, TlsError> {
        let roots = with_certificates(RootCertStore::empty(), certificates(ca)?)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| TlsError::Refused(Error::General(error.to_string())))?;
        Ok(move |chain: &[CertificateDer<'_>]| {
            let [leaf, intermediates @ ..] = chain else {
                return false;
            };
            verifier.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok()
        })
    }

    /// Whether a certificate that was not shown to us in a handshake, leaf first, is acceptable.
    pub fn accepts(&self, chain: &[CertificateDer<'_>]) -> bool {
        let [leaf, intermediates @ ..] = chain else {
            return false;
        };
        self.verify_client_cert(leaf, intermediates, UnixTime::now()).is_ok()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let mut failed = Error::General("no client name is acceptable".to_owned());
        for name in &*self.names {
            match verify_server_name(&certificate, name) {
                Ok(()) => return Ok(verified),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
