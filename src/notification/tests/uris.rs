//! The content uri against the rest of its entry.

use super::*;

#[test]
fn content_uris() {
    use Reason::{ForeignUri, MalformedUri};
    let tail = format!("activity/feed/audit/{ID}");
    let upper = TENANT.to_uppercase();
    let encoded = ID.replace('$', "%24");
    let cases: Vec<(String, Result<(), Reason>)> = vec![
        (uri("https://manage.office.com"), Ok(())),
        (uri("HTTPS://Manage.Office.COM"), Ok(())),
        (uri("https://manage.office.com:443"), Ok(())),
        (uri("http://manage.office.com"), Ok(())),
        (format!("{}?a=b", uri("https://manage.office.com")), Ok(())),
        (format!("https://manage.office.com/{TENANT}/{tail}"), Ok(())),
        (format!("https://manage.office.com/API/V1.0/{upper}/Activity/Feed/Audit/{ID}"), Ok(())),
        (
            format!("https://manage.office.com/api/v1.0/{TENANT}/activity/feed/audit/{encoded}"),
            Ok(()),
        ),
        (uri("https://manage.office.com.evil.example"), Err(ForeignUri)),
        (uri("https://evil.example"), Err(ForeignUri)),
        (uri("http://localhost"), Err(ForeignUri)),
        (uri("https://127.0.0.1"), Err(ForeignUri)),
        (uri("https://manage.office.com:8443"), Err(ForeignUri)),
        (uri("https://manage.office.com."), Err(ForeignUri)),
        (format!("https://manage.office.com/api/v1.0/{OTHER}/{tail}"), Err(ForeignUri)),
        (uri("https://manage.office.com@evil.example"), Err(MalformedUri)),
        (uri("https://a:b@manage.office.com"), Err(MalformedUri)),
        (uri("https://@manage.office.com"), Err(MalformedUri)),
        (uri("ftp://manage.office.com"), Err(MalformedUri)),
        (uri("//manage.office.com"), Err(MalformedUri)),
        (uri(r"https:\\\\manage.office.com"), Err(MalformedUri)),
        (uri(r"https://manage.office.com\t"), Err(MalformedUri)),
        (uri("https://manage.office.com/more"), Err(MalformedUri)),
        ("https://manage.office.com".into(), Err(MalformedUri)),
        ("file:///etc/passwd".into(), Err(MalformedUri)),
        ("not a url".into(), Err(MalformedUri)),
        (format!("https://manage.office.com/{tail}"), Err(MalformedUri)),
        (format!("https://manage.office.com/api/v1.0/common/{tail}"), Err(MalformedUri)),
        (
            format!("https://manage.office.com/api/v1.0/{TENANT}/activity/feed/{ID}"),
            Err(MalformedUri),
        ),
        (format!("https://manage.office.com/api/v1.0/{TENANT}/{tail}/"), Err(MalformedUri)),
        (format!("https://manage.office.com/api/v1.0/{TENANT}/{tail}x"), Err(MalformedUri)),
        (
            format!("https://manage.office.com/api/v1.0/{TENANT}/activity/feed/audit/"),
            Err(MalformedUri),
        ),
        (format!("https://manage.office.com/api/v1.0/{TENANT}/{tail}/../x"), Err(MalformedUri)),
    ];
    for (uri, expected) in cases {
        check("contentUri", Some(&format!("\"{uri}\"")), expected);
    }
}

#[test]
fn a_root_with_port_and_path_is_compared_whole() {
    let root: Url = "http://127.0.0.1:8443/proxy/".parse().unwrap();
    let (tenant, id) = (TENANT.parse().unwrap(), ContentId::parse(ID).unwrap());
    let cases = [
        (uri("http://127.0.0.1:8443/proxy"), Ok(())),
        (uri("https://127.0.0.1:8443/proxy"), Ok(())),
        (uri("http://127.0.0.1:8443"), Err(Reason::MalformedUri)),
        (uri("http://127.0.0.1:8443/proxyish"), Err(Reason::MalformedUri)),
        (uri("http://127.0.0.1/proxy"), Err(Reason::ForeignUri)),
        (uri("http://127.0.0.1:8444/proxy"), Err(Reason::ForeignUri)),
    ];
    for (uri, expected) in cases {
        assert_eq!(uri::check(&uri, std::slice::from_ref(&root), tenant, &id), expected, "{uri}");
    }
}

#[test]
fn one_of_several_roots_is_enough_and_only_the_host_of_none_is_foreign() {
    let roots =
        ["https://proxy.example.com", "https://manage.office.com", "https://proxy.example.com/two"]
            .map(|root| root.parse().unwrap());
    let (tenant, id) = (TENANT.parse().unwrap(), ContentId::parse(ID).unwrap());
    let cases = [
        (uri("https://proxy.example.com"), Ok(())),
        (uri("https://manage.office.com"), Ok(())),
        (uri("https://proxy.example.com/two"), Ok(())),
        (uri("https://proxy.example.com/three"), Err(Reason::MalformedUri)),
        (uri("https://manage.office.com/two"), Err(Reason::MalformedUri)),
        (uri("https://manage-gcc.office.com"), Err(Reason::ForeignUri)),
        (uri("https://manage.office.com").replace(TENANT, OTHER), Err(Reason::ForeignUri)),
    ];
    for (uri, expected) in cases {
        assert_eq!(uri::check(&uri, &roots, tenant, &id), expected, "{uri}");
    }
    assert_eq!(
        uri::check(&uri("https://manage.office.com"), &[], tenant, &id),
        Err(Reason::ForeignUri)
    );
}

proptest! {
#[test]
fn only_our_root_and_tenant_and_id_ever_pass(uri in "https?://[a-z.@:/%$0-9]{0,80}") {
    let (tenant, id) = (TENANT.parse().unwrap(), ContentId::parse(ID).unwrap());
    prop_assert!(uri::check(&uri, &[root()], tenant, &id).is_err());
}

/// What is compared letter by letter passes if and only if it does when it is read.
#[test]
fn what_is_written_plainly_is_judged_as_what_is_read(
    named in "[ -~]{1,8}",
    api in "(/api/v1.0|)",
    written in "[ -~]{1,8}",
    same in any::<bool>(),
    spelled in 0..4_usize,
) {
    let (tenant, Ok(id)) = (TENANT.parse().unwrap(), ContentId::parse(&named)) else {
        return Ok(());
    };
    let last = if same { &named } else { &written };
    let tenants = [
        TENANT.to_owned(),
        TENANT.to_uppercase(),
        TENANT.replace('-', ""),
        format!("{{{TENANT}}}"),
    ];
    let named = &tenants[spelled];
    let uri = format!("https://manage.office.com{api}/{named}/activity/feed/audit/{last}");
    prop_assert_eq!(
        uri::check(&uri, &[root()], tenant, &id),
        uri::read(&uri, &[root()], tenant, &id)
    );
}}
