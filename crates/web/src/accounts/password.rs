//! Passwords as the original stores them: scrypt with the parameters and the salt of each row.
//!
//! Hashing takes tens of milliseconds and 16 MiB: how many are checked at once, and for whom, is the caller's business.

use crate::limits::{PASSWORD_BYTES_MAX, SCRYPT_BYTES_MAX, SCRYPT_N_MAX, SCRYPT_P_MAX, SCRYPT_R_MAX};
use rusqlite::Row;
use std::fmt;
use subtle::ConstantTimeEq;

/// Length of a hash, in bytes.
const HASH_BYTES: usize = 32;
/// Length of a new salt, in bytes.
const SALT_BYTES: usize = 16;

/// How much work a guess costs: memory is `128 * n * r` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScryptParams {
    log_n: u8,
    r: u32,
    p: u32,
}

/// Why a password cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// There is nothing to guess.
    #[error("the password is empty")]
    Empty,
    /// Longer than [`PASSWORD_BYTES_MAX`].
    #[error("the password has {0} bytes, at most {PASSWORD_BYTES_MAX} are allowed")]
    Long(usize),
    /// scrypt has no such parameters, or a check of one password would take too long.
    #[error(
        "scrypt cannot be used with n={n}, r={r}, p={p}\nhint: n must be a power of two from 2 to {SCRYPT_N_MAX}, r from 1 to {SCRYPT_R_MAX}, p from 1 to {SCRYPT_P_MAX}, and 128*n*r at most {SCRYPT_BYTES_MAX}; the defaults are n=16384, r=8, p=1"
    )]
    Parameters {
        /// Cost.
        n: u64,
        /// Block size.
        r: u64,
        /// Parallelism.
        p: u64,
    },
    /// The system has no random bytes.
    #[error("cannot make a salt: {0}")]
    Salt(getrandom::Error),
}

impl Default for ScryptParams {
    fn default() -> Self {
        Self { log_n: 14, r: 8, p: 1 }
    }
}

impl ScryptParams {
    /// Takes parameters of a row or of a command line, unless they are absurd.
    pub fn new(n: u64, r: u64, p: u64) -> Result<Self, PasswordError> {
        let sound = n.is_power_of_two()
            && (2..=SCRYPT_N_MAX).contains(&n)
            && (1..=SCRYPT_R_MAX).contains(&r)
            && (1..=SCRYPT_P_MAX).contains(&p)
            && 128 * n * r <= SCRYPT_BYTES_MAX;
        let small = |value: u64| u32::try_from(value).ok();
        match (u8::try_from(n.trailing_zeros()), small(r), small(p)) {
            (Ok(log_n), Some(r), Some(p)) if sound => Ok(Self { log_n, r, p }),
            (Ok(_) | Err(_), _, _) => Err(PasswordError::Parameters { n, r, p }),
        }
    }

    /// The cost.
    pub fn n(self) -> u64 {
        1 << self.log_n
    }

    /// The size of a block.
    pub fn r(self) -> u32 {
        self.r
    }

    /// The parallelism.
    pub fn p(self) -> u32 {
        self.p
    }

    fn derive(self, password: &[u8], salt: &[u8]) -> Option<[u8; HASH_BYTES]> {
        let params = scrypt::Params::new(self.log_n, self.r, self.p).ok()?;
        let mut hash = [0; HASH_BYTES];
        scrypt::scrypt(password, salt, &params, &mut hash).ok()?;
        Some(hash)
    }
}

/// A password that somebody chose. It shows itself to nobody.
pub struct Password(Vec<u8>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// Takes a password that is neither empty nor longer than a request can carry.
    pub fn new(text: impl Into<Vec<u8>>) -> Result<Self, PasswordError> {
        let bytes = text.into();
        match bytes.len() {
            0 => Err(PasswordError::Empty),
            length if length > PASSWORD_BYTES_MAX => Err(PasswordError::Long(length)),
            _ => Ok(Self(bytes)),
        }
    }

    /// Hashes a password with a fresh salt, for a row.
    pub fn hash(&self, params: ScryptParams) -> Result<StoredPassword, PasswordError> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(PasswordError::Salt)?;
        let refused = || PasswordError::Parameters { n: params.n(), r: u64::from(params.r), p: u64::from(params.p) };
        let hash = params.derive(&self.0, &salt).ok_or_else(refused)?;
        Ok(StoredPassword {
            hash: hash.into(),
            salt: salt.into(),
            n: i64::from(1_u32 << params.log_n),
            r: params.r.into(),
            p: params.p.into(),
        })
    }
}

