//! Listing content, page by page, and listing what was notified.

use hyper::{Response, StatusCode, header::HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    answers,
    contents::Place,
    management::{Call, NEXT_PAGE},
};
use crate::simulator::{Feed, locked, server::Body};

impl Call<'_> {
    pub(super) fn content(&self, feed: Feed) -> Response<Body> {
        if let Some(refused) = self.unsubscribed(feed) {
            return refused;
        }
        let now = self.world.clock.now();
        let (start, end) = match (self.query.get("starttime"), self.query.get("endtime")) {
            (None, None) => (now - DAY, now),
            (Some(start), Some(end)) => match (utc(start), utc(end)) {
                (Some(start), Some(end)) => (start, end),
                _ => {
                    return answers::af(20_002, "Invalid parameter type. Expected type: DateTime.");
                }
            },
            _ => return bad_window(20_030),
        };
        if start >= end || end.duration_since(start) > DAY {
            return bad_window(20_030);
        }
        if now.duration_since(start) > SignedDuration::from_hours(7 * 24) {
            return bad_window(20_055);
        }
        let after = match self.query.get(NEXT_PAGE) {
            None => None,
            Some(text) => match place(text) {
                Some(place) => Some(place),
                None => return answers::af(20_031, &format!("Invalid nextPage Input: {text}.")),
            },
        };
        let contents = locked(&self.world.contents);
        let (page, more) = contents.page(feed, start..end, after, self.world.page_size);
        let listed: Vec<ListedContent> = page
            .iter()
            .map(|(_, content)| ListedContent {
                content_type: feed.content_type.as_str(),
                content_uri: self.world.content_uri(feed.tenant, content.id.as_str()),
                content_id: content.id.to_string(),
                content_created: answers::time(content.created),
                content_expiration: answers::time(content.expires),
            })
            .collect();
        let mut response = answers::json(StatusCode::OK, &listed);
        if let Some((last, _)) = page.last().filter(|_| more) {
            let next = self.next_page(feed, start, end, *last);
            if let Ok(next) = HeaderValue::try_from(next) {
                response.headers_mut().insert("NextPageUri", next);
            }
        }
        response
    }

    /// As captured: keys in lower case, no publisher, and now and then the shorter version.
    fn next_page(&self, feed: Feed, start: Timestamp, end: Timestamp, last: Place) -> String {
        let version = if last.serial.is_multiple_of(2) { "v1.0" } else { "v1" };
        // A window that ends within a second must not lose its tail on the next page.
        let second = "%Y-%m-%dT%H:%M:%S%.f";
        format!(
            "{}api/{version}/{}/activity/feed/subscriptions/content?contenttype={}&starttime={}\
             &endtime={}&nextpage={}r{}",
            self.world.root,
            feed.tenant,
            feed.content_type,
            start.strftime(second),
            end.strftime(second),
            last.created.as_millisecond(),
            last.serial,
        )
    }

    pub(super) fn notifications(&self, feed: Feed) -> Response<Body> {
        let attempts = self.world.outbox.attempts();
        let of_feed = attempts.iter().filter(|attempt| attempt.feed == feed);
        let sent: Vec<Notified<'_>> = of_feed
            .flat_map(|attempt| attempt.entries.iter().map(move |entry| (attempt, entry)))
            .map(|(attempt, entry)| Notified {
                content_type: &entry.content_type,
                content_id: &entry.content_id,
                content_uri: &entry.content_uri,
                notification_status: match attempt.status {
                    Some(200) => "success",
                    _ => "Failed",
                },
                content_created: &entry.content_created,
                notification_sent: answers::time(attempt.at),
                content_expiration: &entry.content_expiration,
            })
            .collect();
        answers::json(StatusCode::OK, &sent)
    }
}

fn bad_window(number: u32) -> Response<Body> {
    answers::af(
        number,
        "Start time and end time must both be specified (or both omitted) and must be less than \
         or equal to 24 hours apart, with the start time no more than 7 days in the past.",
    )
}

/// A time of the query; UTC whether or not it says so.
pub(super) fn utc(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let spelled = match text.len() {
        // YYYY-MM-DD and YYYY-MM-DDTHH:MM
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        _ => format!("{text}Z"),
    };
    spelled.parse().ok()
}

fn place(text: &str) -> Option<Place> {
    let (created, serial) = text.split_once('r')?;
    Some(Place {
        created: Timestamp::from_millisecond(created.parse().ok()?).ok()?,
        serial: serial.parse().ok()?,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedContent {
    content_type: &'static str,
    content_id: String,
    content_uri: String,
    content_created: String,
    content_expiration: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notified<'a> {
    content_type: &'a str,
    content_id: &'a str,
    content_uri: &'a str,
    notification_status: &'static str,
    content_created: &'a str,
    notification_sent: String,
    content_expiration: &'a str,
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
