//! Any body on the public port: what is accepted is ours, and serde_json sees as many entries.

#![no_main]

use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use m365_collector::{
    content::{ContentType, Tenant, Tenants},
    notification::{self, Body},
};
use serde_json::Value;

static TENANTS: LazyLock<Tenants> = LazyLock::new(|| {
    let tenant = Tenant {
        id: "41463f53-8812-40f4-890f-865bf6e35190".parse().unwrap(),
        client_id: "1d7cd7d4-5b6e-4a2e-8a4d-0c4a4b3a2b1c".parse().unwrap(),
        name: "contoso".into(),
        content_types: vec![ContentType::Exchange, ContentType::General],
    };
    [tenant].into_iter().collect()
});

fuzz_target!(|body: &[u8]| {
    let roots = ["https://manage.office.com", "https://proxy.example.com/m365"];
    let roots = roots.map(|root| root.parse().unwrap());
    let now = Timestamp::constant(1_767_225_600, 0);
    let Ok(Body::Entries(entries)) = notification::parse(body) else {
        return;
    };
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Numbers out of range and lone surrogates are values only for us.
    if let Ok(Value::Array(values)) = serde_json::from_slice(text) {
        assert_eq!(values.len(), entries.len());
    }
    for entry in &entries {
        if let Ok(announcement) = notification::judge(entry, &TENANTS, &roots, now) {
            let tenant = TENANTS.find(announcement.tenant).expect("it is ours");
            assert!(tenant.content_types.contains(&announcement.content_type));
            let id = announcement.id.as_str();
            assert!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
            assert!(id != "." && id != ".." && id.len() <= 1024, "{id:?}");
        }
    }
});
