//! Where a server is: `HOST:PORT`, with an IPv6 address in brackets.

use std::fmt;
use std::str::FromStr;

/// The address of a server, as it was written; names are looked up when a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    host: String,
    port: u16,
}

impl Default for Remote {
    /// [`DEFAULT`].
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 1234 }
    }
}

/// A text that is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not HOST:PORT: {why}")]
pub struct RemoteError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Where a server listens unless told otherwise.
pub const DEFAULT: &str = "127.0.0.1:1234";

impl Remote {
    /// The host: a name, an IPv4 address, or an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Remote {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self, RemoteError> {
        let refuse = |why| RemoteError { text: text.to_owned(), why };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| refuse("the port is missing"))?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                rest.strip_suffix(']').ok_or_else(|| refuse("a bracket is not closed, or the port is missing"))?
            }
            None if host.contains(':') => return Err(refuse("an IPv6 address needs brackets, as in [::1]:1234")),
            None => host,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "[]/@".contains(c)) {
            return Err(refuse("the host is empty or malformed"));
        }
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse("the port is not a number"));
        }
        match port.parse() {
            Ok(port) if port != 0 => Ok(Self { host: host.to_owned(), port }),
            Ok(_) | Err(_) => Err(refuse("a port is a number from 1 to 65535")),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_same_in_both_forms() {
        assert_eq!(DEFAULT.parse(), Ok(Remote::default()));
    }

    #[test]
    fn hosts_and_ports() {
        for good in [DEFAULT, "localhost:1", "builds.example.org:65535", "[::1]:1234", "[fe80::1%eth0]:1234"] {
            assert_eq!(good.parse::<Remote>().unwrap().to_string(), good);
        }
        assert_eq!("[::1]:1234".parse::<Remote>().unwrap().host(), "::1");
        for bad in
            ["", "localhost", ":1234", "h:", "h:0", "h:65536", "h:+1", "h:x", "::1:1234", "[::1]", "[::1:1234", "a b:1"]
        {
            assert!(bad.parse::<Remote>().is_err(), "{bad}");
        }
    }
}
