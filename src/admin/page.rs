//! The status page: one look says whether all is well, and if not, where.

use std::fmt::Write;

use super::status::{PartState, Readiness, Status, TenantStatus};

/// Renders the page. It needs no script and no other file, and renews itself.
pub(super) fn render(status: &Status) -> String {
    let (mood, headline) = match status.readiness {
        Readiness::Ready => ("ok", "All is well"),
        Readiness::Degraded => ("degraded", "Accepting; a remote side is away"),
        Readiness::NotReady => ("failed", "Not ready"),
    };
    let mut page = String::with_capacity(4096);
    page.push_str(HEAD);
    // Writing into a string cannot fail.
    let _infallible = write!(
        page,
        "<header class=\"{mood}\"><h1>{headline}</h1><p>m365-collector {} · {:.0}</p></header>",
        env!("CARGO_PKG_VERSION"),
        status.at
    );
    page.push_str("<section class=\"parts\">");
    for part in &status.parts {
        let mood = match part.state {
            PartState::Ok => "ok",
            PartState::Degraded => "degraded",
            PartState::Failed => "failed",
        };
        let _infallible = write!(
            page,
            "<article class=\"{mood}\"><h2>{}</h2><p>{}</p></article>",
            part.name,
            escaped(&part.detail)
        );
    }
    page.push_str("</section>");
    for tenant in &status.tenants {
        render_tenant(&mut page, tenant);
    }
    page.push_str("<footer><a href=\"/metrics\">metrics</a> · <a href=\"/api/status\">JSON</a> · <a href=\"/readyz\">readiness</a></footer></main></body></html>\n");
    page
}

fn render_tenant(page: &mut String, tenant: &TenantStatus) {
    let _infallible = write!(page, "<section class=\"tenant\"><h2>{}</h2>", escaped(&tenant.name));
    let backlog = match (tenant.waiting, tenant.oldest_seconds, tenant.expiry_seconds) {
        (None, ..) => "What waits cannot be counted.".to_owned(),
        (Some(0), ..) => "Nothing waits.".to_owned(),
        (Some(waiting), oldest, expiry) => format!(
            "{waiting} contents wait, the oldest for {}; the first expires in {}.",
            span(oldest.unwrap_or(0)),
            span(expiry.unwrap_or(0))
        ),
    };
    let _infallible = write!(page, "<p>{backlog}</p>");
    if let Some(problem) = &tenant.problem {
        let _infallible = write!(
            page,
            "<p class=\"degraded\">The subscriptions could not be read: {}. {}</p>",
            escaped(problem),
            escaped(tenant.advice.unwrap_or_default())
        );
    }
    if tenant.subscriptions.is_empty() {
        page.push_str("<p>The subscriptions have not been looked at yet.</p></section>");
        return;
    }
    page.push_str("<table><thead><tr><th>Feed<th>Webhook</thead><tbody>");
    for subscription in &tenant.subscriptions {
        let _infallible = write!(
            page,
            "<tr><td>{}<td class=\"{}\">{}",
            subscription.content_type,
            if subscription.ok { "ok" } else { "degraded" },
            escaped(&subscription.detail)
        );
    }
    page.push_str("</tbody></table></section>");
}

fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

const HEAD: &str = r#"<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><meta http-equiv="refresh" content="5">
<title>m365-collector</title><style>
:root{color-scheme:light dark;--ok:#1a7f4b;--degraded:#b26a00;--failed:#c0262d;--line:#8884}
body{font:15px/1.5 system-ui,sans-serif;margin:0}main{max-width:60rem;margin:0 auto;padding:1rem}
header{border-left:.5rem solid;padding:.25rem 1rem;margin:1rem 0}header.ok{border-color:var(--ok)}
header.degraded{border-color:var(--degraded)}header.failed{border-color:var(--failed)}h1{font-size:1.5rem;margin:0}
header p{margin:0;opacity:.7}.parts{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem}
article{border:1px solid var(--line);border-top:.25rem solid;border-radius:.25rem;padding:.5rem .75rem}
article.ok{border-top-color:var(--ok)}article.degraded{border-top-color:var(--degraded)}article.failed{border-top-color:var(--failed)}
h2{font-size:1rem;margin:0}article p{margin:0;overflow-wrap:anywhere}.tenant{margin-top:1.5rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;border-bottom:1px solid var(--line)}
td.ok{color:var(--ok)}td.degraded,p.degraded{color:var(--degraded)}footer{margin:2rem 0;opacity:.8}
</style></head><body><main>"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_named_is_escaped() {
        assert_eq!(escaped("<b>\"a&b\"</b>"), "&lt;b&gt;&quot;a&amp;b&quot;&lt;/b&gt;");
    }

    #[test]
    fn spans_read_well() {
        let spans: Vec<_> = [0, 119, 120, 7200, 172_800].map(span).into();
        assert_eq!(spans, ["0 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
