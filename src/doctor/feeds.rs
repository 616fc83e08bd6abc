//! What Microsoft has for us: each subscription beside what is wanted, content listed and fetched,
//! and Microsoft's own book of its tries to notify us.

use jiff::{SignedDuration, Timestamp};

use crate::{
    content::{ContentType, Tenant},
    microsoft::{
        ApiError, Client,
        answer::Action,
        client::{Subscription, Window},
    },
    subscriptions::{Starts, Step, Wanted, WantedWebhook, Why, plan},
};

use super::{
    finding::{Check, Finding},
    trouble,
};

/// What is wanted of every tenant's feeds.
pub(super) struct Feeds<'a> {
    pub(super) client: &'a Client,
    /// What shall be called; none: nothing.
    pub(super) webhook: Option<WantedWebhook>,
    /// Whether the service starts what is missing.
    pub(super) manage: bool,
    /// Whether it is running.
    pub(super) running: bool,
    pub(super) now: Timestamp,
}

impl Feeds<'_> {
    /// Looks at the feeds of one tenant, of some of which the role is there.
    pub(super) async fn look(&self, tenant: &Tenant, readable: &[ContentType]) -> Vec<Finding> {
        let findings = match self.client.list_subscriptions(tenant.id).await {
            Ok(listed) => self.each(tenant, readable, &listed).await,
            Err(error) => {
                let failed = said(Check::Subscription, &error);
                let left = [Check::Content, Check::Notifications];
                let left = left.map(|check| Finding::skipped(check, Check::Subscription));
                std::iter::once(failed).chain(left).collect()
            }
        };
        findings.into_iter().map(|finding| finding.of(&*tenant.name)).collect()
    }

    /// Everything about a tenant's feeds that cannot be looked at because of an earlier check.
    pub(super) fn skipped(tenant: &Tenant, because: Check) -> Vec<Finding> {
        let checks = [Check::Subscription, Check::Content, Check::Notifications];
        checks.map(|check| Finding::skipped(check, because).of(&*tenant.name)).into()
    }

    async fn each(
        &self,
        tenant: &Tenant,
        readable: &[ContentType],
        listed: &[Subscription],
    ) -> Vec<Finding> {
        let wanted = Wanted { content_types: &tenant.content_types, webhook: self.webhook.clone() };
        let steps = plan(&wanted, listed, self.now, &Starts::default());
        let mut findings: Vec<_> =
            steps.iter().map(|step| self.subscription(*step, listed)).collect();
        let mut contents = Vec::new();
        let mut notified = Vec::new();
        for step in steps {
            let kind = step.content_type();
            let skipped = Finding::skipped;
            let (content, notification) = match step.why() {
                _ if !readable.contains(&kind) => (
                    skipped(Check::Content, Check::Roles),
                    skipped(Check::Notifications, Check::Roles),
                ),
                Some(Why::Missing | Why::Disabled) => (
                    self.unsubscribed(tenant, kind).await,
                    skipped(Check::Notifications, Check::Subscription),
                ),
                _ => (self.content(tenant, kind).await, self.notified(tenant, kind).await),
            };
            contents.push(content.feed(kind));
            notified.push(notification.feed(kind));
        }
        if self.webhook.is_none() {
            notified.clear();
        }
        // What is said of several stands together.
        for part in [&mut contents, &mut notified] {
            part.sort_by(|one, other| one.cause.cmp(&other.cause));
            findings.append(part);
        }
        findings
    }

    fn subscription(&self, step: Step, listed: &[Subscription]) -> Finding {
        let kind = step.content_type();
        let check = Check::Subscription;
        let found = listed.iter().find(|listed| listed.content_type == kind);
        let Some(why) = step.why() else {
            return Finding::ok(check, "as wanted").feed(kind);
        };
        let address = found.and_then(|listed| listed.webhook.as_ref()?.address.clone());
        let seen = match (found, &address) {
            (None, _) => "not listed".to_owned(),
            (Some(listed), None) => format!("listed as {}, without a webhook", listed.state),
            (Some(listed), Some(address)) => {
                let webhook = listed.webhook.as_ref().map_or("", |webhook| webhook.state.as_str());
                format!("listed as {}, webhook {webhook} at {address}", listed.state)
            }
        };
        let words = of_why(why);
        let mends_itself = self.manage && !self.running && words.is_usual_before_a_start;
        let remedy = match (self.manage, mends_itself) {
            (_, true) => "nothing: `run` starts it".to_owned(),
            (true, false) => words.remedy.to_owned(),
            (false, false) => format!("{}; subscriptions.manage is off", words.remedy),
        };
        let finding = if mends_itself || why == Why::WebhookExpiring {
            Finding::warning(check, words.cause, remedy)
        } else {
            Finding::failed(check, words.cause, remedy)
        };
        finding.feed(kind).seen(seen)
    }

    /// Content of a feed without a subscription: of a tenant that is well Microsoft says just that.
    async fn unsubscribed(&self, tenant: &Tenant, kind: ContentType) -> Finding {
        let check = Check::Content;
        match self.client.list_content(tenant.id, kind, self.last_day()).await {
            Ok(_) | Err(ApiError::Answered { action: Action::NotSubscribed, .. }) => {
                Finding::skipped(check, Check::Subscription)
            }
            Err(error) => said(check, &error),
        }
    }

    async fn content(&self, tenant: &Tenant, kind: ContentType) -> Finding {
        let check = Check::Content;
        let page = match self.client.list_content(tenant.id, kind, self.last_day()).await {
            Ok(page) => page,
            Err(error) => return said(check, &error),
        };
        let listed = match &page.next {
            Ok(None) => page.items.len().to_string(),
            Ok(Some(_)) | Err(_) => format!("{} and more", page.items.len()),
        };
        // The newest: what is old may be past its end by the time it is asked for.
        let Some(newest) = page.items.iter().max_by_key(|item| item.created) else {
            let cause = "nothing listed in the last 24 hours, as is usual for up to 12 hours after \
                         the first start";
            return Finding::ok(check, cause);
        };
        let mut blob = match self.client.blob(tenant.id, &newest.id).await {
            Ok(blob) => blob,
            Err(error) => return said(check, &error),
        };
        match blob.chunk().await {
            Ok(_) => Finding::ok(
                check,
                format!("{listed} listed in the last 24 hours, and the newest can be fetched"),
            ),
            Err(error) => said(check, &error),
        }
    }

    async fn notified(&self, tenant: &Tenant, kind: ContentType) -> Finding {
        let check = Check::Notifications;
        if self.webhook.is_none() {
            return Finding::ok(check, "nobody is to be notified");
        }
        let tries = match self.client.notifications(tenant.id, kind, self.last_day()).await {
            Ok(tries) => tries,
            Err(error) => {
                // A book that cannot be read keeps nothing from working.
                let words = trouble::of_api(&error);
                return Finding::warning(check, words.cause, words.remedy).seen(words.evidence);
            }
        };
        let mut failed: Vec<_> = tries.iter().filter(|notified| !notified.succeeded).collect();
        if failed.is_empty() {
            return Finding::ok(
                check,
                match tries.len() {
                    0 => "no notification in the last 24 hours".to_owned(),
                    count => format!("{count} in the last 24 hours, each one answered with 200"),
                },
            );
        }
        failed.sort_by_key(|notified| notified.at);
        let newest: Vec<_> = failed.iter().rev().filter_map(|notified| notified.at).collect();
        let times: Vec<_> = newest.iter().take(SHOWN).map(|at| format!("{at:.0}")).collect();
        let cause = format!(
            "{} of {} notifications of the last 24 hours failed, the last at {}",
            failed.len(),
            tries.len(),
            times.first().map_or("an untold time", String::as_str)
        );
        let remedy = "compare the times with restarts and with the balancer's log; what was lost \
                      is found by listing. While the public address is well, nothing has to be \
                      done";
        Finding::warning(check, cause, remedy).seen(format!("failed at {}", times.join(", ")))
    }

    fn last_day(&self) -> Window {
        let day = SignedDuration::from_hours(24);
        let start = self.now.saturating_sub(day).unwrap_or(Timestamp::MIN);
        Window { start, end: self.now }
    }
}

