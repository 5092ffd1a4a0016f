//! Case b: how long a job takes from a client's `execute` to a worker that waits.

use crate::bench::{Bench, within};
use crate::peer::{self, NOOP, Peer};
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use crate::{floor, jobs};
use anyhow::Result;
use builder_wire::Role;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a worker has waited when the clock starts: nothing tells when the server has put it in its place.
const SETTLE: Duration = Duration::from_millis(4);

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How many jobs
    #[arg(long, default_value_t = 1000)]
    pub(crate) rounds: usize,
}

/// The latencies of a round.
struct Round {
    /// From `execute` to `jobSchedule`.
    dispatch: Duration,
    /// From `execute` to `success`.
    accepted: Duration,
}

/// Measures.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let platform = bench.platform("b");
    let name = jobs::name(&platform, 0);
    peer::command(bench.address, &peer::schedule(&name, &platform, NOOP)).await?;
    let deadline = bench.deadline();
    jobs::work(bench.address, &platform, 1, 1, deadline).await;
    let (mut dispatch, mut accepted, mut errors) = (Samples::default(), Samples::default(), Errors::default());
    for _ in 0..options.rounds {
        match within(deadline, "a round", round(bench.address, &platform, &name)).await {
            Ok(round) => {
                dispatch.push(round.dispatch);
                accepted.push(round.accepted);
            }
            Err(error) => errors.note(&error),
        }
        if tokio::time::Instant::now() >= deadline {
            break;
        }
    }
    let measurement = Measurement::new("dispatch")
        .with("rounds", dispatch.len())
        .latencies("dispatch", &dispatch)
        .latencies("accepted", &accepted)
        .figure("loopback_round_trip_ms", floor::round_trip().await?.median() * 1000.0)
        .errors(&errors);
    bench.report.add(measurement)?;
    jobs::clean(bench.address, &platform).await
}

async fn round(address: SocketAddr, platform: &str, name: &str) -> Result<Round> {
    let mut worker = Peer::waiting_worker(address, platform).await?;
    let mut client = Peer::connect(address, Role::Client).await?;
    tokio::time::sleep(SETTLE).await;
    let start = Instant::now();
    client.send(&peer::execute(name)).await?;
    // Whichever comes first must not hold up the clock of the other.
    let (job, success) = tokio::join!(async { worker.job().await.map(|build| (build, start.elapsed())) }, async {
        client.success().await.map(|()| start.elapsed())
    },);
    let ((build, dispatch), accepted) = (job?, success?);
    worker.finish(build).await?;
    Ok(Round { dispatch, accepted })
}
