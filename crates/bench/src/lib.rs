//! What others may use of the load generator: a repository's data folder of any size, for tests and for measuring.

pub mod data_folder;
