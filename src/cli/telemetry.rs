//! Spans for OpenTelemetry, with the feature `otel`.
//!
//! They are exported by OTLP (`http/protobuf`) where `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says so; the other variables of OpenTelemetry's
//! specification count as well (headers, timeout, sampler, attributes of the resource). Spans wait
//! in a bounded queue and are exported by a thread of their own, so that a slow receiver of spans
//! delays no record; what finds no room is dropped.
//!
//! Spans of this program alone, with what is logged in them from information on: libraries may
//! speak of what they carry (I9).

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt as _, LevelFilter, Targets, filter_fn},
};

use super::CommandError;

/// Whoever exports the spans.
#[derive(Debug)]
pub(super) struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// Begins to export, where the environment says to whom.
    pub(super) fn start(variables: &[(String, String)]) -> Result<Option<Self>, CommandError> {
        let is_set = |name| variables.iter().any(|(set, value)| set == name && !value.is_empty());
        if !ENDPOINTS.into_iter().any(is_set) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        let mut resource = Resource::builder();
        if !is_set("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter);
        Ok(Some(Self(provider.build())))
    }

    /// What the log has to do for it.
    pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        // Of what is said within a span it takes what a log takes.
        let level = filter_fn(|of| of.is_span() || *of.level() <= tracing::Level::INFO);
        let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::DEBUG);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_filter(own.and(level))
            .boxed()
    }

    /// Exports what is left, if that does not take long.
    pub(super) async fn end(self) {
        let ending = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST));
        // Nobody hears anything more.
        ending.await.ok();
    }
}

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// What is left of the half minute after which service managers kill.
const LAST: Duration = Duration::from_secs(1);
