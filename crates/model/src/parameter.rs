//! The parameters of templates: their names, which become variables of a shell, and the values that are given to them.
//!
//! What a template declares, and whether it takes a value, is the `template` crate's; here is what holds for all.

use crate::limits::{PARAMETER_NAME_BYTES_MAX, PARAMETERS_MAX, VALUE_BYTES_MAX, VALUES_BYTES_MAX};
use crate::shown::Shown;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What variables begin with that builder itself sets.
pub const RESERVED_PREFIX: &str = "builder_";

/// Why bytes are no parameter, no value, or no set of values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Not what the name of a parameter looks like.
    #[error(
        "parameter name {name} is not allowed: it has to be 1 to {PARAMETER_NAME_BYTES_MAX} of a-z, 0-9 and _, a letter first"
    )]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// A name that is builder's own.
    #[error("parameter name {name} is not allowed: what begins with {RESERVED_PREFIX} is set by builder")]
    Reserved {
        /// The name.
        name: String,
    },
    /// A value that is too long.
    #[error("the value of {name} has {length} bytes, at most {VALUE_BYTES_MAX} are allowed")]
    Long {
        /// Whose.
        name: ParameterName,
        /// Its length in bytes.
        length: usize,
    },
    /// A value that is not one line of text.
    #[error("the value of {name} is not one line of UTF-8 without control characters")]
    Text {
        /// Whose.
        name: ParameterName,
    },
    /// Two values for one parameter.
    #[error("parameter {name} is given twice")]
    Twice {
        /// Which.
        name: ParameterName,
    },
    /// More values than any template has parameters.
    #[error("more than {PARAMETERS_MAX} values are given")]
    Many,
    /// All the values together are too long.
    #[error("the values have more than {VALUES_BYTES_MAX} bytes in all")]
    AllLong,
}

/// The name of a parameter: also that of a variable of a shell, which is why it is so narrow.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterName(Arc<str>);

impl ParameterName {
    /// Checks a name that arrives.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParameterError> {
        let name = || Shown(bytes).to_string();
        let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
        let fits = bytes.len() <= PARAMETER_NAME_BYTES_MAX && bytes.first().is_some_and(u8::is_ascii_lowercase);
        match std::str::from_utf8(bytes) {
            Ok(text) if fits && bytes.iter().all(allowed) => {
                if text.starts_with(RESERVED_PREFIX) {
                    return Err(ParameterError::Reserved { name: name() });
                }
                Ok(Self(text.into()))
            }
            Ok(_) | Err(_) => Err(ParameterError::Name { name: name() }),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParameterName({})", self.0)
    }
}

/// A value: one line of text, perhaps empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterValue(Arc<str>);

impl ParameterValue {
    /// Checks the value of a parameter.
    pub fn parse(name: &ParameterName, bytes: &[u8]) -> Result<Self, ParameterError> {
        if bytes.len() > VALUE_BYTES_MAX {
            return Err(ParameterError::Long { name: name.clone(), length: bytes.len() });
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => Ok(Self(text.into())),
            Ok(_) | Err(_) => Err(ParameterError::Text { name: name.clone() }),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The values of a job, by the names of their parameters. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Arc<BTreeMap<ParameterName, ParameterValue>>);

impl Values {
    /// Checks values that arrive, in any order.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Result<Self, ParameterError> {
        let (mut values, mut bytes) = (BTreeMap::new(), 0_usize);
        for (name, value) in pairs {
            let name = ParameterName::parse(name)?;
            let value = ParameterValue::parse(&name, value)?;
            bytes += name.as_str().len() + value.as_str().len();
            if values.insert(name.clone(), value).is_some() {
                return Err(ParameterError::Twice { name });
            }
            if values.len() > PARAMETERS_MAX {
                return Err(ParameterError::Many);
            }
            if bytes > VALUES_BYTES_MAX {
                return Err(ParameterError::AllLong);
            }
        }
        Ok(Self(Arc::new(values)))
    }

    /// The value of a parameter, if it is given.
    pub fn find(&self, name: &ParameterName) -> Option<&ParameterValue> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ParameterName, &ParameterValue)> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Values {
    /// As they are given on a command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
        f.pad(&texts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_variables() {
        for good in ["a", "sha256", "build_profile", &"x".repeat(64)] {
            assert!(ParameterName::parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", "A", "PATH", "1a", "_a", "a-b", "a b", "a=b", "a;b", "ä", "builder_x", &"x".repeat(65)] {
            assert!(ParameterName::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_lines_and_come_once() {
        let parse = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            Values::parse(pairs).map(|values| values.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(parse(&[("b", "x y"), ("a", "")]), Ok("a= b=x y".to_owned()));
        assert_eq!(parse(&[("a", "1"), ("a", "2")]).unwrap_err(), "parameter a is given twice");
        for bad in ["a\nb", "\0", "\x1b[0m", "\u{85}"] {
            let error = parse(&[("a", bad)]).unwrap_err();
            assert_eq!(error, "the value of a is not one line of UTF-8 without control characters");
        }
        let long = "x".repeat(4097);
        assert_eq!(parse(&[("a", &long)]).unwrap_err(), "the value of a has 4097 bytes, at most 4096 are allowed");
        let names: Vec<String> = (0..65).map(|number| format!("a{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(parse(&many).unwrap_err(), "more than 64 values are given");
        let wide: Vec<(&str, &str)> = names[..9].iter().map(|name| (name.as_str(), &long[..4096])).collect();
        assert_eq!(parse(&wide).unwrap_err(), "the values have more than 32768 bytes in all");
    }
}
