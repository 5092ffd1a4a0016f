//! Build records on disk: checked, shown and unpacked in bounded memory, however long the console and however large
//! the artifacts.

mod artifacts;
mod extract;
mod record_file;

pub use artifacts::{Artifact, Artifacts};
pub use extract::{ExtractError, Extractor};
pub use record_file::{ConsoleIndex, RecordError, RecordFile, Summary};
