//! The command line of builder-web.

use crate::app::App;
use crate::config::Config;
use crate::error::WebError;
use crate::mirror::{self, Options, Report, Step};
use crate::settings::Settings;
use crate::start::{Repository, StartError};
use anyhow::Context;
use builder_daemon::{Colours, Ipv6, StopSignals};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  builder-db migrate --datadir /var/lib/builder-web      make an empty repository
  builder-web --datadir /var/lib/builder-web --configdir /etc/builder-web
  builder-web --host :: --port 8080
  builder-web mirror https://builds.robur.coop --datadir /var/lib/builder-web --job hello

Configuration: CONFIGDIR/builder-web.toml may hold
  host = \"::\"                    port = 8080
  expired-jobs = 30              upload-bytes-max = 21474836480
  hook-seconds-max = 600         how long one run of a hook may take
  trusted-proxies = [\"127.0.0.1\"]  whose X-Forwarded-For is believed
  [site]                         name, introduction (Markdown), logo (a file), url
  [retention]                    keep-last, keep-days: what `builder-db gc` keeps
  [[webhook]]                    url, secret, events, jobs
What the command line says wins.

Exit status: 0 stopped when asked to · 1 cannot start or go on · 2 wrong usage, or a database of another version";

/// The port of the original.
const PORT: u16 = 3000;

#[cfg(target_os = "freebsd")]
const FOLDERS: (&str, &str) = ("/var/db/builder-web", "/usr/local/etc/builder-web");
#[cfg(not(target_os = "freebsd"))]
const FOLDERS: (&str, &str) = ("/var/lib/builder-web", "/etc/builder-web");

/// Receives finished builds, shows and compares them, and serves what they made.
#[derive(Debug, Parser)]
#[command(name = "builder-web", version, after_help = AFTER_HELP, disable_help_flag = true, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The address to listen at [default: 127.0.0.1]
    #[arg(short = 'h', long, value_name = "ADDR")]
    host: Option<IpAddr>,
    /// The port to listen at [default: 3000]
    #[arg(short, long, value_name = "N")]
    port: Option<u16>,
    /// The data folder; it must exist [default: /var/lib/builder-web, on FreeBSD /var/db/builder-web]
    #[arg(short, long, value_name = "DIR", env = "BUILDER_WEB_DATADIR")]
    datadir: Option<PathBuf>,
    /// The configuration folder; it must exist [default: /etc/builder-web, on FreeBSD /usr/local/etc/builder-web]
    #[arg(short, long, value_name = "DIR")]
    configdir: Option<PathBuf>,
    /// The front page hides a platform of a job whose newest good build ended more days ago; 0 is never [default: 30]
    #[arg(long, value_name = "DAYS")]
    expired_jobs: Option<u32>,
    /// What to log: error, warn, info, debug or trace, or a filter such as builder_web=debug [default: info]
    #[arg(short, long, value_name = "LEVEL", env = "LOGGING_LEVELS")]
    logging_levels: Option<String>,
    /// When to colour the log: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
    /// Print help
    #[arg(long, global = true, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copy builds from another instance, the original's or ours
    ///
    /// Builds that are here already are not fetched again: run it as often as you like, also beside a running server. Run
    /// it as the user that runs builder-web, so that the files stay that user's.
    Mirror(MirrorArguments),
    /// Write a completion script for a shell to standard output
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page into a folder
    #[command(hide = true)]
    Man {
        /// Which folder
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct MirrorArguments {
    /// The address of the other instance, such as https://builds.robur.coop
    url: String,
    /// The data folder; it must exist and have a database [default: /var/lib/builder-web, on FreeBSD
    /// /var/db/builder-web]
    #[arg(short, long, value_name = "DIR", env = "BUILDER_WEB_DATADIR")]
    datadir: Option<PathBuf>,
    /// The configuration folder, with the hooks that run for what is copied, and builder-web.toml, whose
    /// upload-bytes-max holds here, too [default: /etc/builder-web, on FreeBSD /usr/local/etc/builder-web]
    #[arg(short, long, value_name = "DIR")]
    configdir: Option<PathBuf>,
    /// Only builds of this job; may be given several times
    #[arg(long = "job", value_name = "JOB")]
    jobs: Vec<String>,
    /// Only builds on this platform
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Print help
    // Of all commands: `-h` is `--host` only where a server is started.
    #[arg(short, long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Runs builder-web with these arguments, the first of which is the program's name.
#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here, too; where the terminal is gone there is nobody to tell.
            let _gone: std::io::Result<()> = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let last = format!("builder-web: {}", builder_daemon::last_words(&error));
            eprint!("{}", builder_daemon::for_standard_error(&last));
            if is_of_another_version(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Whether the database is one of another version, of the original's tables or of our own.
fn is_of_another_version(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let own = match cause.downcast_ref::<StartError>() {
            Some(StartError::Own(own)) => Some(own),
            Some(StartError::Listen(_)) | None => cause.downcast_ref::<WebError>(),
        };
        matches!(own, Some(WebError::DatabaseVersion { .. } | WebError::OwnVersion { .. }))
    })
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "builder-web", &mut script);
            print(&script)
        }
        Some(Command::Man { dir }) => clap_mangen::generate_to(Cli::command(), &dir)
            .with_context(|| format!("cannot write manual pages to {}", dir.display())),
        Some(Command::Mirror(arguments)) => {
            builder_daemon::start_logging(cli.logging_levels.as_deref(), "info", colours(cli.color));
            mirror(arguments)
        }
        None => serve(cli),
    }
}

