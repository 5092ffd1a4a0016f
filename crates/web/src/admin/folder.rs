//! The data folder, open, and the rows that names on the command line mean.

use crate::accounts::password::{Password, ScryptParams, StoredPassword};
use crate::admin::args::Common;
use crate::database::Database;
use crate::depot::Depot;
use crate::error::WebError;
use crate::limits::{NAME_BYTES_MAX, PASSWORD_BYTES_MAX};
use anyhow::{Context, bail};
use builder_model::{BuildId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction};
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::time::SystemTime;

/// The data folder, open.
pub(crate) struct Folder {
    pub(crate) depot: Depot,
    pub(crate) database: Database,
}

impl Folder {
    /// Opens what `--datadir` names. The database must be there.
    pub(crate) fn open(common: &Common) -> Result<Self, WebError> {
        Self::open_at(&common.datadir)
    }

    /// Opens a data folder. The database must be there.
    pub(crate) fn open_at(datadir: &Path) -> Result<Self, WebError> {
        let database = Database::open(datadir)?;
        Ok(Self { depot: Depot::open(datadir)?, database })
    }

    /// Reads in one snapshot.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, WebError> {
        self.database.read(work)
    }

    /// Writes in one transaction: all of it, or nothing.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.database.write(work).map_err(|error| match error.downcast::<rusqlite::Error>() {
            Ok(source) => self.database.failed(source).into(),
            Err(error) => error,
        })
    }
}

/// The row of a user.
pub(crate) fn user(connection: &Connection, name: &str) -> anyhow::Result<i64> {
    let row = connection.query_row("SELECT id FROM user WHERE username = ?1", [name], |row| row.get(0));
    row.optional()?.with_context(|| format!("unknown user {name:?}\nhint: `builder-db user-list` names all"))
}

/// Whether a user is in need of being named for each job.
pub(crate) fn is_restricted(connection: &Connection, user: i64) -> anyhow::Result<bool> {
    Ok(connection.query_row("SELECT restricted FROM user WHERE id = ?1", [user], |row| row.get(0))?)
}

/// Whether neither a password nor a token lets a user in.
pub(crate) fn is_disabled(connection: &Connection, user: i64) -> anyhow::Result<bool> {
    let text = format!("SELECT {} FROM user WHERE id = ?1", StoredPassword::COLUMNS);
    Ok(connection.query_row(&text, [user], |row| Ok(StoredPassword::from_row(row, 0)?.is_disabled()))?)
}

/// The row of a job.
pub(crate) fn job(connection: &Connection, name: &str) -> anyhow::Result<i64> {
    let row = connection.query_row("SELECT id FROM job WHERE name = ?1", [name], |row| row.get(0));
    row.optional()?.with_context(|| format!("job not found: {name:?}\nhint: a job comes with its first upload"))
}

/// The row of a build.
pub(crate) fn build(connection: &Connection, build: &BuildId) -> anyhow::Result<i64> {
    let row = connection.query_row("SELECT id FROM build WHERE uuid = ?1", [build.to_string()], |row| row.get(0));
    row.optional()?.with_context(|| format!("there is no build {build}"))
}

/// A name that a user can have: a colon would end it in an `Authorization` header.
pub(crate) fn check_user_name(name: &str) -> anyhow::Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(|at| at == ':' || at.is_control()) {
        bail!(
            "{name:?} cannot be the name of a user: 1 to {NAME_BYTES_MAX} bytes without colons and control characters"
        );
    }
    Ok(())
}

/// A word for a pin or a token: it stands in listings and addresses.
pub(crate) fn check_word(what: &str, word: &str) -> anyhow::Result<()> {
    if word.is_empty() || word.len() > NAME_BYTES_MAX || word.chars().any(char::is_control) {
        bail!("{word:?} cannot be the {what}: 1 to {NAME_BYTES_MAX} bytes without control characters");
    }
    Ok(())
}

/// The clock, read at the edge.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Asks for a password, twice and unseen on a terminal; else the first line of standard input is one.
pub(crate) fn ask_password() -> anyhow::Result<Password> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let cannot = "cannot ask for a password";
        let first = rpassword::prompt_password("Password: ").context(cannot)?;
        if rpassword::prompt_password("Again: ").context(cannot)? != first {
            bail!("the two passwords differ; nothing was changed");
        }
        return Ok(Password::new(first)?);
    }
    let mut line = Vec::new();
    // One byte more than is allowed, and the end of the line.
    let most = PASSWORD_BYTES_MAX as u64 + 3;
    stdin.lock().take(most).read_until(b'\n', &mut line).context("cannot read the password from standard input")?;
    let end = line.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    line.truncate(end);
    Ok(Password::new(line)?)
}

/// How dear a guess of a password is.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Scrypt {
    /// The cost of scrypt: a power of two; memory and time grow with it
    #[arg(long, value_name = "INT", default_value_t = 16384)]
    scrypt_n: u64,
    /// The block size of scrypt: memory and time grow with it
    #[arg(long, value_name = "INT", default_value_t = 8)]
    scrypt_r: u64,
    /// The parallelism of scrypt: time grows with it
    #[arg(long, value_name = "INT", default_value_t = 1)]
    scrypt_p: u64,
}

impl Scrypt {
    /// The parameters, unless they are absurd.
    pub(crate) fn params(self) -> anyhow::Result<ScryptParams> {
        Ok(ScryptParams::new(self.scrypt_n, self.scrypt_r, self.scrypt_p)?)
    }
}
