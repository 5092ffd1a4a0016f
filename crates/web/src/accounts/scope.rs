//! What a token is for: some jobs, some platforms. A password is for all that its user may.

use crate::name::Name;
use rusqlite::Connection;

/// What somebody may upload for, as far as a token narrows it. A list without names leaves all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Only these jobs.
    pub jobs: Vec<String>,
    /// Only these platforms.
    pub platforms: Vec<String>,
}

/// The words of rows.
const JOB: &str = "job";
const PLATFORM: &str = "platform";

impl Scope {
    /// Whether nothing is narrowed.
    pub(crate) fn is_all(&self) -> bool {
        self.jobs.is_empty() && self.platforms.is_empty()
    }

    /// Whether a build of this job on this platform is within; the error says why not.
    pub(crate) fn allows(&self, job: &Name, platform: &Name) -> Result<(), String> {
        let within =
            |names: &[String], name: &Name| names.is_empty() || names.iter().any(|known| known == name.as_str());
        if !within(&self.jobs, job) {
            return Err(format!("this token is not for the job {job}"));
        }
        if !within(&self.platforms, platform) {
            return Err(format!("this token is not for the platform {platform}"));
        }
        Ok(())
    }

    /// Reads that of a token.
    pub(crate) fn read(connection: &Connection, token: i64) -> rusqlite::Result<Self> {
        let mut scope = Self::default();
        let text = "SELECT kind, name FROM repository_token_scope WHERE token = ?1 ORDER BY kind, name";
        let mut statement = connection.prepare_cached(text)?;
        let mut rows = statement.query([token])?;
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            match kind.as_str() {
                PLATFORM => scope.platforms.push(name),
                // A narrowing that this version does not know narrows to nothing: no job has an empty name.
                kind => scope.jobs.push(if kind == JOB { name } else { String::new() }),
            }
        }
        Ok(scope)
    }

    /// Writes that of a token that has none yet.
    pub(crate) fn write(&self, connection: &Connection, token: i64) -> rusqlite::Result<()> {
        let text = "INSERT OR IGNORE INTO repository_token_scope(token, kind, name) VALUES (?1, ?2, ?3)";
        let mut statement = connection.prepare_cached(text)?;
        for (kind, names) in [(JOB, &self.jobs), (PLATFORM, &self.platforms)] {
            for name in names {
                statement.execute(rusqlite::params![token, kind, name])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;

    #[test]
    fn both_lists_narrow_and_an_empty_one_does_not() {
        let allows = |jobs: &[&str], platforms: &[&str]| {
            let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let scope = Scope { jobs: words(jobs), platforms: words(platforms) };
            scope.allows(&Name::job(b"hello").unwrap(), &Name::platform(b"debian-12").unwrap())
        };
        for (jobs, platforms) in [(&[][..], &[][..]), (&["x", "hello"], &[]), (&["hello"], &["y", "debian-12"])] {
            assert_eq!(allows(jobs, platforms), Ok(()), "{jobs:?} {platforms:?}");
        }
        assert_eq!(allows(&["x"], &["debian-12"]), Err("this token is not for the job hello".into()));
        assert_eq!(allows(&["hello"], &["x"]), Err("this token is not for the platform debian-12".into()));
        assert!(allows(&[""], &[]).is_err());
    }

    #[test]
    fn a_token_of_an_earlier_version_keeps_its_job() {
        let folder = tempfile::tempdir().unwrap();
        drop(Database::create(folder.path()).unwrap());
        let connection = Connection::open(Database::path_of(folder.path())).unwrap();
        let earlier = "DROP TABLE repository_token_scope; UPDATE repository_version SET version = 5;
            INSERT INTO user VALUES (1, 'farm', x'', x'', 16, 1, 1, 0);
            INSERT INTO repository_token(id, user, name, sha256, job, created) VALUES (7, 1, 'ci', x'00', 'hello', 0);
            INSERT INTO repository_token(id, user, name, sha256, created) VALUES (8, 1, 'all', x'01', 0);";
        connection.execute_batch(earlier).unwrap();
        let database = Database::open(folder.path()).unwrap();
        let scope = |token| database.read(|connection| Scope::read(connection, token)).unwrap();
        assert_eq!(scope(7), Scope { jobs: vec!["hello".into()], platforms: vec![] });
        assert!(scope(8).is_all());
    }
}
