//! The repository under load: a large data folder, a builder-web on it, and every figure that it has set itself.

mod browser;
mod client;
mod download;
mod goals;
mod pages;
mod record;
mod screen;
mod start;
mod upload;

use crate::bench::Bench;
use crate::farm::Server;
use crate::floor;
use crate::report::Measurement;
use anyhow::{Context, Result, bail};
use builder_bench::data_folder::Plan;
use builder_model::{BuildId, Timestamp};
use builder_web::{Database, Depot, Digest};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What is run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The builder-web
    #[arg(long, value_name = "PATH")]
    pub(crate) web_program: PathBuf,
    /// Small sizes, for a look in half a minute
    #[arg(long)]
    pub(crate) quick: bool,
    /// A folder that `builder-bench folder --large` wrote, instead of a new one
    #[arg(long, value_name = "DIR", conflicts_with = "quick")]
    pub(crate) datadir: Option<PathBuf>,
    /// Only these: start, pages, slow, console, download, upload
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    pub(crate) only: Vec<String>,
}

/// Writes a data folder and does nothing with it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FolderOptions {
    /// Where; an empty folder
    #[arg(value_name = "DIR")]
    pub(crate) datadir: PathBuf,
    /// 100,000 builds instead of 100
    #[arg(long)]
    pub(crate) large: bool,
}

/// The data folder under test, and what is in it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) plan: Plan,
    pub(crate) datadir: PathBuf,
    download: Digest,
}

/// Writes the data folder of the options.
pub(crate) fn folder(bench: &mut Bench, options: &FolderOptions) -> Result<()> {
    let now = Timestamp::from(SystemTime::now());
    let plan = if options.large { Plan::large(now) } else { Plan::small(now) };
    Target::write(bench, plan, &options.datadir).map(drop)
}

impl Target {
    fn write(bench: &mut Bench, plan: Plan, datadir: &Path) -> Result<Self> {
        let start = Instant::now();
        let written = plan.write(datadir)?;
        let measurement = Measurement::new("web-folder")
            .with("builds", plan.builds)
            .with("jobs", plan.jobs)
            .with("artifacts", written.artifacts)
            .figure("database_mb", written.database_bytes as f64 / 1e6)
            .figure("written_in_s", start.elapsed().as_secs_f64());
        bench.report.add(measurement)?;
        Ok(Self { plan, datadir: datadir.to_owned(), download: written.download })
    }

    /// A data folder that was written before, after the same plan.
    fn open(plan: Plan, datadir: &Path) -> Result<Self> {
        let text = "SELECT sha256 FROM build_artifact WHERE filepath = 'download.bin'";
        let database = Database::open(datadir)?;
        let download = database.read(|connection| connection.query_row(text, [], |row| row.get(0)))?;
        Ok(Self { plan, datadir: datadir.to_owned(), download })
    }

    /// The folder beside the data folder.
    fn parent(&self) -> &Path {
        self.datadir.parent().unwrap_or(&self.datadir)
    }

    fn build_page(&self, build: u64) -> String {
        format!("/job/{}/build/{}", self.plan.job_name(self.plan.job_of(build)), self.plan.uuid(build))
    }

    /// All builds, in an order in which neighbours have nothing in common.
    fn shuffled(&self) -> impl Iterator<Item = u64> {
        let builds = self.plan.builds;
        // Prime, and so without a common divisor with any number of builds below it.
        (0..builds).map(move |place| place * 1_000_003 % builds)
    }

    fn front_pages(&self) -> Vec<String> {
        let part = |start: u64| [format!("/?start={start}"), format!("/all-builds?start={start}")];
        let parts = (40..self.plan.jobs).step_by(40).flat_map(part);
        ["/".to_owned(), "/all-builds".to_owned()].into_iter().chain(parts).collect()
    }

    fn job_pages(&self) -> Vec<String> {
        (0..self.plan.jobs).map(|job| format!("/job/{}", self.plan.job_name(job))).collect()
    }

    fn build_pages(&self) -> Vec<String> {
        self.shuffled().map(|build| self.build_page(build)).collect()
    }

    fn hash_searches(&self) -> Vec<String> {
        let good = self.shuffled().filter(|build| self.plan.outcome(*build).is_success());
        good.map(|build| format!("/hash?sha256={}", self.plan.main_binary(build))).collect()
    }

    /// The same, on a page for people, by the first digits.
    fn digest_searches(&self) -> Vec<String> {
        let good = self.shuffled().filter(|build| self.plan.outcome(*build).is_success());
        good.map(|build| format!("/search?q={}", &self.plan.main_binary(build).to_string()[..16])).collect()
    }

