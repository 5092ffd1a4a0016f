//! Runs a script of the operator, with the arguments of the original. No shell reads them, so that no name can be more
//! than an argument.

use super::process::{self, End};
use super::queue::Tried;
use super::scripts::Scripts;
use super::subject::Subject;
use crate::app::App;
use crate::database::artifact::Artifact;
use crate::database::build::Build;
use nix::errno::Errno;
use std::ffi::OsString;
use std::io::PipeReader;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// What the service manager tells the server alone.
const OURS: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Runs the script with this name for a build.
pub(super) fn run(app: &App, name: &str, subject: &Subject, stop: &PipeReader) -> Tried {
    let failed = |log: String| Tried::Failed { status: None, log };
    let Some(main) = &subject.main_binary else { return failed("the build has no main binary any more\n".into()) };
    let path = Scripts::path(app.settings(), name);
    let arguments = arguments(app, &subject.build, main);
    let limit = app.settings().hook_limit;
    let run = |program: &Path, script: Option<&Path>| {
        let mut command = Command::new(program);
        OURS.iter().for_each(|key| {
            command.env_remove(key);
        });
        command.args(script).args(&arguments);
        process::run(command, limit, stop)
    };
    let ended = match run(&path, None) {
        // A script that does not say what reads it is one for the shell.
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => run(Path::new("/bin/sh"), Some(&path)),
        ended => ended,
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return failed(format!("cannot run {}: {error}\n", path.display())),
    };
    let mut log = ended.output;
    match ended.end {
        End::Itself(status) if status.success() => Tried::Done { status: Some(0), log },
        End::Itself(status) => {
            say(&mut log, &status.to_string());
            Tried::Failed { status: Some(shell_status(status)), log }
        }
        End::TooLong => {
            say(&mut log, &format!("it ran longer than {} seconds, and was ended", limit.as_secs_f64()));
            failed(log)
        }
        End::Stopped => Tried::Interrupted,
    }
}

fn say(log: &mut String, text: &str) {
    if !log.is_empty() && !log.ends_with('\n') {
        log.push('\n');
    }
    log.push_str(text);
    log.push('\n');
}

/// The status as a shell has it: 128 and the number of the signal.
fn shell_status(status: ExitStatus) -> i64 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1).into()
}

/// What a hook gets, in the order of the original.
fn arguments(app: &App, build: &Build, main: &Artifact) -> Vec<OsString> {
    let option = |name: &str, value: PathBuf| {
        let mut argument = OsString::from(name);
        argument.push(value);
        argument
    };
    let started = build.start.to_civil();
    let (date, time) = (started.date(), started.time());
    let build_time = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    vec![
        format!("--build-time={build_time}").into(),
        format!("--sha256={}", main.sha256).into(),
        format!("--job={}", build.job).into(),
        format!("--uuid={}", build.uuid).into(),
        format!("--platform={}", build.platform).into(),
        option("--cache-dir=", app.depot().cache()),
        option("--data-dir=", app.depot().root().to_owned()),
        format!("--main-binary-filepath={}", main.path).into(),
        app.depot().artifact(&main.sha256).into(),
    ]
}
