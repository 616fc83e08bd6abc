//! Failures of calls in words, and the table of them that README shows.
//!
//! The words themselves are where the codes are read ([`Refusal`], [`Action`]); this only gathers
//! them.

use crate::{
    microsoft::{
        ApiError,
        answer::{Action, CODES},
        tokens::{Refusal, TokenError},
    },
    subscriptions::Why,
};

use super::{address, feeds::of_why, way::with_source};

/// A failure in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) cause: String,
    pub(super) evidence: String,
    pub(super) remedy: String,
}

impl Words {
    fn new(cause: impl Into<String>, remedy: &str, evidence: String) -> Self {
        Self { cause: cause.into(), evidence, remedy: remedy.to_owned() }
    }
}

/// Why there is no token.
pub(super) fn of_token(error: &TokenError) -> Words {
    let error = error.cause();
    let seen = with_source(error);
    match error {
        TokenError::Refused(refusal) => Words::new(refusal.to_string(), of_refusal(*refusal), seen),
        TokenError::Status(status) => {
            let cause = format!("the login host answered with status {status}, not as Entra does");
            Words::new(cause, BETWEEN, seen)
        }
        TokenError::Timeout | TokenError::Unreachable(_) => {
            Words::new("the login host did not answer the request for a token", BETWEEN, seen)
        }
        TokenError::Transient(code) => {
            let cause = format!("Entra fails for a moment (AADSTS{code})");
            Words::new(cause, "wait a minute and check again", seen)
        }
        TokenError::Unreadable => {
            Words::new("the login host answered with something that is no token", BETWEEN, seen)
        }
        error => {
            let remedy = "let the service's user read the file that the tenant's credential names";
            Words::new(error.to_string(), remedy, seen)
        }
    }
}

/// Who has to do what about a refusal.
pub(super) fn of_refusal(refusal: Refusal) -> &'static str {
    refusal.advice().unwrap_or(
        "Entra administrator: look the code up in the application's sign-in logs (Service \
         principal sign-ins); a conditional access policy may be in the way",
    )
}

/// Why a call of the API has no result.
pub(super) fn of_api(error: &ApiError) -> Words {
    let seen = with_source(error);
    match error {
        ApiError::Answered { action, status } => {
            let words = action.words();
            Words::new(words.cause, words.remedy, format!("status {status}"))
        }
        ApiError::Throttled { .. } => {
            let words = Action::Throttled { wait: None }.words();
            Words::new(words.cause, words.remedy, seen)
        }
        ApiError::Token(error) => of_token(error),
        ApiError::Unreadable => {
            let cause = "the answer is none of the Management Activity API";
            Words::new(cause, BETWEEN, seen)
        }
        _ => Words::new("the management host did not answer to the end", BETWEEN, seen),
    }
}

/// One line of the table for who has a code and looks for what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is said, by Microsoft or by us.
    pub code: String,
    /// What is wrong.
    pub symptom: String,
    /// Who has to do what.
    pub remedy: &'static str,
}

/// Every code and symptom that has words: Entra's, the API's, those of `subscriptions list`, and
/// what the public address answers.
pub fn troubles() -> Vec<Trouble> {
    let entra = Refusal::KNOWN.iter().map(|(code, refusal)| Trouble {
        code: (*code).to_owned(),
        symptom: refusal.to_string().split(" (AADSTS").next().unwrap_or_default().to_owned(),
        remedy: of_refusal(*refusal),
    });
    let api = CODES.iter().map(|(code, action)| {
        let words = action.words();
        let symptom = words.cause.split(" (AF").next().unwrap_or_default();
        Trouble { code: (*code).to_owned(), symptom: symptom.to_owned(), remedy: words.remedy }
    });
    let listed = LISTED.iter().map(|why| {
        let words = of_why(*why);
        let code = format!("`subscriptions list`: {why}");
        Trouble { code, symptom: words.cause.to_owned(), remedy: words.remedy }
    });
    let answered = ANSWERED.iter().map(|status| {
        let words = address::words(*status);
        let code = format!("{status} from the public address");
        Trouble { code, symptom: words.cause.to_owned(), remedy: words.remedy }
    });
    entra.chain(api).chain(listed).chain(answered).collect()
}

/// What may be wrong with a subscription for longer than a moment.
const LISTED: &[Why] = &[
    Why::OtherAddress,
    Why::OtherAuthId,
    Why::WebhookDisabled,
    Why::WebhookExpired,
    Why::WebhookMissing,
];

/// What balancers are known to answer.
const ANSWERED: &[u16] = &[204, 301, 401, 403, 404, 502];

const BETWEEN: &str = "network team, if a proxy or firewall stands in between: let it pass this \
                       host untouched; otherwise wait a minute and check again";

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn table() -> String {
        let mut text =
            "| code or text | what is wrong | who has to do what |\n| --- | --- | --- |\n"
                .to_owned();
        for Trouble { code, symptom, remedy } in troubles() {
            let _infallible = writeln!(text, "| {code} | {symptom} | {remedy} |");
        }
        text
    }

    #[test]
    fn readme_has_the_table_as_it_is() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&table()), "README needs this table:\n\n{}", table());
    }
}
