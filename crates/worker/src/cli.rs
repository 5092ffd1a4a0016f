//! The command line of `builder-worker`. This module is for programs: it reads arguments and the environment, writes
//! to standard error, and handles signals.

use crate::processes::Orphans;
use crate::signals;
use crate::worker::{GRACE_DEFAULT, Settings, run};
use crate::{Policy, Remote, supervisor};
use anyhow::Context;
use builder_model::{Platform, parse_duration};
use builder_sandbox::{Table, policy};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The exit status of every error, as the original's.
const STATUS_ERROR: u8 = 124;

#[cfg(target_os = "freebsd")]
const CONFIG_FOLDER: &str = "/usr/local/etc/builder";
#[cfg(not(target_os = "freebsd"))]
const CONFIG_FOLDER: &str = "/etc/builder";

const AFTER_HELP: &str = "\
Examples:
  builder-worker debian-12 -r farm.example.org:1234
      one job; the service manager starts the next worker in a fresh sandbox
  builder-worker freebsd-14 -r [2001:db8::1]:1234 --loop --timeout 2h
      one job after the other, none longer than two hours

A job runs in a folder of its own, builder-XXXXXX. A worker that is killed (SIGKILL)
leaves the folder behind, though no process of the job; remove it by hand.

Exit status:
  0    the job is done, whatever its own exit status, or the worker was asked
       to stop (SIGTERM, SIGINT)
  124  an error; its message is on standard error";

/// Runs one job for a builder server, and hands back what it made.
#[derive(Debug, Parser)]
#[command(name = "builder-worker", version, after_help = AFTER_HELP)]
pub struct Arguments {
    /// What jobs are built for here, such as debian-12
    #[arg(value_name = "PLATFORM")]
    platform: String,
    /// The server
    #[arg(short, long, env = "BUILDER_REMOTE", value_name = "HOST:PORT", default_value = "127.0.0.1:1234")]
    remote: Remote,
    /// Go on with the next job after each one, and wait for a server that is away
    #[arg(long = "loop")]
    looping: bool,
    /// End a job that runs longer than this, such as 90s, 30m or 2h; without it the server decides
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Where the folders of jobs are made [default: $TMPDIR or /tmp]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// How long a job that has to end has between TERM and KILL [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
    /// What keeps a job apart: none, bubblewrap, container, nspawn or jail [default: as the policy says, or none]
    #[arg(long, value_name = "KIND")]
    sandbox: Option<String>,
    /// The policy: what a job may see and use [default: builder-worker.toml in /etc/builder, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: tracing::level_filters::LevelFilter,
}

impl Arguments {
    /// What a worker is told by these arguments.
    ///
    /// # Errors
    ///
    /// A platform that is no name, a folder that is not there.
    fn settings(&self) -> anyhow::Result<Settings> {
        let workdir = self.workdir.clone().unwrap_or_else(std::env::temp_dir);
        let workdir = workdir.canonicalize().with_context(|| format!("cannot use --workdir {}", workdir.display()))?;
        let platform = self.platform.parse::<Platform>()?;
        let policy = self.policy(&platform)?;
        Ok(Settings {
            timeout: self.timeout.or(policy.limits.time),
            platform,
            remote: self.remote.clone(),
            looping: self.looping,
            workdir,
            grace: self.grace.unwrap_or(GRACE_DEFAULT),
            policy,
            slot: 0,
            supervisor_program: None,
            orphans: None,
        })
    }
}

impl Arguments {
    /// What the file says, and what these arguments say over it.
    fn policy(&self, platform: &Platform) -> anyhow::Result<Policy> {
        let path = self.config.clone().unwrap_or_else(|| Path::new(CONFIG_FOLDER).join(policy::FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Table::parse(&text).with_context(|| format!("in {}", path.display()))?,
            Err(error) if self.config.is_none() && error.kind() == io::ErrorKind::NotFound => Table::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let flags = Table { sandbox: self.sandbox.clone(), ..Table::default() };
        let table = flags.or(file.for_platform(&platform.to_string()));
        table.resolve().with_context(|| format!("in {}", path.display()))
    }
}

/// The definition of the command line, from which help, manual page and completions are made.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The whole program.
pub fn main() -> ExitCode {
    supervisor::run_if_asked();
    let parsed = command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let result = match parsed {
        Ok(arguments) => work(&arguments),
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            Err(anyhow::Error::msg(text.trim_start_matches("error: ").trim_end().to_owned()))
        }
        // Help and version.
        Err(error) => error.print().map_err(anyhow::Error::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match writeln!(io::stderr(), "builder-worker: {error:#}") {
                // Without a standard error, the status is all that is left to tell.
                Ok(()) | Err(_) => ExitCode::from(STATUS_ERROR),
            }
        }
    }
}

fn work(arguments: &Arguments) -> anyhow::Result<()> {
    let mut settings = arguments.settings()?;
    tracing_subscriber::fmt()
        .with_max_level(arguments.log_level)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
    let stop = signals::stop_on_signals().context("cannot handle signals")?;
    settings.orphans = Some(Orphans::adopt().context("cannot adopt the orphans of jobs")?);
    // These errors say all there is to say; with their sources behind them they would say it twice.
    run(&settings, &stop).map(drop).map_err(|error| anyhow::Error::msg(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
