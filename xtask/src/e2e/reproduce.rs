//! Debian's `hello`, built twice by the template that is shipped: in two sandboxes, in folders with different names, and
//! on days that are ten months apart by the clock that the jobs see. The packages have to be the same, and the repository to say so.
//!
//! Server, worker, client and repository are the real ones, each as it is started by hand. Root file system and sources
//! come from Debian's archive once, and are kept in the target folder.

use super::machine::{empty, wait};
use super::{seen, step};
use crate::command::{output, program, root, run as run_command};
use crate::component::require;
use crate::dist::target_folder;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime};

/// What the build needs beside the smallest Debian, and what sets the clock that it sees.
const PACKAGES: &str = "build-essential,debhelper,help2man,texinfo,faketime";
/// Fetches the sources as the template does, into the folder where it runs.
const FETCH: &str = "\
mkdir -p apt/lists/partial
echo 'deb-src http://deb.debian.org/debian bookworm main' >apt/sources.list
cat >apt/apt.conf <<END
Dir::State::Lists \"$PWD/apt/lists\";
Dir::Cache \"$PWD/apt\";
Dir::Etc::SourceList \"$PWD/apt/sources.list\";
Dir::Etc::SourceParts \"-\";
END
export APT_CONFIG=\"$PWD/apt/apt.conf\"
apt-get --quiet update
apt-get --quiet source --download-only hello
rm -rf apt
chmod 644 hello_*";
/// The day on which each build begins by its own clock, and the folder outside of its sandbox. The year is the same: the
/// configure.ac of hello writes the year of the build into the program, and Debian's packages have it made anew.
const RUNS: [(&str, &str); 2] = [("2031-02-03", "one"), ("2031-11-28", "another-folder-with-a-longer-name")];
/// A build that comes out differently: in another year. Without it, nobody would know whether a difference is seen.
const OTHER: (&str, &str) = ("2033-05-05", "another-year");
/// The programs that are built.
const PROGRAMS: [&str; 5] = ["builder-server", "builder-worker", "builder-client", "builder-web", "builder"];
/// The user that the server uploads as.
const USER: &str = "farm";
const PASSWORD: &str = "a-password-of-this-run";

/// Where all of it lies.
struct Ground {
    bin: PathBuf,
    /// Of this run alone, made anew each time.
    run: PathBuf,
    /// The folder of the root file system, as `builder rootfs` keeps it.
    rootfs: PathBuf,
    sources: PathBuf,
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait().map(drop)) {
            eprintln!("xtask: cannot end process {}: {error}", self.0.id());
        }
    }
}

/// Runs all of it; `--debug` takes the programs as they are developed.
pub(super) fn run(arguments: &[&str]) -> Result<bool> {
    require(&[
        ("debootstrap", "debootstrap"),
        ("bwrap", "bubblewrap"),
        ("curl", "curl"),
        ("apt-get", "apt"),
        ("sha256sum", "coreutils"),
    ])?;
    let start = Instant::now();
    let ground = Ground::prepare(arguments)?;
    ground.story()?;
    println!("\ne2e reproduce: all of it was as it should be, {:.0} s", start.elapsed().as_secs_f64());
    Ok(true)
}

impl Ground {
    fn prepare(arguments: &[&str]) -> Result<Self> {
        let folder = super::folder("reproduce")?;
        let ground = Self {
            bin: folder.join("bin"),
            run: folder.join("run"),
            rootfs: folder.join("rootfs"),
            sources: folder.join("sources"),
        };
        for made in [&ground.bin, &ground.run] {
            empty(made)?;
        }
        super::programs(&PROGRAMS, &ground.bin, arguments)?;
        let profile = if arguments.contains(&"--debug") { "debug" } else { "release" };
        fs::copy(target_folder()?.join(profile).join("builder-db"), ground.bin.join("builder-db"))
            .context("take builder-db")?;
        if !ground.rootfs.join("hello").join("current").exists() {
            step("the root file system is made, once: Debian 12 with what hello needs");
            let mut create =
                program(&ground.program("builder"), &["rootfs", "create", "hello", "--debian", "bookworm"]);
            run_command(create.args(["--package", PACKAGES, "--dir"]).arg(&ground.rootfs))?;
        }
        if !ground.sources.join("complete").exists() {
            step("the sources of hello are fetched from Debian's archive, once");
            empty(&ground.sources)?;
            run_command(Command::new("sh").args(["-ec", FETCH]).current_dir(&ground.sources))?;
            File::create(ground.sources.join("complete")).context("note that the sources are whole")?;
        }
        Ok(ground)
    }

    fn program(&self, name: &str) -> String {
        self.bin.join(name).to_string_lossy().into_owned()
    }