    /// Comparisons of two builds of a job in different eras, with switches that differ.
    fn comparisons(&self, count: u64) -> Vec<String> {
        let last = self.plan.builds / self.plan.jobs - 1;
        let pair = |number: u64| {
            let job = number * self.plan.switch_every % self.plan.jobs;
            let (left, right) = (job, job + last * self.plan.jobs);
            format!("/compare/{}/{}", self.plan.uuid(left), self.plan.uuid(right))
        };
        (0..count.min(self.plan.jobs / self.plan.switch_every)).map(pair).collect()
    }

    /// The page of the long console.
    fn log(&self) -> String {
        format!("{}/log", self.build_page(self.plan.last()))
    }

    /// The address of the large artifact.
    fn download(&self) -> String {
        format!("{}/f/download.bin", self.build_page(self.plan.last()))
    }

    /// The file of the large artifact.
    fn download_file(&self) -> Result<PathBuf> {
        Ok(Depot::open(&self.datadir)?.artifact(&self.download))
    }
}

/// A UUID that no build has, with all of its digits its own: contents of uploads follow from it.
fn fresh_build() -> BuildId {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let Digest(random) = Digest::of(&now.to_be_bytes());
    BuildId::from_random(std::array::from_fn(|place| random[place]))
}

/// Sizes of a run.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    plan: Plan,
    requests: usize,
    megabytes: u64,
    many_files: u64,
    rounds: usize,
}

impl Sizes {
    fn of(options: &Options) -> Self {
        let now = Timestamp::from(SystemTime::now());
        if options.quick {
            let plan = Plan { builds: 2500, artifacts: 25_000, jobs: 50, ..Plan::large(now) };
            Self { plan, requests: 1000, megabytes: 100, many_files: 1000, rounds: 1 }
        } else {
            Self { plan: Plan::large(now), requests: 20_000, megabytes: 1000, many_files: 10_000, rounds: 3 }
        }
    }
}

/// The cases, in their order.
const CASES: [&str; 6] = ["start", "pages", "slow", "console", "download", "upload"];

/// Runs all of it. A case that fails is told of, and the others go on.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let (start, sizes) = (Instant::now(), Sizes::of(options));
    let parent = bench.folder.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(&parent).context("make a folder")?;
    bench.folder = Some(dir.path().to_owned());
    floor::run(bench, &floor::Options { rounds: 100, megabytes: sizes.megabytes }).await?;
    let target = match &options.datadir {
        Some(datadir) => Target::open(sizes.plan, datadir)?,
        None => {
            let datadir = dir.path().join("data");
            std::fs::create_dir(&datadir).context("make a data folder")?;
            Target::write(bench, sizes.plan, &datadir)?
        }
    };
    bench.report.end_case()?;
    let mut failed = Vec::new();
    for case in CASES {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == case) {
            continue;
        }
        let before = Instant::now();
        let ran = one(bench, options, &target, case, sizes).await;
        bench.report.end_case()?;
        bench.report.say(&format!("  ({case} took {:.1} s)", before.elapsed().as_secs_f64()));
        if let Err(error) = ran {
            eprintln!("builder-bench: {case} failed: {error:#}");
            failed.push(case);
        }
    }
    bench.report.say(&format!("\n{}", crate::goals::markdown(&goals::compare(bench.report.all()))));
    let load = crate::machine::load().unwrap_or(f64::NAN);
    let seconds = start.elapsed().as_secs_f64();
    bench
        .report
        .say(&format!("in {seconds:.0} s; ratio: how many times better than the goal; load at the end {load:.1}"));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// One case, against a repository that was just started, so that its memory is that of the case.
async fn one(bench: &mut Bench, options: &Options, target: &Target, case: &str, sizes: Sizes) -> Result<()> {
    if case == "start" {
        return start::run(bench, target, &options.web_program, sizes.rounds).await;
    }
    let mut server = Server::repository(&options.web_program, &target.datadir)?;
    server.listening().await?;
    bench.address = server.address;
    bench.pid = Some(server.program.pid());
    match case {
        "pages" => pages::run(bench, target, sizes.requests).await?,
        "slow" => upload::beside_slow_uploads(bench, target, sizes.requests).await?,
        "console" => screen::run(bench, target, 10).await?,
        "download" => download::run(bench, target, 5).await?,
        "upload" => {
            for files in [1, sizes.many_files] {
                upload::run(bench, target, files, sizes.megabytes, sizes.rounds).await?;
            }
        }
        other => bail!("there is no case {other}"),
    }
    server.program.stop().await
}