fn said(check: Check, error: &ApiError) -> Finding {
    let words = trouble::of_api(error);
    Finding::failed(check, words.cause, words.remedy).seen(words.evidence)
}

pub(super) struct OfWhy {
    pub(super) cause: &'static str,
    pub(super) remedy: &'static str,
    /// Whether it is so in a set-up nobody has run yet.
    is_usual_before_a_start: bool,
}

pub(super) const fn of_why(why: Why) -> OfWhy {
    const RESTARTED: &str = "the running service starts it again within \
                             subscriptions.check_interval, at most once in 15 minutes; start the \
                             service if it does not run";
    match why {
        Why::Disabled => OfWhy {
            cause: "the subscription is disabled",
            remedy: RESTARTED,
            is_usual_before_a_start: false,
        },
        Why::Missing => OfWhy {
            cause: "there is no subscription yet",
            remedy: RESTARTED,
            is_usual_before_a_start: true,
        },
        Why::OtherAddress => OfWhy {
            cause: "the webhook of the subscription is at another address than ours",
            remedy: "find the other system with the same client_id (see the address) and switch it \
                     off, or register an application of its own for this one: there is one webhook \
                     for each application",
            is_usual_before_a_start: false,
        },
        Why::OtherAuthId => OfWhy {
            cause: "the webhook of the subscription sends another auth id than ours",
            remedy: "if the auth id was changed, the running service registers the new one by \
                     itself; keep the old one in webhook.previous_auth_id until then. Otherwise \
                     give every replica the same webhook.auth_id",
            is_usual_before_a_start: false,
        },
        Why::WebhookDisabled => OfWhy {
            cause: "Microsoft has disabled the webhook after too many failed notifications",
            remedy: "see that the public address is well (above); then the running service enables \
                     it again within subscriptions.check_interval; start the service if it does \
                     not run",
            is_usual_before_a_start: false,
        },
        Why::WebhookExpired => OfWhy {
            cause: "the registration of the webhook has expired",
            remedy: RESTARTED,
            is_usual_before_a_start: false,
        },
        Why::WebhookExpiring => OfWhy {
            cause: "the registration of the webhook ends soon",
            remedy: RESTARTED,
            is_usual_before_a_start: true,
        },
        Why::WebhookMissing => OfWhy {
            cause: "the subscription has no webhook, or Microsoft could never validate it",
            remedy: "see that the public address is well (above) also from the internet; then the \
                     running service registers it within subscriptions.check_interval",
            is_usual_before_a_start: true,
        },
    }
}

/// Times of failed notifications that are named.
const SHOWN: usize = 5;
