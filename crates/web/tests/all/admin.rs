//! `builder-db`, as an operator starts it.

mod builds;
mod migrate;
mod support;
mod users;
