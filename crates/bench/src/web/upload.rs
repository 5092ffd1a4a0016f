//! Uploads of a GB, in one artifact and in many: rate and memory, beside a plain program that receives, hashes and
//! syncs the same bytes into as many files; and pages while slow uploads trickle in.

use super::client::Client;
use super::pages::{Load, Loaded};
use super::record::BigRecord;
use super::{Target, fresh_build};
use crate::bench::{Bench, within};
use crate::finished::{BLOCK_BYTES, block};
use crate::machine;
use crate::report::{Errors, Measurement};
use anyhow::{Context, Result, ensure};
use builder_bench::data_folder::TOKEN;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// From so many files on the plain program syncs the whole file system once, as that is faster.
const SYNC_EACH_MAX: u64 = 32;
/// Uploads that trickle in.
const SLOW_UPLOADS: u64 = 8;
/// How often pages are measured beside them, and as often without.
const SLOW_ROUNDS: usize = 10;
/// How often each of them sends a little.
const SLOW_PAUSE: Duration = Duration::from_millis(20);

/// Measures uploads of so many bytes in so many files, so often.
pub(crate) async fn run(bench: &mut Bench, target: &Target, files: u64, megabytes: u64, rounds: usize) -> Result<()> {
    let kept = tempfile::tempdir_in(target.parent()).context("make a folder")?;
    let file_bytes = megabytes * 1_000_000 / files;
    for round in 0..rounds {
        let record = BigRecord { build: fresh_build(), job: format!("upload-{files}"), files, file_bytes };
        // Turn and turn about: a disk that gets slower while it is written to does so for both.
        let before = plain(&kept.path().join(format!("{round}-before")), &record).await?;
        let peak_is_fresh = bench.pid.is_some_and(machine::reset_peak);
        let resting = bench.pid.and_then(machine::memory).unwrap_or_default();
        let (mut errors, start) = (Errors::default(), Instant::now());
        if let Err(error) = within(bench.deadline(), "an upload", upload(bench.address, &record)).await {
            errors.note(&error);
        }
        let elapsed = start.elapsed();
        let memory = bench.pid.and_then(machine::memory).unwrap_or_default();
        let after = plain(&kept.path().join(format!("{round}-after")), &record).await?;
        let rate = |elapsed: Duration| record.total_bytes() as f64 / 1e6 / elapsed.as_secs_f64();
        let measurement = Measurement::new("web-upload")
            .with("files", files)
            .figure("megabytes", record.total_bytes() as f64 / 1e6)
            .figure("mb_per_s", rate(elapsed))
            .figure("plain_before_mb_per_s", rate(before))
            .figure("plain_after_mb_per_s", rate(after))
            .figure("of_plain", rate(elapsed) / rate((before + after) / 2))
            .with("server_before_kb", resting.now_kb)
            .with("server_peak_kb", memory.peak_kb)
            .with("peak_is_fresh", peak_is_fresh)
            .errors(&errors);
        bench.report.add(measurement)?;
    }
    Ok(())
}

fn request(record: &BigRecord) -> Result<Vec<u8>> {
    let (opening, bytes) = record.opening()?;
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {bytes}\r\n\r\n"
    );
    Ok([head.into_bytes(), opening].concat())
}

async fn upload(address: SocketAddr, record: &BigRecord) -> Result<()> {
    let mut client = Client::connect(address).await?;
    let block = block();
    client.send(&request(record)?).await?;
    for piece in record.pieces() {
        client.send(piece.bytes(&block)).await?;
    }
    let answer = client.answer().await?;
    ensure!(answer.status == 201, "the upload was answered with {}", answer.head);
    Ok(())
}

/// The plain program: one thread that receives, hashes and writes, and syncs at the end.
async fn plain(folder: &Path, record: &BigRecord) -> Result<Duration> {
    std::fs::create_dir(folder).context("make a folder")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (folder, files, file_bytes) = (folder.to_owned(), record.files, record.file_bytes);
    let receiving = std::thread::spawn(move || receive(&listener, &folder, files, file_bytes));
    let mut stream = TcpStream::connect(address).await?;
    let (block, start) = (block(), Instant::now());
    for piece in record.contents() {
        stream.write_all(piece.bytes(&block)).await.context("send")?;
    }
    ensure!(stream.read(&mut [0]).await? == 0, "the plain program spoke");
    let elapsed = start.elapsed();
    receiving.join().map_err(|_| anyhow::anyhow!("the plain program panicked"))??;
    Ok(elapsed)
}

