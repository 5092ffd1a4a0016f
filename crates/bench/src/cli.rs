//! The command line.

use crate::bench::Bench;
use crate::cases::{console, dispatch, growth, idle, ingest, noop, robust, start, throughput};
use crate::report::{Format, Report};
use crate::{floor, machine, plot, suite, web};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  builder-bench throughput --remote 127.0.0.1:1234 --pid $(pidof builder-server)
  builder-bench console --lines 10000000 --observers 0 --pid PID
  builder-bench ingest --megabytes 4000 --files 1 --dir /var/tmp --pid PID --out results.jsonl
  builder-bench suite --server-program target/release/builder-server --worker-program target/release/builder-worker
  builder-bench web --web-program target/release/builder-web --dir /var/tmp

A case works on platforms of its own and takes its jobs off the schedule at the end; what it built stays in the
server's data folder. Measure a server that is there for that.

Exit status: 0 measured · 1 could not go on · 2 wrong usage";

/// Measures a builder server over its protocol.
#[derive(Debug, Parser)]
#[command(name = "builder-bench", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    case: Case,
}

#[derive(Debug, Args)]
struct Common {
    /// The server
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = "127.0.0.1:1234")]
    remote: String,
    /// The server's process, to read its memory and processor time
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Append results to this file as JSON lines, too
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A word that goes into each result
    #[arg(long, global = true, default_value = "")]
    label: String,
    /// Cut a phase of a case off after so many seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 240)]
    max_seconds: u64,
    /// A folder on the server's disk, for what a plain program does with the same bytes
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How results are shown [default: text on a terminal, json otherwise]
    #[arg(long, global = true)]
    format: Option<Format>,
}

#[derive(Debug, Subcommand)]
enum Case {
    /// Trivial jobs a second, with few and many workers
    #[command(visible_alias = "a")]
    Throughput(throughput::Options),
    /// From `execute` to a waiting worker
    #[command(visible_alias = "b")]
    Dispatch(dispatch::Options),
    /// What a job costs when the schedule has grown
    #[command(visible_alias = "c")]
    Growth(growth::Options),
    /// Lines of a console, to the disk and to observers who check each of them
    #[command(visible_alias = "d")]
    Console(console::Options),
    /// A large artifact, beside a plain copy of the same bytes
    #[command(visible_alias = "e")]
    Ingest(ingest::Options),
    /// Workers that wait
    #[command(visible_alias = "f")]
    Idle(idle::Options),
    /// A job that does nothing on a real worker, until its record is on disk
    #[command(visible_alias = "g")]
    Noop(noop::Options),
    /// The start of a server with a long history
    #[command(visible_alias = "h")]
    Start(start::Options),
    /// Whether others are served while some misbehave
    #[command(visible_alias = "i")]
    Robust(robust::Options),
    /// What the machine does without a server
    Floor(floor::Options),
    /// Every case, against servers that it starts, and how that compares with the goals
    Suite(suite::Options),
    /// The repository: every case against a builder-web on a large data folder, and how that compares with the goals
    Web(web::Options),
    /// Write a repository's data folder of a given size, as `web` does
    Folder(web::FolderOptions),
    /// Draw results as SVG
    Plot(plot::Options),
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("builder-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    if let Case::Plot(options) = &cli.case {
        return plot::run(options);
    }
    let common = cli.common;
    machine::raise_descriptor_limit().context("raise the limit on descriptors")?;
    let format = if std::io::stdout().is_terminal() { Format::Text } else { Format::Json };
    let mut bench = Bench {
        address: resolve(&common.remote)?,
        pid: common.pid,
        phase_max: Duration::from_secs(common.max_seconds),
        folder: common.dir,
        report: Report::new(common.label, common.format.unwrap_or(format), common.out.as_deref())?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let measured = runtime.block_on(measure(&mut bench, &cli.case));
    // What was measured before an error is shown all the same.
    bench.report.end_case()?;
    measured
}

async fn measure(bench: &mut Bench, case: &Case) -> Result<()> {
    match case {
        Case::Throughput(options) => throughput::run(bench, options).await,
        Case::Dispatch(options) => dispatch::run(bench, options).await,
        Case::Growth(options) => growth::run(bench, options).await,
        Case::Console(options) => console::run(bench, options).await,
        Case::Ingest(options) => ingest::run(bench, options).await,
        Case::Idle(options) => idle::run(bench, options).await,
        Case::Noop(options) => noop::run(bench, options).await,
        Case::Start(options) => start::run(bench, options).await,
        Case::Robust(options) => robust::run(bench, options).await,
        Case::Floor(options) => floor::run(bench, options).await,
        Case::Suite(options) => suite::run(bench, options).await,
        Case::Web(options) => web::run(bench, options).await,
        Case::Folder(options) => web::folder(bench, options),
        Case::Plot(options) => plot::run(options),
    }
}

fn resolve(remote: &str) -> Result<SocketAddr> {
    let mut addresses = remote.to_socket_addrs().with_context(|| format!("{remote:?} is not HOST:PORT"))?;
    addresses.next().with_context(|| format!("{remote} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["builder-bench", "a", "--workers", "1,2", "--remote", "[::1]:5"]).unwrap();
        assert!(matches!(cli.case, Case::Throughput(options) if options.workers == [1, 2]));
        assert_eq!(resolve("[::1]:5").unwrap(), "[::1]:5".parse().unwrap());
        assert!(resolve("nonsense").is_err());
    }
}
