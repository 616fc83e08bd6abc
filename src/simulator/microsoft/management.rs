//! The Management Activity API as a client sees it: one request in, one answer out.

use std::{collections::HashMap, io, sync::Arc};

use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, DATE, HeaderValue},
};
use percent_encoding::percent_decode_str;
use tokio::time::Instant;

use super::{
    World, answers, consent,
    entra::{self, Issued},
    faults::{Fault, Operation},
    requests,
};
use crate::{
    content::{ContentId, ContentType, TenantId},
    simulator::{Feed, locked, server::Body},
};

/// Answers one request of a client, or breaks off.
pub(in crate::simulator) async fn answer(
    world: Arc<World>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let query = query(&request);
    let Some(route) = Route::read(&request) else {
        return Ok(match page(request.uri().path()) {
            Some((_, "oauth2/authorize")) => consent::authorize(&world, &query),
            Some((directory, "adminconsent")) => consent::adminconsent(&world, directory, &query),
            _ => answers::not_found(),
        });
    };
    let operation = match route.operation {
        Operation::Content if query.contains_key(NEXT_PAGE) => Operation::NextPage,
        operation => operation,
    };
    let tenant = route.directory.parse().ok();
    let at = Instant::now();
    let (number, throttled) = {
        let mut requests = locked(&world.requests);
        let throttled = tenant
            .zip(world.requests_per_minute)
            .is_some_and(|(t, limit)| operation.is_paced() && requests.last_minute(t, at) >= limit);
        let number = requests.arrived(requests::Request {
            at,
            tenant,
            operation: operation.clone(),
            publisher: query.get("publisheridentifier").cloned(),
            trace: request
                .headers()
                .get("traceparent")
                .and_then(|trace| trace.to_str().ok().map(str::to_owned)),
            status: None,
            answered: None,
        });
        (number, throttled)
    };
    let fault = locked(&world.script).take(tenant, &operation);
    let planned = match &fault {
        Some(Fault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Hang) => {
            world.shutdown.requested().await;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(fault) => fault.answer(tenant),
        None => throttled.then(|| answers::throttled(tenant)),
    };
    let mut response = match planned {
        Some(response) => response,
        None => {
            let call = Call { world: &world, directory: &route.directory, operation, query };
            call.answer(request).await
        }
    };
    if let Some(fault) = fault {
        response = fault.spoil(response);
    }
    locked(&world.requests).answered(number, response.status().as_u16(), Instant::now());
    let date = world.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    if let Ok(date) = HeaderValue::try_from(date.to_string()) {
        response.headers_mut().insert(DATE, date);
    }
    Ok(response)
}

struct Route {
    directory: String,
    operation: Operation,
}

impl Route {
    fn read(request: &Request<Incoming>) -> Option<Self> {
        let segments: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        let (directory, operation) = match *segments.as_slice() {
            [directory, "oauth2", "token"] if post => (directory, Operation::Token),
            [directory, ".well-known", "openid-configuration"] if get => {
                (directory, Operation::Directory)
            }
            ["api", "v1.0" | "v1", directory, "activity", "feed", what, which] => {
                let operation = match (what, which) {
                    ("audit", id) if get => {
                        let id = percent_decode_str(id).decode_utf8().ok()?;
                        Operation::BlobOf(ContentId::parse(&id).ok()?)
                    }
                    ("subscriptions", "content") if get => Operation::Content,
                    ("subscriptions", "list") if get => Operation::List,
                    ("subscriptions", "notifications") if get => Operation::Notifications,
                    ("subscriptions", "start") if post => Operation::Start,
                    ("subscriptions", "stop") if post => Operation::Stop,
                    _ => return None,
                };
                (directory, operation)
            }
            _ => return None,
        };
        Some(Self { directory: directory.to_owned(), operation })
    }
}

/// A request that is answered truly.
pub(super) struct Call<'a> {
    pub(super) world: &'a World,
    directory: &'a str,
    operation: Operation,
    pub(super) query: HashMap<String, String>,
}

