//! The repository: receives finished builds, shows, compares and serves them.
