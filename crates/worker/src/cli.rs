//! The command line of `builder-worker`. This module is for programs: it reads arguments and the environment, writes
//! to standard error, and handles signals.

use crate::error::Error;
use crate::processes::Orphans;
use crate::worker::{GRACE_DEFAULT, Settings, run};
use crate::{Remote, Stop, signals, supervisor, survey, trial};
use anyhow::Context;
use builder_model::{Platform, parse_duration};
use builder_sandbox::{Digest, Finding, Table, policy};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The exit status of every error, as the original's.
const STATUS_ERROR: u8 = 124;
/// The exit status of `check` when something is missing.
const STATUS_MISSING: u8 = 1;
/// Most jobs at the same time: as many users of the host as there are for them.
const JOBS_MAX: i64 = 256;

#[cfg(target_os = "freebsd")]
const CONFIG_FOLDER: &str = "/usr/local/etc/builder";
#[cfg(not(target_os = "freebsd"))]
const CONFIG_FOLDER: &str = "/etc/builder";

const AFTER_HELP: &str = "\
Examples:
  builder-worker debian-12 -r farm.example.org:1234
      one job; the service manager starts the next worker in a fresh sandbox
  builder-worker debian-12 --loop --jobs 4 --sandbox bubblewrap
      four jobs at a time, each in a sandbox of its own that is new for each
  builder-worker freebsd-14 -r [2001:db8::1]:1234 --loop --timeout 2h
      one job after the other, none longer than two hours
  builder-worker check
      what this host can do to keep jobs apart
  builder-worker check --sandbox bubblewrap
      what this host lacks for that, and what to do about it

A platform that is called like a command is named after two dashes:
builder-worker -- check.

A job runs in a folder of its own, builder-XXXXXX. What a worker leaves that is
killed (SIGKILL), the next one in the same --workdir removes.

Exit status:
  0    the job is done, whatever its own exit status, or the worker was asked
       to stop (SIGTERM, SIGINT); of check, that nothing is missing
  1    of check, that something is missing
  124  an error; its message is on standard error";

/// Runs one job for a builder server, and hands back what it made.
#[derive(Debug, Parser)]
#[command(name = "builder-worker", version, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    work: Work,
}

/// What a program can do that is to be a worker.
#[derive(Debug, Args)]
struct Work {
    /// What jobs are built for here, such as debian-12
    #[arg(value_name = "PLATFORM", required = true)]
    platform: Option<String>,
    /// The server
    #[arg(short, long, env = "BUILDER_REMOTE", value_name = "HOST:PORT", default_value = "127.0.0.1:1234")]
    remote: Remote,
    /// Go on with the next job after each one, and wait for a server that is away
    #[arg(long = "loop")]
    looping: bool,
    /// How many jobs to run at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=JOBS_MAX))]
    jobs: u32,
    /// End a job that runs longer than this, such as 90s, 30m or 2h; without it the policy decides, or the server
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long a job that has to end has between TERM and KILL [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    grace: Option<Duration>,
    #[command(flatten)]
    place: PlaceArguments,
    /// What names the content of the root file system that this worker itself runs in, such as the id of its image:
    /// recorded with the builds of jobs that see it, as `rootfs-digest`
    #[arg(long, value_name = "DIGEST")]
    rootfs_digest: Option<Digest>,
    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: tracing::level_filters::LevelFilter,
}

/// Where jobs run, and in what.
#[derive(Debug, Args)]
struct PlaceArguments {
    /// Where the folders of jobs are made [default: $TMPDIR or /tmp]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// The policy: what a job may see and use [default: builder-worker.toml in the configuration folder, where it
    /// exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What keeps a job apart: none, bubblewrap, container, nspawn or jail [default: as the policy says, or none]
    #[arg(long, value_name = "KIND")]
    sandbox: Option<String>,
    /// The root file system of jobs, a name or a path, as `root` of the policy
    #[arg(long, value_name = "ROOT")]
    root: Option<String>,
    /// Whether jobs have the network, as `network` of the policy
    #[arg(long, value_name = "on|off", value_parser = on_or_off, action = clap::ArgAction::Set)]
    network: Option<bool>,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether this host gives what the policy asks, and what to do about what is missing; where no sandbox is
    /// chosen, also which ones there could be
    Check {
        /// The platform whose policy is meant, where the file has some
        #[arg(long, value_name = "PLATFORM")]
        platform: Option<String>,
        #[command(flatten)]
        place: PlaceArguments,
        /// How to say it
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Write completions for a shell to standard output
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        dir: PathBuf,
    },
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table for people.
    Text,
    /// One JSON document.
    Json,
}

fn on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off"),
    }
}

