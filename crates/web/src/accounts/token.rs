//! Secrets of tokens: random text that is shown once. Rows of `repository_token` keep its SHA-256 only.

use crate::digest::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// What every secret begins with, so that scanners for leaked secrets and people know one.
const PREFIX: &str = "bld_";
/// Random bytes in a secret: too many to guess, so that one fast hash is enough for the row.
const RANDOM_BYTES: usize = 32;

/// The secret of a token. Only [`fmt::Display`] shows it.
pub struct TokenSecret(String);

impl TokenSecret {
    /// Makes a new secret.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))))
    }

    /// What a request carries; none when it has not the form of a secret.
    pub fn parse(text: &str) -> Option<Self> {
        let random = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (random.len() == RANDOM_BYTES).then(|| Self(text.to_owned()))
    }

    /// What the row of the token keeps. A search for it tells nothing by its time: nobody can choose a secret whose
    /// digest is close to another one's.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Display for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_text() {
        let secret = TokenSecret::generate().unwrap();
        let text = secret.to_string();
        assert_eq!(text.len(), 4 + 43);
        assert_eq!(TokenSecret::parse(&text).unwrap().digest(), secret.digest());
        assert_ne!(TokenSecret::generate().unwrap().digest(), secret.digest());
        for bad in ["", "bld_", &text[4..], &text[..46], &format!("{text}A"), &text.replace("bld_", "BLD_")] {
            assert!(TokenSecret::parse(bad).is_none(), "{bad}");
        }
    }
}
