//! Pages at 50 requests at once over connections that are kept: many different pages, each once, and a number of them
//! again and again; comparisons, the first time and again; and what pages weigh.

use super::Target;
use super::client::Client;
use crate::bench::Bench;
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a browser says it can unpack.
const GZIP: &str = "accept-encoding: gzip\r\n";
/// Comparisons that are asked for one after the other.
const COMPARISONS: u64 = 30;

/// Requests of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) targets: Arc<Vec<String>>,
    pub(crate) headers: &'static str,
    /// How many in all.
    pub(crate) requests: usize,
    /// How many at once.
    pub(crate) at_once: usize,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) samples: Samples,
    pub(crate) errors: Errors,
    pub(crate) elapsed: Duration,
}

impl Loaded {
    pub(crate) fn per_second(&self) -> f64 {
        self.samples.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Another round of the same.
    pub(crate) fn append(&mut self, other: Self) {
        self.samples.append(other.samples);
        self.errors.append(other.errors);
        self.elapsed += other.elapsed;
    }
}

impl Load {
    /// Asks: each connection sends its next request as soon as it has its answer.
    pub(crate) async fn run(self, address: SocketAddr) -> Result<Loaded> {
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let ask = || tokio::spawn(ask(address, self.clone(), next.clone()));
        let asking: Vec<_> = (0..self.at_once).map(|_| ask()).collect();
        let mut loaded = Loaded::default();
        for asking in asking {
            let (samples, errors) = asking.await.context("a connection of the load panicked")?;
            loaded.samples.append(samples);
            loaded.errors.append(errors);
        }
        loaded.elapsed = start.elapsed();
        Ok(loaded)
    }
}

async fn ask(address: SocketAddr, load: Load, next: Arc<AtomicUsize>) -> (Samples, Errors) {
    let (mut samples, mut errors) = (Samples::default(), Errors::default());
    let mut client = None;
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        if place >= load.requests {
            return (samples, errors);
        }
        let target = &load.targets[place % load.targets.len()];
        let answered = async {
            let mut connected = match client.take() {
                Some(client) => client,
                None => Client::connect(address).await?,
            };
            let start = Instant::now();
            connected.get_ok(target, load.headers).await?;
            samples.push(start.elapsed());
            client = Some(connected);
            anyhow::Ok(())
        };
        if let Err(error) = answered.await {
            errors.note(&error);
        }
    }
}

/// A search for a package that is in every list of system packages.
const PACKAGE_SEARCH: &str = "/search?q=lib000";

/// Measures the pages of a goal.
pub(crate) async fn run(bench: &mut Bench, target: &Target, requests: usize) -> Result<()> {
    let few = |targets: Vec<String>| targets.into_iter().take(1000).collect::<Vec<_>>();
    let kinds = [
        ("front", "again", target.front_pages()),
        ("job", "once", target.job_pages()),
        ("job", "again", target.job_pages()),
        ("build", "once", target.build_pages()),
        ("build", "again", few(target.build_pages())),
        ("build, gzip", "once", target.build_pages().into_iter().rev().collect()),
        ("hash", "once", target.hash_searches()),
        ("search", "once", target.digest_searches()),
    ];
    for (page, asked, targets) in kinds {
        let requests = if asked == "once" { requests.min(targets.len()) } else { requests };
        let headers = if page.ends_with("gzip") { GZIP } else { "" };
        let different = targets.len().min(requests);
        let load = Load { targets: Arc::new(targets), headers, requests, at_once: 50 };
        if asked == "again" {
            // Once for each page, so that what follows finds them rendered.
            Load { requests: different, ..load.clone() }.run(bench.address).await?;
        }
        let before = bench.pid.and_then(crate::machine::processor_seconds);
        let loaded = load.run(bench.address).await?;
        let used = bench.pid.and_then(crate::machine::processor_seconds).zip(before).map(|(now, before)| now - before);
        let measurement = Measurement::new("web-pages")
            .with("page", page)
            .with("asked", asked)
            .with("different", different)
            .figure("requests_per_s", loaded.per_second())
            .latencies("answer", &loaded.samples)
            .figure("server_ms_each", used.unwrap_or(f64::NAN) * 1000.0 / requests as f64)
            .with("server_kb", bench.pid.and_then(crate::machine::memory).unwrap_or_default().now_kb)
            .errors(&loaded.errors);
        bench.report.add(measurement)?;
    }
    comparisons(bench, target).await?;
    weights(bench, target).await
}

/// Comparisons of builds whose switches differ, one after the other: each for the first time, then each again.
async fn comparisons(bench: &mut Bench, target: &Target) -> Result<()> {
    let addresses = target.comparisons(COMPARISONS);
    let mut client = Client::connect(bench.address).await?;
    let mut errors = Errors::default();
    let mut rounds = [Samples::default(), Samples::default()];
    for samples in &mut rounds {
        for address in &addresses {
            let start = Instant::now();
            match client.get_ok(address, "").await {
                Ok(_) => samples.push(start.elapsed()),
                Err(error) => {
                    errors.note(&error);
                    client = Client::connect(bench.address).await?;
                }
            }
        }
    }
    let measurement = Measurement::new("web-compare")
        .with("comparisons", addresses.len())
        .with("packages", target.plan.packages)
        .latencies("first", &rounds[0])
        .latencies("again", &rounds[1])
        .errors(&errors);
    bench.report.add(measurement)
}

/// What pages weigh, as they are and packed.
async fn weights(bench: &mut Bench, target: &Target) -> Result<()> {
    let mut client = Client::connect(bench.address).await?;
    let log = target.log();
    let first = |pages: Vec<String>| pages.into_iter().next().unwrap_or_default();
    let pages = [
        ("front", first(target.front_pages())),
        ("job", first(target.job_pages())),
        ("build", first(target.build_pages())),
        ("search", first(target.digest_searches())),
        ("package search", PACKAGE_SEARCH.to_owned()),
        ("compare", first(target.comparisons(1))),
        ("console", log),
    ];
    for (page, address) in pages {
        let weighed =
            async { Ok((client.get_ok(&address, "").await?.bytes, client.get_ok(&address, GZIP).await?.bytes)) };
        let (mut errors, mut sizes) = (Errors::default(), (0, 0));
        match weighed.await {
            Ok(weighed) => sizes = weighed,
            Err(error) => {
                errors.note(&error);
                client = Client::connect(bench.address).await?;
            }
        }
        let measurement = Measurement::new("web-weight")
            .with("page", page)
            .with("bytes", sizes.0)
            .with("packed_bytes", sizes.1)
            .errors(&errors);
        bench.report.add(measurement)?;
    }
    Ok(())
}
