//! Which trace a request belongs to, told to whoever is asked (W3C Trace Context).
//!
//! With the feature `otel`, and while spans are exported; without, nothing is added.

use reqwest::header::HeaderMap;

/// What a request says of the trace it is made within.
#[cfg(not(feature = "otel"))]
pub(super) fn headers() -> HeaderMap {
    HeaderMap::new()
}

/// What a request says of the trace it is made within.
#[cfg(feature = "otel")]
pub(super) fn headers() -> HeaderMap {
    use std::collections::HashMap;

    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    let mut fields = HashMap::new();
    let context = tracing::Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut fields);
    // A state that nobody has set is told as an empty text.
    fields.retain(|_, value: &mut String| !value.is_empty());
    let header = |(name, value): (String, String)| Some((name.parse().ok()?, value.parse().ok()?));
    fields.into_iter().filter_map(header).collect()
}
