//! What Entra sends an administrator's browser back with after asking for consent. Pure.
//!
//! All of it is foreign text: a code is a secret, and what Entra says of a refusal is shown as plain
//! words where its number is known, and otherwise shortened and [printable](crate::printable).

use std::fmt;

use secrecy::SecretString;
use url::form_urlencoded;

use crate::{aadsts, printable::printable};

/// The path browsers are sent back to, on the public port and on loopback.
pub const PATH: &str = "/consent/callback";

/// A browser that came back.
#[derive(Debug)]
pub struct Redirect {
    /// Which consent it is about: what we sent along.
    pub state: String,
    /// What came of it.
    pub answer: Answer,
}

/// What came of a consent.
#[derive(Debug)]
pub enum Answer {
    /// It was given; the code shows by whom, once.
    Code(SecretString),
    /// It was not.
    Refused(Refused),
}

impl Redirect {
    /// Reads the query of the address; none if it is not of a consent, or larger than any is.
    pub fn read(query: &str) -> Option<Self> {
        if query.len() > LONGEST {
            return None;
        }
        let mut redirect = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "state" => &mut redirect.0,
                "code" => &mut redirect.1,
                "error" => &mut redirect.2,
                "error_description" => &mut redirect.3,
                _ => continue,
            };
            // What is there twice is not of Entra.
            if field.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        let (state, code, error, description) = redirect;
        let state = state.filter(|state| is_state(state))?;
        let answer = match (code, error) {
            (None, Some(error)) => {
                Answer::Refused(Refused { error, description: description.unwrap_or_default() })
            }
            (Some(code), None) if !code.is_empty() => Answer::Code(code.into()),
            _ => return None,
        };
        Some(Self { state, answer })
    }
}

/// The consent was refused, by the person or by Entra.
#[derive(Debug)]
pub struct Refused {
    error: String,
    description: String,
}

impl Refused {
    /// The number Entra gave, if it did.
    pub fn code(&self) -> Option<u32> {
        aadsts::code(&self.description)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code();
        let words = match code {
            Some(65_004) => DECLINED,
            None if self.error == "access_denied" => DECLINED,
            Some(65_001 | 90_093 | 90_094 | 90_095) => {
                "this account may not consent for its organisation; a Global Administrator or \
                 Privileged Role Administrator has to open the address"
            }
            Some(700_016 | 50_194) => {
                "the application is not known in the administrator's tenant; let its registration \
                 support accounts in any organisational directory (multitenant), or check client_id"
            }
            Some(50_011 | 500_113) => {
                "the address to come back to is not registered; add it to the redirect URIs of the \
                 application (platform Web)"
            }
            Some(650_051..=650_057) => {
                "the application asks for an API the organisation does not have, or for no \
                 permissions of it; give it ActivityFeed.Read of the Office 365 Management APIs"
            }
            Some(53_000..=53_004) => {
                "a conditional access policy of the organisation blocked the sign-in"
            }
            Some(90_002 | 900_023) => {
                "the tenant is not known in this cloud; check microsoft.cloud"
            }
            Some(50_020 | 50_034) => "the account does not belong to the organisation",
            _ => return write!(f, "Entra refused: {}", self.shortened()),
        };
        match code {
            Some(code) => write!(f, "{words} (AADSTS{code})"),
            None => f.write_str(words),
        }
    }
}

impl Refused {
    /// Entra's own words, of which a line is enough.
    fn shortened(&self) -> String {
        let text = format!("{}: {}", self.error, self.description);
        printable(&text).take(SHORT).collect()
    }
}

/// Whether a text has the form of the states we make: 64 hexadecimal digits.
fn is_state(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a browser shows when its consent is known. Nothing in it comes from the request.
pub const TAKEN: &str = "<!doctype html><meta charset=utf-8><title>m365-collector</title>\
    <p>The answer has arrived. You can close this window; the command that asked says what came \
    of it.\n";

const DECLINED: &str = "the consent was declined at the browser";

/// A code has one to two kilobytes, a description less.
const LONGEST: usize = 8 * 1024;

const SHORT: usize = 200;

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const STATE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(query: &str) -> Option<String> {
        let redirect = Redirect::read(&query.replace("STATE", STATE))?;
        assert_eq!(redirect.state, STATE);
        Some(match redirect.answer {
            Answer::Code(code) => format!("code {}", code.expose_secret()),
            Answer::Refused(refused) => refused.to_string(),
        })
    }

    #[test]
    fn a_code_or_a_refusal_is_read_and_nothing_else() {
        assert_eq!(read("code=a%2Bb&state=STATE&session_state=x").unwrap(), "code a+b");
        for query in [
            "",
            "state=STATE",
            "code=&state=STATE",
            "code=a",
            "code=a&state=short",
            "code=a&state=STATE&state=STATE",
            "code=a&code=b&state=STATE",
            "code=a&error=x&state=STATE",
            &format!("code={}&state=STATE", "a".repeat(LONGEST)),
        ] {
            assert_eq!(read(query), None, "{query}");
        }
    }

    #[test]
    fn refusals_are_said_in_plain_words() {
        let said = |error: &str, description: &str| {
            read(&format!("error={error}&error_description={description}&state=STATE")).unwrap()
        };
        let declined = "the consent was declined at the browser";
        assert_eq!(said("access_denied", ""), declined);
        assert_eq!(
            said("access_denied", "AADSTS65004%3A+User+declined"),
            format!("{declined} (AADSTS65004)")
        );
        assert!(said("access_denied", "AADSTS90094: x").contains("Global Administrator"));
        assert!(said("invalid_request", "AADSTS50011: x").contains("redirect URIs"));
        assert_eq!(
            said("server_error", "AADSTS1: up%1b[31m%0a"),
            "Entra refused: server_error: AADSTS1: up\u{fffd}[31m\u{fffd}"
        );
        assert!(said("x", &"y".repeat(1000)).len() < 250, "a line is enough");
    }
}
