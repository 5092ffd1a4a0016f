//! How a build ended.

use crate::shown::Shown;
use std::fmt;

/// How the script of a build ended, or why there is no such end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The script ended by itself with this exit status; 0 is success.
    Exited(i64),
    /// A signal ended it. OCaml's portable numbers are negative; a positive number is the system's own.
    Signalled(i64),
    /// A signal stopped it; numbered as for `Signalled`.
    Stopped(i64),
    /// It was not allowed to end: the text says why, such as `timeout`.
    Aborted(Vec<u8>),
}

/// The abort text of a build that ran over its time, as the original writes it.
pub const TIMEOUT: &str = "timeout";

/// OCaml's portable signal numbers: -1 is the first name of this list.
const SIGNALS: [&str; 28] = [
    "ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2", "CHLD", "CONT",
    "STOP", "TSTP", "TTIN", "TTOU", "VTALRM", "PROF", "BUS", "POLL", "SYS", "TRAP", "URG", "XCPU", "XFSZ",
];

impl Outcome {
    /// An abort with this reason.
    pub fn aborted(reason: impl Into<String>) -> Self {
        Self::Aborted(reason.into().into_bytes())
    }

    /// Whether the script ended by itself with status 0.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The one word for the kind of end.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Signalled(_) => "signalled",
            Self::Stopped(_) => "stopped",
            Self::Aborted(_) => "aborted",
        }
    }

    /// The name, without `SIG`, of a portable (negative) signal number.
    pub fn signal_name(number: i64) -> Option<&'static str> {
        let index = usize::try_from(number.checked_neg()?.checked_sub(1)?).ok()?;
        SIGNALS.get(index).copied()
    }

    /// The portable number of a signal's name without `SIG`, such as `KILL`: -7.
    pub fn signal_number(name: &str) -> Option<i64> {
        let index = SIGNALS.iter().position(|known| *known == name)?;
        Some(-(i64::try_from(index).ok()? + 1))
    }
}

impl fmt::Display for Outcome {
    /// The original's rendering, which programs read: `exited N`, `signalled N`, `stopped N`, `execution aborted: TEXT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited {status}"),
            Self::Signalled(number) => write!(f, "signalled {number}"),
            Self::Stopped(number) => write!(f, "stopped {number}"),
            Self::Aborted(reason) => write!(f, "execution aborted: {}", Shown(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_ocaml_numbers() {
        assert_eq!(Outcome::signal_number("KILL"), Some(-7));
        assert_eq!(Outcome::signal_number("XFSZ"), Some(-28));
        assert_eq!(Outcome::signal_name(-11), Some("TERM"));
        for unknown in [0, 1, -29, i64::MIN, i64::MAX] {
            assert_eq!(Outcome::signal_name(unknown), None);
        }
    }
}
