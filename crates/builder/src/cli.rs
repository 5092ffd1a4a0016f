//! The command line of builder.

use crate::{demo, rootfs, up};
use anyhow::Context;
use builder_model::Platform;
use clap::{CommandFactory, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  builder demo                      build an example package twice, before your eyes
  builder demo --once               the same, and end with its outcome
  builder up                        a farm for this machine, that remembers
  builder up --workers 2 --platform debian-12 --listen 0.0.0.0:1234
  builder rootfs create debian-12 --debian bookworm --package build-essential

Exit status: 0 as it should be · 1 something failed, or the demo's builds differ · 2 wrong usage · 130 the demo was
interrupted";

/// The whole build farm in one process: server, workers and repository.
#[derive(Debug, Parser)]
#[command(name = "builder", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the farm at work: build a small C program twice, and compare what came out
    Demo(Demo),
    /// Run server, workers and repository on a data folder until asked to stop
    Up(Up),
    /// Make and keep root file systems, which jobs see instead of the host's
    Rootfs(rootfs::Rootfs),
    /// Write a completion script for a shell to standard output
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// Which folder
        dir: PathBuf,
    },
}

/// What the demo is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// End with the outcome, instead of staying up to be looked at
    #[arg(long)]
    pub(crate) once: bool,
}

/// What `builder up` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// The data folder; made when it is not there [default: builder in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The configuration folder, with the templates; made when it is not there [default: builder-server.config in
    /// the data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,
    /// Where clients and other workers may connect
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:1234")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Where to serve /metrics and /healthz [default: nowhere]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) metrics: Vec<SocketAddr>,
    /// What the workers build for [default: this system, such as debian-12]
    #[arg(long)]
    pub(crate) platform: Option<Platform>,
    /// How many workers
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=256))]
    pub(crate) workers: u16,
    /// Where the repository shows finished builds in the browser
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3000", conflicts_with = "upload")]
    pub(crate) web: SocketAddr,
    /// Start no repository: records stay on disk
    #[arg(long, conflicts_with_all = ["web", "upload"])]
    pub(crate) no_web: bool,
    /// Send finished builds to another repository: https://user:password@host/upload
    #[arg(long, value_name = "URL")]
    pub(crate) upload: Option<String>,
}

#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(flags) => demo::run(&flags),
        Command::Up(flags) => up::run(flags),
        Command::Rootfs(flags) => rootfs::run(flags),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "builder", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { dir } => man(&dir),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let text = format!("builder: {}", builder_daemon::last_words(&error));
            eprint!("{}", builder_daemon::for_standard_error(&text));
            ExitCode::FAILURE
        }
    }
}

/// A page for the program, and one for each of its commands.
fn man(dir: &Path) -> anyhow::Result<ExitCode> {
    clap_mangen::generate_to(Cli::command(), dir).with_context(|| format!("cannot write into {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
