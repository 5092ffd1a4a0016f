//! One large artifact, read by a client that throws it away, beside nginx with the same file.

use super::Target;
use super::client::Client;
use crate::bench::{Bench, within};
use crate::farm::Program;
use crate::report::{Errors, Measurement};
use crate::samples::Samples;
use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tokio::net::TcpStream;

/// Where packages put nginx.
const PLACES: [&str; 4] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];

/// Measures, turn and turn about; only ours where there is no nginx.
pub(crate) async fn run(bench: &mut Bench, target: &Target, rounds: usize) -> Result<()> {
    let nginx = match PLACES.map(PathBuf::from).into_iter().find(|path| path.exists()) {
        Some(program) => Some(Nginx::start(&program, target).await?),
        None => {
            bench.report.say("no nginx is installed: downloads are measured without it");
            None
        }
    };
    let bytes = target.plan.download_bytes;
    let (mut ours, mut theirs, mut errors) = (Samples::default(), Samples::default(), Errors::default());
    // The first one brings the file into the cache of the system for both.
    for round in 0..=rounds {
        let address = target.download();
        match within(bench.deadline(), "a download", download(bench.address, &address, bytes)).await {
            Ok(rate) if round > 0 => ours.add(rate),
            Ok(_) => {}
            Err(error) => errors.note(&error),
        }
        if let Some(nginx) = &nginx {
            let rate = within(bench.deadline(), "a download from nginx", download(nginx.address, "/file", bytes));
            let rate = rate.await?;
            if round > 0 {
                theirs.add(rate);
            }
        }
    }
    let measurement = Measurement::new("web-download")
        .figure("megabytes", bytes as f64 / 1e6)
        .with("rounds", rounds)
        .figure("mb_per_s", ours.median())
        .figure("nginx_mb_per_s", theirs.median())
        .figure("of_nginx", ours.median() / theirs.median())
        .errors(&errors);
    bench.report.add(measurement)?;
    match nginx {
        Some(nginx) => nginx.program.stop().await.context("stop nginx"),
        None => Ok(()),
    }
}

/// In MB/s.
async fn download(address: SocketAddr, target: &str, bytes: u64) -> Result<f64> {
    let mut client = Client::connect(address).await?;
    let start = Instant::now();
    let answer = client.get_ok(target, "").await?;
    ensure!(answer.bytes == bytes, "{} bytes came instead of {bytes}", answer.bytes);
    Ok(bytes as f64 / 1e6 / start.elapsed().as_secs_f64())
}

struct Nginx {
    program: Program,
    address: SocketAddr,
}

impl Nginx {
    /// With the settings of Debian's package that matter for files: `sendfile` and `tcp_nopush`.
    async fn start(program: &Path, target: &Target) -> Result<Self> {
        let folder = tempfile::tempdir_in(target.parent()).context("make a folder")?;
        // Its worker may run as another user.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).context("open a folder")?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.context("find a free port")?;
        std::fs::hard_link(target.download_file()?, folder.path().join("file")).context("link the file for nginx")?;
        let root = folder.path().display();
        let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
        let config = format!(
            "{user} daemon off; worker_processes auto; pid {root}/pid; error_log {root}/log.nginx;
            events {{ worker_connections 64; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; types {{ }} default_type application/octet-stream;
                client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
                uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
                server {{ listen {address}; root {root}; }}
            }}"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config).context("write the configuration of nginx")?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&path).arg("-p").arg(folder.path()).args(["-e", "stderr"]);
        let mut program = Program::start(&mut command, folder)?;
        while TcpStream::connect(address).await.is_err() {
            program.check()?;
            tokio::time::sleep(crate::farm::LOOK_INTERVAL).await;
        }
        Ok(Self { program, address })
    }
}
