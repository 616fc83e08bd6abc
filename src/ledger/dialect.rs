//! Where the two engines are spelled differently.
//!
//! Most statements are one text for both. The others are written once with marks for what differs,
//! and a few twice. Lists of any length are one value, as JSON, so that a page of entries is one
//! round trip and every statement has one text to be prepared.

/// A statement in both spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) postgres: &'static str,
    pub(super) sqlite: &'static str,
}

impl From<&'static str> for Statement {
    fn from(both: &'static str) -> Self {
        Self { postgres: both, sqlite: both }
    }
}

/// A statement of texts and these marks: `[each "$1"]` is a JSON array as rows `item` with a column
/// `value`, parsed once however much is taken from it; `[texts "$1"]` the same of strings;
/// `[locked]` keeps others from changing the rows until the end of the transaction, and `[free]`
/// leaves out those that others keep so; between `[among]` and `[end]` is a query for a few values;
/// `[postgres "…"]` and `[sqlite "…"]` are for one of them alone.
macro_rules! statement {
    ($($part:tt)+) => {
        $crate::ledger::dialect::Statement {
            postgres: concat!($($crate::ledger::dialect::part!(postgres $part)),+),
            sqlite: concat!($($crate::ledger::dialect::part!(sqlite $part)),+),
        }
    };
}

macro_rules! part {
    ($engine:ident $text:literal) => {
        $text
    };
    (postgres [postgres $text:literal]) => {
        $text
    };
    (sqlite [sqlite $text:literal]) => {
        $text
    };
    (postgres [sqlite $text:literal]) => {
        ""
    };
    (sqlite [postgres $text:literal]) => {
        ""
    };
    (postgres [each $list:literal]) => {
        concat!("jsonb_array_elements(CAST(", $list, " AS JSONB)) AS item (value)")
    };
    (sqlite [each $list:literal]) => {
        concat!("jsonb_each(", $list, ") AS item")
    };
    (postgres [texts $list:literal]) => {
        concat!("jsonb_array_elements_text(CAST(", $list, " AS JSONB)) AS item (value)")
    };
    (sqlite [texts $list:literal]) => {
        concat!("jsonb_each(", $list, ") AS item")
    };
    (postgres [locked]) => {
        " FOR UPDATE"
    };
    (postgres [free]) => {
        " FOR UPDATE SKIP LOCKED"
    };
    // Estimated as a few rows, whatever the planner thinks of the list.
    (postgres [among]) => {
        " = ANY (ARRAY("
    };
    (sqlite [among]) => {
        " IN ("
    };
    (postgres [end]) => {
        "))"
    };
    (sqlite [end]) => {
        ")"
    };
    // One transaction at a time writes to the file.
    (sqlite [$lock:ident]) => {
        ""
    };
}

pub(super) use {part, statement};

/// Begins a transaction that may write; in `SQLite`, so that it waits for its turn at the beginning
/// and not halfway.
pub(super) const BEGIN: Statement = Statement { postgres: "BEGIN", sqlite: "BEGIN IMMEDIATE" };
