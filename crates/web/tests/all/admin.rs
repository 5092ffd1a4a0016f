//! `builder-db`, as an operator starts it.

mod backup;
mod builds;
mod check;
mod migrate;
mod records;
mod support;
mod users;
