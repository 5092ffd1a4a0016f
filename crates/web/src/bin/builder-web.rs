//! builder-web.

fn main() {}
