//! The tables: those of the original, version 18, and our own beside them.
//!
//! The original's programs go on reading and writing their tables: our rows are derived from theirs, leave with them
//! (`ON DELETE CASCADE`, and a look for orphans at every start, as the original's server enforces no foreign keys), and
//! our indices change nothing but speed.

/// What SQLite calls the application.
pub(crate) const APPLICATION_ID: i64 = 1_234_839_235;
/// The version of the original's tables.
pub(crate) const SCHEMA_VERSION: i64 = 18;
/// The version of our own tables, in `repository_version`. 2 came with `repository_text`, and with indices that some
/// folders of version 1 lack; 3 with other rules for inputs and outputs, see [`DERIVED_BEFORE_3`];
/// 4 with the start of builds in `repository_build`; 5 with `repository_damage`; 7 with the job of builds in
/// `repository_build`, and with two indices that lists of a job are read from; 8 with the index of its good builds.
pub(crate) const OWN_VERSION: i64 = 8;

/// The original's tables, in its order.
pub(crate) const ORIGINAL: &str = "
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name VARCHAR(255) NOT NULL UNIQUE
);
CREATE TABLE build (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    uuid VARCHAR(36) NOT NULL UNIQUE,
    start_d INTEGER NOT NULL,
    start_ps INTEGER NOT NULL,
    finish_d INTEGER NOT NULL,
    finish_ps INTEGER NOT NULL,
    result_code INTEGER NOT NULL,
    result_msg TEXT,
    console TEXT NOT NULL,
    script TEXT NOT NULL,
    platform TEXT NOT NULL,
    main_binary INTEGER,
    user INTEGER NOT NULL,
    job INTEGER NOT NULL,
    input_id BLOB,
    FOREIGN KEY(main_binary) REFERENCES build_artifact(id) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY(user) REFERENCES user(id),
    FOREIGN KEY(job) REFERENCES job(id)
);
CREATE TABLE build_artifact (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    filepath TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    build INTEGER NOT NULL,
    FOREIGN KEY(build) REFERENCES build(id),
    UNIQUE(build, filepath)
);
CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    username VARCHAR(255) NOT NULL UNIQUE,
    password_hash BLOB NOT NULL,
    password_salt BLOB NOT NULL,
    scrypt_n INTEGER NOT NULL,
    scrypt_r INTEGER NOT NULL,
    scrypt_p INTEGER NOT NULL,
    restricted BOOLEAN NOT NULL
);
CREATE TABLE access_list (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    user INTEGER NOT NULL,
    job INTEGER NOT NULL,
    FOREIGN KEY(user) REFERENCES user(id),
    FOREIGN KEY(job) REFERENCES job(id),
    UNIQUE(user, job)
);
CREATE TABLE tag (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    tag VARCHAR(255) NOT NULL UNIQUE
);
CREATE TABLE job_tag (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    tag INTEGER NOT NULL,
    value TEXT NOT NULL,
    job INTEGER NOT NULL,
    FOREIGN KEY(tag) REFERENCES tag(id),
    FOREIGN KEY(job) REFERENCES job(id),
    UNIQUE(tag, job)
);
CREATE INDEX idx_build_job_start ON build(job, start_d DESC, start_ps DESC);
CREATE INDEX idx_build_failed ON build(job, start_d DESC, start_ps DESC) WHERE main_binary IS NULL;
CREATE INDEX idx_build_input_id ON build(input_id);
CREATE INDEX idx_build_main_binary ON build(main_binary);
CREATE INDEX idx_build_artifact_sha256 ON build_artifact(sha256);
CREATE INDEX idx_build_artifact_build ON build_artifact(build);
";

/// Columns of a build that `repository_build` has, too. Folders of before version 4 lack the first two there, those of
/// before version 7 the last.
pub(crate) const COPIED: [&str; 3] = ["start_d", "start_ps", "job"];

/// Tells whether a folder has a `repository_build` without this column.
pub(crate) const LACKS_COLUMN: &str = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('repository_build'))
    AND NOT EXISTS (SELECT 1 FROM pragma_table_info('repository_build') WHERE name = ?1)";

/// Fills in [`COPIED`].
pub(crate) const COPY: &str = "UPDATE repository_build SET (start_d, start_ps, job) =
    (SELECT build.start_d, build.start_ps, build.job FROM build WHERE build.id = repository_build.build)";

/// Our own tables and indices. Each statement adds only what is missing, so that all of them, after the columns of
/// [`COPIED`] that are missing, bring a folder of any earlier version to this one: whoever adds one raises [`OWN_VERSION`].
///
/// A build is *good* when its script exited with 0 (`result_code = 0`), and *failed* otherwise.
pub(crate) const OWN: &str = "
CREATE TABLE IF NOT EXISTS repository_version (version INTEGER NOT NULL);

