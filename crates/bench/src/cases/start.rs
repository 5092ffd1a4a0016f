//! Case h: how long a server with a long history needs from its start to the first job that it accepts.

use crate::bench::{Bench, within};
use crate::farm::Server;
use crate::peer::{self, NOOP};
use crate::report::Measurement;
use anyhow::{Context, Result};
use builder_model::state::{Change, FinishedBuild};
use builder_model::{BuildId, JobName, Outcome, Platform, Timestamp};
use builder_store::Folder;
use builder_store::database::{Outbox, Store};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// How many rows are written at once.
const BATCH: u64 = 50_000;
/// How many jobs the history is of.
const JOBS: u64 = 1000;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How many builds the history has
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) builds: u64,
    /// How often the server is started
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// The builder-server
    #[arg(long, value_name = "PATH")]
    pub(crate) server_program: PathBuf,
}

/// Measures; the server of `--remote` is not asked.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let parent = bench.folder.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(&parent).context("make a data folder")?;
    let start = Instant::now();
    fill(dir.path(), options.builds)?;
    let filled = start.elapsed();
    let database = std::fs::metadata(Folder::database_of(dir.path())).context("look at the database")?.len();
    for round in 0..options.rounds {
        let name = format!("first-{round}");
        let start = Instant::now();
        let mut server = Server::start(&options.server_program, dir.path())?;
        let first = async {
            server.listening().await?;
            let listening = start.elapsed();
            peer::command(server.address, &peer::schedule(&name, "bench-h", NOOP)).await?;
            Ok((listening, start.elapsed()))
        };
        let (listening, accepted) = within(bench.deadline(), "the server to start", first).await?;
        server.program.stop().await.context("stop the server")?;
        let measurement = Measurement::new("start")
            .with("builds", options.builds)
            .figure("listening_s", listening.as_secs_f64())
            .figure("first_job_s", accepted.as_secs_f64())
            .figure("database_mb", database as f64 / 1e6)
            .figure("filled_in_s", filled.as_secs_f64());
        bench.report.add(measurement)?;
    }
    Ok(())
}

/// Writes a history as a server would have, but for the records.
fn fill(dir: &Path, builds: u64) -> Result<()> {
    let folder = Folder::open(dir)?;
    let now = Timestamp::from(SystemTime::now());
    let (mut store, _) = Store::open(&folder, now)?;
    for first in (0..builds).step_by(usize::try_from(BATCH)?) {
        let numbers = first..builds.min(first + BATCH);
        let changes: Vec<Change> = numbers.map(|number| finished(number, now)).collect();
        store.save(&changes, Outbox::Leave)?;
    }
    Ok(())
}

fn finished(number: u64, now: Timestamp) -> Change {
    let job = format!("job-{:04}", number % JOBS);
    // An odd factor takes no two numbers to the same place, and spreads them as random ids are.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let id: [u8; 16] = std::array::from_fn(|at| spread[at % 8] ^ (at as u8 / 8));
    Change::Finished(FinishedBuild {
        build: BuildId::from_random(id),
        job: JobName::from_history(job.as_bytes()),
        platform: Platform::from_history(b"debian-12"),
        attempts: 1,
        started: now.plus_milliseconds(-60_000),
        finished: now,
        outcome: Outcome::Exited(0),
        record_bytes: Some(10_000),
    })
}
