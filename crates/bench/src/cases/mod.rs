//! The cases, one a file; the letters are those of the first load scripts.

pub(crate) mod console;
pub(crate) mod dispatch;
pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod ingest;
pub(crate) mod noop;
pub(crate) mod robust;
pub(crate) mod start;
pub(crate) mod throughput;