impl PlaceArguments {
    fn workdir(&self) -> anyhow::Result<PathBuf> {
        let workdir = self.workdir.clone().unwrap_or_else(std::env::temp_dir);
        workdir.canonicalize().with_context(|| format!("cannot use --workdir {}", workdir.display()))
    }

    /// What the file says for a platform, and what these arguments say over it.
    fn table(&self, platform: Option<&Platform>) -> anyhow::Result<Table> {
        let path = self.config.clone().unwrap_or_else(|| Path::new(CONFIG_FOLDER).join(policy::FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Table::parse(&text).with_context(|| format!("in {}", path.display()))?,
            Err(error) if self.config.is_none() && error.kind() == io::ErrorKind::NotFound => Table::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let file = match platform {
            Some(platform) => file.for_platform(&platform.to_string()),
            None => file,
        };
        let (sandbox, root) = (self.sandbox.clone(), self.root.clone());
        let flags = Table { sandbox, root, network: self.network, ..Table::default() };
        Ok(flags.or(file))
    }
}

impl Work {
    /// What a worker is told by these arguments.
    ///
    /// # Errors
    ///
    /// A platform that is no name, a folder that is not there, a policy that makes no sense.
    fn settings(&self) -> anyhow::Result<Settings> {
        // Only a command does without it.
        let platform = self.platform.as_deref().unwrap_or_default().parse::<Platform>()?;
        let policy = self.place.table(Some(&platform))?.resolve()?;
        Ok(Settings {
            timeout: self.timeout.or(policy.limits.time),
            remote: self.remote.clone(),
            looping: self.looping,
            workdir: self.place.workdir()?,
            grace: self.grace.unwrap_or(GRACE_DEFAULT),
            policy,
            rootfs_digest: self.rootfs_digest.clone(),
            ..Settings::for_platform(platform)
        })
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
        Ok(Arguments { command: Some(command), .. }) => other(command),
        Ok(Arguments { command: None, work: arguments }) => work(&arguments).map(|()| ExitCode::SUCCESS),
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            Err(anyhow::Error::msg(text.trim_start_matches("error: ").trim_end().to_owned()))
        }
        // Help and version.
        Err(error) => error.print().map(|()| ExitCode::SUCCESS).map_err(anyhow::Error::from),
    };
    result.unwrap_or_else(|error| {
        match writeln!(io::stderr(), "builder-worker: {error:#}") {
            // Without a standard error, the status is all that is left to tell.
            Ok(()) | Err(_) => ExitCode::from(STATUS_ERROR),
        }
    })
}

fn other(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { platform, place, format } => {
            let platform = platform.map(|platform| platform.parse::<Platform>()).transpose()?;
            let table = place.table(platform.as_ref())?;
            let is_chosen = table.sandbox.is_some();
            let policy = table.resolve()?;
            let platform = platform.map_or_else(|| "check".parse(), Ok)?;
            let settings = Settings { policy, workdir: place.workdir()?, ..Settings::for_platform(platform) };
            let findings = trial::findings(&settings);
            let survey = (!is_chosen).then(|| survey::findings(&settings));
            let text = trial::text(&findings, survey.as_deref(), settings.policy.kind, format);
            io::stdout().write_all(text.as_bytes())?;
            let is_fulfilled = findings.iter().all(Finding::is_fulfilled);
            Ok(ExitCode::from(if is_fulfilled { 0 } else { STATUS_MISSING }))
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut self::command(), "builder-worker", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { dir } => {
            clap_mangen::generate_to(self::command(), &dir)
                .with_context(|| format!("cannot write into {}", dir.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn work(arguments: &Work) -> anyhow::Result<()> {
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
    let failed = |error: Error| anyhow::Error::msg(error.to_string());
    trial::refuse_what_fails(&settings).map_err(failed)?;
    run_all(&settings, arguments.jobs, &stop).map_err(failed)
}

/// Runs as many workers at the same time, and waits for all of them; gives the first error.
fn run_all(settings: &Settings, jobs: u32, stop: &Stop) -> Result<(), Error> {
    let of_slot = |slot| Settings { slot, ..settings.clone() };
    if jobs == 1 {
        return run(&of_slot(0), stop).map(drop);
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|slot| {
                let settings = of_slot(slot);
                let worker = std::thread::Builder::new().name(format!("worker {slot}"));
                worker.spawn_scoped(scope, move || run(&settings, stop).map(drop)).map_err(|source| {
                    // Those that have been started are not waited for in vain.
                    stop.stop();
                    Error::System { act: "start a worker", source }
                })
            })
            .collect();
        let ends = workers.into_iter().map(|worker| match worker?.join() {
            Ok(end) => end,
            Err(panic) => {
                stop.stop();
                std::panic::resume_unwind(panic)
            }
        });
        // Every one is waited for, whatever the others came to.
        let ends: Vec<_> = ends.collect();
        ends.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
