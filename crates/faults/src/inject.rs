//! Making things go wrong, and right again.

use crate::farm::{Farm, STOP_LIMIT};
use crate::plan::{Blow, CLIENTS, Net, Spell, Target};
use crate::processes;
use crate::programs::Program;
use crate::proxy::{Cut, Gate, Side, Way};
use crate::wait;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How many connections come when the server has no descriptors left.
const CONNECTIONS: usize = 64;
/// How many connections of clients are cut within a frame at most: all, as most of them only ask how things stand.
const CLIENT_CUTS: usize = 10_000;
/// How long to wait for a process of a job when none is there.
const JOB_LIMIT: Duration = Duration::from_millis(500);
/// How long what a killed supervisor left may live.
const CLEAN_LIMIT: Duration = Duration::from_secs(10);

/// Whether a fault happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injected {
    /// It did.
    Yes,
    /// There was nobody whom it could have hit.
    Nobody,
}

/// What has to be undone at the end of a spell.
#[derive(Debug, Default)]
pub(crate) struct Cure {
    frozen: Vec<Pid>,
    connections: Vec<TcpStream>,
    limited: Option<Pid>,
}

fn one_job_process(farm: &Farm, choice: u64) -> Option<Pid> {
    let mut found = Vec::new();
    wait::until(JOB_LIMIT, || {
        found = farm.job_processes();
        !found.is_empty()
    });
    let index = usize::try_from(choice.checked_rem(found.len() as u64)?).ok()?;
    found.get(index).copied()
}

/// Strikes. A program that was killed is started again by the caller.
pub(crate) fn strike(farm: &mut Farm, blow: Blow) -> Result<Injected> {
    match blow {
        Blow::Kill(Target::Server) => match farm.server.take() {
            Some(server) => server.kill().map(|()| Injected::Yes),
            None => Ok(Injected::Nobody),
        },
        Blow::Kill(Target::Worker(number)) => {
            let next = farm.start_worker(number)?;
            std::mem::replace(&mut farm.workers[number], next).kill()?;
            Ok(Injected::Yes)
        }
        Blow::Kill(Target::Job(choice)) => {
            let Some(victim) = one_job_process(farm, choice) else { return Ok(Injected::Nobody) };
            kill_job_process(victim);
            Ok(Injected::Yes)
        }
        Blow::Restart => {
            let Some(server) = farm.server.take() else { return Ok(Injected::Nobody) };
            processes::signal(server.id(), Signal::SIGCONT);
            let log = server.log.clone();
            let status = server.stop(STOP_LIMIT)?;
            let words = crate::programs::last_words(&log);
            let status = status.with_context(|| format!("the server does not stop\n    {words}"))?;
            anyhow::ensure!(status.success(), "the server stopped with {status}\n    {words}");
            Ok(Injected::Yes)
        }
    }
}

/// Kills a process of a job. What a supervisor leaves is ended by its worker; that both are killed within moments of
/// each other is beyond what the programs promise, so here the worker has its time.
fn kill_job_process(victim: Pid) {
    let left = processes::below(&[victim]);
    let is_supervisor = processes::is_supervisor(victim);
    processes::signal(victim, Signal::SIGKILL);
    if is_supervisor {
        wait::until(CLEAN_LIMIT, || !left.iter().any(|process| processes::lives(*process)));
    }
}

/// Begins a spell.
pub(crate) fn begin(farm: &mut Farm, spell: Spell, cure: &mut Cure) -> Result<Injected> {
    match spell {
        Spell::Freeze(target) => {
            let victim = match target {
                Target::Server => farm.server.as_ref().map(Program::id),
                Target::Worker(number) => farm.workers.get(number).map(Program::id),
                Target::Job(choice) => one_job_process(farm, choice),
            };
            let frozen = victim.filter(|victim| processes::signal(*victim, Signal::SIGSTOP));
            cure.frozen.extend(frozen);
            Ok(frozen.map_or(Injected::Nobody, |_| Injected::Yes))
        }
        Spell::Net(worker, net) => Ok(begin_net(farm, worker, net)),
        Spell::Full(volume, spare) => with_mounts(farm, |mounts| mounts.fill(volume, spare)),
        Spell::ReadOnly(volume) => with_mounts(farm, |mounts| mounts.make_read_only(volume)),
        Spell::Descriptors(spare) => {
            let Some(server) = farm.server.as_ref().map(Program::id) else { return Ok(Injected::Nobody) };
            let used = std::fs::read_dir(format!("/proc/{server}/fd")).context("count descriptors")?.count() as u64;
            limit_descriptors(server, used + spare)?;
            cure.limited = Some(server);
            let connect = |_| TcpStream::connect_timeout(&farm.address, Duration::from_millis(100)).ok();
            cure.connections = (0..CONNECTIONS).filter_map(connect).collect();
            Ok(Injected::Yes)
        }
    }
}

