//! A server, its workers and a repository in this process.

use anyhow::Context;
use builder_daemon::{Ipv6, StopSignals, listen_at};
use builder_model::Platform;
use builder_server::{Server, Settings};
use builder_web::Repository;
use builder_worker::{GRACE_DEFAULT, Orphans, Remote, Stop};
use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;

/// A farm that runs.
pub(crate) struct Farm {
    runtime: tokio::runtime::Runtime,
    server: Server,
    repository: Option<Repository>,
    workers: Vec<JoinHandle<()>>,
    stop: Stop,
}

/// What a farm is made of.
pub(crate) struct Parts<'a> {
    pub(crate) settings: Settings,
    pub(crate) listen: &'a [SocketAddr],
    pub(crate) metrics: &'a [SocketAddr],
    pub(crate) platform: &'a Platform,
    pub(crate) workers: u16,
    /// The repository that finished builds go to, when it is one of this process, and where it serves.
    pub(crate) repository: Option<(builder_web::Settings, SocketAddr)>,
    /// Where the folders of jobs are made.
    pub(crate) workdir: &'a Path,
}

impl Farm {
    pub(crate) fn start(mut parts: Parts<'_>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let repository = match parts.repository.take() {
            Some((settings, address)) => {
                let repository = runtime.block_on(start_repository(settings, address))?;
                let address = local(repository.addresses())?;
                parts.settings.upload = Some(builder_web::accounts::local::upload_url(repository.app(), address)?);
                Some(repository)
            }
            None => None,
        };
        let (listeners, metrics) = (listen_at(parts.listen, Ipv6::Only)?, listen_at(parts.metrics, Ipv6::Only)?);
        for listener in &metrics {
            tracing::info!("metrics at http://{}/metrics", listener.local_addr()?);
        }
        let server = runtime.block_on(Server::start(parts.settings, listeners, metrics))?;
        let stop = Stop::new()?;
        let remote: Remote = local(server.addresses())?.to_string().parse()?;
        let settings = builder_worker::Settings {
            platform: parts.platform.clone(),
            remote,
            looping: true,
            timeout: None,
            workdir: parts.workdir.to_owned(),
            grace: GRACE_DEFAULT,
            policy: builder_worker::Policy::default(),
            rootfs_digest: None,
            slot: 0,
            supervisor_program: None,
            orphans: Some(Orphans::adopt()?),
        };
        let worker = |number| {
            let (settings, stop) = (settings.clone(), stop.clone());
            std::thread::Builder::new().name(format!("worker {number}")).spawn(move || {
                if let Err(error) = builder_worker::run(&settings, &stop) {
                    tracing::error!("worker {number} ended: {error}");
                }
            })
        };
        let workers = (1..=parts.workers).map(worker).collect::<Result<_, _>>()?;
        Ok(Self { runtime, server, repository, workers, stop })
    }

    /// Where clients of this machine connect.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        local(self.server.addresses())
    }

    /// The repository and where people of this machine see it.
    pub(crate) fn repository(&self) -> anyhow::Result<Option<(&Repository, SocketAddr)>> {
        self.repository.as_ref().map(|repository| Ok((repository, local(repository.addresses())?))).transpose()
    }

    /// Ends jobs, workers, server and repository, in this order.
    pub(crate) fn stop(self) {
        self.stop.stop();
        for worker in self.workers {
            if worker.join().is_err() {
                tracing::error!("a worker ended badly");
            }
        }
        self.runtime.block_on(async {
            self.server.stop().await;
            if let Some(repository) = self.repository {
                repository.stop().await;
            }
        });
    }

    /// Waits until somebody asks this process to stop.
    pub(crate) fn wait_for_signal(&self) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            StopSignals::handle()?.come().await;
            Ok(())
        })
    }
}

/// A repository on a data folder, which is made when it is not there.
async fn start_repository(settings: builder_web::Settings, address: SocketAddr) -> anyhow::Result<Repository> {
    let datadir = &settings.datadir;
    std::fs::create_dir_all(datadir).with_context(|| format!("cannot create {}", datadir.display()))?;
    if !builder_web::Database::path_of(datadir).exists() {
        drop(builder_web::Database::create(datadir)?);
    }
    Ok(Repository::start(settings, listen_at(&[address], Ipv6::AndIpv4)?).await?)
}

/// The first address, as it can be reached from this machine.
fn local(addresses: &[SocketAddr]) -> anyhow::Result<SocketAddr> {
    let mut address = *addresses.first().context("the server listens nowhere")?;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr =
            if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    Ok(address)
}
