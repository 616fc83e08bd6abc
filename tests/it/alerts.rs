//! What wakes an operator up: the rules and the dashboard of `deploy`, with what they are used by.

mod cardinality;
mod end_to_end;
mod expressions;
mod nearly_full;
mod rules;
mod shortened;
mod sites;
mod stack;
