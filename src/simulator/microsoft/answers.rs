//! The spelling of answers: the documented error object and the forms seen beside it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::assertion::EXPIRED_CERTIFICATE;
use crate::{content::TenantId, simulator::server::Body};

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(body).expect("the answers have no failing serializers");
    typed(status, "application/json; charset=utf-8", body)
}

pub(super) fn empty(status: u16) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = code(status);
    response
}

pub(super) fn verbatim(status: u16, headers: &[(String, String)], body: &[u8]) -> Response<Body> {
    let mut response = Response::new(full(body.to_vec()));
    *response.status_mut() = code(status);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// The documented error object, under the status its number usually comes with.
pub(super) fn af(number: u32, message: &str) -> Response<Body> {
    coded(af_status(number), &format!("AF{number}"), message)
}

pub(super) fn af_sentence(number: u32) -> Response<Body> {
    let code = format!(
        "AF{number}: The request failed while the content store was asked, see the message."
    );
    let trace = "   at Feed.Content.Store.Open(Request request)\r\n   at Feed.Front.Serve()";
    coded(af_status(number), &code, trace)
}

pub(super) fn af_single_quoted(number: u32) -> Response<Body> {
    let body = format!("{{'error':{{'code':'AF{number}','message':'The request failed.'}}}}");
    typed(af_status(number), "text/plain", body.into_bytes())
}

pub(super) fn throttled(tenant: Option<TenantId>) -> Response<Body> {
    let publisher = tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
    let message = format!("Too many requests. Method=GetBlob, PublisherId={publisher}");
    coded(StatusCode::FORBIDDEN, "AF429", &message)
}

pub(super) fn too_many(retry_after: Option<Duration>) -> Response<Body> {
    let mut response = coded(
        StatusCode::TOO_MANY_REQUESTS,
        "AF429",
        "Too many requests. Method=GetBlob, PublisherId=",
    );
    if let Some(wait) = retry_after {
        let seconds = HeaderValue::from(wait.as_secs());
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// The answer to a second start too soon; only the text says how long to wait.
pub(super) fn start_limited(wait: &str) -> Response<Body> {
    let message = format!("Too many start requests. Please retry again after {wait}.");
    coded(StatusCode::FORBIDDEN, "429", &message)
}

pub(super) fn unauthorized() -> Response<Body> {
    let body = r#"{"Message":"Authorization has been denied for this request."}"#;
    typed(StatusCode::UNAUTHORIZED, "application/json; charset=utf-8", body.as_bytes().to_vec())
}

pub(super) fn auditing_off(tenant: Option<TenantId>) -> Response<Body> {
    let tenant = tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
    let message = format!("Tenant {tenant} does not exist.");
    coded(StatusCode::BAD_REQUEST, "AF20011", &message)
}

pub(super) fn html(status: u16) -> Response<Body> {
    let page = "<!DOCTYPE html>\r\n<html><head><title>Service</title></head>\
                <body><h1>We are sorry</h1><p>The page cannot be shown.</p></body></html>";
    typed(code(status), "text/html; charset=utf-8", page.into())
}

pub(super) fn not_found() -> Response<Body> {
    let body = r#"{"Message":"No HTTP resource was found that matches the request URI."}"#;
    typed(StatusCode::NOT_FOUND, "application/json; charset=utf-8", body.as_bytes().to_vec())
}

pub(super) fn redirect(location: &str) -> Response<Body> {
    verbatim(302, &[("location".to_owned(), location.to_owned())], b"")
}

/// Entra's error object.
pub(super) fn entra(number: u32) -> Response<Body> {
    let (status, error, text) = match number {
        50_013 => (401, "invalid_client", "Assertion failed signature validation."),
        50_027 => (401, "invalid_client", "JWT token is invalid or malformed."),
        700_021 => (401, "invalid_client", "The assertion is of another application."),
        700_023 => (401, "invalid_client", "The assertion's audience is not this endpoint."),
        700_024 => (401, "invalid_client", "The assertion is not within its valid time range."),
        700_211 => (401, "invalid_client", "No matching federated identity record: issuer."),
        700_212 => (401, "invalid_client", "No matching federated identity record: audience."),
        700_213 => (401, "invalid_client", "No matching federated identity record: subject."),
        7_000_218 => {
            (401, "invalid_client", "The request lacks client_assertion or client_secret.")
        }
        EXPIRED_CERTIFICATE => {
            let text = "Client assertion contains an invalid signature. \
                        [Reason - The key used is expired.]";
            (401, "invalid_client", text)
        }
        7_000_215 => (401, "invalid_client", "Invalid client secret provided."),
        7_000_222 => (401, "invalid_client", "The provided client secret keys are expired."),
        700_027 => (401, "invalid_client", "Client assertion failed signature validation."),
        700_016 => (400, "unauthorized_client", "The application was not found in the directory."),
        90_002 => (400, "invalid_request", "The tenant was not found."),
        90_033 => (400, "invalid_request", "A transient error has occurred. Please try again."),
        900_023 => (400, "invalid_request", "The specified tenant identifier is not valid."),
        65_001 => (400, "invalid_grant", "An administrator has not consented to the application."),
        70_003 => (400, "unsupported_grant_type", "The grant type is not supported."),
        70_008 => (400, "invalid_grant", "The provided authorization code has expired."),
        _ => (400, "invalid_request", "The request is malformed or a parameter is missing."),
    };
    let number = if number == EXPIRED_CERTIFICATE { 700_027 } else { number };
    let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
    let body = EntraError {
        error,
        error_description: format!(
            "AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation}"
        ),
        error_codes: [number],
        trace_id: trace.to_string(),
        correlation_id: correlation.to_string(),
    };
    json(code(status), &body)
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, as the listing spells times.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

pub(super) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

fn coded(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json(status, &Wrapped { error: AfError { code, message } })
}

fn typed(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The reference gives no statuses; these are the ones met in the wild, else 400.
fn af_status(number: u32) -> StatusCode {
    match number {
        429 | 10_001 => StatusCode::FORBIDDEN,
        20_050 => StatusCode::NOT_FOUND,
        50_000.. => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[derive(Serialize)]
struct Wrapped<'a> {
    error: AfError<'a>,
}

#[derive(Serialize)]
struct AfError<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct EntraError {
    error: &'static str,
    error_description: String,
    error_codes: [u32; 1],
    trace_id: String,
    correlation_id: String,
}
