//! Answers on demand: everything the table of odd answers knows, in the spelling seen in the wild.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Response, body::Frame};
use tokio::time;

use crate::{
    content::{ContentId, TenantId},
    simulator::{microsoft::answers, server::Body},
};

/// What a client asks of Microsoft.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Any blob.
    Blob,
    /// One blob, in whatever form its id is spelled.
    BlobOf(ContentId),
    /// The first page of a listing of content.
    Content,
    /// What Entra tells anybody of a tenant.
    Directory,
    /// The list of subscriptions.
    List,
    /// A further page of a listing of content.
    NextPage,
    /// The list of notifications.
    Notifications,
    /// Starting a subscription.
    Start,
    /// Stopping a subscription.
    Stop,
    /// A token from Entra.
    Token,
}

impl Operation {
    /// The operation without the blob it is about.
    pub(super) fn kind(&self) -> Self {
        match self {
            Self::BlobOf(_) => Self::Blob,
            other => other.clone(),
        }
    }

    /// Whether it counts against a tenant's requests; Entra's have no such limit.
    pub(super) fn is_paced(&self) -> bool {
        !matches!(self, Self::Directory | Self::Token)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Blob, Self::BlobOf(_)) => true,
            (Self::BlobOf(one), Self::BlobOf(other)) => one.canonical() == other.canonical(),
            _ => self == other,
        }
    }
}

/// Something other than the true answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error with this AF number, in the documented form and with its usual status.
    Af(u32),
    /// The AF number at the start of a long sentence in `code`, and a stack trace in `message`.
    AfSentence(u32),
    /// The AF number in an object with single quotes, which is not JSON.
    AfSingleQuoted(u32),
    /// 400, "Tenant … does not exist": auditing is not turned on.
    AuditingOff,
    /// 403 with `"code":"429"` and the wait only in this text, as "8m 46s".
    Code429Text(String),
    /// The true answer, broken off after so many bytes of its body.
    CutBody {
        /// The bytes that still come.
        after: usize,
    },
    /// The true answer, slowly.
    Drip {
        /// Bytes at a time.
        bytes: usize,
        /// The pause before each.
        every: Duration,
    },
    /// A status without a body.
    Empty(u16),
    /// Entra's refusal with this AADSTS number.
    Entra(u32),
    /// Nothing at all, until the client gives up.
    Hang,
    /// A page of HTML under this status.
    Html(u16),
    /// The connection (with HTTP/2, the stream) ends without an answer.
    Reset,
    /// The true answer, falling silent after so many bytes of its body.
    StallBody {
        /// The bytes that still come.
        after: usize,
    },
    /// Exactly this.
    Status {
        /// The status.
        status: u16,
        /// Names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// 403 with AF429 and no hint when to come again.
    Throttled403,
    /// 429.
    Throttled429 {
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// 401 in the odd spelling of the management API.
    Unauthorized,
}

impl Fault {
    /// The answer given instead of the true one; `None` when the fault only spoils it.
    pub(super) fn answer(&self, tenant: Option<TenantId>) -> Option<Response<Body>> {
        Some(match self {
            Self::Af(number) => answers::af(*number, "The request could not be served."),
            Self::AfSentence(number) => answers::af_sentence(*number),
            Self::AfSingleQuoted(number) => answers::af_single_quoted(*number),
            Self::AuditingOff => answers::auditing_off(tenant),
            Self::Code429Text(wait) => answers::start_limited(wait),
            Self::Empty(status) => answers::empty(*status),
            Self::Entra(number) => answers::entra(*number),
            Self::Html(status) => answers::html(*status),
            Self::Status { status, headers, body } => answers::verbatim(*status, headers, body),
            Self::Throttled403 => answers::throttled(tenant),
            Self::Throttled429 { retry_after } => answers::too_many(*retry_after),
            Self::Unauthorized => answers::unauthorized(),
            Self::CutBody { .. }
            | Self::Drip { .. }
            | Self::Hang
            | Self::Reset
            | Self::StallBody { .. } => return None,
        })
    }

    /// Spoils the body of the true answer, where that is what the fault does.
    pub(super) fn spoil(&self, response: Response<Body>) -> Response<Body> {
        let (left, ending, pace) = match *self {
            Self::CutBody { after } => (after, Ending::Break, None),
            Self::StallBody { after } => (after, Ending::Silence, None),
            Self::Drip { bytes, every } => (usize::MAX, Ending::Silence, Some((bytes, every))),
            _ => return response,
        };
        response.map(|body| {
            let spoiled = Spoiled { body, held: Bytes::new(), left, ending, pace };
            StreamBody::new(stream::unfold(spoiled, Spoiled::next)).boxed_unsync()
        })
    }
}

/// The faults that wait for their operation, oldest first.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<Planned>);

#[derive(Debug)]
struct Planned {
    tenant: Option<TenantId>,
    operation: Operation,
    fault: Fault,
    left: u32,
}

impl Script {
    pub(super) fn plan(
        &mut self,
        tenant: Option<TenantId>,
        operation: Operation,
        fault: Fault,
        times: u32,
    ) {
        self.0.push(Planned { tenant, operation, fault, left: times });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn clear_operation(&mut self, tenant: Option<TenantId>, operation: &Operation) {
        self.0.retain(|planned| planned.tenant != tenant || planned.operation != *operation);
    }

    /// The fault this request meets, using it up.
    pub(super) fn take(
        &mut self,
        tenant: Option<TenantId>,
        operation: &Operation,
    ) -> Option<Fault> {
        self.0.retain(|planned| planned.left > 0);
        let planned = self.0.iter_mut().find(|planned| {
            planned.operation.covers(operation)
                && (planned.tenant.is_none() || planned.tenant == tenant)
        })?;
        // The greatest number means "until healed".
        if planned.left != u32::MAX {
            planned.left -= 1;
        }
        Some(planned.fault.clone())
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Break,
    Silence,
}

struct Spoiled {
    body: Body,
    held: Bytes,
    left: usize,
    ending: Ending,
    pace: Option<(usize, Duration)>,
}

impl Spoiled {
    async fn next(mut self) -> Option<(io::Result<Frame<Bytes>>, Self)> {
        if self.left == 0 {
            match self.ending {
                Ending::Break => {
                    // An error takes along what the connection has not written yet.
                    time::sleep(FLUSH).await;
                    return Some((Err(io::ErrorKind::BrokenPipe.into()), self));
                }
                Ending::Silence => std::future::pending::<()>().await,
            }
        }
        while self.held.is_empty() {
            match self.body.frame().await? {
                Ok(frame) => self.held = frame.into_data().unwrap_or_default(),
                Err(error) => return Some((Err(error), self)),
            }
        }
        let mut length = self.held.len().min(self.left);
        if let Some((bytes, every)) = self.pace {
            time::sleep(every).await;
            length = length.min(bytes.max(1));
        }
        self.left -= length;
        let chunk = self.held.split_to(length);
        Some((Ok(Frame::data(chunk)), self))
    }
}

/// Long enough for the bytes before a break to be on their way.
const FLUSH: Duration = Duration::from_millis(50);