/// The columns of a row of `user` that tell whether a password is right. A disabled user has an empty hash.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPassword {
    /// `password_hash`.
    pub hash: Vec<u8>,
    /// `password_salt`.
    pub salt: Vec<u8>,
    /// `scrypt_n`.
    pub n: i64,
    /// `scrypt_r`.
    pub r: i64,
    /// `scrypt_p`.
    pub p: i64,
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredPassword(n={}, r={}, p={})", self.n, self.r, self.p)
    }
}

impl StoredPassword {
    /// The columns to select, in the order of [`Self::from_row`].
    pub const COLUMNS: &str = "password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p";

    /// Reads [`Self::COLUMNS`] from a row, the first of them at `first`.
    pub fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            hash: row.get(first)?,
            salt: row.get(first + 1)?,
            n: row.get(first + 2)?,
            r: row.get(first + 3)?,
            p: row.get(first + 4)?,
        })
    }

    /// What is checked when there is no such user, so that the answer takes as long as for one that there is. No
    /// password is right.
    pub fn of_nobody() -> Self {
        let ScryptParams { log_n, r, p } = ScryptParams::default();
        Self { hash: Vec::new(), salt: vec![0; SALT_BYTES], n: 1 << log_n, r: r.into(), p: p.into() }
    }

    /// Whether this user was disabled: no password is right.
    pub fn is_disabled(&self) -> bool {
        self.hash.len() != HASH_BYTES
    }

    /// Whether this is the password. Takes as long for a wrong one as for the right one, and hashes also for a disabled
    /// user; parameters that are absurd, in a row that somebody made by hand, are no password's.
    pub fn verify(&self, password: &[u8]) -> bool {
        let whole = |value: i64| u64::try_from(value).unwrap_or(0);
        let Ok(params) = ScryptParams::new(whole(self.n), whole(self.r), whole(self.p)) else { return false };
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        match params.derive(password, &self.salt) {
            Some(hash) => hash.as_slice().ct_eq(&self.hash).into(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> ScryptParams {
        ScryptParams::new(16, 1, 1).unwrap()
    }

    #[test]
    fn a_known_answer_of_rfc_7914() {
        // The third vector of section 12 of RFC 7914 has N = 16384, r = 8, p = 1, our defaults, and 64 bytes: PBKDF2
        // makes them in blocks of 32, so its first 32 bytes are our whole hash.
        let hash = ScryptParams::default().derive(b"pleaseletmein", b"SodiumChloride").unwrap();
        let expected = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2";
        assert_eq!(crate::Digest(hash).to_string(), expected);
    }

    #[test]
    fn only_the_password_is_right() {
        let stored = Password::new("a:b c").unwrap().hash(cheap()).unwrap();
        assert_eq!((stored.hash.len(), stored.salt.len()), (32, 16));
        assert!(stored.verify(b"a:b c") && !stored.is_disabled());
        for wrong in ["", "a:b", "a:b c ", "A:b c"] {
            assert!(!stored.verify(wrong.as_bytes()), "{wrong:?}");
        }
        let again = Password::new("a:b c").unwrap().hash(cheap()).unwrap();
        assert_ne!(stored, again, "each has a salt of its own");
    }

    #[test]
    fn nobody_and_the_disabled_have_no_password() {
        let stored = Password::new("x").unwrap().hash(cheap()).unwrap();
        let disabled = StoredPassword { hash: Vec::new(), salt: Vec::new(), ..stored };
        assert!(disabled.is_disabled() && !disabled.verify(b"x") && !disabled.verify(b""));
        assert!(!StoredPassword::of_nobody().verify(b""));
    }

    #[test]
    fn absurd_parameters_are_refused_at_once() {
        let stored = Password::new("x").unwrap().hash(cheap()).unwrap();
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (-16, 8, 1),
            (17, 8, 1),
            (1 << 21, 1, 1),
            (1 << 20, 16, 1),
            (16, 0, 1),
            (16, 1, 0),
            (16, 1, i64::MAX),
            (i64::MAX, i64::MAX, i64::MAX),
        ] {
            assert!(!StoredPassword { n, r, p, ..stored.clone() }.verify(b"x"), "n={n} r={r} p={p}");
        }
        assert!(Password::new("").is_err() && Password::new(vec![b'x'; PASSWORD_BYTES_MAX + 1]).is_err());
        assert!(!stored.verify(&vec![b'x'; PASSWORD_BYTES_MAX + 1]));
    }
}