impl Call<'_> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        #[expect(clippy::disallowed_methods, reason = "the body is limited")]
        let body = match Limited::new(body, LONGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return answers::empty(413),
        };
        if self.operation == Operation::Token {
            return entra::token(self.world, self.directory, &body);
        }
        if self.operation == Operation::Directory {
            return entra::directory(self.world, self.directory);
        }
        let bearer = parts.headers.get(AUTHORIZATION);
        let Some(issued) = bearer.and_then(|value| self.authorized(value)) else {
            return answers::unauthorized();
        };
        if !issued.roles.contains("ActivityFeed.Read") {
            return answers::af(
                10_001,
                "The permission set sent in the request did not include the expected permission \
                 ActivityFeed.Read.",
            );
        }
        let tenant = issued.tenant;
        let encodings = parts.headers.get(ACCEPT_ENCODING);
        let gzip = encodings.and_then(|value| value.to_str().ok());
        let gzip = gzip.is_some_and(|value| value.contains("gzip"));
        if let Operation::BlobOf(id) = &self.operation {
            return self.blob(&issued, id, gzip);
        }
        if self.operation == Operation::List {
            return self.list(tenant);
        }
        let named = self.query.get("contenttype");
        let Some(Ok(content_type)) = named.map(|name| name.parse::<ContentType>()) else {
            return answers::af(20_020, "The specified content type is not valid.");
        };
        let feed = Feed { tenant, content_type };
        if !may_read(&issued, content_type) {
            return answers::unauthorized();
        }
        match self.operation {
            Operation::Start => self.start(feed, &body).await,
            Operation::Stop => self.stop(feed),
            Operation::Notifications => self.notifications(feed),
            _ => self.content(feed),
        }
    }

    /// The token of this tenant behind an `Authorization` header.
    fn authorized(&self, header: &HeaderValue) -> Option<Issued> {
        let token = header.to_str().ok()?.strip_prefix("Bearer ")?;
        let issued = locked(&self.world.entra).authorize(token, self.world.clock.now())?;
        let asked: TenantId = self.directory.parse().ok()?;
        (issued.tenant == asked).then_some(issued)
    }

    fn blob(&self, issued: &Issued, id: &ContentId, gzip: bool) -> Response<Body> {
        let now = self.world.clock.now();
        let mut contents = locked(&self.world.contents);
        let Some((feed, content)) = contents.find(issued.tenant, id) else {
            if id.as_str().split('$').count() < SEGMENTS {
                return answers::af(20_052, &format!("Content ID {id} in the URL is invalid."));
            }
            let message = format!("The specified content ({id}) does not exist.");
            return answers::af(20_050, &message);
        };
        if !may_read(issued, feed.content_type) {
            return answers::unauthorized();
        }
        if let Some(refused) = self.unsubscribed(feed) {
            return refused;
        }
        if now >= content.expires {
            let message = format!("Content requested with the key {id} has already expired.");
            return answers::af(20_051, &message);
        }
        let gzip = gzip && content.gzip.unwrap_or(self.world.gzip);
        let (body, length) = content.blob.body(feed, gzip);
        contents.fetched(issued.tenant, id);
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(
            hyper::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    pub(super) fn unsubscribed(&self, feed: Feed) -> Option<Response<Body>> {
        match locked(&self.world.subscriptions).find(feed) {
            None => Some(no_subscription()),
            Some(subscription) if !subscription.enabled => Some(answers::af(
                20_023,
                "The subscription was disabled by a tenant administrator.",
            )),
            Some(_) => None,
        }
    }
}

fn may_read(issued: &Issued, content_type: ContentType) -> bool {
    content_type != ContentType::Dlp || issued.roles.contains("ActivityFeed.ReadDlp")
}

pub(super) fn no_subscription() -> Response<Body> {
    answers::af(20_022, "No subscription found for the specified content type.")
}

/// The query with keys in lower case: the real one does not care about theirs.
fn query(request: &Request<Incoming>) -> HashMap<String, String> {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| (key.to_lowercase(), value.into_owned()))
        .collect()
}

/// The page of Entra's browser side that a path names.
fn page(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}

pub(super) const NEXT_PAGE: &str = "nextpage";

/// The parts of every id that was ever handed out.
const SEGMENTS: usize = 5;

/// Starts and token requests are a few hundred bytes; assertions make them some thousand.
const LONGEST_BODY: usize = 64 * 1024;
