//! The start of a repository on a large data folder, until it has answered: a build page, and the front page.

use super::Target;
use super::client::Client;
use crate::bench::{Bench, within};
use crate::farm::Server;
use crate::report::Measurement;
use anyhow::{Context, Result};
use std::path::Path;
use std::time::Instant;

/// Measures; the repository of `--remote` is not asked, and must not run.
pub(crate) async fn run(bench: &mut Bench, target: &Target, program: &Path, rounds: usize) -> Result<()> {
    let build = target.build_pages().swap_remove(0);
    for _ in 0..rounds {
        let start = Instant::now();
        let mut server = Server::repository(program, &target.datadir)?;
        let first = async {
            server.listening().await?;
            let listening = start.elapsed();
            let mut client = Client::connect(server.address).await?;
            client.get_ok(&build, "").await?;
            let build = start.elapsed();
            client.get_ok("/", "").await?;
            Ok((listening, build, start.elapsed()))
        };
        let (listening, build, front) = within(bench.deadline(), "the repository to start", first).await?;
        let memory = crate::machine::memory(server.program.pid()).unwrap_or_default();
        server.program.stop().await.context("stop the repository")?;
        let measurement = Measurement::new("web-start")
            .with("builds", target.plan.builds)
            .figure("listening_s", listening.as_secs_f64())
            .figure("build_page_s", build.as_secs_f64())
            .figure("front_page_s", front.as_secs_f64())
            .with("server_kb", memory.now_kb);
        bench.report.add(measurement)?;
    }
    Ok(())
}