/// Writes to standard output. A reader that has seen enough, as in `builder-web mirror … | head`, is no failure.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write the output"),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn colours(choice: clap::ColorChoice) -> Colours {
    match choice {
        clap::ColorChoice::Auto => Colours::Auto,
        clap::ColorChoice::Always => Colours::Always,
        clap::ColorChoice::Never => Colours::Never,
    }
}

fn mirror(arguments: MirrorArguments) -> anyhow::Result<()> {
    let datadir = arguments.datadir.unwrap_or_else(|| FOLDERS.0.into());
    let configdir = arguments.configdir.unwrap_or_else(|| FOLDERS.1.into());
    let config = Config::read(&configdir)?;
    let mut settings = Settings::new(datadir, configdir);
    config.apply(&mut settings);
    // What was news at the source is none here, and a first run brings years of it.
    settings.webhooks.clear();
    let app = App::open(settings)?;
    let options = Options { url: arguments.url, jobs: arguments.jobs, platform: arguments.platform };
    // Shown only where there is a terminal.
    let bar = indicatif::ProgressBar::new(0);
    let style = "{msg} {pos} of {len} builds {wide_bar} {elapsed}";
    bar.set_style(indicatif::ProgressStyle::with_template(style)?);
    let report = mirror::mirror(&app, &options, &mut |step| match step {
        Step::Job(job, builds) => {
            bar.inc_length(builds);
            bar.set_message(builder_model::Shown(job.as_bytes()).to_string());
        }
        Step::Received(_) => bar.tick(),
        Step::Done => bar.inc(1),
    });
    bar.finish_and_clear();
    let Report { copied, bytes, known, other, gone, failed, failed_jobs } = report?;
    let some = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    let (others, gone) = (some(other, "are of other jobs or platforms"), some(gone, "are gone from the source"));
    let text =
        format!("copied {copied} builds ({bytes} bytes), {known} were here already{others}{gone}, {failed} failed\n");
    print(text.as_bytes())?;
    anyhow::ensure!(failed == 0, "{failed} builds were not copied\nhint: the log says why; run it again");
    anyhow::ensure!(failed_jobs == 0, "{failed_jobs} jobs could not be listed\nhint: the log says why; run it again");
    Ok(())
}

fn serve(cli: Cli) -> anyhow::Result<()> {
    builder_daemon::start_logging(cli.logging_levels.as_deref(), "info", colours(cli.color));
    builder_daemon::raise_descriptor_limit();
    let configdir = cli.configdir.unwrap_or_else(|| FOLDERS.1.into());
    anyhow::ensure!(
        configdir.is_dir(),
        "the configuration folder {} does not exist\nhint: create it, it may be empty, or name another one with --configdir",
        configdir.display()
    );
    let config = Config::read(&configdir)?;
    let mut settings = Settings::new(cli.datadir.unwrap_or_else(|| FOLDERS.0.into()), configdir);
    config.apply(&mut settings);
    settings.expired_days = cli.expired_jobs.unwrap_or(settings.expired_days);
    let ip = cli.host.or(config.host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = SocketAddr::new(ip, cli.port.or(config.port).unwrap_or(PORT));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let mut signals = StopSignals::handle()?;
        let listeners = builder_daemon::passed_or_listen_at(&[address], Ipv6::AndIpv4)?;
        let repository = Repository::start(settings, listeners).await?;
        for address in repository.addresses() {
            tracing::info!("serving at http://{address}/");
        }
        builder_daemon::tell_ready();
        signals.come().await;
        tracing::info!("stopping");
        builder_daemon::tell_stopping();
        repository.stop().await;
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help() {
        let lines = ["--help", "mirror --help", "mirror -h", "help", "help mirror", "completions --help", "man --help"];
        for line in lines {
            let error = Cli::try_parse_from(format!("builder-web {line}").split(' ')).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{line}: {error}");
            assert_eq!(error.to_string().contains("--platform"), line.contains("mirror"), "{line}");
        }
    }

    #[test]
    fn the_flags_are_those_of_the_original() {
        Cli::command().debug_assert();
        let line = "builder-web -h 0.0.0.0 -p 8080 -d /d -c /c --expired-jobs 0 -l debug --color never";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!((cli.host, cli.port), (Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), Some(8080)));
        assert_eq!((cli.expired_jobs, cli.datadir), (Some(0), Some("/d".into())));
        assert!(Cli::try_parse_from(["builder-web", "--cachedir", "/x"]).is_err());
    }
}
