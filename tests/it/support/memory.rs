//! The memory of a process, as the kernel counts it.

use std::fs;

/// The memory a process has resident, in KiB (`VmRSS`).
pub fn resident_kib(process: u32) -> u64 {
    status(process, "VmRSS:")
}

/// The most memory a process ever had resident, in KiB (`VmHWM`).
pub fn peak_kib(process: u32) -> u64 {
    status(process, "VmHWM:")
}

/// The memory a process has resident that are pages of files, its own program first, in KiB
/// (`RssFile`).
pub fn of_files_kib(process: u32) -> u64 {
    status(process, "RssFile:")
}

fn status(process: u32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel knows it");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}
