//! Any text as configuration file: accepted, or refused with problems; never a panic, and what is
//! said never shows a secret.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use m365_collector::config::Config;

fuzz_target!(|input: (&str, Option<(&str, &str)>)| {
    let (text, variable) = input;
    // A path that names a device may never answer; that is between the operator and the system.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let environment = variable.map(|(name, value)| {
        (format!("M365_COLLECTOR__{}", name.to_uppercase()), value.to_owned())
    });
    // Elsewhere than in the place of a secret it may be shown, such as in the name of a tenant.
    let secret = |line: &str| {
        ["auth_id", "client_secret"].iter().any(|key| line == format!("{key} = \"{HIDDEN}\""))
    };
    let is_secret = variable.is_none() && !text.lines().any(|l| l.contains(HIDDEN) && !secret(l));
    let shows = |shown: &str| is_secret && shown.contains(HIDDEN);
    match Config::from_text(Path::new("/nowhere/c.toml"), text, environment) {
        Ok(loaded) => {
            let shown = format!("{:?}", loaded.config);
            assert!(!shows(&shown), "a secret is shown");
        }
        Err(problems) => {
            assert!(problems.iter().count() > 0, "refused without a reason");
            for problem in problems.iter() {
                let line = problem.to_string();
                assert!(!line.contains('\n'), "more than one line: {line:?}");
                assert!(!shows(&line), "a secret is shown: {line:?}");
            }
        }
    }
});

const HIDDEN: &str = "hidden-hidden-hidden";
