//! What the program writes where systemd's journal reads: lines with priorities. The journal is a pipe here, named as
//! systemd names it.

use crate::site::Site;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};

/// Starts the program with a journal as standard error, and gives the reading end.
fn start(site: &Site, configdir: &str) -> (Child, BufReader<PipeReader>) {
    let (read, write): (PipeReader, PipeWriter) = std::io::pipe().unwrap();
    let write = std::fs::File::from(OwnedFd::from(write));
    let file = write.metadata().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder-web"));
    command.args(["--port", "0", "--color", "always", "--datadir"]).arg(site.data()).args(["--configdir", configdir]);
    command.env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino())).env_remove("RUST_LOG").stderr(write);
    (command.spawn().unwrap(), BufReader::new(read))
}

#[test]
fn the_log_has_priorities_and_neither_times_nor_colours() {
    let site = Site::new();
    let config = site.data().with_file_name("config");
    let (mut child, log) = start(&site, config.to_str().unwrap());
    let line = log.lines().map(Result::unwrap).find(|line| line.contains("serving at")).unwrap();
    assert!(line.starts_with("<6>INFO serving at http://127.0.0.1:"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn last_words_are_errors_with_every_line() {
    let site = Site::new();
    let (mut child, log) = start(&site, "/nowhere");
    let lines: Vec<String> = log.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let [.., first, hint] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(first.starts_with("<3>builder-web: the configuration folder /nowhere does not exist"), "{lines:?}");
    assert!(hint.starts_with("<3>hint: "), "{lines:?}");
}

#[test]
fn last_words_repeat_nothing() {
    let site = Site::new();
    let database = site.data().join("moved/builder.sqlite3");
    std::fs::create_dir(site.data().join("moved")).unwrap();
    std::fs::write(&database, "no database ".repeat(1000)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder-web"));
    command.arg("--datadir").arg(site.data().join("moved")).arg("--configdir").arg(site.data());
    let output = command.args(["--port", "0"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), text.matches("file is not a database").count()), (Some(1), 1), "{text}");
    assert!(text.trim_end().ends_with("and move the damaged file away"), "{text}");
}
