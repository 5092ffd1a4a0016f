//! The machine's own floor: what any server must pay at least, measured with plain programs in the same run.

use crate::bench::Bench;
use crate::finished::{BLOCK_BYTES, block};
use crate::report::Measurement;
use crate::samples::Samples;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How often each small thing is done
    #[arg(long, default_value_t = 300)]
    pub(crate) rounds: usize,
    /// How many MB are copied over loopback
    #[arg(long, default_value_t = 1000)]
    pub(crate) megabytes: u64,
}

/// Measures; needs a folder on the disk in question.
pub(crate) async fn run(bench: &mut Bench, options: &Options) -> Result<()> {
    let folder = bench.folder.clone().context("--dir is needed: a folder on the disk of the server")?;
    let bytes = options.megabytes * 1_000_000;
    let rate = |elapsed: Duration| bytes as f64 / 1e6 / elapsed.as_secs_f64();
    let kept = tempfile::tempdir_in(&folder).context("make a folder")?;
    let measurement = Measurement::new("floor")
        .with("rounds", options.rounds)
        .latencies("fdatasync_4k", &data_syncs(&folder, options.rounds)?)
        .latencies("create_sync_rename_sync", &records(&folder, "alone", options.rounds)?)
        .figure("records_per_s_8_threads", records_per_second(&folder, options.rounds, 8)?)
        .figure("records_per_s_64_threads", records_per_second(&folder, options.rounds, 64)?)
        .latencies("fork_exec", &processes(options.rounds)?)
        .latencies("loopback_round_trip", &round_trip().await?)
        .latencies("loopback_connect", &connects(options.rounds).await?)
        .figure("loopback_mb_per_s", rate(copy(None, bytes).await?))
        .figure("loopback_to_disk_mb_per_s", rate(copy(Some(&kept.path().join("copy")), bytes).await?));
    bench.report.add(measurement)
}

/// Appends 4 KiB to a file and waits until they are on disk, again and again: a commit of a small transaction.
pub(crate) fn data_syncs(folder: &Path, rounds: usize) -> Result<Samples> {
    let path = folder.join("builder-bench.sync");
    let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let start = Instant::now();
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).context("sync a file")?;
        samples.push(start.elapsed());
    }
    fs::remove_file(&path).context("remove a file")?;
    Ok(samples)
}

/// Creates a file, syncs it, renames it, syncs its folder: a small record.
fn records(folder: &Path, name: &str, rounds: usize) -> Result<Samples> {
    let folder = folder.join(format!("builder-bench.records-{name}"));
    fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
    let directory = File::open(&folder).context("open a folder")?;
    let mut samples = Samples::default();
    for number in 0..rounds {
        let (temporary, path) = (folder.join("new"), folder.join(number.to_string()));
        let start = Instant::now();
        let mut file = File::create(&temporary).context("create a file")?;
        file.write_all(&[7; 1024]).and_then(|()| file.sync_all()).context("sync a file")?;
        fs::rename(&temporary, &path).and_then(|()| directory.sync_all()).context("rename a file")?;
        samples.push(start.elapsed());
    }
    fs::remove_dir_all(&folder).context("remove a folder")?;
    Ok(samples)
}

/// The same by several threads at once, each in a folder of its own: what the disk gives to many builds that end.
fn records_per_second(folder: &Path, rounds: usize, threads: usize) -> Result<f64> {
    let start = Instant::now();
    let ended = std::thread::scope(|scope| {
        let write = |thread: usize| records(folder, &format!("{threads}-{thread}"), rounds);
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || write(thread))).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    for thread in ended {
        thread.map_err(|_| anyhow::anyhow!("a thread of the floor panicked"))??;
    }
    Ok((rounds * threads) as f64 / start.elapsed().as_secs_f64())
}

/// Starts a program that does nothing and waits for its end.
fn processes(rounds: usize) -> Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let start = Instant::now();
        let mut command = Command::new("/bin/true");
        let status = command.stdin(Stdio::null()).status().context("run /bin/true")?;
        ensure!(status.success(), "/bin/true failed");
        samples.push(start.elapsed());
    }
    Ok(samples)
}

/// Sends an octet to another thread and back, over loopback.
pub(crate) async fn round_trip() -> Result<Samples> {
    let (mut stream, echo) = connected(|mut stream| {
        let mut octet = [0];
        while stream.read(&mut octet)? > 0 {
            stream.write_all(&octet)?;
        }
        Ok(())
    })
    .await?;
    stream.set_nodelay(true)?;
    let mut samples = Samples::default();
    for _ in 0..1000 {
        let (mut octet, start) = ([1], Instant::now());
        stream.write_all(&octet).await?;
        stream.read_exact(&mut octet).await?;
        samples.push(start.elapsed());
    }
    drop(stream);
    joined(echo)?;
    Ok(samples)
}

/// Connects over loopback to somebody who accepts and closes.
async fn connects(rounds: usize) -> Result<Samples> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let accepting = std::thread::spawn(move || -> Result<()> {
        for _ in 0..rounds {
            drop(listener.accept()?);
        }
        Ok(())
    });
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).await?;
        ensure!(stream.read(&mut [0]).await? == 0, "somebody else accepted");
        samples.push(start.elapsed());
    }
    joined(accepting)?;
    Ok(samples)
}

/// Copies bytes over loopback to a thread that counts them or, with a path, writes them into a new file there and
/// syncs it: the same bytes as an artifact, with nothing of a server. Gives how long it took until all was done.
pub(crate) async fn copy(path: Option<&Path>, bytes: u64) -> Result<Duration> {
    let file = path.map(File::create_new).transpose().context("create a file")?;
    let (mut stream, receiving) = connected(move |mut stream| receive(&mut stream, file, bytes)).await?;
    let (block, start) = (block(), Instant::now());
    let mut rest = bytes;
    while rest > 0 {
        let piece = &block[..BLOCK_BYTES.min(usize::try_from(rest).unwrap_or(BLOCK_BYTES))];
        stream.write_all(piece).await.context("send")?;
        rest -= piece.len() as u64;
    }
    ensure!(stream.read(&mut [0]).await? == 0, "the receiver spoke");
    let elapsed = start.elapsed();
    joined(receiving)?;
    Ok(elapsed)
}

fn receive(stream: &mut std::net::TcpStream, mut file: Option<File>, bytes: u64) -> Result<()> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut rest = bytes;
    while rest > 0 {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the sender closed early");
        if let Some(file) = &mut file {
            file.write_all(&buffer[..count])?;
        }
        rest -= count as u64;
    }
    file.map(|file| file.sync_all()).transpose()?;
    Ok(())
}

type Serving = std::thread::JoinHandle<Result<()>>;

/// A connection over loopback to a thread of its own.
async fn connected(
    serve: impl FnOnce(std::net::TcpStream) -> Result<()> + Send + 'static,
) -> Result<(TcpStream, Serving)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let serving = std::thread::spawn(move || serve(listener.accept()?.0));
    Ok((TcpStream::connect(address).await?, serving))
}

fn joined(serving: Serving) -> Result<()> {
    serving.join().map_err(|_| anyhow::anyhow!("a thread of the floor panicked"))?
}
