//! The command line and the configuration file of builder-server: the same flags in both.

use crate::settings::{KEEP_UPLOADED, Settings};
use crate::start::Server;
use crate::templates;
use anyhow::{Context, bail};
use builder_daemon::{Colours, Ipv6, StopSignals};
use builder_model::{limits, parse_duration};
use builder_store::backup::BackedUp;
use builder_store::check::Checked;
use builder_store::database::Store;
use builder_store::{Folder, StoreError, state_file};
use clap::{Args, CommandFactory, Parser, Subcommand};
use serde::Deserialize;
use std::collections::HashMap;
use std::ffi::OsString;
use std::hash::Hash;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  builder-server --dir /var/lib/builder --config-dir /etc/builder
  builder-server --listen 0.0.0.0:1234 --listen '[::]:1234' --metrics 127.0.0.1:9090
  builder-server --upload https://user:password@builds.example.org/upload
  builder-server export-state --dir /var/lib/builder state
  builder-server check --dir /backup/builder

Configuration: CONFIG_DIR/builder-server.toml may hold every flag as a key, such as
  listen = [\"0.0.0.0:1234\"]
  timeout = \"2h\"
What the command line says wins.

Exit status: 0 stopped when asked to · 1 cannot start or go on · 2 wrong usage";

/// The port of the original.
const PORT: u16 = 1234;

#[cfg(target_os = "freebsd")]
const FOLDERS: (&str, &str) = ("/var/db/builder", "/usr/local/etc/builder");
#[cfg(not(target_os = "freebsd"))]
const FOLDERS: (&str, &str) = ("/var/lib/builder", "/etc/builder");

/// Keeps a schedule of builds, and hands them to the workers that connect.
#[derive(Debug, Parser)]
#[command(name = "builder-server", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
    /// The configuration file [default: CONFIG_DIR/builder-server.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where a data folder is that a command works on.
#[derive(Debug, clap::Args)]
struct Place {
    /// The data folder [default: as for the server]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The configuration folder, whose file may name the data folder [default: as for the server]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// The configuration file [default: CONFIG_DIR/builder-server.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The data folder that is named, or else that of the configuration file, or else the server's.
    fn data_folder(&self) -> anyhow::Result<PathBuf> {
        let dir = match &self.dir {
            Some(dir) => Some(dir.clone()),
            None => config_file(self.config.clone(), self.config_dir.as_deref())?.dir,
        };
        Ok(dir.unwrap_or_else(|| FOLDERS.0.into()))
    }

    /// The folder that has the templates.
    fn template_folder(&self) -> anyhow::Result<PathBuf> {
        let dir = match &self.config_dir {
            Some(dir) => Some(dir.clone()),
            None => config_file(self.config.clone(), None)?.config_dir,
        };
        Ok(dir.unwrap_or_else(|| FOLDERS.1.into()))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the state as the original's state file, so that one can go back to it
    #[command(mut_arg("config_dir", |arg| arg.help(
        "The configuration folder, which has the templates, and whose file may name the data folder [default: as for \
         the server]"
    )))]
    ExportState {
        #[command(flatten)]
        place: Place,
        /// Where to write it; it must not exist yet. `-` is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Look for what is wrong in a data folder, or in a backup of one: the database, every record, what waits to be
    /// uploaded. A server may use the folder meanwhile. The exit status is 1 if something is found
    #[command(mut_arg("dir", |arg| arg.help("The data folder, or the backup [default: as for the server]")))]
    Check {
        #[command(flatten)]
        place: Place,
    },
    /// Copy the data folder as it is at one moment, beside a running server. A backup that is there already is brought up
    /// to date: only what is new is copied, and what is gone goes. On one file system, records get a second name and are
    /// not copied. The exit status is 1 if a record is missing or cut off; one that an earlier backup brought stays
    Backup {
        #[command(flatten)]
        place: Place,
        /// Where to: a new or empty folder, or an older backup
        backup: PathBuf,
    },
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

/// Everything that can be set, on the command line or in the file.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Flags {
    /// An address to listen at, with its port; may be given several times
    #[arg(long, value_name = "IP:PORT")]
    listen: Vec<SocketAddr>,
    /// The address to listen at, as the original has it; may be given several times [default: 127.0.0.1]
    #[arg(long, value_name = "IP", conflicts_with = "listen")]
    ip: Vec<IpAddr>,
    /// The port to listen at, for --ip [default: 1234]
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    port: Option<u16>,
    /// The data folder; it must exist [default: /var/lib/builder, on FreeBSD /var/db/builder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The configuration folder, with the templates; it must exist [default: /etc/builder, on FreeBSD
    /// /usr/local/etc/builder]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// Where to send finished builds: https://user:password@host/upload
    #[arg(long, value_name = "URL")]
    upload: Option<String>,
    /// How long a record is kept once it is uploaded [default: 7d]
    #[arg(long, value_name = "DURATION")]
    keep_uploaded: Option<Span>,
    /// How long a build may take [default: 1h]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Span>,
    /// How long a build of one platform may take, as PLATFORM=DURATION; may be given several times
    #[arg(long, value_name = "PLATFORM=DURATION")]
    platform_timeout: Vec<String>,
    /// How long a build of one job may take, as JOB=DURATION; may be given several times
    #[arg(long, value_name = "JOB=DURATION")]
    job_timeout: Vec<String>,
    /// How often a build whose worker was lost, or that ran over its time, is tried again [default: 1]
    #[arg(long, value_name = "COUNT")]
    retries: Option<u32>,
    /// Most bytes of all artifacts of a build together, such as 500M or 16G [default: 16G]
    #[arg(long, value_name = "SIZE")]
    max_artifacts: Option<Size>,
    /// Most bytes of the console of a build [default: 4G]
    #[arg(long, value_name = "SIZE")]
    max_console: Option<Size>,
    /// Where to serve /metrics and /healthz; may be given several times [default: nowhere]
    #[arg(long, value_name = "IP:PORT")]
    metrics: Vec<SocketAddr>,
    /// What to log: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Flags {
    /// These flags, and those of `other` where nothing is given here.
    fn or(self, other: Self) -> Self {
        fn list<T>(own: Vec<T>, other: Vec<T>) -> Vec<T> {
            if own.is_empty() { other } else { own }
        }
        let addresses_given = !self.ip.is_empty() || !self.listen.is_empty();
        let ip = if addresses_given { self.ip } else { other.ip };
        // A port alone is for the `ip` of the file, and has no say over its `listen`.
        let listen = if addresses_given || self.port.is_some() { self.listen } else { other.listen };
        Self {
            listen,
            ip,
            port: self.port.or(other.port),
            dir: self.dir.or(other.dir),
            config_dir: self.config_dir.or(other.config_dir),
            upload: self.upload.or(other.upload),
            keep_uploaded: self.keep_uploaded.or(other.keep_uploaded),
            timeout: self.timeout.or(other.timeout),
            platform_timeout: list(self.platform_timeout, other.platform_timeout),
            job_timeout: list(self.job_timeout, other.job_timeout),
            retries: self.retries.or(other.retries),
            max_artifacts: self.max_artifacts.or(other.max_artifacts),
            max_console: self.max_console.or(other.max_console),
            metrics: list(self.metrics, other.metrics),
            log_level: self.log_level.or(other.log_level),
        }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        if !self.listen.is_empty() {
            return self.listen.clone();
        }
        let port = self.port.unwrap_or(PORT);
        let ips = if self.ip.is_empty() { vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] } else { self.ip.clone() };
        ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let mut settings = Settings::new(
            self.dir.unwrap_or_else(|| FOLDERS.0.into()),
            self.config_dir.unwrap_or_else(|| FOLDERS.1.into()),
        );
        settings.upload = self.upload;
        settings.keep_uploaded = self.keep_uploaded.map_or(KEEP_UPLOADED, |span| span.0);
        settings.timeout = self.timeout.map_or(Duration::from_secs(limits::BUILD_SECONDS_MAX), |span| span.0);
        settings.platform_timeouts = pairs(&self.platform_timeout).context("--platform-timeout")?;
        settings.job_timeouts = pairs(&self.job_timeout).context("--job-timeout")?;
        settings.retries = self.retries.unwrap_or(limits::RETRIES_MAX);
        settings.artifact_bytes_max = self.max_artifacts.map_or(limits::ARTIFACT_BYTES_MAX, |size| size.0);
        settings.console_bytes_max = self.max_console.map_or(limits::CONSOLE_BYTES_MAX, |size| size.0);
        Ok(settings)
    }
}

