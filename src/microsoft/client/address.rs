//! Every address that is asked, and the only place that makes one (I6).

use jiff::{Timestamp, tz::TimeZone};
use reqwest::header::HeaderMap;
use url::Url;
use uuid::Uuid;

use super::{ClientError, Window};
use crate::content::{ContentId, ContentType, TenantId};

/// Builds addresses under the configured root.
#[derive(Debug)]
pub(super) struct Addresses {
    root: Url,
    publisher: Option<Uuid>,
}

impl Addresses {
    pub(super) fn new(mut root: Url, publisher: Option<Uuid>) -> Result<Self, ClientError> {
        root.set_query(None);
        root.set_fragment(None);
        root.path_segments_mut().map_err(|()| ClientError::Root)?.pop_if_empty();
        Ok(Self { root, publisher })
    }

    pub(super) fn subscriptions(&self, tenant: TenantId) -> Url {
        self.feed(tenant, &["subscriptions", "list"], &[])
    }

    pub(super) fn start(&self, tenant: TenantId, content_type: ContentType) -> Url {
        let query = [("contentType", content_type.as_str())];
        self.feed(tenant, &["subscriptions", "start"], &query)
    }

    pub(super) fn stop(&self, tenant: TenantId, content_type: ContentType) -> Url {
        let query = [("contentType", content_type.as_str())];
        self.feed(tenant, &["subscriptions", "stop"], &query)
    }

    pub(super) fn content(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        window: Window,
    ) -> Url {
        self.listing("content", tenant, content_type, window)
    }

    pub(super) fn notifications(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        window: Window,
    ) -> Url {
        self.listing("notifications", tenant, content_type, window)
    }

    /// The id is one path segment, whatever it holds; `$` stays raw.
    pub(super) fn blob(&self, tenant: TenantId, id: &ContentId) -> Url {
        self.feed(tenant, &["audit", id.as_str()], &[])
    }

    /// The next page an answer names.
    ///
    /// Of what the header says, only path and query are taken, and only if they are a feed of this
    /// tenant on our own host: a token must not follow a header elsewhere.
    pub(super) fn next_page(
        &self,
        tenant: TenantId,
        of: Paged,
        headers: &HeaderMap,
    ) -> Result<Option<NextPage>, ForeignPage> {
        let Some(named) = NEXT_PAGE.into_iter().find_map(|name| headers.get(name)) else {
            return Ok(None);
        };
        let named = named.to_str().map_err(|_| ForeignPage)?.trim();
        if named.is_empty() {
            return Ok(None);
        }
        let named = self.root.join(named).map_err(|_| ForeignPage)?;
        if named.origin() != self.root.origin() || !self.is_page(tenant, of, named.path()) {
            return Err(ForeignPage);
        }
        let mut url = self.root.clone();
        url.set_path(named.path());
        url.set_query(named.query());
        let complete = url.query_pairs().any(|(key, _)| key.eq_ignore_ascii_case(PUBLISHER));
        if !complete {
            url.query_pairs_mut().append_pair(PUBLISHER, &self.publisher(tenant));
        }
        Ok(Some(NextPage(url)))
    }

    /// Whether a path is `{root}/api/{any version}/{tenant}/activity/feed/` and then what a page of
    /// this kind begins with: what another operation answers are no audit records.
    fn is_page(&self, tenant: TenantId, of: Paged, path: &str) -> bool {
        let root = self.root.path().trim_end_matches('/');
        let Some(path) = path.strip_prefix(root) else {
            return false;
        };
        let mut segments = path.split('/');
        segments.next() == Some("")
            && segments.next() == Some("api")
            && segments.next().is_some_and(|version| version.starts_with('v'))
            && segments.next().and_then(|id| id.parse().ok()) == Some(tenant)
            && segments.next() == Some("activity")
            && segments.next() == Some("feed")
            && of.path().iter().all(|part| segments.next() == Some(part))
    }

    fn listing(
        &self,
        of: &str,
        tenant: TenantId,
        content_type: ContentType,
        window: Window,
    ) -> Url {
        let query = [
            ("contentType", content_type.as_str()),
            ("startTime", &wire_time(window.start)),
            ("endTime", &wire_time(window.end)),
        ];
        self.feed(tenant, &["subscriptions", of], &query)
    }

    fn feed(&self, tenant: TenantId, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.root.clone();
        url.path_segments_mut()
            .expect("the constructor refuses roots without a path")
            .pop_if_empty()
            .extend(["api", "v1.0", &tenant.to_string(), "activity", "feed"])
            .extend(path);
        url.query_pairs_mut().extend_pairs(query).append_pair(PUBLISHER, &self.publisher(tenant));
        url
    }

    fn publisher(&self, tenant: TenantId) -> String {
        self.publisher.unwrap_or(tenant.as_uuid()).hyphenated().to_string()
    }
}

/// What comes in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paged {
    Blob,
    Listing,
}

impl Paged {
    const fn path(self) -> &'static [&'static str] {
        match self {
            Self::Blob => &["audit"],
            Self::Listing => &["subscriptions", "content"],
        }
    }
}

/// The address of a further page is not one that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer names a next page outside the configured root")]
pub struct ForeignPage;

