//! The certificates of the simulated world, made once and kept in a directory.
//!
//! Two authorities that do not know each other, as in life: Microsoft's signs the server and the
//! certificate its notifier presents, Devo's signs its receiver and the domain certificate a
//! customer downloads from the console. The files of Devo carry the console's names.
//!
//! What an application proves itself with is made only when it is asked for, in `application`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;

use crate::tls::{self, Identity};

mod application;

/// The files, in a directory that is removed with this value unless it was given.
#[derive(Debug)]
pub struct Material {
    files: [PathBuf; FILES.len()],
    _temporary: Option<tempfile::TempDir>,
}

impl Material {
    /// Uses the set in `directory`, making it when a file of it is missing.
    pub fn open(directory: Option<&Path>) -> io::Result<Self> {
        let (directory, temporary) = match directory {
            Some(directory) => (directory.to_owned(), None),
            None => {
                let temporary = tempfile::tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let material =
            Self { files: FILES.map(|name| directory.join(name)), _temporary: temporary };
        if !material.files.iter().all(|file| file.is_file()) {
            fs::create_dir_all(&directory)?;
            material.make().map_err(io::Error::other)?;
        }
        Ok(material)
    }

    /// The authority of Microsoft's side.
    pub fn microsoft_ca(&self) -> &Path {
        self.file(MICROSOFT_CA)
    }

    /// The certificate of Microsoft's listeners, for `127.0.0.1`, `::1` and `localhost`. A webhook
    /// that ends TLS itself may use it too.
    pub fn server_cert(&self) -> &Path {
        self.file(SERVER_CERT)
    }

    /// The key of [`Material::server_cert`].
    pub fn server_key(&self) -> &Path {
        self.file(SERVER_KEY)
    }

    /// The client certificate the notifier presents, in the name of `manage.office.com`.
    pub fn notifier_cert(&self) -> &Path {
        self.file(NOTIFIER_CERT)
    }

    /// The authority of Devo's side.
    pub fn devo_chain(&self) -> &Path {
        self.file(DEVO_CHAIN)
    }

    /// The customer's certificate.
    pub fn domain_cert(&self) -> &Path {
        self.file(DOMAIN_CERT)
    }

    /// The customer's key.
    pub fn domain_key(&self) -> &Path {
        self.file(DOMAIN_KEY)
    }

    pub(super) fn microsoft_acceptor(&self, http2: bool) -> io::Result<TlsAcceptor> {
        let (chain, key) = identity(self.server_cert(), self.server_key())?.into_parts();
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        if http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Requires a certificate that one of these authorities signed.
    pub(super) fn devo_acceptor(&self, authorities: &[&Path]) -> io::Result<TlsAcceptor> {
        let mut roots = RootCertStore::empty();
        for file in authorities {
            for certificate in tls::certificates(file).map_err(io::Error::other)? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider())
                .build()
                .map_err(io::Error::other)?;
        let (chain, key) = identity(self.file(DEVO_CERT), self.file(DEVO_KEY))?.into_parts();
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// How the notifier dials a webhook that ends TLS itself: trusting our own authority and those
    /// of `more`.
    pub(super) fn notifier_client(&self, more: Option<&Path>) -> io::Result<ClientConfig> {
        let mut roots = tls::certificates(self.microsoft_ca()).map_err(io::Error::other)?;
        if let Some(more) = more {
            roots.extend(tls::certificates(more).map_err(io::Error::other)?);
        }
        let presented = identity(self.notifier_cert(), self.file(NOTIFIER_KEY))?;
        tls::client(Some(roots), Some(presented)).map_err(io::Error::other)
    }

    fn make(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let microsoft = authority("Simulated Microsoft authority")?;
        let devo = authority("Simulated Devo authority")?;
        fs::write(self.microsoft_ca(), microsoft.pem())?;
        fs::write(self.devo_chain(), devo.pem())?;
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        self.issue(&microsoft, LOCAL, &server, [SERVER_CERT, SERVER_KEY])?;
        let name = &["manage.office.com"];
        self.issue(&microsoft, name, &client, [NOTIFIER_CERT, NOTIFIER_KEY])?;
        self.issue(&devo, LOCAL, &server, [DEVO_CERT, DEVO_KEY])?;
        let domain = &["customer.example"];
        self.issue(&devo, domain, &client, [DOMAIN_CERT, DOMAIN_KEY])?;
        Ok(())
    }

    fn issue(
        &self,
        authority: &CertifiedIssuer<'_, KeyPair>,
        names: &[&str],
        usage: &ExtendedKeyUsagePurpose,
        [cert, key]: [usize; 2],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names.clone())?;
        params.distinguished_name.push(DnType::CommonName, names[0].as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage.clone()];
        params.use_authority_key_identifier_extension = true;
        params.not_after = date_time_ymd(LAST_YEAR, 12, 31);
        let pair = KeyPair::generate()?;
        fs::write(self.file(cert), params.signed_by(&pair, authority)?.pem())?;
        write_private(self.file(key), &pair.serialize_pem())?;
        Ok(())
    }

    fn file(&self, index: usize) -> &Path {
        &self.files[index]
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_after = date_time_ymd(LAST_YEAR, 12, 31);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn identity(cert: &Path, key: &Path) -> io::Result<Identity> {
    Identity::load(cert, key).map_err(io::Error::other)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

const LOCAL: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// Far enough that a directory kept for a long time never surprises anybody.
const LAST_YEAR: i32 = 2099;

const MICROSOFT_CA: usize = 0;
const SERVER_CERT: usize = 1;
const SERVER_KEY: usize = 2;
const NOTIFIER_CERT: usize = 3;
const NOTIFIER_KEY: usize = 4;
const DEVO_CHAIN: usize = 5;
const DEVO_CERT: usize = 6;
const DEVO_KEY: usize = 7;
const DOMAIN_CERT: usize = 8;
const DOMAIN_KEY: usize = 9;

const FILES: [&str; 10] = [
    "microsoft-ca.pem",
    "microsoft.crt",
    "microsoft.key",
    "notifier.crt",
    "notifier.key",
    "chain.crt",
    "devo.crt",
    "devo.key",
    "domain.crt",
    "domain.key",
];
