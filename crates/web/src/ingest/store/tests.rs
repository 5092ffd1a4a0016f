//! The power goes at every step of an upload, and uploads end at every octet: all of a build is there, or nothing.

use super::*;
use crate::database::Database;
use crate::ingest::receive::receive;
use crate::ingest::reconcile::reconcile;
use crate::settings::Settings;
use builder_model::BuildId;
use builder_wire::record::{ConsoleLine, Record};
use builder_wire::{File as RecordFile, ScriptJob};
use std::path::PathBuf;

fn open(datadir: &Path) -> App {
    App::open(Settings::new(datadir.to_owned(), datadir.to_owned())).unwrap()
}

fn new_folder(datadir: &Path) -> App {
    drop(Database::create(datadir).unwrap());
    let app = open(datadir);
    let user = "INSERT INTO user(id, username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p, restricted)
        VALUES (1, 'farm', x'00', x'00', 16384, 8, 1, 0)";
    let added: Result<usize, WebError> =
        app.database().write(|transaction| transaction.execute(user, []).map_err(|error| app.database().failed(error)));
    assert_eq!(added.unwrap(), 1);
    app
}

fn sender() -> Sender {
    Sender { user: 1, name: "farm".into(), restricted: false, scope: Scope::default() }
}

fn record(number: u8, files: &[(&str, &[u8])]) -> Vec<u8> {
    let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let record = Record {
        job: ScriptJob { name: b"hello", platform: b"debian-12", script: b"make\n" },
        build: BuildId::from_random([number; 16]),
        console: vec![ConsoleLine { delta: 2_000_000, line: b"two" }, ConsoleLine { delta: 1_000_000, line: b"one" }],
        started: start,
        finished: start.plus_milliseconds(1000),
        outcome: Outcome::Exited(0),
        files: files.iter().map(|(path, data)| RecordFile { path: path.as_bytes().into(), data }).collect(),
    };
    record.encode().to_vec()
}

fn received(app: &App, bytes: &[u8]) -> Result<Incoming, ReceiveError> {
    let mut pieces = vec![bytes::Bytes::copy_from_slice(bytes)];
    receive(app.depot(), &mut || Ok(pieces.pop()), &|_, _, _| Ok(()))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Files and rows agree, and nothing waits in the staging folder.
fn is_sound(datadir: &Path) -> bool {
    crate::admin::is_sound(datadir) && std::fs::read_dir(datadir.join("_staging")).unwrap().next().is_none()
}

fn builds(app: &App) -> i64 {
    app.read(|connection| connection.query_row("SELECT count(*) FROM build", [], |row| row.get(0))).unwrap()
}

#[test]
fn a_crash_at_any_step_leaves_all_of_a_build_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let datadir = folder.path().join("data");
    std::fs::create_dir(&datadir).unwrap();
    let app = new_folder(&datadir);
    let kept = record(1, &[("bin/hello", b"old"), ("shared", b"shared")]);
    store(&app, &sender(), received(&app, &kept).unwrap()).unwrap();
    let sent = record(2, &[("bin/hello", b"new"), ("shared", b"shared"), ("twice", b"new"), ("more", b"more")]);
    let mut crashed: Vec<(Step, PathBuf)> = Vec::new();
    let mut reached = |step| {
        let at = folder.path().join(crashed.len().to_string());
        copy(&datadir, &at);
        crashed.push((step, at));
    };
    let stored = store_watched(&app, &sender(), received(&app, &sent).unwrap(), &mut reached).unwrap();
    assert_eq!(stored, Stored::New { row: 2 });
    let steps: Vec<Step> = crashed.iter().map(|(step, _)| *step).collect();
    let moved = Step::Moved;
    assert_eq!(steps, [Step::Synced, Step::Intended, moved, moved, Step::Named, Step::Inserted, Step::Committed]);
    for (step, datadir) in crashed {
        let app = open(&datadir);
        assert_eq!(reconcile(&app).unwrap(), 1, "{step:?}");
        let is_committed = step == Step::Committed;
        assert_eq!(builds(&app), if is_committed { 2 } else { 1 }, "{step:?}");
        assert!(is_sound(&datadir), "after a crash: {step:?}");
        let again = store(&app, &sender(), received(&app, &sent).unwrap()).unwrap();
        assert_eq!(again == Stored::Again, is_committed, "{step:?}");
        assert_eq!(builds(&app), 2, "{step:?}");
        assert!(is_sound(&datadir), "sent again: {step:?}");
    }
}

#[test]
fn an_upload_that_ends_at_any_octet_is_cut_off_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let app = new_folder(folder.path());
    let whole =
        record(1, &[("bin/hello", b"binary"), ("README.md", b"# hello\n"), ("opam-switch", b"installed: []\n")]);
    for end in 0..whole.len() {
        let refused = received(&app, whole.split_at(end).0).map(drop);
        assert!(matches!(refused, Err(ReceiveError::Truncated(at)) if at == end as u64), "{end}: {refused:?}");
    }
    assert!(is_sound(folder.path()));
    store(&app, &sender(), received(&app, &whole).unwrap()).unwrap();
    assert!(is_sound(folder.path()));
}

#[test]
fn what_is_here_already_is_not_synced_again_and_what_was_lost_is() {
    let folder = tempfile::tempdir().unwrap();
    let app = new_folder(folder.path());
    let sent = record(1, &[("bin/hello", b"binary"), ("data", b"data")]);
    store(&app, &sender(), received(&app, &sent).unwrap()).unwrap();
    let lost = app.depot().artifact(&Digest::of(b"data"));
    std::fs::remove_file(&lost).unwrap();
    let incoming = received(&app, &sent).unwrap();
    let fresh = fresh_artifacts(app.depot(), &incoming.artifacts);
    assert_eq!(fresh.iter().map(|artifact| artifact.path.as_str()).collect::<Vec<_>>(), ["data"]);
    assert_eq!(store(&app, &sender(), incoming).unwrap(), Stored::Again);
    assert_eq!(std::fs::read(lost).unwrap(), b"data");
    assert!(is_sound(folder.path()));
    // A file that goes between the first look and the turn is fresh after all.
    let incoming = received(&app, &record(2, &[("data", b"data")])).unwrap();
    let before = fresh_artifacts(app.depot(), &incoming.artifacts);
    std::fs::remove_file(app.depot().artifact(&Digest::of(b"data"))).unwrap();
    assert_eq!((before.len(), fresh_by_now(app.depot(), &incoming, &before).unwrap().len()), (0, 1));
}