/// The address of a further page, known to be ours. Equal addresses are the same page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextPage(Url);

impl NextPage {
    /// The page that was asked for first.
    pub(super) fn first(url: Url) -> Self {
        Self(url)
    }

    pub(super) fn into_url(self) -> Url {
        self.0
    }
}

fn wire_time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

const PUBLISHER: &str = "PublisherIdentifier";

/// The reference's name and the troubleshooting page's.
const NEXT_PAGE: [&str; 2] = ["nextpageuri", "nextpageurl"];

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";

    fn addresses(root: &str) -> Addresses {
        Addresses::new(root.parse().unwrap(), None).unwrap()
    }

    fn next(root: &str, named: &str) -> Result<Option<String>, ()> {
        let headers =
            HeaderMap::from_iter([("NextPageUri".parse().unwrap(), named.parse().unwrap())]);
        addresses(root)
            .next_page(TENANT.parse().unwrap(), Paged::Listing, &headers)
            .map(|page| page.map(|page| page.into_url().to_string()))
            .map_err(drop)
    }

    #[test]
    fn ids_become_one_segment_with_raw_dollars() {
        let blob = |root: &str, id: &str| {
            let id = ContentId::parse(id).unwrap();
            let url = addresses(root).blob(TENANT.parse().unwrap(), &id);
            url.to_string()
        };
        for root in ["https://m.example", "https://m.example/"] {
            assert_eq!(
                blob(root, "1$2$audit_x$Audit_X$na0017"),
                format!(
                    "https://m.example/api/v1.0/{TENANT}/activity/feed/audit/1$2$audit_x$Audit_X$na0017?PublisherIdentifier={TENANT}"
                ),
            );
        }
        // As received, though it is the same content.
        for id in ["1$2$na0017$IsFromNotification$6", "1$2$na0017$na0017"] {
            let expected = format!(
                "https://m.example/api/v1.0/{TENANT}/activity/feed/audit/{id}?PublisherIdentifier={TENANT}"
            );
            assert_eq!(blob("https://m.example", id), expected);
        }
        assert_eq!(
            blob("https://m.example/proxied/", "../a?b#c%2F d".replace(' ', "+").as_str()),
            format!(
                "https://m.example/proxied/api/v1.0/{TENANT}/activity/feed/audit/..%2Fa%3Fb%23c%252F+d?PublisherIdentifier={TENANT}"
            ),
        );
    }

    #[test]
    fn a_publisher_of_its_own_is_used_everywhere() {
        let publisher = "99999999-2222-3333-4444-555555555555";
        let addresses =
            Addresses::new("https://m.example".parse().unwrap(), Some(publisher.parse().unwrap()))
                .unwrap();
        let (tenant, kind) = (TENANT.parse().unwrap(), ContentType::Dlp);
        let window = Window {
            start: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            end: "2026-01-03T03:04:05Z".parse().unwrap(),
        };
        for url in [
            addresses.subscriptions(tenant),
            addresses.start(tenant, kind),
            addresses.stop(tenant, kind),
            addresses.content(tenant, kind, window),
            addresses.blob(tenant, &ContentId::parse("x").unwrap()),
        ] {
            assert!(url.as_str().ends_with(&format!("PublisherIdentifier={publisher}")), "{url}");
        }
        assert_eq!(
            addresses.content(tenant, kind, window).query_pairs().nth(1).unwrap().1,
            "2026-01-02T03:04:05"
        );
    }

    #[test]
    fn next_pages_under_our_root_are_completed() {
        let root = "https://m.example";
        let path = format!("/api/v1/{TENANT}/activity/feed/subscriptions/content");
        assert_eq!(
            next(root, &format!("https://M.example:443{path}?contenttype=x&nextpage=y")),
            Ok(Some(format!("{root}{path}?contenttype=x&nextpage=y&PublisherIdentifier={TENANT}"))),
        );
        assert_eq!(
            next(root, &format!("{root}{path}?publisheridentifier=z")),
            Ok(Some(format!("{root}{path}?publisheridentifier=z"))),
        );
        assert_eq!(
            next(root, &format!("https://user:word@m.example{path}")),
            Ok(Some(format!("{root}{path}?PublisherIdentifier={TENANT}"))),
            "nothing but path and query is taken",
        );
        assert_eq!(next(root, " "), Ok(None));
    }

    #[test]
    fn next_pages_elsewhere_are_refused() {
        let path = format!("/api/v1.0/{TENANT}/activity/feed/subscriptions/content");
        for named in [
            format!("https://evil.example{path}"),
            format!("//evil.example{path}"),
            format!("http://m.example{path}"),
            format!("https://m.example:8443{path}"),
            format!("https://m.example.evil.example{path}"),
            format!("https://m.example/{path}"),
            "https://m.example/api/v1.0/99999999-2222-3333-4444-555555555555/activity/feed/x"
                .into(),
            format!("https://m.example/api/v1.0/{TENANT}/activity/feed/../../../../x"),
            "https://[".into(),
        ] {
            assert_eq!(next("https://m.example", &named), Err(()), "{named}");
        }
        let outside = format!("https://m.example{path}");
        assert_eq!(next("https://m.example/proxied", &outside), Err(()));
    }
}
