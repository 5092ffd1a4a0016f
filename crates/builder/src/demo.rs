//! `builder demo`: a farm in a temporary folder builds an example package twice, and shows that the same bytes came
//! out: here, and on the page of its repository.

use crate::cli::Demo;
use crate::farm::{Farm, Parts};
use crate::{example, up};
use anyhow::Context;
use builder_client::{Client, ConsoleEvent, nanoseconds_text};
use builder_daemon::StopSignals;
use builder_model::{BuildId, JobName, Outcome, Period, Platform, Shown};
use builder_server::Settings;
use builder_store::history::artifacts::{self, Artifact};
use builder_store::{Folder, History};
use builder_wire::ScriptJob;
use owo_colors::OwoColorize;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const JOB: &str = "hello";
/// How long a build may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(30);
/// How often to look whether it did.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The exit status of a demo that was asked to stop while it built: what a shell says of SIGINT.
const STATUS_INTERRUPTED: u8 = 130;

pub(crate) fn run(flags: &Demo) -> anyhow::Result<ExitCode> {
    builder_daemon::start_logging(None, "warn", builder_daemon::Colours::Auto);
    // Before there is anything that a signal could leave behind.
    let mut signals = Signals::handle()?;
    let folder = tempfile::Builder::new().prefix("builder-demo-").tempdir()?;
    let [data, config, work, web] = ["data", "config", "work", "web"].map(|name| folder.path().join(name));
    for path in [&data, &config, &work] {
        std::fs::create_dir(path)?;
    }
    let anywhere = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let platform = up::this_platform();
    let metrics = free_address()?;
    let farm = Farm::start(Parts {
        settings: Settings::new(data.clone(), config.clone()),
        listen: &anywhere,
        metrics: &[metrics],
        platform: &platform,
        workers: 1,
        repository: Some((builder_web::Settings::new(web, config), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))),
        workdir: &work,
    })?;
    let address = farm.address()?;
    let mut out = anstream::stdout();
    let (repository, web) = farm.repository()?.context("the demo has a repository")?;
    let app = repository.app().clone();
    let shown = Show { platform: &platform, address, metrics, web, app: &app, data: &data, once: flags.once };
    let built = std::thread::scope(|scope| {
        let (done, finished) = oneshot::channel::<()>();
        let builds = scope.spawn(|| {
            // Dropped when this thread ends, in whichever way.
            let _done = done;
            shown.build_twice(&mut out)
        });
        if signals.come_before(finished) {
            // With the server goes what the thread waits for; that it then fails is no news.
            farm.stop();
            return None;
        }
        Some((builds.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), farm))
    });
    let Some((result, farm)) = built else { return Ok(ExitCode::from(STATUS_INTERRUPTED)) };
    if let Ok(same) = &result
        && !flags.once
    {
        shown.places(&mut out)?;
        writeln!(out, "\nThe farm stays up; Ctrl-C ends it.")?;
        out.flush()?;
        signals.come();
        farm.stop();
        return Ok(status(*same));
    }
    farm.stop();
    Ok(status(result?))
}

/// The signals of this process, waited for where nothing else is async.
struct Signals {
    runtime: Runtime,
    signals: StopSignals,
}

impl Signals {
    fn handle() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _context = runtime.enter();
            StopSignals::handle()?
        };
        Ok(Self { runtime, signals })
    }

    /// Waits for a signal.
    fn come(&mut self) {
        self.runtime.block_on(self.signals.come());
    }

    /// Waits for a signal or for the end of the builds; gives whether it was a signal.
    fn come_before(&mut self, finished: oneshot::Receiver<()>) -> bool {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.signals.come() => true,
                // That the other end was dropped is how the end is told.
                Ok(()) | Err(_) = finished => false,
            }
        })
    }
}

fn status(same: bool) -> ExitCode {
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A port that is free now, for a page to look at.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

struct Show<'a> {
    platform: &'a Platform,
    address: SocketAddr,
    metrics: SocketAddr,
    web: SocketAddr,
    app: &'a builder_web::App,
    data: &'a Path,
    /// Whether all of it ends with the outcome, so that an address would lead nowhere.
    once: bool,
}

/// What is in a finished build's record.
struct Built {
    build: BuildId,
    outcome: Outcome,
    artifacts: Vec<Artifact>,
}