-- What was derived from a build when it arrived.
--   outline_sha256, outline_bytes: what tells one upload from another, and the size in bytes of the record as it was
--     received; NULL for builds that the original received, which have no outline
--   received: milliseconds since 1970 when it was stored; NULL when it was derived from an old row
--   input_kind, input: by what the input is identified ('opam', 'buildinfo', 'script', 'script-and-inputs'), and its
--     digest; or why it is not ('by-hand', 'script-lost'), and NULL
--   output_kind, output: what the output is identified by ('main-binary', 'artifacts'), and its digest; NULL for a
--     build that left nothing
--   console_lines, console_index: how many lines, and where they lie in console.txt
--   notes: what could not be read, for people; a line each
--   start_d, start_ps, job: those of the build, so that builds of one input, output or job are read in the order of an
--     index
CREATE TABLE IF NOT EXISTS repository_build (
    build INTEGER PRIMARY KEY NOT NULL REFERENCES build(id) ON DELETE CASCADE,
    outline_sha256 BLOB,
    outline_bytes INTEGER,
    received INTEGER,
    input_kind TEXT,
    input BLOB,
    output_kind TEXT,
    output BLOB,
    console_lines INTEGER NOT NULL,
    console_bytes INTEGER NOT NULL,
    console_index BLOB NOT NULL,
    artifact_count INTEGER NOT NULL,
    artifact_bytes INTEGER NOT NULL,
    notes TEXT,
    start_d INTEGER,
    start_ps INTEGER,
    job INTEGER
);
DROP TRIGGER IF EXISTS repository_build_start;
CREATE TRIGGER IF NOT EXISTS repository_build_place AFTER INSERT ON repository_build BEGIN
    UPDATE repository_build SET (start_d, start_ps, job) =
        (SELECT build.start_d, build.start_ps, build.job FROM build WHERE build.id = new.build)
        WHERE build = new.build;
END;
DROP INDEX IF EXISTS repository_build_input;
DROP INDEX IF EXISTS repository_build_output;
CREATE INDEX IF NOT EXISTS repository_build_of_input ON repository_build(input, start_d DESC, start_ps DESC, output)
    WHERE input IS NOT NULL;
CREATE INDEX IF NOT EXISTS repository_build_of_output ON repository_build(output, start_d DESC, start_ps DESC, input)
    WHERE output IS NOT NULL;
-- What lists show of it.
CREATE INDEX IF NOT EXISTS repository_build_listed
    ON repository_build(job, start_d DESC, start_ps DESC, build, output, artifact_count, artifact_bytes);

-- Builds whose row in repository_build an earlier version derived by other rules: it is derived anew in the background,
-- and nothing is said of their reproducibility until then.
CREATE TABLE IF NOT EXISTS repository_stale (
    build INTEGER PRIMARY KEY NOT NULL REFERENCES build(id) ON DELETE CASCADE
);

-- Artifacts whose files builder-db check found 'missing' or 'damaged', until they are back.
CREATE TABLE IF NOT EXISTS repository_damage (
    sha256 BLOB PRIMARY KEY NOT NULL,
    what TEXT NOT NULL
) WITHOUT ROWID;

-- What a binary says of itself; the JSON of its Solo5 notes, NULL when it has none.
CREATE TABLE IF NOT EXISTS repository_binary (
    sha256 BLOB PRIMARY KEY NOT NULL,
    solo5_manifest TEXT,
    solo5_abi TEXT
) WITHOUT ROWID;