    fn story(&self) -> Result<()> {
        step("a repository, and a server that uploads to it, with the shipped template for the platform debian-12");
        let (_web, site) = self.repository()?;
        let (_server, remote) = self.server(&site)?;
        seen(&format!("repository {site}, server {remote}"));
        seen(&self.client(&remote, &["template", "list"])?);
        let dsc = self.dsc()?;
        let digest = digest(&dsc)?;
        for (number, (day, place)) in RUNS.iter().enumerate() {
            step(&format!("build {}: the day is {day}, the folder outside is {place}", number + 1));
            if number == 0 {
                self.schedule(&remote, &dsc, &digest)?;
            } else {
                self.client(&remote, &["execute", "hello"])?;
            }
            self.work(&remote, day, place)?;
        }
        self.compare(&remote, &site)?;
        let (day, place) = OTHER;
        step(&format!("for comparison, a build in another year, which hello tells: the day is {day}"));
        self.client(&remote, &["execute", "hello"])?;
        self.work(&remote, day, place)?;
        self.differs(&remote, &site)
    }

    /// An empty repository with a user; gives its address.
    fn repository(&self) -> Result<(Running, String)> {
        let (data, config) = (self.run.join("web"), self.run.join("web-config"));
        for folder in [&data, &config] {
            fs::create_dir(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        run_command(program(&self.program("builder-db"), &["migrate", "--datadir"]).arg(&data))?;
        let mut add = program(&self.program("builder-db"), &["user-add", USER, "--unrestricted", "--datadir"]);
        let mut add = add.arg(&data).stdin(Stdio::piped()).spawn().context("run builder-db user-add")?;
        add.stdin.take().context("builder-db reads")?.write_all(PASSWORD.as_bytes()).context("give the password")?;
        ensure!(add.wait().context("wait for builder-db")?.success(), "builder-db user-add failed");
        let mut web = program(&self.program("builder-web"), &["--port", "0", "--color", "never", "--datadir"]);
        web.arg(&data).arg("--configdir").arg(&config);
        let (web, address) = self.start(web, "web.log", "serving at http://")?;
        Ok((web, format!("http://{}", address.trim_end_matches('/'))))
    }

    /// A server with the template; gives its address.
    fn server(&self, site: &str) -> Result<(Running, String)> {
        let (data, config) = (self.run.join("data"), self.run.join("config"));
        let templates = config.join("templates/debian-source-package");
        for folder in [&data, &templates] {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        let shipped = root().join("packaging/templates/debian-source-package");
        std::os::unix::fs::symlink(&shipped, templates.join("debian-12")).context("link the template")?;
        let upload = site.replacen("http://", &format!("http://{USER}:{PASSWORD}@"), 1) + "/upload";
        let mut server = program(&self.program("builder-server"), &["--listen", "127.0.0.1:0", "--upload", &upload]);
        server.arg("--dir").arg(&data).arg("--config-dir").arg(&config);
        self.start(server, "server.log", "listening at ")
    }

    /// Starts a program that goes on running; gives what its log says behind these words.
    fn start(&self, mut command: Command, log: &str, words: &str) -> Result<(Running, String)> {
        let path = self.run.join(log);
        let to = File::create(&path).with_context(|| format!("make {}", path.display()))?;
        let to_too = to.try_clone().context("share a log")?;
        let running = command.stdin(Stdio::null()).stdout(to).stderr(to_too).spawn();
        let running = Running(running.with_context(|| format!("start what writes {log}"))?);
        let address = wait(&format!("{log} says where"), || {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let line = text.lines().find_map(|line| line.split_once(words));
            Ok(line.and_then(|(_, behind)| behind.split_whitespace().next()).map(str::to_owned))
        })?;
        Ok((running, address))
    }

    fn client(&self, remote: &str, arguments: &[&str]) -> Result<String> {
        let said = output(program(&self.program("builder-client"), &["--remote", remote]).args(arguments))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    fn dsc(&self) -> Result<PathBuf> {
        let entries = fs::read_dir(&self.sources).context("read the folder of the sources")?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        let mut dsc = paths.context("read the folder of the sources")?.into_iter();
        dsc.find(|path| path.extension().is_some_and(|extension| extension == "dsc")).context("there is no .dsc")
    }

    fn schedule(&self, remote: &str, dsc: &Path, digest: &str) -> Result<()> {
        let (path, sha256) = (format!("dsc_path={}", dsc.display()), format!("sha256={digest}"));
        let arguments = ["schedule-template", "hello", "debian-source-package", "package=hello", &path, &sha256];
        let more = ["--platform", "debian-12", "--period", "never"];
        self.client(remote, &[&arguments[..], &more[..]].concat())?;
        seen(&format!("builder-client {}", arguments.join(" ")));
        Ok(())
    }

    /// One worker, one job, in a sandbox of bubblewrap without a network.
    fn work(&self, remote: &str, day: &str, place: &str) -> Result<()> {
        let work = self.run.join(place);
        fs::create_dir(&work).with_context(|| format!("make {}", work.display()))?;
        let policy = self.run.join(format!("{place}.toml"));
        let clock = format!("{:+}", seconds_until(day)?);
        // A clock that is ahead does not change the times of files; the library would pretend that it does.
        let text = format!(
            "sandbox = \"bubblewrap\"\nroot = {:?}\nnetwork = false\nread-only = [{:?}]\n[environment]\nset = {{ \
             LD_PRELOAD = {:?}, FAKETIME = {clock:?}, NO_FAKE_STAT = \"1\" }}\n",
            self.rootfs.join("hello"),
            self.sources,
            self.clock_library()?
        );
        fs::write(&policy, text).with_context(|| format!("write {}", policy.display()))?;
        let mut worker = program(&self.program("builder-worker"), &["debian-12", "--remote", remote]);
        worker.arg("--config").arg(&policy).arg("--workdir").arg(&work);
        run_command(&mut worker)?;
        let builds = self.client(remote, &["builds", "--count", "1"])?;
        seen(&builds);
        if !builds.contains("exited 0") {
            let uuid = builds.split_whitespace().find(|word| word.len() == 36).unwrap_or_default();
            seen(&self.client(remote, &["log", uuid])?);
        }
        ensure!(builds.contains("exited 0"), "the build failed");
        Ok(())
    }

    /// Where the library that sets the clock lies, as a job sees it.
    fn clock_library(&self) -> Result<String> {
        let tree = self.rootfs.join("hello/current/root");
        let libraries = fs::read_dir(tree.join("usr/lib")).context("read the root file system")?;
        let mut places = libraries.filter_map(Result::ok).map(|entry| entry.path().join("faketime/libfaketime.so.1"));
        let found = places.find(|path| path.exists()).context("the root file system has no libfaketime")?;
        let inside = found.strip_prefix(&tree).context("find libfaketime")?;
        Ok(format!("/{}", inside.display()))
    }

    /// The builds that the repository has by now, the newest first.
    fn uploaded(&self, remote: &str) -> Result<Vec<String>> {
        wait("the repository has the builds", || {
            let waiting = self.client(remote, &["uploads", "--format", "json"])?;
            Ok(waiting.contains("\"uploads\":[]").then_some(()))
        })?;
        let said = self.client(remote, &["builds", "--job", "hello"])?;
        let uuids = said.split_whitespace().filter(|word| word.len() == 36 && word.matches('-').count() == 4);
        Ok(uuids.map(str::to_owned).collect())
    }

    /// The build in another year is not the same.
    fn differs(&self, remote: &str, site: &str) -> Result<()> {
        let uuids = self.uploaded(remote)?;
        let newest = uuids.first().context("there is no build")?;
        let address = format!("{site}/job/hello/build/{newest}/");
        let page = get(&address)?;
        let expected = "Same input, different output";
        ensure!(
            page.contains(expected) && !page.contains("Reproduced by"),
            "the page does not say {expected:?}: {address}"
        );
        seen(&format!("{address}\n  the page says: {expected}"));
        Ok(())
    }

    fn compare(&self, remote: &str, site: &str) -> Result<()> {
        step("what came out, as the repository has it");
        let uuids = self.uploaded(remote)?;
        ensure!(uuids.len() == RUNS.len(), "there are other builds than expected: {uuids:?}");
        let mut told: Vec<(String, String)> = Vec::new();
        for uuid in uuids.iter().rev() {
            let address = format!("{site}/job/hello/build/{uuid}/");
            let artifacts = self.client(remote, &["artifacts", uuid])?;
            let deb = artifacts.lines().find(|line| line.contains("  hello_") && line.ends_with(".deb"));
            let deb = deb.context("the build left no package of hello")?.to_owned();
            let info = artifacts
                .lines()
                .find_map(|line| line.split_whitespace().last().filter(|path| path.ends_with(".buildinfo")));
            let info = get(&format!("{address}f/{}", info.context("the build left no .buildinfo")?))?;
            let date = info.lines().find(|line| line.starts_with("Build-Date: ")).unwrap_or_default().to_owned();
            let page = get(&address)?;
            seen(&format!("{address}\n  {deb}\n  {date}"));
            ensure!(page.contains("Reproduced by 1"), "the page does not say \"Reproduced by 1\": {address}");
            seen("  the page says: Reproduced by 1");
            told.push((deb, date));
        }
        let (first, second) = (&told[0], &told[1]);
        ensure!(first.0 == second.0, "the packages differ");
        ensure!(!first.1.is_empty() && first.1 != second.1, "the clocks did not differ: {} and {}", first.1, second.1);
        Ok(())
    }
}

/// How far ahead of now a day begins.
fn seconds_until(day: &str) -> Result<i64> {
    let said = output(&mut program("date", &["--utc", "--date", day, "+%s"]))?;
    let begins: i64 = String::from_utf8_lossy(&said).trim().parse().context("read what date says")?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("read the clock")?;
    Ok(begins - i64::try_from(now.as_secs()).context("read the clock")?)
}

fn get(address: &str) -> Result<String> {
    let page = output(&mut program("curl", &["--fail", "--silent", "--show-error", "--location", address]))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn digest(path: &Path) -> Result<String> {
    let said = output(program("sha256sum", &[]).arg(path))?;
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}