fn pairs<K>(texts: &[String]) -> anyhow::Result<HashMap<K, Duration>>
where
    K: FromStr<Err: std::error::Error + Send + Sync + 'static> + Eq + Hash,
{
    texts
        .iter()
        .map(|text| {
            let (name, span) = text.split_once('=').with_context(|| format!("{text:?} is not NAME=DURATION"))?;
            let span: Span = span.parse().map_err(anyhow::Error::msg)?;
            Ok((name.parse()?, span.0))
        })
        .collect()
}

/// A duration such as `90s`, `30m`, `2h` or `7d`; a bare number is seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Text")]
struct Span(Duration);

/// A number of bytes such as `500M` or `16G`, in powers of 1024.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Text")]
struct Size(u64);

/// A value of the file: a string, or a bare number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Number(u64),
    String(String),
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = if unit.is_empty() { 1 } else { units.iter().find(|(name, _)| *name == unit)?.1 };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = if is_bare { parse_duration(&format!("{text}s")) } else { parse_duration(text) };
        let positive = parsed.ok().filter(|span| !span.is_zero());
        positive.map(Self).ok_or_else(|| format!("{text:?} is not a duration such as 90s, 30m, 2h or 7d"))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        scaled(text, &[("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)])
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a size such as 500M or 16G"))
    }
}

impl TryFrom<Text> for Span {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        text.to_string().parse()
    }
}