-- A file that lists packages ('opam' for an opam-switch, 'system' for system-packages or a .buildinfo), once for each
-- content.
CREATE TABLE IF NOT EXISTS repository_inventory (
    id INTEGER PRIMARY KEY NOT NULL,
    sha256 BLOB NOT NULL,
    kind TEXT NOT NULL,
    error TEXT,
    UNIQUE(sha256, kind)
);
CREATE TABLE IF NOT EXISTS repository_package (
    inventory INTEGER NOT NULL REFERENCES repository_inventory(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    pinned INTEGER NOT NULL,
    overlay INTEGER NOT NULL,
    source TEXT,
    PRIMARY KEY(inventory, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS repository_package_name ON repository_package(name, version);

-- What is told of jobs, by every three letters of it: the text of a row of job_tag under its id.
CREATE VIRTUAL TABLE IF NOT EXISTS repository_text USING fts5(value, tokenize = 'trigram');

-- Tokens beside passwords; only the SHA-256 of the secret is kept. Times are milliseconds since 1970.
--   job: before version 6, the one job that it may upload for
CREATE TABLE IF NOT EXISTS repository_token (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    user INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL UNIQUE,
    job TEXT,
    created INTEGER NOT NULL,
    expires INTEGER,
    used INTEGER,
    UNIQUE(user, name)
);

-- What a token is narrowed to: kind 'job' or 'platform', and a name of each that it is for. Without a row of a kind, it is
-- for all of that kind.
CREATE TABLE IF NOT EXISTS repository_token_scope (
    token INTEGER NOT NULL REFERENCES repository_token(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY(token, kind, name)
) WITHOUT ROWID;
INSERT OR IGNORE INTO repository_token_scope(token, kind, name)
    SELECT id, 'job', job FROM repository_token WHERE job IS NOT NULL;

-- Builds that are kept whatever the retention policy says, each under a word such as 'release-1.2'.
CREATE TABLE IF NOT EXISTS repository_pin (
    build INTEGER NOT NULL REFERENCES build(id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY(build, tag)
) WITHOUT ROWID;

-- Hooks and webhooks, as they are due and as they went. Times are milliseconds since 1970.
--   kind: 'hook' or 'webhook'; event: 'upload', 'failure' or 'output-changed'
--   target: the file name of a hook, or the address of a webhook without user and password
--   state: 'waiting', 'running', 'done', 'failed'
--   tries, started, finished, status, log: of the last try; the exit status, as a shell has it, or that of HTTP
CREATE TABLE IF NOT EXISTS repository_hook_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    build INTEGER NOT NULL REFERENCES build(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    event TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    status INTEGER,
    log TEXT
);
CREATE INDEX IF NOT EXISTS repository_hook_run_build ON repository_hook_run(build);
CREATE INDEX IF NOT EXISTS repository_hook_run_due ON repository_hook_run(target, next_try, id) WHERE state IN ('waiting', 'running');

CREATE INDEX IF NOT EXISTS repository_good ON build(job, platform, start_d DESC, start_ps DESC) WHERE result_code = 0;
CREATE INDEX IF NOT EXISTS repository_job_good ON build(job, start_d DESC, start_ps DESC) WHERE result_code = 0;
CREATE INDEX IF NOT EXISTS repository_latest ON build(job, platform, start_d DESC, start_ps DESC)
    WHERE result_code = 0 AND main_binary IS NOT NULL;
CREATE INDEX IF NOT EXISTS repository_failed ON build(start_d DESC, start_ps DESC) WHERE result_code <> 0;
CREATE INDEX IF NOT EXISTS repository_job_failed ON build(job, start_d DESC, start_ps DESC) WHERE result_code <> 0;
CREATE INDEX IF NOT EXISTS repository_newest ON build(start_d DESC, start_ps DESC);
CREATE INDEX IF NOT EXISTS repository_failed_platform ON build(platform, start_d DESC, start_ps DESC) WHERE result_code <> 0;
CREATE INDEX IF NOT EXISTS repository_platform ON build(platform, start_d DESC, start_ps DESC);
CREATE INDEX IF NOT EXISTS repository_job_platform ON build(job, platform, start_d DESC, start_ps DESC);
CREATE INDEX IF NOT EXISTS repository_finish ON build(finish_d, finish_ps);
-- What lists show of a build: those of one job lie side by side here, and far apart in the table.
CREATE INDEX IF NOT EXISTS repository_listed ON build(job, start_d DESC, start_ps DESC, id DESC, result_code, platform, uuid,
    finish_d, finish_ps, main_binary, result_msg);
";

/// Lists what was derived by the rules before version 3: all but builds that are judged by the three files of opam and
/// by a main binary below `bin/`, for which nothing changed.
pub(crate) const DERIVED_BEFORE_3: &str = "
INSERT OR IGNORE INTO repository_stale(build)
    SELECT r.build FROM repository_build r CROSS JOIN build b ON b.id = r.build
    LEFT JOIN build_artifact a ON a.id = b.main_binary
    WHERE r.input_kind IS NOT 'opam' OR a.filepath IS NULL OR a.filepath NOT GLOB 'bin/*'";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn no_folder_of_this_version_lacks_what_others_have() {
        let lines = OWN.lines().map(str::trim).filter(|line| !line.starts_with("--"));
        let statements = lines.flat_map(|line| [line, "\n"]).collect::<String>();
        let known = "84bf5b539e0aefe1de616b4765c8541e4781ea7ea60e082695756a3de826ff04";
        // Who changes a statement raises the version, as folders of this one are not looked at again, and then writes both here.
        assert_eq!((OWN_VERSION, Digest::of(statements.as_bytes()).to_string().as_str()), (8, known));
    }
}
