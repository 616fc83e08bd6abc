//! The binary: hands the outside to the command line.
fn main() {}
