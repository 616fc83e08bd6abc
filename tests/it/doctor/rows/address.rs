//! The public address.

use super::{Row, row};
use crate::{
    doctor::{
        authority::{Authority, Leaf},
        balancer::Manner,
    },
    support::ports,
};

pub fn rows() -> Vec<Row> {
    vec![
        row!("a public name without an address", failed address_dns,
            ["m365.invalid"], ["DNS administrator"], |world| {
            world.set("webhook.address", "https://m365.invalid/webhook");
        }),
        row!("a webhook nobody reaches", failed address_tcp,
            ["refuses"], ["load balancer", "M365ManagementActivityApiWebhook"], |world| {
            world.set_address(ports::free().port());
        }),
        row!("a balancer that does not end TLS", failed address_tls,
            ["does not speak TLS"], ["end TLS", "webhook.tls"], |world| {
            world.at_the_edge(None).await;
        }),
        row!("an incomplete chain", failed address_tls,
            ["chain is incomplete"], ["intermediate"], |world| {
            world.certify(Leaf { whole: false, locates_issuer: true, ..Leaf::default() }).await;
        }),
        row!("one certificate of nobody knows whom", failed address_tls,
            ["incomplete chain, or an authority that is not public"],
            ["intermediate", "public authority"], |world| {
            world.certify(Leaf { whole: false, ..Leaf::default() }).await;
        }),
        row!("an expired public certificate", failed address_tls,
            ["expired on"], ["renew"], |world| {
            world.certify(Leaf { days: -5, ..Leaf::default() }).await;
        }),
        row!("a public certificate that expires soon", warning address_tls,
            ["expires in 12 days"], ["renew"], |world| {
            world.certify(Leaf { days: 12, ..Leaf::default() }).await;
        }),
        row!("a public certificate for another name", failed address_tls,
            ["another name"], ["certificate for localhost", "webhook.address"], |world| {
            world.certify(Leaf { name: "www.example.com", ..Leaf::default() }).await;
        }),
        row!("a public certificate of a private authority", failed address_tls,
            ["authority"], ["public authority"], |world| {
            let folder = world.folder().to_owned();
            let files = Authority::new("In the house").issue(&folder, "p", &Leaf::default());
            world.at_the_edge(Some(files)).await;
        }),
        row!("a machine without authorities", failed address_tls,
            ["no public authority"], ["ca-certificates"], |world| {
            std::fs::write(world.folder().join("public.pem"), "").unwrap();
        }),
        row!("a balancer that removes the header", failed address_answer,
            ["Webhook-AuthID"], ["pass the request header"], |world| {
            world.balancer.behave(Manner::Renames("webhook-authid", None));
        }),
        row!("a balancer that rewrites the header", failed address_answer,
            ["removes or rewrites"], ["pass the request header"], |world| {
            world.balancer.behave(Manner::Renames("webhook-authid", Some("X-Webhook-AuthID")));
        }),
        row!("another auth id behind the balancer", failed address_answer,
            ["auth id is refused"], ["every replica"], |world| {
            let stray = world.folder().join("stray-id");
            std::fs::write(&stray, "another-auth-id-of-16").unwrap();
            crate::doctor::world::make_private(&stray);
            // The service runs with the old one.
            let running = world.site.run().await;
            world.kept.push(Box::new(running));
            world.set("webhook.auth_id.file", stray.display());
        }),
        row!("a balancer that answers everything with 200", failed address_refusal,
            ["anybody can announce"], ["pass requests on"], |world| {
            world.balancer.behave(Manner::Answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        }),
        row!("a balancer that answers with 204", failed address_answer,
            ["not with 200"], ["unchanged"], |world| {
            world.balancer.behave(Manner::Answers("HTTP/1.1 204 No Content\r\n\r\n"));
        }),
        row!("a balancer that redirects", failed address_answer,
            ["redirects"], ["webhook.address"], |world| {
            let answer = "HTTP/1.1 301 Moved\r\nLocation: https://www.example.com/\r\nContent-Length: 0\r\n\r\n";
            world.balancer.behave(Manner::Answers(answer));
        }),
        row!("a path that is not ours", failed address_answer,
            ["does not lead to our webhook"], ["forward the path"], |world| {
            world.balancer.behave(Manner::Answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
        }),
        row!("a balancer without a service behind it", failed address_answer,
            ["cannot reach the service"], ["forward to webhook.listen"], |world| {
            world.set("webhook.listen", ports::free());
        }),
        row!("sources that leave us out", warning address_answer,
            ["webhook.allowed_sources leaves out"], ["if it is meant"], |world| {
            world.set("webhook.allowed_sources", "[\"192.0.2.0/24\"]");
        }),
        row!("a wrong answer at the public address", failed address_answer,
            ["not ours"], ["forward the path"], |world| {
            world.balancer.behave(Manner::Answers("HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n"));
        }),
        row!("a balancer that never answers", failed address_answer,
            ["does not answer"], ["load balancer"], |world| {
            world.balancer.behave(Manner::Answers(""));
        }),
    ]
}
