//! Keeps the index of texts, `repository_text`, in step with what is told of jobs, `job_tag`.
//!
//! Our own writer keeps it by triggers that only its connection has: the programs of the original, which may be built
//! without such indices, see none of them. What those programs wrote is brought in when the database is opened.

use rusqlite::Connection;

/// The tags whose values are searched.
const TAGS: &str = "(SELECT id FROM tag WHERE tag IN ('synopsis', 'description', 'readme.md', 'readme'))";

/// Brings the index to what the tags say now. Rows that say what they said are only compared.
pub(super) fn catch_up(connection: &Connection) -> rusqlite::Result<()> {
    let gone = format!(
        "DELETE FROM repository_text WHERE rowid IN (
             SELECT f.id FROM repository_text_content f LEFT JOIN job_tag v ON v.id = f.id AND v.tag IN {TAGS}
             WHERE v.value IS NOT f.c0)"
    );
    let new = format!(
        "INSERT INTO repository_text(rowid, value) SELECT id, value FROM job_tag v
         WHERE v.tag IN {TAGS} AND v.id NOT IN (SELECT id FROM repository_text_content)"
    );
    connection.execute(&gone, [])?;
    connection.execute(&new, [])?;
    Ok(())
}

/// Keeps the index in step with all that this connection writes.
pub(super) fn follow(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TEMP TRIGGER repository_text_new AFTER INSERT ON job_tag WHEN new.tag IN {TAGS} BEGIN
             INSERT INTO repository_text(rowid, value) VALUES (new.id, new.value);
         END;
         CREATE TEMP TRIGGER repository_text_other AFTER UPDATE ON job_tag WHEN old.value IS NOT new.value BEGIN
             UPDATE repository_text SET value = new.value WHERE rowid = new.id;
         END;
         CREATE TEMP TRIGGER repository_text_gone AFTER DELETE ON job_tag BEGIN
             DELETE FROM repository_text WHERE rowid = old.id;
         END;"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::error::WebError;

    const SAY: &str = "INSERT INTO job(id, name) VALUES (1, 'hello');
        INSERT INTO tag(id, tag) VALUES (1, 'synopsis'), (2, 'section'), (3, 'readme.md');
        INSERT INTO job_tag(id, tag, value, job) VALUES
            (1, 1, 'a nameserver', 1), (2, 2, 'nameserver section', 1), (3, 3, 'read about nameservers', 1);";

    fn found(database: &Database, words: &str) -> Vec<i64> {
        let text = "SELECT rowid FROM repository_text WHERE repository_text MATCH ?1 ORDER BY rowid";
        let read = |connection: &Connection| {
            connection.prepare(text)?.query_map([format!("\"{words}\"")], |row| row.get(0))?.collect()
        };
        database.read(read).unwrap()
    }

    #[test]
    fn what_others_wrote_is_there_when_the_database_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        drop(Database::create(folder.path()).unwrap());
        let connection = Connection::open(Database::path_of(folder.path())).unwrap();
        connection.execute_batch(SAY).unwrap();
        assert_eq!(found(&Database::open(folder.path()).unwrap(), "NAMESERVER"), [1, 3]);
        connection
            .execute_batch("UPDATE job_tag SET value = 'a resolver' WHERE id = 1; DELETE FROM job_tag WHERE id = 3")
            .unwrap();
        let database = Database::open(folder.path()).unwrap();
        assert_eq!((found(&database, "nameserver"), found(&database, "resolver")), (vec![], vec![1]));
    }

    #[test]
    fn what_this_program_writes_is_there_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path()).unwrap();
        let write = |text: &str| {
            database.write(|transaction| transaction.execute_batch(text).map_err(|error| database.failed(error)))
        };
        let written: Result<(), WebError> = write(SAY);
        written.unwrap();
        assert_eq!((found(&database, "nameserver"), found(&database, "section")), (vec![1, 3], vec![]));
        write("UPDATE job_tag SET value = 'a resolver' WHERE id = 1; DELETE FROM job_tag WHERE id = 3").unwrap();
        assert_eq!((found(&database, "nameserver"), found(&database, "resolver")), (vec![], vec![1]));
        // What is opened now finds nothing to bring in.
        drop(database);
        assert_eq!(found(&Database::open(folder.path()).unwrap(), "resolver"), [1]);
    }
}
