//! The kinds of values: what each takes, in words and as a check.

use serde::Deserialize;

/// What a value may be, besides matching the pattern that a template may want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any line of text.
    #[default]
    Text,
    /// A name or version: one word that no program takes for an option.
    Word,
    /// A path, relative or absolute.
    Path,
    /// An address that things are fetched from.
    Url,
    /// A digest.
    Sha256,
    /// A whole number from 0 on.
    Integer,
    /// `yes` or `no`.
    Boolean,
}

/// Most digits of an integer: every shell computes with these.
const INTEGER_DIGITS_MAX: usize = 18;
const SHA256_DIGITS: usize = 64;
const SCHEMES: [&str; 6] = ["https://", "http://", "ftp://", "git://", "ssh://", "file:///"];

impl Kind {
    /// What it takes, for people.
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::Text => "one line of text",
            Self::Word => "a word of letters, digits and ._+-@~:, which begins with a letter or digit",
            Self::Path => "a path that begins with neither dash nor space and has no .. in it",
            Self::Url => "a URL: https, http, ftp, git, ssh or file",
            Self::Sha256 => "64 hexadecimal digits in lower case",
            Self::Integer => "a whole number from 0 on",
            Self::Boolean => "yes or no",
        }
    }

    /// Whether it takes a value.
    pub fn takes(self, value: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Word => {
                value.starts_with(|first: char| first.is_ascii_alphanumeric())
                    && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-@~:".contains(&byte))
            }
            Self::Path => {
                let begins = !value.is_empty() && !value.starts_with(['-', ' ']);
                begins && value.split('/').all(|segment| segment != "..")
            }
            Self::Url => {
                let rest = SCHEMES.iter().find_map(|scheme| value.strip_prefix(scheme));
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte);
                // A host that begins with a dash is an option to ssh, which git starts.
                rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('-') && rest.bytes().all(allowed))
            }
            Self::Sha256 => {
                let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                value.len() == SHA256_DIGITS && value.bytes().all(digit)
            }
            Self::Integer => {
                let short = (1..=INTEGER_DIGITS_MAX).contains(&value.len());
                // A zero in front would make it octal in arithmetic.
                let canonical = value == "0" || !value.starts_with('0');
                short && canonical && value.bytes().all(|byte| byte.is_ascii_digit())
            }
            Self::Boolean => matches!(value, "yes" | "no"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_take_what_they_say() {
        let digest = "0123456789abcdef".repeat(4);
        let table: [(Kind, &[&str], &[&str]); 7] = [
            (Kind::Text, &["", "x y", "-x", "'\"$(id)`"], &[]),
            (Kind::Word, &["hello", "2.10-3", "1:2.0~rc1+b1", "a@b"], &["", "-x", ".x", "a b", "a/b", "a;b", "ä"]),
            (Kind::Path, &["a/b c", "/srv/x", "."], &["", "-x", "..", "a/../b", "/.."]),
            (
                Kind::Url,
                &["https://example.org/a-1.tar.gz", "file:///srv/x", "ssh://git@h/r"],
                &[
                    "",
                    "example.org",
                    "https://",
                    "javascript:x",
                    "https://a b",
                    "ssh://-oProxyCommand=x",
                    "https://a'b",
                ],
            ),
            (Kind::Sha256, &[&digest], &["", "abc", &digest[1..], &digest.to_uppercase()]),
            (Kind::Integer, &["0", "10"], &["", "-1", "1.5", "08", "9999999999999999999"]),
            (Kind::Boolean, &["yes", "no"], &["", "true", "Yes"]),
        ];
        for (kind, good, bad) in table {
            for value in good {
                assert!(kind.takes(value), "{kind:?} takes {value:?}");
            }
            for value in bad {
                assert!(!kind.takes(value), "{kind:?} does not take {value:?}");
            }
        }
    }
}