impl TryFrom<Text> for Size {
    type Error = String;

    fn try_from(text: Text) -> Result<Self, String> {
        text.to_string().parse()
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::String(text) => f.write_str(text),
        }
    }
}

/// Runs builder-server with these arguments, the first of which is the program's name.
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
            let text = format!("builder-server: {}", builder_daemon::last_words(&error));
            eprint!("{}", builder_daemon::for_standard_error(&text));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Some(Command::ExportState { place, file }) => {
            export_state(&place.data_folder()?, &place.template_folder()?, &file)
        }
        Some(Command::Check { place }) => check(&place.data_folder()?),
        Some(Command::Backup { place, backup: to }) => backup(&place.data_folder()?, &to),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "builder-server", &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Man { dir }) => Ok(clap_mangen::generate_to(Cli::command(), dir)?),
        None => {
            let file = config_file(cli.config, cli.flags.config_dir.as_deref())?;
            serve(cli.flags.or(file))
        }
    }
}

fn config_file(path: Option<PathBuf>, config_dir: Option<&Path>) -> anyhow::Result<Flags> {
    let named = path.is_some();
    let path = path.unwrap_or_else(|| config_dir.unwrap_or(Path::new(FOLDERS.1)).join("builder-server.toml"));
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let flags: Flags = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
            if !flags.listen.is_empty() && (!flags.ip.is_empty() || flags.port.is_some()) {
                bail!(
                    "in {}: `listen` has addresses with their ports; `ip` and `port` cannot stand beside it",
                    path.display()
                );
            }
            Ok(flags)
        }
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => Ok(Flags::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Refuses a folder that is not there, or in which no server ever ran.
fn must_be_data_folder(dir: &Path) -> anyhow::Result<()> {
    if !dir.is_dir() {
        return Err(StoreError::Missing { what: "the data folder", path: dir.to_owned() }.into());
    }
    // Where that cannot be told, opening it says why.
    if Folder::database_of(dir).try_exists().is_ok_and(|exists| !exists) {
        bail!("there is no database in {}\nhint: name the data folder of a server with --dir", dir.display());
    }
    Ok(())
}

fn check(dir: &Path) -> anyhow::Result<()> {
    must_be_data_folder(dir)?;
    let mut written = Ok(());
    let mut out = std::io::stdout();
    let checked = builder_store::check::check(dir, |fault| {
        if written.is_ok() {
            written = writeln!(out, "{fault}");
        }
    })?;
    written?;
    let Checked { builds, records, record_bytes, uploaded, waiting, unknown, faults } = checked;
    writeln!(out, "{builds} builds in the history; {records} records read, {record_bytes} bytes")?;
    if uploaded > 0 {
        writeln!(out, "{uploaded} records are not here any more, and the repository has them")?;
    }
    if unknown > 0 {
        writeln!(out, "{unknown} records of builds that the database does not know: the original's, or later than it")?;
    }
    writeln!(out, "{waiting} uploads wait")?;
    if faults > 0 {
        bail!("{faults} faults in {}\nhint: docs/operations.md tells how to restore a backup", dir.display());
    }
    Ok(writeln!(out, "nothing is wrong in {}", dir.display())?)
}

fn backup(dir: &Path, to: &Path) -> anyhow::Result<()> {
    must_be_data_folder(dir)?;
    let BackedUp { builds, files, copied_bytes, missing } = builder_store::backup::backup(dir, to)?;
    let mut out = std::io::stdout();
    for record in &missing {
        writeln!(out, "the record {} is missing, or cut off", record.display())?;
    }
    writeln!(out, "{} has {builds} builds and {files} files; copied {copied_bytes} bytes", to.display())?;
    if !missing.is_empty() {
        bail!(
            "{} records are missing in {}, or cut off\nhint: look for them in an older backup",
            missing.len(),
            dir.display()
        );
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "whoever runs it has to hear what is left out")]
fn export_state(dir: &Path, config_dir: &Path, file: &Path) -> anyhow::Result<()> {
    must_be_data_folder(dir)?;
    let (state, left_out) = templates::render_state(config_dir, &Store::open_to_read(dir)?.load()?);
    for what in left_out {
        eprintln!("builder-server: left out: {what}");
    }
    let bytes = state_file::write(&state);
    if file == Path::new("-") {
        return Ok(std::io::stdout().write_all(&bytes)?);
    }
    let mut to = std::fs::File::create_new(file).with_context(|| format!("cannot create {}", file.display()))?;
    to.write_all(&bytes).and_then(|()| to.sync_all()).with_context(|| format!("cannot write {}", file.display()))
}

fn serve(flags: Flags) -> anyhow::Result<()> {
    let level = match flags.log_level.as_deref() {
        Some(other) if !["error", "warn", "info", "debug", "trace"].contains(&other) => {
            bail!("{other:?} is no log level: expected error, warn, info, debug or trace")
        }
        level => level,
    };
    builder_daemon::start_logging(level, "info", Colours::Auto);
    builder_daemon::raise_descriptor_limit();
    let addresses = flags.addresses();
    let metrics_addresses = flags.metrics.clone();
    let settings = flags.settings()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let listeners = builder_daemon::passed_or_listen_at(&addresses, Ipv6::Only)?;
        let metrics = builder_daemon::listen_at(&metrics_addresses, Ipv6::Only)?;
        for listener in &metrics {
            tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
        }
        let mut signals = StopSignals::handle()?;
        let server = Server::start(settings, listeners, metrics).await?;
        for address in server.addresses() {
            tracing::info!("listening at {address}");
        }
        builder_daemon::tell_ready();
        signals.come().await;
        tracing::info!("stopping");
        builder_daemon::tell_stopping();
        server.stop().await;
        anyhow::Ok(())
    });
    // An upload that is under way is not waited for: it is in the outbox.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file: Flags = toml::from_str("ip = [\"10.0.0.1\"]\nport = 99\ntimeout = \"2h\"\nretries = 3").unwrap();
        let cli = Cli::try_parse_from(["builder-server", "--listen", "[::1]:7", "--retries", "0"]).unwrap();
        let flags = cli.flags.or(file);
        assert_eq!(flags.addresses(), ["[::1]:7".parse().unwrap()]);
        let settings = flags.settings().unwrap();
        assert_eq!((settings.timeout, settings.retries), (Duration::from_secs(7200), 0));
    }

    #[test]
    fn a_port_on_the_command_line_counts() {
        for (file, expected) in
            [("listen = [\"[::1]:9\"]", "127.0.0.1:7"), ("ip = [\"10.0.0.1\"]\nport = 9", "10.0.0.1:7")]
        {
            let cli = Cli::try_parse_from(["builder-server", "--port", "7"]).unwrap();
            let flags = cli.flags.or(toml::from_str(file).unwrap());
            assert_eq!(flags.addresses(), [expected.parse().unwrap()], "{file}");
        }
    }

    #[test]
    fn the_original_flags_have_the_original_defaults() {
        let cli = Cli::try_parse_from(["builder-server"]).unwrap();
        assert_eq!(cli.flags.addresses(), ["127.0.0.1:1234".parse().unwrap()]);
        let line = "builder-server --ip 172.17.0.1 --port 4321 --dir /d --config-dir /c --upload http://h/upload";
        let flags = Cli::try_parse_from(line.split(' ')).unwrap().flags;
        assert_eq!(flags.addresses(), ["172.17.0.1:4321".parse().unwrap()]);
    }

    #[test]
    fn wrong_values_are_refused() {
        for bad in ["", "h", "2x", "-1s", "0s", "99999999999999999999s", "1 h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
        assert_eq!("16G".parse::<Size>().unwrap().0, 16 << 30);
        assert!(toml::from_str::<Flags>("tiemout = \"2h\"").unwrap_err().to_string().contains("unknown field"));
        assert!(pairs::<builder_model::Platform>(&["a/b=1h".to_owned()]).is_err());
    }

    #[test]
    fn the_sample_of_the_packages_changes_nothing_and_has_keys_that_exist() {
        let sample = include_str!("../../../packaging/etc/builder-server.toml");
        let flags: Flags = toml::from_str(sample).unwrap();
        assert_eq!(flags.addresses(), Flags::default().addresses());
        assert!(flags.upload.is_none() && flags.metrics.is_empty());
        let unmarked = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).map(str::to_owned);
        let keys: Vec<String> = sample.lines().filter_map(unmarked).collect();
        let flags: Flags = toml::from_str(&keys.join("\n")).unwrap();
        assert_eq!((keys.len(), flags.retries, flags.metrics.len()), (6, Some(1), 1));
    }
}
