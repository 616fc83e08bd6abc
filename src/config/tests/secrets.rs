//! No secret is ever part of what is printed.

use proptest::prelude::*;

use super::{Loaded, MINIMAL, Problems, Site, with};

/// What must not be seen.
const MARKER: &str = "Xk7Marker9q";

fn check(site: &Site, text: &str, environment: &[(&str, &str)]) {
    let shown = match site.load(text, environment) {
        Ok(loaded) => {
            let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            format!("{loaded:?}{warnings:?}")
        }
        Err(problems) => format!("{problems}{problems:?}"),
    };
    assert!(!shown.contains(MARKER), "{shown}\n{text}");
}

fn one_line_each(loaded: Result<Loaded, Problems>) -> Result<(), TestCaseError> {
    if let Err(problems) = loaded {
        let lines = problems.to_string().lines().count();
        prop_assert!(lines > 0 && lines == problems.iter().count(), "{}", problems);
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_is_written_where_a_secret_belongs(
        key in prop::sample::select(vec![
            ("webhook", "auth_id"),
            ("webhook", "previous_auth_id"),
            ("tenants", "client_secret"),
            ("tenants", "federated_token"),
        ]),
        form in prop::sample::select(vec![
            "\"*\"", "'*'", "\"\"\"*\"\"\"", "[\"*\"]", "[[\"*\"]]", "{ value = \"*\" }", "{ * = 1 }",
            "{ file = \"auth-id\", env = \"*\" }", "{ env = \"a *\" }", "{ file = [\"*\"] }",
            "*", "\"*", "{ file = \"* }", "\"*\" \"*\"", "\"\\q*\"", "{ env = * }", "\"* * *\"",
        ]),
        before in "[a-z \"'\\[{=#]{0,3}",
        after in "[a-z \"'\\]}=#]{0,3}",
        other in prop::sample::select(vec!["", "listn = 5", "name = 5", "[x", "max_body = {"]),
    ) {
        // Closed by what follows it would be the name of a file, which is no secret.
        prop_assume!(!(form.starts_with("{ file = \"*") && after.contains('"')));
        let (section, name) = key;
        let value = form.replace('*', MARKER);
        let line = format!("{name} = {before}{value}{after}\n{other}");
        check(&Site::new(), &with(section, &line), &[]);
        let exact = format!("{name} = {value}");
        check(&Site::new(), &with(section, &exact), &[]);
    }

    #[test]
    fn whatever_an_override_of_a_secret_says(text in "[\\[{\"' ]{0,2}Xk7Marker9q[\\]}\"' =]{0,2}") {
        let environment = [
            ("M365_COLLECTOR__WEBHOOK__AUTH_ID", text.as_str()),
            ("M365_COLLECTOR__TENANTS__0__CLIENT_SECRET", text.as_str()),
        ];
        check(&Site::new(), MINIMAL, &environment);
    }

    #[test]
    fn no_text_makes_it_panic(text in "([a-z.]{1,9}|\\[\\[?[a-z.]{1,9}\\]\\]?| = |\"[a-z]*\"|[0-9.:]{1,9}|\\{|\\}|,|\n)*") {
        one_line_each(Site::new().load(&text, &[]))?;
    }

    #[test]
    fn any_value_at_any_key_is_accepted_or_refused(
        path in prop::sample::select(crate::config::schema::paths()),
        value in prop::sample::select(vec![
            "5", "-5", "1.5", "true", "\"\"", "\"x\"", "[]", "[5]", "[[]]", "{}", "{ x = 5 }",
            "1979-05-27", "[{}]", "nan", "99999999999999999999",
        ]),
    ) {
        let (section, name) = path.rsplit_once('.').unwrap();
        let text = with(&section.replace("[]", ""), &format!("{name} = {value}"));
        one_line_each(Site::new().load(&text, &[]))?;
    }
}

#[test]
fn secrets_that_were_found_stay_out_as_well() {
    let site = Site::new();
    // Too short for an auth id, so that it is refused after it was read.
    site.write("marker", MARKER);
    check(&site, &with("webhook", "auth_id = { file = \"marker\" }"), &[]);
    check(&site, &with("webhook", "auth_id = { env = \"M\" }"), &[("M", MARKER)]);
    check(&site, &with("tenants", "client_secret = { file = \"marker\" }"), &[]);
    check(&site, &with("tenants", "client_secret = { env = \"M\" }"), &[("M", MARKER)]);
    check(&site, &with("tenants", &format!("client_secrt = \"{MARKER}\"")), &[]);
    check(&site, &with("ledger", &format!("url = \"postgres://u:{MARKER}@h/d\"")), &[]);
    check(&site, &with("ledger", &format!("url = \"mysql://u:{MARKER}@h/d\"")), &[]);
    check(&site, &with("webhook", &format!("address = \"https://h/w?code={MARKER}\"")), &[]);
    check(&site, &with("webhook", &format!("address = \"h/w?code={MARKER}\"")), &[]);
    check(&site, &with("devo", &format!("endpoint = \"tls://u:{MARKER}@h:1\"")), &[]);
}
