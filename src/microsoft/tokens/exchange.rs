//! Asking Entra for a token, with whatever proves which application asks.

use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use url::Url;

use super::{
    ANSWER_TIMEOUT, ClientCertificate, Credential, MAX_ANSWER, Refusal, TokenError, Tokens,
    assertion::{Claim, Form},
    entra::{self, Grant},
};
use crate::{
    content::ClientId,
    microsoft::{
        client::body::{Answer, BodyError},
        trace,
    },
};

impl Tokens {
    /// Posts a form to a token endpoint, completed with the application and its proof.
    pub(super) async fn granted(
        &self,
        endpoint: &Url,
        client_id: ClientId,
        credential: &Credential,
        form: &[(&str, &str)],
    ) -> Result<Grant, TokenError> {
        let asking = Asking { tokens: self, endpoint, client_id: client_id.to_string(), form };
        let certificate = match credential {
            Credential::Certificate(certificate) => certificate,
            Credential::Federated(token) => {
                let token = token.fresh().map_err(TokenError::secret)?;
                return asking.post(Proof::Assertion(&token)).await;
            }
            Credential::Secret(secret) => {
                let secret = secret.fresh().map_err(TokenError::secret)?;
                return asking.post(Proof::Secret(&secret)).await;
            }
        };
        let form = certificate.form();
        let first = asking.assert(certificate, form).await;
        match first {
            // Entra does not say which form it wants, only that it did not want this one.
            Err(TokenError::Refused(Refusal::BadAssertion)) => {
                let other = form.other();
                let second = asking.assert(certificate, other).await;
                if second.is_ok() {
                    certificate.took(other);
                }
                second.or(first)
            }
            first => first,
        }
    }

    /// An address of Entra's for a directory: a tenant's id, a domain of it, or `common`.
    pub(super) fn directory(&self, directory: &str, path: &[&str]) -> Url {
        let mut url = self.0.login.clone();
        url.path_segments_mut()
            .expect("the client refuses roots that cannot be a base")
            .pop_if_empty()
            .push(directory)
            .extend(path);
        url
    }
}

/// The body of a success.
pub(super) async fn answered(request: reqwest::RequestBuilder) -> Result<Vec<u8>, TokenError> {
    let exchange = async {
        let mut answer = Answer::new(request.headers(trace::headers()).send().await?);
        let body = answer.prefix(MAX_ANSWER).await?;
        Ok::<_, BodyError>((answer.status(), body))
    };
    let answered = timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_| TokenError::Timeout)?;
    let (status, body) = answered.map_err(|error| match error {
        BodyError::Cut(error) => TokenError::Unreachable(error.without_url().into()),
        BodyError::Bomb | BodyError::Unpack(_) => TokenError::Unreadable,
    })?;
    if status.is_success() { Ok(body) } else { Err(entra::refusal(status.as_u16(), &body)) }
}

struct Asking<'a> {
    tokens: &'a Tokens,
    endpoint: &'a Url,
    client_id: String,
    form: &'a [(&'a str, &'a str)],
}

impl Asking<'_> {
    async fn assert(
        &self,
        certificate: &ClientCertificate,
        form: Form,
    ) -> Result<Grant, TokenError> {
        let now = self.tokens.0.clock.now();
        let claim = Claim { audience: self.endpoint.as_str(), client_id: &self.client_id, now };
        let assertion =
            certificate.assertion(form, claim).map_err(|_unsigned| TokenError::Unsigned)?;
        self.post(Proof::Assertion(&assertion)).await
    }

    async fn post(&self, proof: Proof<'_>) -> Result<Grant, TokenError> {
        let mut form = self.form.to_vec();
        form.push(("client_id", &self.client_id));
        match proof {
            Proof::Assertion(assertion) => form.extend([
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", assertion.expose_secret()),
            ]),
            Proof::Secret(secret) => form.push(("client_secret", secret.expose_secret())),
        }
        let request = self.tokens.0.http.post(self.endpoint.clone()).form(&form);
        entra::grant(&answered(request).await?).ok_or(TokenError::Unreadable)
    }
}

/// What shows that it is our application that asks.
enum Proof<'a> {
    Assertion(&'a SecretString),
    Secret(&'a SecretString),
}

/// RFC 7523, 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
