//! What Entra's token endpoint says. Pure.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{Refusal, TokenError};
use crate::aadsts;

/// A token and how long it lives.
pub(super) struct Grant {
    pub(super) token: SecretString,
    pub(super) life: Duration,
}

/// Reads the answer of a success.
pub(super) fn grant(body: &[u8]) -> Option<Grant> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let life = match answer.expires_in {
        Some(Seconds::Number(seconds)) => Some(seconds),
        Some(Seconds::Text(text)) => text.trim().parse().ok(),
        None => None,
    };
    let token = answer.access_token.filter(|token| !token.is_empty())?;
    Some(Grant { token: token.into(), life: life.map_or(UNTOLD_LIFE, Duration::from_secs) })
}

/// Reads any other answer. A server's failure says nothing about us, whatever its text mentions;
/// and Entra tells some of its own failures under the status of a refusal.
pub(super) fn refusal(status: u16, body: &[u8]) -> TokenError {
    let text = String::from_utf8_lossy(body);
    let code = aadsts::code(&text);
    match (status, code) {
        (429 | 500.., _) => TokenError::Status(status),
        (_, Some(code)) if TRANSIENT.contains(&code) => TokenError::Transient(code),
        (_, Some(code)) => TokenError::Refused(Refusal::read(code, &text)),
        (400 | 401, None) => TokenError::Refused(Refusal::Other(0)),
        (_, None) => TokenError::Status(status),
    }
}

/// When to refresh a token of this life: early enough for several tries, late enough that an Entra
/// that grants very short lives is not asked without pause.
pub(super) fn refresh_after(life: Duration) -> Duration {
    (life.min(REFRESH_MAX).saturating_mul(7) / 10).clamp(REFRESH_MIN, REFRESH_MAX)
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<Seconds>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// AADSTS90006 and 90090: a service behind Entra is unavailable for a moment; 90024: the request
/// took too much of Entra's budget; 90033: the directory is unavailable.
const TRANSIENT: [u32; 4] = [90006, 90024, 90033, 90090];

const UNTOLD_LIFE: Duration = Duration::from_secs(300);

const REFRESH_MIN: Duration = Duration::from_secs(1);

const REFRESH_MAX: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn lives_come_as_text_or_number() {
        let life = |body: &str| grant(body.as_bytes()).map(|grant| grant.life.as_secs());
        assert_eq!(life(r#"{"access_token":"a","expires_in":"3599"}"#), Some(3599));
        assert_eq!(life(r#"{"access_token":"a","expires_in":3599,"x":[]}"#), Some(3599));
        assert_eq!(life(r#"{"access_token":"a"}"#), Some(300));
        assert_eq!(life(r#"{"access_token":"a","expires_in":"soon"}"#), Some(300));
        assert_eq!(life(r#"{"access_token":""}"#), None);
        assert_eq!(life(r#"{"expires_in":3599}"#), None);
        assert_eq!(life("<html>"), None);
        let grant = grant(br#"{"access_token":"abc"}"#).unwrap();
        assert_eq!(grant.token.expose_secret(), "abc");
    }

    #[test]
    fn refusals_are_named() {
        let check = |status, text: &str, expected: Refusal| {
            let body = format!(r#"{{"error":"invalid_client","error_description":"{text}"}}"#);
            match refusal(status, body.as_bytes()) {
                TokenError::Refused(refusal) => assert_eq!(refusal, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        };
        check(401, "AADSTS7000215: Invalid client secret provided.", Refusal::WrongSecret);
        check(401, "AADSTS7000222: The provided keys are expired.", Refusal::ExpiredSecret);
        check(400, "AADSTS700016: Application was not found", Refusal::UnknownClient);
        check(400, "AADSTS90002: Tenant not found.", Refusal::UnknownTenant);
        check(400, "AADSTS900023: Specified tenant is neither", Refusal::UnknownTenant);
        check(400, "AADSTS65001: has not consented", Refusal::ConsentMissing);
        check(401, "AADSTS700027: Client assertion", Refusal::BadAssertion);
        check(
            401,
            "AADSTS700027: … signature. [Reason - The key used is expired., Thumbprint …",
            Refusal::ExpiredCertificate,
        );
        check(401, "AADSTS700024: Client assertion is not within", Refusal::AssertionTime);
        check(401, "AADSTS700023: Client assertion audience", Refusal::AssertionAudience);
        check(401, "AADSTS7000112: Application is disabled", Refusal::ApplicationDisabled);
        for code in [70021, 700_211, 700_212, 700_213] {
            let text = format!("AADSTS{code}: No matching federated identity record");
            check(400, &text, Refusal::FederationMissing);
        }
        check(400, "AADSTS500011: The resource principal", Refusal::UnknownResource);
        check(400, "AADSTS50034: no user", Refusal::Other(50034));
        check(401, "denied", Refusal::Other(0));
    }

    #[test]
    fn servers_in_trouble_do_not_refuse_credentials() {
        for status in [404, 429, 500, 503] {
            assert!(matches!(refusal(status, b"oops"), TokenError::Status(s) if s == status));
        }
        assert!(matches!(refusal(503, b"AADSTS7000215"), TokenError::Status(503)));
        for (status, code) in [(400, 90033), (401, 90006), (400, 90024), (400, 90090)] {
            let body = format!(
                r#"{{"error":"invalid_request","error_description":"AADSTS{code}: A transient error has occurred. Please try again."}}"#
            );
            let error = refusal(status, body.as_bytes());
            assert!(matches!(error, TokenError::Transient(told) if told == code), "{error:?}");
        }
    }

    #[test]
    fn an_hour_is_refreshed_after_70_percent() {
        assert_eq!(refresh_after(Duration::from_secs(3600)), Duration::from_secs(2520));
    }

    proptest! {
        #[test]
        fn refreshing_stays_within_bounds_and_life(seconds: u64) {
            let life = Duration::from_secs(seconds);
            let after = refresh_after(life);
            prop_assert!((REFRESH_MIN..=REFRESH_MAX).contains(&after));
            prop_assert!(after <= life.max(REFRESH_MIN));
        }
    }
}