fn with_mounts(farm: &Farm, act: impl FnOnce(&crate::mounts::Mounts) -> Result<()>) -> Result<Injected> {
    farm.mounts.as_ref().map_or(Ok(Injected::Nobody), |mounts| act(mounts).map(|()| Injected::Yes))
}

/// How many connections are cut within a frame: there are many clients, and a worker pays with the retries of jobs.
fn cuts(network: usize) -> usize {
    if network == CLIENTS { CLIENT_CUTS } else { 1 }
}

fn begin_net(farm: &Farm, worker: usize, net: Net) -> Injected {
    let proxy = &farm.proxies[worker];
    let hit = |count: usize| if count > 0 { Injected::Yes } else { Injected::Nobody };
    match net {
        Net::Stall | Net::StallThenCut => proxy.set_gate(Gate::Shut),
        Net::Delay(milliseconds) => proxy.set_gate(Gate::Late(Duration::from_millis(milliseconds))),
        Net::Cut => return hit(proxy.cut()),
        // Past the hello: into a console or a hand-in, or into the command of a client.
        Net::CutInUpload => {
            let blocks = if worker == CLIENTS { 1 } else { 3 };
            proxy.cut_within_frame(Cut { way: Way::Up, blocks, bytes: 700, times: cuts(worker) });
        }
        // Into a job, or into the answer to a client, who then does not know.
        Net::CutInDownload => {
            proxy.cut_within_frame(Cut { way: Way::Down, blocks: 1, bytes: 40, times: cuts(worker) });
        }
        Net::WorkerSideCut => return hit(proxy.tear(Side::Worker)),
        Net::ServerSideCut => return hit(proxy.tear(Side::Server)),
    }
    Injected::Yes
}

/// Ends a spell; whether it hit somebody after all.
pub(crate) fn end(farm: &mut Farm, spell: Spell, cure: Cure) -> Result<Injected> {
    for process in cure.frozen {
        // It may have been killed meanwhile.
        processes::signal(process, Signal::SIGCONT);
    }
    drop(cure.connections);
    if let Some(server) = cure.limited.filter(|server| farm.server.as_ref().map(Program::id) == Some(*server)) {
        limit_descriptors(server, hard_limit(server)?)?;
    }
    let has_mounts = farm.mounts.is_some();
    match spell {
        Spell::Freeze(_) | Spell::Descriptors(_) => {}
        Spell::Net(worker, net) => {
            let proxy = &farm.proxies[worker];
            match net {
                Net::Stall | Net::Delay(_) | Net::Cut => proxy.set_gate(Gate::Open),
                Net::StallThenCut => {
                    proxy.cut();
                    proxy.set_gate(Gate::Open);
                }
                Net::CutInUpload | Net::CutInDownload => {
                    if proxy.left_uncut() == cuts(worker) {
                        return Ok(Injected::Nobody);
                    }
                }
                Net::WorkerSideCut | Net::ServerSideCut => drop(proxy.cut()),
            }
        }
        Spell::Full(volume, _) if has_mounts => {
            with_mounts(farm, |mounts| mounts.free(volume))?;
        }
        Spell::ReadOnly(volume) if has_mounts => {
            with_mounts(farm, |mounts| mounts.make_writable(volume))?;
        }
        Spell::Full(..) | Spell::ReadOnly(_) => {}
    }
    Ok(Injected::Yes)
}

/// Whether the limit on the descriptors of another process can be set here.
pub(crate) fn can_limit_descriptors() -> bool {
    let mut command = Command::new("prlimit");
    command.args(["--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn limit_descriptors(process: Pid, count: u64) -> Result<()> {
    let mut command = Command::new("prlimit");
    command.args([format!("--pid={process}"), format!("--nofile={count}:")]).stdin(Stdio::null());
    let output = command.output().context("run prlimit")?;
    anyhow::ensure!(output.status.success(), "prlimit: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn hard_limit(process: Pid) -> Result<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).context("read limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("a limit on open files")?;
    line.split_ascii_whitespace().nth(1).context("a hard limit")?.parse().context("a hard limit")
}