fn receive(listener: &TcpListener, folder: &Path, files: u64, file_bytes: u64) -> Result<()> {
    let mut stream = listener.accept()?.0;
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut digests = Vec::new();
    for number in 0..files {
        let mut file = File::create_new(folder.join(number.to_string())).context("create a file")?;
        let (mut hash, mut rest) = (Sha256::new(), file_bytes);
        while rest > 0 {
            let most = BLOCK_BYTES.min(usize::try_from(rest).unwrap_or(BLOCK_BYTES));
            let count = stream.read(&mut buffer[..most])?;
            ensure!(count > 0, "the sender closed early");
            hash.update(&buffer[..count]);
            file.write_all(&buffer[..count]).context("write a file")?;
            rest -= count as u64;
        }
        if files <= SYNC_EACH_MAX {
            file.sync_all().context("sync a file")?;
        }
        digests.push(hash.finalize());
    }
    let folder = File::open(folder).context("open a folder")?;
    if files > SYNC_EACH_MAX {
        sync_file_system(&folder).context("sync a file system")?;
    }
    folder.sync_all().context("sync a folder")?;
    ensure!(digests.len() as u64 == files, "a file is missing");
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync_file_system(folder: &File) -> nix::Result<()> {
    nix::unistd::syncfs(folder)
}

/// Other systems sync all of them or none.
#[cfg(not(target_os = "linux"))]
fn sync_file_system(_folder: &File) -> nix::Result<()> {
    nix::unistd::sync();
    Ok(())
}

/// Measures build pages alone and beside slow uploads, turn and turn about: what else a machine does in half a second
/// moves a 99th percentile more than eight uploads do.
pub(crate) async fn beside_slow_uploads(bench: &mut Bench, target: &Target, requests: usize) -> Result<()> {
    let mut pages = target.build_pages().into_iter().rev();
    // Pages that nobody asked for before, each time: what is rendered already costs nothing that an upload could slow.
    let mut load = || {
        let targets: Vec<String> = pages.by_ref().take(requests / SLOW_ROUNDS).collect();
        Load { requests: targets.len(), targets: Arc::new(targets), headers: "", at_once: 50 }
    };
    load().run(bench.address).await?;
    let (mut alone, mut beside) = (Loaded::default(), Loaded::default());
    for _ in 0..SLOW_ROUNDS {
        alone.append(load().run(bench.address).await?);
        let slow: Vec<_> = (0..SLOW_UPLOADS).map(|_| tokio::spawn(trickle(bench.address))).collect();
        tokio::time::sleep(SLOW_PAUSE * 10).await;
        beside.append(load().run(bench.address).await?);
        for slow in slow {
            if slow.is_finished() {
                beside.errors.add(1, "a slow upload ended early");
            }
            slow.abort();
        }
        tokio::time::sleep(SLOW_PAUSE * 10).await;
    }
    let percentile = |loaded: &Loaded, percent| loaded.samples.percentile(percent).unwrap_or(f64::NAN);
    let ratio = |percent| percentile(&beside, percent) / percentile(&alone, percent);
    let measurement = Measurement::new("web-slow-uploads")
        .with("uploads", SLOW_UPLOADS)
        .with("rounds", SLOW_ROUNDS)
        .figure("alone_per_s", alone.per_second())
        .figure("beside_per_s", beside.per_second())
        .latencies("alone", &alone.samples)
        .latencies("beside", &beside.samples)
        .figure("p50_slower", ratio(50))
        .figure("p99_slower", ratio(99))
        .errors(&beside.errors);
    bench.report.add(measurement)
}

/// An upload that never ends.
async fn trickle(address: SocketAddr) -> Result<()> {
    let record = BigRecord { build: fresh_build(), job: "slow".into(), files: 1, file_bytes: 1_000_000_000 };
    let mut client = Client::connect(address).await?;
    client.send(&request(&record)?).await?;
    let block = block();
    for piece in record.pieces() {
        for part in piece.bytes(&block).chunks(1000) {
            client.send(part).await?;
            tokio::time::sleep(SLOW_PAUSE).await;
        }
    }
    Ok(())
}
