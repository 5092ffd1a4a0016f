//! What the content of artifacts tells, and how two builds differ. Pure: bytes in, facts out.

pub mod artifact_role;
pub mod buildinfo;
pub mod compare;
pub mod environment;
pub mod identity;
pub mod key_values;
pub mod opam;
pub mod solo5;
pub mod system_packages;
mod text;

pub use key_values::KeyValues;
