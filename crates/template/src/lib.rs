//! Templates with parameters: a shell script that begins with a declaration of what may be filled in.
//!
//! Pure: text goes in, a script comes out. The text of a template is never changed where values are: they become
//! variables in front of it, each as one quoted word. So no value, whatever is in it, is read as shell.
//! `docs/templates.md` describes the format.

mod kind;
mod parameter;
mod template;

pub use kind::Kind;
pub use parameter::Parameter;
pub use template::{Misfit, Template, TemplateError};

/// Longest declaration of a template, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Most choices of a parameter.
pub const CHOICES_MAX: usize = 256;
/// The variable that holds the platform, in a script that reads it.
pub const PLATFORM_VARIABLE: &str = "builder_platform";
