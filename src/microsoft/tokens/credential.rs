//! How a tenant's application proves to Entra who it is.
//!
//! Secrets, certificates and token files are read for each request to Entra, which are few; a file
//! that cannot be used leaves what was there before. A certificate is looked at when it is loaded, so that one
//! that exists can sign. None of it prints (I9).

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use jsonwebtoken::EncodingKey;
use rustls::{Error, pki_types::PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::assertion::{self, Claim, Form, Thumbprints};
use crate::{
    secret::{Secret, SecretError},
    tls::{Identity, TlsError},
    watched::{Watched, named},
};

/// How a tenant's application proves who it is.
#[derive(Clone, Debug)]
pub enum Credential {
    /// By the key of a registered certificate.
    Certificate(ClientCertificate),
    /// By a token of another identity provider that Entra trusts.
    Federated(Secret),
    /// By a secret both sides know.
    Secret(Secret),
}

impl Credential {
    /// The word for it, as in the configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate",
            Self::Federated(_) => "federated_token",
            Self::Secret(_) => "client_secret",
        }
    }

    /// The client secret, if it is one.
    pub const fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Certificate(_) | Self::Federated(_) => None,
        }
    }

    /// The file that nobody else may read, where it is one.
    pub fn private_file(&self) -> Option<&Path> {
        match self {
            // The key is the last of the two.
            Self::Certificate(certificate) => certificate.0.loaded.files().last().map(|key| &**key),
            Self::Federated(secret) | Self::Secret(secret) => secret.path(),
        }
    }

    /// When what is in use now ends, as far as it says so itself; a client secret does not.
    ///
    /// # Errors
    ///
    /// [`SecretError`] when a token file was never readable.
    pub fn expires(&self) -> Result<Option<Timestamp>, SecretError> {
        Ok(match self {
            Self::Certificate(certificate) => certificate.expires(),
            Self::Federated(token) => token_end(token.fresh()?.expose_secret()),
            Self::Secret(_) => None,
        })
    }

    /// What is wrong with the files as they are now, while what was read before may serve.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Certificate(certificate) => certificate.0.loaded.trouble(),
            Self::Federated(secret) | Self::Secret(secret) => secret.trouble(),
        }
    }
}

impl From<Secret> for Credential {
    fn from(secret: Secret) -> Self {
        Self::Secret(secret)
    }
}

/// A certificate and its RSA key, which sign client assertions. Clones share what was read.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Shared>);

impl ClientCertificate {
    /// Reads a certificate and its key (PKCS#1 or PKCS#8) from PEM files; the first certificate
    /// counts where there are several.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] when they cannot be used, or do not belong together.
    pub fn open(cert: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let what = named("the client certificate", &cert);
        let (files, certificate) = (vec![cert.clone(), key.clone()], cert.clone());
        let loaded = Watched::open(what, files, move || Loaded::read(&certificate, &key))?;
        Ok(Self(Arc::new(Shared { loaded, cert, newer: AtomicBool::new(false) })))
    }

    /// When the certificate in use ends.
    pub fn expires(&self) -> Option<Timestamp> {
        self.0.loaded.current().expires
    }

    /// The file of the certificate.
    pub fn path(&self) -> &Path {
        &self.0.cert
    }

    /// The form that Entra took last.
    pub(super) fn form(&self) -> Form {
        if self.0.newer.load(Ordering::Relaxed) { Form::Newer } else { Form::Usual }
    }

    /// Notes that Entra took this form.
    pub(super) fn took(&self, form: Form) {
        self.0.newer.store(form == Form::Newer, Ordering::Relaxed);
    }

    pub(super) fn assertion(
        &self,
        form: Form,
        claim: Claim<'_>,
    ) -> Result<SecretString, jsonwebtoken::errors::Error> {
        let loaded = self.0.loaded.fresh();
        assertion::sign(form, &loaded.key, &loaded.thumbprints, claim)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.0.cert.display())
    }
}

/// Why a client certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key is protected by a passphrase, which nobody could type in.
    #[error("the key in {} is encrypted", path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("the key in {} is not the one of the certificate", path.display())]
    Mismatch {
        /// The file of the key.
        path: PathBuf,
    },
    /// Entra takes RSA keys only.
    #[error("the key in {} is no RSA key of 2048 to 8192 bits", path.display())]
    NotRsa {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read, or holds nothing of the kind.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

struct Shared {
    loaded: Watched<Loaded>,
    cert: PathBuf,
    /// Whether Entra took the newer form of assertions last.
    newer: AtomicBool,
}

struct Loaded {
    key: EncodingKey,
    thumbprints: Thumbprints,
    expires: Option<Timestamp>,
}

impl Loaded {
    fn read(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let identity = Identity::load(cert, key).map_err(|error| {
            let path = key.to_owned();
            if is_encrypted(key) { CertificateError::Encrypted { path } } else { error.into() }
        })?;
        let path = || key.to_owned();
        let signing = match identity.pair() {
            Ok(_) => encoding_key(identity.key()).filter(can_sign),
            Err(TlsError::Refused(Error::InconsistentKeys(_))) => {
                return Err(CertificateError::Mismatch { path: path() });
            }
            Err(error) => return Err(error.into()),
        };
        let leaf = identity.chain().first().expect("a loaded chain has a certificate");
        Ok(Self {
            key: signing.ok_or_else(|| CertificateError::NotRsa { path: path() })?,
            thumbprints: Thumbprints::of(leaf),
            expires: identity.expires(),
        })
    }
}

/// Only to say why a file holds no key.
fn is_encrypted(key: &Path) -> bool {
    let begins = |line: &str| line.contains("ENCRYPTED");
    fs::read_to_string(key).is_ok_and(|text| text.lines().any(begins))
}

/// None: it is no RSA key.
fn encoding_key(key: &PrivateKeyDer<'_>) -> Option<EncodingKey> {
    match key {
        PrivateKeyDer::Pkcs1(key) => Some(EncodingKey::from_rsa_der(key.secret_pkcs1_der())),
        PrivateKeyDer::Pkcs8(key) => {
            let der = SecretString::from(STANDARD.encode(key.secret_pkcs8_der()));
            let pem = SecretString::from(format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                der.expose_secret()
            ));
            EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes()).ok()
        }
        _ => None,
    }
}

fn can_sign(key: &EncodingKey) -> bool {
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
    jsonwebtoken::encode(&header, &(), key).is_ok()
}

/// The end of a JWT, as it says itself.
fn token_end(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct End {
        exp: i64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Timestamp::from_second(serde_json::from_slice::<End>(&payload).ok()?.exp).ok()
}
