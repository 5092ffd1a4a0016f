//! The first screen of a console of a million lines: until a browser has painted it, and until the answer is there.

use super::Target;
use super::browser::{self, Browser};
use super::client::Client;
use crate::bench::{Bench, within};
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use anyhow::{Context, Result};
use std::time::Instant;

/// Measures; without a browser only the answer.
pub(crate) async fn run(bench: &mut Bench, target: &Target, rounds: usize) -> Result<()> {
    let (mut answers, mut paints, mut errors) = (Samples::default(), Samples::default(), Errors::default());
    let mut client = Client::connect(bench.address).await?;
    for _ in 0..rounds {
        let start = Instant::now();
        match client.get_ok(&target.log(), "").await {
            Ok(_) => answers.push(start.elapsed()),
            Err(error) => {
                errors.note(&error);
                client = Client::connect(bench.address).await?;
            }
        }
    }
    match browser::find() {
        Some(program) => {
            let page = format!("http://{}{}", bench.address, target.log());
            let warm = format!("http://{}{}", bench.address, target.build_pages()[0]);
            let painting = tokio::task::spawn_blocking(move || -> Result<Samples> {
                let mut browser = Browser::start(&program)?;
                // The first page of a browser pays for its start.
                browser.first_paint(&warm)?;
                (0..rounds).map(|_| Ok(browser.first_paint(&page)? / 1000.0)).collect()
            });
            let painted = within(bench.deadline(), "a browser", async { painting.await.context("it panicked")? });
            match painted.await {
                Ok(samples) => paints = samples,
                Err(error) => errors.note(&error),
            }
        }
        None => bench.report.say("no Chromium is installed: the console is measured without it"),
    }
    let measurement = Measurement::new("web-console")
        .with("lines", target.plan.console_lines)
        .with("rounds", rounds)
        .latencies("answer", &answers)
        .latencies("first_paint", &paints)
        .errors(&errors);
    bench.report.add(measurement)
}
