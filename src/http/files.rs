//! How many connections the system lets this process hold.
//!
//! Each takes an open file. Where the limit of those is reached, nobody can be accepted any more,
//! not even to be refused, and the door is no use; so it has to have fewer places than that.

use std::fs;

/// As many connections as wanted, or as many as the limit of open files has room for beside
/// everything else.
pub fn affordable(wanted: usize) -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(open_files) = open_files(&limits) else {
        return wanted;
    };
    let room = open_files.saturating_sub(OTHERS).max(1);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            open_files,
            "fewer connections are served than configured: raise the limit of open files"
        );
    }
    wanted.min(room)
}

/// The limit, if there is one that can be reached.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The ledger, downloads, sessions with Devo, the admin port and those about to be refused.
const OTHERS: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_counts_is_the_lower_one() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             95908                95908                processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files(&limits.replace("1024", "unlimited")), None);
        assert_eq!(open_files(""), None);
        assert_eq!(affordable(1), 1);
    }
}
