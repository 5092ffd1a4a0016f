//! `builder rootfs`: root file systems for sandboxes, made, listed, updated, checked and removed. On FreeBSD they are
//! snapshots of ZFS that poudriere makes.

use anyhow::{Context, Result, bail};
use builder_client::cli::Table;
use builder_model::RootfsName;
use builder_rootfs::{Changed, Described, Distribution, Error, Folder, Recipe, Removed, Snapshot, Tool, zfs};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  builder rootfs create debian-12 --debian bookworm --package build-essential,git
  builder rootfs create noble --ubuntu noble --also noble-updates,noble-security
  builder rootfs create pinned --debian bookworm --snapshot 20260131
  builder rootfs update debian-12        as the archive is today
  builder rootfs check debian-12         whether it still is what was made
  builder rootfs create 141amd64 --freebsd 14.1-RELEASE

A job runs in one when the policy of its worker names it, in builder-worker.toml:
  [platform.debian-12]
  root = \"debian-12\"
A job that runs goes on in the version that it began with.";
/// How many digits of a digest a table shows.
const DIGITS_SHOWN: usize = 16;
/// How often the sign that something happens moves.
const TICK: Duration = Duration::from_millis(120);

/// Make and keep root file systems
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Rootfs {
    #[command(subcommand)]
    action: Action,
    /// Where they lie
    #[arg(long, global = true, value_name = "DIR", default_value = builder_rootfs::FOLDER_DEFAULT)]
    dir: PathBuf,
    /// How results are printed
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables and sentences.
    Text,
    /// One JSON value.
    Json,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a root file system out of a distribution's packages
    Create(Box<Create>),
    /// Show all root file systems
    List,
    /// Make one anew, of the same packages as they are today, or of another snapshot
    Update(Update),
    /// Look whether one still is what was made; ends with 1 if it is not
    Check {
        /// Its name
        name: RootfsName,
    },
    /// Remove one, unless a job runs in it
    Remove {
        /// Its name
        name: RootfsName,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// Its name, by which the policy of a worker names it
    name: RootfsName,
    #[command(flatten)]
    of: Of,
    /// Further suites, such as noble-updates,noble-security; needs mmdebstrap; may be repeated
    #[arg(long, value_name = "SUITES", value_delimiter = ',')]
    also: Vec<String>,
    /// Parts of the archive, such as main,contrib [default: main, of Ubuntu also universe]; may be repeated
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    components: Vec<String>,
    /// As the archive was at this moment, such as 20260131 or 20260131T120000Z
    #[arg(long, value_name = "TIME")]
    snapshot: Option<Snapshot>,
    /// Where the packages come from, such as http://deb.debian.org/debian
    #[arg(long, value_name = "URL", conflicts_with = "snapshot")]
    mirror: Option<String>,
    /// Another architecture than this machine's, in the distribution's words
    #[arg(long, value_name = "ARCHITECTURE")]
    arch: Option<String>,
    /// Packages besides the smallest set that works; may be repeated
    #[arg(long = "package", value_name = "NAMES", value_delimiter = ',')]
    packages: Vec<String>,
    /// Other keys that the packages are signed with
    #[arg(long, value_name = "FILE")]
    keyring: Option<String>,
    /// What makes it: mmdebstrap or debootstrap [default: the first of them that is installed]
    #[arg(long, value_name = "PROGRAM")]
    tool: Option<Tool>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// A suite of Debian, such as bookworm
    #[arg(long, value_name = "SUITE")]
    debian: Option<String>,
    /// A suite of Ubuntu, such as noble
    #[arg(long, value_name = "SUITE")]
    ubuntu: Option<String>,
    /// A release of FreeBSD, such as 14.1-RELEASE; only on FreeBSD, with ZFS and poudriere
    #[arg(long, value_name = "RELEASE", conflicts_with_all = ["also", "components", "snapshot", "mirror", "packages", "keyring", "tool"])]
    freebsd: Option<String>,
}

#[derive(Debug, Args)]
struct Update {
    /// Its name
    name: RootfsName,
    /// As the archive was at this moment
    #[arg(long, value_name = "TIME")]
    snapshot: Option<Snapshot>,
}

/// The whole command.
pub(crate) fn run(flags: Rootfs) -> Result<ExitCode> {
    let folder = Folder::new(&flags.dir);
    let host = if cfg!(target_os = "freebsd") { Host::FreeBsd } else { Host::Linux };
    match (flags.action, host) {
        (Action::Create(create), host) => create_one(&folder, *create, host, flags.format),
        (Action::List, Host::Linux) => list(&folder.list()?, flags.format),
        (Action::List, Host::FreeBsd) => list_snapshots(flags.format),
        (Action::Update(update), Host::Linux) => update_one(&folder, update, flags.format),
        (Action::Update(update), Host::FreeBsd) => {
            change_snapshot(&update.name.to_string(), zfs::Change::Update, snapshots, told)
        }
        (Action::Check { name }, Host::Linux) => check(&folder, &name, flags.format),
        (Action::Check { .. }, Host::FreeBsd) => {
            bail!("a snapshot of ZFS cannot change\nhint: `zpool scrub` checks the disks")
        }
        (Action::Remove { name }, Host::Linux) => remove(&folder, &name),
        (Action::Remove { name }, Host::FreeBsd) => {
            change_snapshot(&name.to_string(), zfs::Change::Remove, snapshots, told)
        }
    }
}

/// How a host keeps root file systems.
#[derive(Debug, Clone, Copy)]
enum Host {
    Linux,
    FreeBsd,
}

fn create_one(folder: &Folder, create: Create, host: Host, format: Format) -> Result<ExitCode> {
    let (distribution, suite) = match (create.of.debian, create.of.ubuntu, create.of.freebsd, host) {
        (Some(suite), _, _, Host::Linux) => (Distribution::Debian, suite),
        (None, Some(suite), _, Host::Linux) => (Distribution::Ubuntu, suite),
        (None, None, Some(release), Host::FreeBsd) => {
            return told(&zfs::create(&create.name.to_string(), &release, create.arch.as_deref()));
        }
        (None, None, _, Host::Linux) => bail!("root file systems of FreeBSD can only be made on FreeBSD"),
        (_, _, _, Host::FreeBsd) => bail!("on FreeBSD only those of FreeBSD can be made\nhint: --freebsd 14.1-RELEASE"),
    };
    let recipe = Recipe {
        distribution,
        suite,
        also: create.also,
        components: create.components,
        snapshot: create.snapshot,
        mirror: create.mirror,
        architecture: create.arch,
        packages: create.packages,
        keyring: create.keyring,
        tool: create.tool.unwrap_or_else(Tool::of_this_host),
    };
    recipe.check()?;
    let changed = folder.create(&create.name, &recipe, making(&create.name, format)?)?;
    show_changed(&create.name, &changed, format)
}

fn update_one(folder: &Folder, update: Update, format: Format) -> Result<ExitCode> {
    let name = &update.name;
    let change = |recipe: Recipe| match update.snapshot {
        Some(snapshot) => Recipe { snapshot: Some(snapshot), mirror: None, ..recipe },
        None => recipe,
    };
    let changed = folder.update(name, change, making(name, format)?)?;
    show_changed(name, &changed, format)
}

/// What fills a folder, and shows on the way that it does.
fn making(name: &RootfsName, format: Format) -> Result<impl FnOnce(&Recipe, &Path, &Path) -> Result<(), Error>> {
    if !builder_rootfs::may_make() {
        bail!("only root can make a root file system: its files belong to root\nhint: run this with sudo");
    }
    let name = name.to_string();
    Ok(move |recipe: &Recipe, root: &Path, log: &Path| {
        let says = format!("{name}: {} {} from {}", recipe.distribution, recipe.suite, recipe.source());
        let is_shown = io::stderr().is_terminal() && format == Format::Text;
        let bar = if is_shown { indicatif::ProgressBar::new_spinner() } else { indicatif::ProgressBar::hidden() };
        bar.enable_steady_tick(TICK);
        bar.set_prefix(says.clone());
        if !is_shown {
            complain(&says);
        }
        let made = builder_rootfs::make(recipe, root, log, &mut |line| bar.set_message(line.to_owned()));
        bar.finish_and_clear();
        made
    })
}

fn show_changed(name: &RootfsName, changed: &Changed, format: Format) -> Result<ExitCode> {
    let digest = &changed.now;
    match format {
        Format::Json => print(&json!({
            "name": name.to_string(), "digest": digest, "before": changed.before, "path": changed.path,
        }))?,
        Format::Text => {
            let what = match &changed.before {
                None => "made".to_owned(),
                Some(before) if before == digest => "made anew, and the same as before".to_owned(),
                Some(before) => format!("made anew; before, it was sha256 {before}"),
            };
            say(&format!("{name}: {what}\n  sha256  {digest}\n  path    {}", changed.path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(all: &[Described], format: Format) -> Result<ExitCode> {
    if format == Format::Json {
        print(&serde_json::to_value(all).context("write JSON")?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "MADE OF", "AS OF", "MADE", "SHA256", "USE"]);
    for one in all {
        let recipe = &one.recipe;
        let as_of = recipe.snapshot.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string);
        let old = match one.old_versions {
            0 => "",
            _ => ", an older version too",
        };
        table.row(vec![
            one.name.clone(),
            format!("{} {}", recipe.distribution, recipe.suite),
            as_of,
            time(one.made),
            one.digest.chars().take(DIGITS_SHOWN).collect(),
            format!("{}{old}", if one.in_use { "in use" } else { "free" }),
        ]);
    }
    show(&table, "there are no root file systems yet; `builder rootfs create --help` says how to make one")
}

/// All snapshots that jails can be cloned from.
fn snapshots() -> Result<Vec<zfs::Snapshot>> {
    let words = zfs::list();
    let answer =
        command(&words).stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {}", words[0]))?;
    Ok(zfs::listed(&String::from_utf8_lossy(&answer.stdout)))
}

/// Has poudriere change a jail that nobody uses, and looks whether it did.
fn change_snapshot(
    name: &str,
    change: zfs::Change,
    mut list: impl FnMut() -> Result<Vec<zfs::Snapshot>>,
    run: impl FnOnce(&[String]) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let before = list()?;
    zfs::free(name, &before)?;
    let status = run(&zfs::change(name, change))?;
    if status == ExitCode::SUCCESS {
        zfs::changed(name, change, &before, &list()?)?;
    }
    Ok(status)
}

fn list_snapshots(format: Format) -> Result<ExitCode> {
    let all = snapshots()?;
    if format == Format::Json {
        print(&serde_json::to_value(&all).context("write JSON")?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "SNAPSHOT", "MADE", "GUID", "USE"]);
    for one in all {
        let in_use = if one.clones.is_empty() { "free" } else { "in use" };
        table.row(vec![one.name, one.snapshot, time(one.made), one.guid, in_use.to_owned()]);
    }
    show(&table, "there are no snapshots of poudriere's jails yet")
}

fn check(folder: &Folder, name: &RootfsName, format: Format) -> Result<ExitCode> {
    let (now, held) = folder.verify(name)?;
    let is_same = now == held.digest();
    match format {
        Format::Json => print(&json!({"name": name.to_string(), "made": held.digest(), "now": now, "same": is_same}))?,
        Format::Text if is_same => say(&format!("{name}: as it was made, sha256 {now}"))?,
        Format::Text => say(&format!(
            "{name}: somebody changed it\n  made  sha256 {}\n  now   sha256 {now}\nhint: `builder rootfs update {name}` makes it anew",
            held.digest()
        ))?,
    }
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn remove(folder: &Folder, name: &RootfsName) -> Result<ExitCode> {
    match folder.remove(name)? {
        Removed::All => say(&format!("{name}: removed"))?,
        Removed::ButHeld(count) => {
            say(&format!(
                "{name}: removed, but for {count} older that jobs run in\nhint: run this again when they have ended"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that says itself what it does.
fn told(words: &[String]) -> Result<ExitCode> {
    let status = command(words).status().with_context(|| format!("cannot run {}", words[0]))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "–".to_owned(), |time| time.to_string())
}

fn show(table: &Table, nothing: &str) -> Result<ExitCode> {
    if table.is_empty() {
        complain(nothing);
    } else {
        table.write(&mut anstream::stdout().lock(), str::to_owned).context("write to standard output")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(value: &Value) -> Result<()> {
    say(&value.to_string())
}

fn say(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}").context("write to standard output")
}

#[expect(clippy::print_stderr, reason = "what is not a result goes beside it")]
fn complain(text: &str) {
    eprintln!("builder: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// What is listed before and after, what was run, and the error.
    fn changed(before: &str, after: &str, status: ExitCode) -> (Vec<String>, Result<ExitCode>) {
        let ran = RefCell::new(Vec::new());
        let mut lists = [before, after].into_iter();
        let list = || {
            let clones = lists.next().unwrap_or_default();
            Ok(zfs::listed(&format!("z/p/jails/a@clean\t{clones}\n")))
        };
        let run = |words: &[String]| {
            ran.borrow_mut().push(words.join(" "));
            Ok(status)
        };
        let result = change_snapshot("a", zfs::Change::Update, list, run);
        (ran.into_inner(), result)
    }

    #[test]
    fn poudriere_is_not_run_on_a_jail_in_use_and_is_looked_after() {
        let (ran, done) = changed("1\t1\t0\t-", "2\t1\t0\t-", ExitCode::SUCCESS);
        assert_eq!((ran, done.unwrap()), (vec!["poudriere jail -u -j a".to_owned()], ExitCode::SUCCESS));
        let (ran, refused) = changed("1\t1\t0\tz/builder/jobs/x", "", ExitCode::SUCCESS);
        assert!(ran.is_empty() && refused.unwrap_err().to_string().contains("has the clones z/builder/jobs/x"));
        let (_, kept) = changed("1\t1\t0\t-", "1\t1\t0\tz/builder/jobs/x", ExitCode::SUCCESS);
        assert!(kept.unwrap_err().to_string().contains("is still what it was"));
        // It said itself what is wrong.
        let (_, failed) = changed("1\t1\t0\t-", "1\t1\t0\t-", ExitCode::FAILURE);
        assert_eq!(failed.unwrap(), ExitCode::FAILURE);
    }
}
