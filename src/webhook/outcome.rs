//! What a request on the public port can come to: a closed set, each with one status.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

use crate::{
    http::{self, TakenBack},
    redirect::TAKEN,
};

/// What became of a request.
///
/// Anything but exactly 200 makes Microsoft try again, and in the end disable the webhook, so an
/// authentic request that we understand is accepted or validated, however little of it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A notification whose good entries are in the ledger.
    Accepted,
    /// An administrator's browser that brought what a command waits for.
    Consented,
    /// A validation.
    Validated,
    /// Anything else.
    Rejected(Reject),
}

impl Outcome {
    /// Every outcome, for zero-initialised series.
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::Consented,
        Self::Validated,
        Self::Rejected(Reject::Aborted),
        Self::Rejected(Reject::Certificate),
        Self::Rejected(Reject::Forbidden),
        Self::Rejected(Reject::Malformed),
        Self::Rejected(Reject::MethodNotAllowed),
        Self::Rejected(Reject::NotFound),
        Self::Rejected(Reject::SecretUnreadable),
        Self::Rejected(Reject::TimedOut),
        Self::Rejected(Reject::TooLarge),
        Self::Rejected(Reject::Unauthorized),
        Self::Rejected(Reject::Unavailable),
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Consented => "consented",
            Self::Validated => "validated",
            Self::Rejected(reject) => reject.as_str(),
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Accepted | Self::Consented | Self::Validated => StatusCode::OK,
            Self::Rejected(reject) => reject.status(),
        }
    }

    /// The whole answer. Its body is empty or always the same, so it cannot echo anything.
    pub(super) fn answer(self) -> Response<Full<Bytes>> {
        let mut answer = http::empty(self.status());
        if self == Self::Rejected(Reject::Aborted) {
            answer.extensions_mut().insert(TakenBack);
        }
        if self == Self::Consented {
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(TAKEN.len()));
            *answer.body_mut() = Full::new(Bytes::from_static(TAKEN.as_bytes()));
        }
        let headers = answer.headers_mut();
        if let Self::Rejected(reject) = self {
            // Most of these were not read to their end, and the others are no guests to keep.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            if reject == Reject::MethodNotAllowed {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            if reject.status() == StatusCode::SERVICE_UNAVAILABLE {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
            }
        }
        answer
    }
}

/// Why a request was not accepted. The cause, where there is more to say, is in the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The client went away, or broke the protocol in the middle of its body.
    Aborted,
    /// No proxy vouches for an acceptable client certificate.
    Certificate,
    /// The source is not among the allowed ones.
    Forbidden,
    /// Neither a validation nor a notification.
    Malformed,
    /// Another method than POST.
    MethodNotAllowed,
    /// Another path than the registered one.
    NotFound,
    /// Our own copy of the auth id cannot be used, so nobody can be told apart.
    SecretUnreadable,
    /// The request took too long to arrive.
    TimedOut,
    /// The body is larger than allowed.
    TooLarge,
    /// The auth id is missing or wrong.
    Unauthorized,
    /// The ledger cannot commit, or not in time.
    Unavailable,
}

impl Reject {
    pub(super) fn overloaded() -> Self {
        tracing::error!(
            "too many notifications at a time, none ended within the time of a request"
        );
        Self::Unavailable
    }

    pub(super) fn ledger_too_slow() -> Self {
        tracing::error!("the ledger did not commit within the time of a request");
        Self::Unavailable
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Certificate => "certificate",
            Self::Forbidden => "forbidden",
            Self::Malformed => "malformed",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::SecretUnreadable => "secret_unreadable",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Aborted | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Certificate | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::SecretUnreadable | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
        }
    }
}

/// Group commits take milliseconds; a ledger that cannot commit now may well in a few seconds.
const RETRY_SECONDS: &str = "10";
