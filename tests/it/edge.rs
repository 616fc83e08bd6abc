//! The attacks, each by its name, against the real binary.
//!
//! Every target has listeners on the addresses that an attack would like to see dialled; with the
//! end of a test they must have been left alone, and the process be well and small.
//!
//! | attack | test |
//! | --- | --- |
//! | forged host, http downgrade | `entries::forged_host_and_http_downgrade` |
//! | other tenant | `entries::other_tenant` |
//! | `@` and userinfo, encoded slashes, traversal | `entries::at_signs_userinfo_encoded_slashes_and_traversal_in_the_address`, `entries::traversal_in_the_id_stays_one_segment` |
//! | redirect | `entries::redirect` |
//! | replay | `entries::replay` |
//! | unicode tricks in ids | `entries::unicode_tricks_and_control_characters_in_ids` |
//! | wrong or missing auth id | `requests::wrong_and_missing_auth_id`, `requests::an_auth_id_whose_file_becomes_short_opens_nothing` |
//! | wrong auth id, timing | in `src/webhook/auth.rs`, where it can be measured: `the_time_of_a_wrong_auth_id_does_not_tell_how_much_of_it_is_right`, `what_is_compared_has_no_comparison_that_ends_early` |
//! | oversize | `requests::oversize` |
//! | slow header, slow body, idling | `requests::slow_header`, `requests::slow_body`, `requests::idle_connections_do_not_stay_for_ever` |
//! | slow TLS handshake | `certificates::a_handshake_takes_only_so_long` |
//! | rapid reset | `requests::rapid_reset` |
//! | connection flood | `crowd::connection_flood`, `crowd::connection_flood_from_one_source`, `crowd::connection_flood_from_the_address_of_an_honest_caller`, `crowd::connection_flood_beyond_the_limit_of_open_files`, `crowd::slow_peers_do_not_hold_up_the_others` |
//! | junk and slow connections at once | `flood::honest_notifications_are_answered_among_junk_and_slow_connections` |
//! | bomb | `bombs::gzip_bombs_in_answers` |
//! | deep JSON | `bombs::deep_json_and_countless_entries` |
//! | many large heads | `bombs::a_thousand_slow_and_large_heads` |
//! | header smuggling | `smuggling::header_smuggling_through_nginx`, `smuggling::header_smuggling_through_haproxy`, `smuggling::a_refused_request_is_the_last_of_its_connection` |
//! | forged source | `sources::forged_x_forwarded_for`, `sources::proxy_protocol_of_a_stranger_is_not_believed`, `sources::a_required_header_is_required`, `forgery::forged_source_through_nginx`, `forgery::forged_source_through_haproxy`, `forgery::forged_source_through_haproxy_that_writes_a_proxy_header` |
//! | forged or foreign certificate | `certificates::microsoft_with_its_certificate_gets_in_and_nobody_else_does`, `certificates::a_certificate_made_out_to_somebody_else_is_refused`, `certificates::a_certificate_that_a_proxy_passes_on_must_be_acceptable`, `forgery::forged_certificate_through_nginx`, `forgery::forged_certificate_through_haproxy` |
//! | log injection | `logs::log_injection_in_text`, `logs::log_injection_in_json` |

use std::{fs, path::Path};

mod bombs;
mod certificates;
mod crowd;
mod entries;
mod flood;
mod forgery;
mod junk;
mod logs;
mod proxies;
mod requests;
mod smuggling;
mod sources;
mod target;

/// The table above is how an attack is found.
#[test]
fn every_attack_of_the_table_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("tests/it/edge.rs")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("//! |"));
    let mut named = 0;
    for test in rows.flat_map(|row| row.split('`').skip(1).step_by(2)) {
        let (file, name) = match test.split_once("::") {
            Some((module, name)) => (format!("tests/it/edge/{module}.rs"), name),
            None if test.contains('_') => ("src/webhook/auth.rs".to_owned(), test),
            None => continue,
        };
        let text = fs::read_to_string(root.join(&file)).unwrap();
        assert!(text.contains(&format!("fn {name}(")), "no {name} in {file}");
        named += 1;
    }
    assert!(named >= 30, "{named}");
}
