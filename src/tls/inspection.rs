//! A handshake for somebody who wants to know: what the server showed is told also when it is
//! refused.

use std::{
    io,
    sync::{Arc, Mutex},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Identity, TlsError, provider, system_roots, with_certificates};

/// Whom to believe.
#[derive(Clone, Debug)]
pub enum Trust {
    /// These authorities and no others.
    Only(Vec<CertificateDer<'static>>),
    /// The system's, and these.
    SystemAnd(Vec<CertificateDer<'static>>),
}

/// What came of a handshake.
#[derive(Debug)]
pub struct Inspected<T> {
    /// The connection, or why there is none.
    pub stream: io::Result<TlsStream<T>>,
    /// What the server showed, leaf first; empty if it did not come to that.
    pub chain: Vec<CertificateDer<'static>>,
}

/// Shakes hands over a connection, as strictly as everybody else here.
///
/// # Errors
///
/// [`TlsError`] when a certificate of ours cannot be used; what the other side does wrong is in
/// the result.
pub async fn inspect<T>(
    stream: T,
    name: ServerName<'static>,
    trust: Trust,
    identity: Option<Identity>,
) -> Result<Inspected<T>, TlsError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let roots = match trust {
        Trust::Only(certificates) => with_certificates(RootCertStore::empty(), certificates)?,
        Trust::SystemAnd(certificates) => with_certificates(system_roots(), certificates)?,
    };
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| TlsError::Refused(Error::General(error.to_string())))?;
    let witness = Arc::new(Witness { inner, shown: Mutex::default() });
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone());
    let mut config = match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let chain = witness.shown.lock().expect("no holder of this lock panics").clone();
    Ok(Inspected { stream, chain })
}

/// Judges as the inner one does, and remembers.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    shown: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        *self.shown.lock().expect("no holder of this lock panics") =
            chain.map(|certificate| certificate.clone().into_owned()).collect();
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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
