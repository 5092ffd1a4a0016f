//! What the content of artifacts tells, and how two builds differ. Pure: bytes in, facts out.

pub mod artifact_role;
pub mod buildinfo;
pub mod identity;
pub mod solo5;
