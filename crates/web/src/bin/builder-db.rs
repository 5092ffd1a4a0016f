//! builder-db.

fn main() {}
