//! TLS material: the one crypto provider of the process, and certificates read from PEM.
//!
//! Everyone who speaks TLS takes its configuration from here, so no second provider can slip in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{
    AlertDescription, ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    sign::CertifiedKey,
};

mod clients;
mod facts;
mod inspection;
mod server;

pub use clients::{ClientCertificates, ClientVerifier, InvalidName};
pub use facts::{Facts, rsa_public_key};
pub use inspection::{Inspected, Trust, inspect};
pub use server::{Acceptor, ServerFiles};

/// A certificate chain and its key, for client or server authentication.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a chain and a key (PKCS#1, PKCS#8 or SEC1) from PEM files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] naming the file that cannot be read or holds nothing of the kind.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let unreadable = |source| TlsError::Pem { path: key.to_owned(), source };
        Ok(Self {
            chain: certificates(cert)?,
            key: PrivateKeyDer::from_pem_file(key).map_err(unreadable)?,
        })
    }

    /// Whether certificate and key belong together and are of a kind we can use.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when not.
    pub fn check(&self) -> Result<(), TlsError> {
        self.pair().map(drop)
    }

    /// The certificates, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// When the certificate ends; none when it does not say so legibly.
    pub fn expires(&self) -> Option<Timestamp> {
        Facts::of(self.chain.first()?).map(|facts| facts.not_after)
    }

    /// The certificate and the key as a pair that can sign.
    ///
    /// # Errors
    ///
    /// [`TlsError::Refused`] when they do not belong together
    /// ([`rustls::Error::InconsistentKeys`]), or one of them cannot be used.
    pub fn pair(&self) -> Result<CertifiedKey, TlsError> {
        let (chain, key) = (self.chain.clone(), self.key.clone_key());
        Ok(CertifiedKey::from_der(chain, key, &provider())?)
    }

    /// Takes the parts, for a server configuration.
    pub fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file holds no certificate.
    #[error("{} holds no PEM certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read as PEM.
    #[error("cannot read {} as PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: pem::Error,
    },
    /// The certificate and the key do not belong together, or rustls refuses one of them.
    #[error("certificate or key refused")]
    Refused(#[from] rustls::Error),
}

impl TlsError {
    /// Whether what is wrong is that the key does not belong to the certificate.
    pub fn is_key_mismatch(&self) -> bool {
        use rustls::{Error, InconsistentKeys};
        matches!(self, Self::Refused(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)))
    }
}

/// Whether a peer ends a handshake because of the certificate that it was shown, or not shown.
pub const fn refuses_identity(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

/// The crypto provider of the process. `aws-lc-rs`: the fastest AES-GCM on common servers, and the
/// one jsonwebtoken, reqwest and rcgen can share.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Reads every certificate of a PEM file.
///
/// # Errors
///
/// [`TlsError`] when the file cannot be read or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Pem { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// A client configuration for TLS 1.2 and 1.3.
///
/// With `ca`, only its certificates are trusted (Devo's private authority); without, the system's.
///
/// # Errors
///
/// [`TlsError`] when a certificate is refused.
pub fn client(
    ca: Option<Vec<CertificateDer<'static>>>,
    identity: Option<Identity>,
) -> Result<ClientConfig, TlsError> {
    let roots = match ca {
        Some(certificates) => with_certificates(RootCertStore::empty(), certificates)?,
        None => system_roots(),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    })
}

/// A client configuration that trusts `extra` beside the system's certificates.
///
/// # Errors
///
/// [`TlsError`] when a certificate is refused.
pub fn client_trusting_also(extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(with_certificates(system_roots(), extra)?)
        .with_no_client_auth())
}

/// Whether the system names any authority.
pub fn has_system_roots() -> bool {
    !system_roots().is_empty()
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Some system stores hold certificates rustls refuses; the rest still serves.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn with_certificates(
    mut roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, TlsError> {
    for certificate in certificates {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Random bytes nobody can guess, from the crypto provider.
///
/// # Errors
///
/// When the system has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], TlsError> {
    let mut bytes = [0; N];
    let filled = provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| TlsError::Refused(rustls::Error::FailedToGetRandomBytes))?;
    Ok(bytes)
}
