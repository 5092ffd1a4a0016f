//! The supervisor inside of a sandbox, started as what makes the sandbox starts it, and given its order by hand: what a jail
//! asks of it, where no jail can be had.

#![expect(clippy::unwrap_used, reason = "all of this is test")]

use builder_sandbox::{Environment, Plan};
use serde_json::json;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// Runs a script, with files of at most 100,000 bytes; gives what the supervisor says, and its report.
fn supervised(folder: &std::path::Path, script: &str) -> String {
    std::fs::write(folder.join("script.sh"), script).unwrap();
    let text = |text: OsString| serde_json::to_value(text).unwrap();
    let order = json!({
        "folder": text(folder.into()),
        "script": text(folder.join("script.sh").into()),
        "plan": Plan::Bare(Environment { inherits: true, set: Vec::new() }),
        "writable": null,
        "file_bytes": 100_000,
    });
    let order = serde_json::to_vec(&order).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder-worker"));
    let mut supervisor =
        command.args(["__builder-inside", "1000"]).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
    drop(command);
    ours.write_all(&u32::try_from(order.len()).unwrap().to_be_bytes()).unwrap();
    ours.write_all(&order).unwrap();
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert!(supervisor.wait().unwrap().success());
    said
}

#[test]
fn a_supervisor_inside_holds_files_to_the_length_that_it_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let said = supervised(folder.path(), "head -c 200000 /dev/zero >long; status=$?; echo x >short; exit $status");
    assert_eq!(said, format!("rexited {}\nleft 0\nsurvived 0\n", 128 + 25));
    assert_eq!(std::fs::metadata(folder.path().join("long")).unwrap().len(), 100_000);
    assert_eq!(std::fs::metadata(folder.path().join("short")).unwrap().len(), 2);
}