impl Show<'_> {
    /// Builds the example twice; says whether both builds ended well with the same artifacts.
    fn build_twice(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        let client = Client::new(self.address.to_string().parse()?);
        writeln!(
            out,
            "A server at {}, a worker for {} and a repository at http://{}/, all in this process.",
            self.address, self.platform, self.web
        )?;
        let script = example::script();
        let job = ScriptJob { name: JOB.as_bytes(), platform: self.platform.as_bytes(), script: script.as_bytes() };
        writeln!(out, "\n{} {JOB} on {}: configure, compile, test, pack\n", "scheduling".bold(), self.platform)?;
        client.schedule(job, Period::Never)?;
        let first = self.watch(&client, &[], out)?;
        writeln!(out, "\n{} the same job once more\n", "running".bold())?;
        client.execute(JOB, None)?;
        let second = self.watch(&client, &[first.build], out)?;
        let same = compare(&first, &second, out)?;
        self.wait_for_page(&second.build)?;
        if self.once {
            writeln!(out, "\nWithout --once, the repository stays up and shows both builds in the browser.")?;
        } else {
            let address = format!("http://{}/job/{JOB}/build/{}", self.web, second.build);
            writeln!(out, "\n{} {}", "Both builds, side by side, in the browser:".bold(), address.underline())?;
        }
        out.flush()?;
        Ok(same)
    }

    /// Waits until the repository has the build.
    fn wait_for_page(&self, build: &BuildId) -> anyhow::Result<()> {
        let until = Instant::now() + BEGIN_LIMIT;
        loop {
            if self.app.read(|connection| builder_web::database::build::by_uuid(connection, build))?.is_some() {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < until,
                "the build was not uploaded within {} seconds",
                BEGIN_LIMIT.as_secs()
            );
            // tidy: a server tells nobody when it has uploaded a build
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits for a build that is not known yet, shows its console, and reads its record.
    fn watch(&self, client: &Client, known: &[BuildId], out: &mut impl Write) -> anyhow::Result<Built> {
        let build = self.next_build(client, known)?;
        let outcome = client.observe(build, &mut |event| match event {
            ConsoleEvent::Line { delta, line } => {
                writeln!(out, "{:>10} {}", nanoseconds_text(delta).dimmed(), Shown(line))
            }
            ConsoleEvent::Idle => out.flush(),
            ConsoleEvent::Ended { delta } => writeln!(out, "{:>10} ended", nanoseconds_text(delta).dimmed()),
        })?;
        let colour = if outcome.is_success() { owo_colors::AnsiColors::Green } else { owo_colors::AnsiColors::Red };
        writeln!(out, "build {build}: {}", outcome.to_string().color(colour).bold())?;
        let artifacts = artifacts_of(&self.record(&build))?;
        Ok(Built { build, outcome, artifacts })
    }

    fn next_build(&self, client: &Client, known: &[BuildId]) -> anyhow::Result<BuildId> {
        let history = History::open(self.data)?;
        let until = Instant::now() + BEGIN_LIMIT;
        loop {
            let running = client.info()?.latest(None, Some(JOB)).map(|running| running.build);
            let newest = history.newest(1)?.first().map(|finished| finished.build);
            if let Some(build) = running.or(newest).filter(|build| !known.contains(build)) {
                return Ok(build);
            }
            anyhow::ensure!(Instant::now() < until, "no build began within {} seconds", BEGIN_LIMIT.as_secs());
            // tidy: a server cannot tell when a build begins
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    fn record(&self, build: &BuildId) -> PathBuf {
        Folder::record_of(self.data, &JobName::from_history(JOB.as_bytes()), build)
    }

    /// Where things lie, for somebody who wants to look around.
    fn places(&self, out: &mut impl Write) -> std::io::Result<()> {
        let remote = self.address;
        writeln!(out, "\n{}", "Look around:".bold())?;
        writeln!(out, "  http://{}/                 all builds, in the browser", self.web)?;
        writeln!(out, "  http://{}/metrics          numbers", self.metrics)?;
        writeln!(out, "  builder-client -r {remote} info")?;
        writeln!(out, "  builder-client -r {remote} execute {JOB}; builder-client -r {remote} observe-latest")?;
        writeln!(out, "  builder-inspect {}/{JOB}/*/full --console", self.data.display())
    }
}

/// Shows both builds side by side.
fn compare(first: &Built, second: &Built, out: &mut impl Write) -> anyhow::Result<bool> {
    let ended_well = first.outcome.is_success() && second.outcome.is_success();
    writeln!(out, "\n{}", "What came out, twice:".bold())?;
    for artifact in &first.artifacts {
        let twin = second.artifacts.iter().find(|twin| twin.path == artifact.path);
        let verdict = match twin {
            Some(twin) if twin == artifact => "same".green().to_string(),
            Some(_) => "DIFFERENT".red().to_string(),
            None => "MISSING in the second build".red().to_string(),
        };
        let path = Shown(&artifact.path).to_string();
        let sha256: String = artifact.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "  {path:<18} {:>8} bytes  sha256 {sha256}  {verdict}", artifact.bytes)?;
    }
    let same = ended_well && !first.artifacts.is_empty() && first.artifacts == second.artifacts;
    let words = if same {
        "Both builds ended well, and every artifact is the same bit for bit.".green().to_string()
    } else if ended_well {
        "The builds are NOT the same.".red().to_string()
    } else {
        "A build failed; its console says why.".red().to_string()
    };
    writeln!(out, "{words}")?;
    out.flush()?;
    Ok(same)
}

fn artifacts_of(record: &Path) -> anyhow::Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    artifacts::list(
        &record.into(),
        || true,
        |artifact| {
            artifacts.push(artifact);
            true
        },
    )?;
    Ok(artifacts)
}
