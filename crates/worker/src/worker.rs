//! The life of a worker: connect, take a job, run it; with a loop, again and again, patient with a server that is away.

use crate::connection::Connection;
use crate::containers;
use crate::error::Error;
use crate::folder::{self, Folder, random};
use crate::job;
use crate::processes::Orphans;
use crate::signals::Stop;
use crate::standby::{Standby, supervisor_program};
use crate::sys;
use crate::trial;
use builder_model::{Platform, Remote};
use builder_sandbox::{Digest, Finding, Host, Policy};
use builder_wire::WorkerVersion;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a job has between TERM and KILL, unless told otherwise.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(5);
/// The first pause before connecting again; each one after it is twice as long,
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a worker is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it builds for.
    pub platform: Platform,
    /// Where its server is.
    pub remote: Remote,
    /// Go on with the next job after each one.
    pub looping: bool,
    /// How long a job may run; without one, the server decides.
    pub timeout: Option<Duration>,
    /// Where the folders of jobs are made.
    pub workdir: PathBuf,
    /// How long a job that has to end has between TERM and KILL.
    pub grace: Duration,
    /// What a job may see and use.
    pub policy: Policy,
    /// The digest of the root file system that this process itself is in, for jobs that see it.
    pub rootfs_digest: Option<Digest>,
    /// Which of the workers of this process it is, counted from 0: as root, each runs its jobs as a user of its own.
    pub slot: u32,
    /// The program that becomes the supervisor of a job; it calls [`crate::supervisor::run_if_asked`]. Without one,
    /// this program itself.
    pub supervisor_program: Option<PathBuf>,
    /// Catches processes of a job whose supervisor was killed.
    pub orphans: Option<Orphans>,
}

impl Settings {
    /// A worker that runs one job for a platform, without a sandbox, for a server on this machine.
    pub fn for_platform(platform: Platform) -> Self {
        Self {
            platform,
            remote: Remote::default(),
            looping: false,
            timeout: None,
            workdir: std::env::temp_dir(),
            grace: GRACE_DEFAULT,
            policy: Policy::default(),
            rootfs_digest: None,
            slot: 0,
            supervisor_program: None,
            orphans: None,
        }
    }
}

/// Why a worker ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did its one job.
    JobDone,
    /// It was asked to stop.
    Stopped,
}

/// Runs one job, or with [`Settings::looping`] one after the other until asked to stop. A job that runs when the
/// request comes is ended and not handed in; its server lets it run again.
///
/// # Errors
///
/// Without a loop, whatever keeps the job from being handed in. With one, errors are logged, and all begins anew
/// after a pause.
pub fn run(settings: &Settings, stop: &Stop) -> Result<Ended, Error> {
    if settings.slot == 0 {
        folder::remove_left(&settings.workdir);
    }
    let (mut pauses, mut known) = (Pauses::default(), Known::default());
    loop {
        let begun = Instant::now();
        match one_job(settings, stop, &mut known) {
            Ok(()) if settings.looping => pauses = Pauses::default(),
            Ok(()) => return Ok(Ended::JobDone),
            Err(Error::Stopped) => {
                tracing::info!("asked to stop");
                return Ok(Ended::Stopped);
            }
            Err(error) if settings.looping => {
                let jittered = jittered(pauses.after(&error, begun.elapsed()), random());
                tracing::warn!("{error}; trying again in {} ms", jittered.as_millis());
                if stop.wait(jittered) {
                    return Ok(Ended::Stopped);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// How long to pause before each new attempt. They grow until a job has been handed in: it is not enough that the
/// server was there, or a worker that can do no job would use up the retries of one after the other.
#[derive(Debug)]
struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: PAUSE_MIN }
    }
}

impl Pauses {
    /// The pause after an attempt that lasted this long.
    fn after(&mut self, error: &Error, lasted: Duration) -> Duration {
        // A server that went after a long time is a new matter; a worker at fault stays at fault.
        if lasted >= PAUSE_MAX && !error.is_own() {
            *self = Self::default();
        }
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(PAUSE_MAX);
        pause
    }
}

/// What a worker has learned from one job for the next.
#[derive(Debug)]
struct Known {
    /// The newest version of the protocol that its server may speak.
    version: WorkerVersion,
    /// Whether it could not do its last job: then what can be looked at is not enough to ask for another one.
    is_doubtful: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self { version: WorkerVersion::Six, is_doubtful: false }
    }
}

/// From one connection to its end.
fn one_job(settings: &Settings, stop: &Stop, known: &mut Known) -> Result<(), Error> {
    if known.is_doubtful {
        trial::must_pass(settings)?;
        tracing::info!("a job for a trial ran here: asking for jobs again");
        known.is_doubtful = false;
    }
    // A worker that cannot fill folders must not take jobs, only to fail them one after the other.
    Folder::probe(&settings.workdir)?;
    let (mut host, findings) = look(settings);
    fulfilled(findings)?;
    containers::remove_left_behind(&host);
    // A server that is gone may come back as another one.
    let version = std::mem::replace(&mut known.version, WorkerVersion::Six);
    let mut connection = Connection::open(&settings.remote, stop, version)?;
    tracing::info!("connected to {}, waiting for a job for {}", settings.remote, settings.platform);
    let standby = Standby::start(settings)?;
    let assignment = connection.request(settings.platform.as_bytes())?;
    let job = &assignment.job;
    tracing::info!("received job uuid {}: name {} on {}", assignment.build, job.name, job.platform);
    if job.platform != settings.platform {
        tracing::warn!("the job is for {}, and we are {}; running it all the same", job.platform, settings.platform);
    }
    let result = job::run(&connection, settings, &mut host, stop, standby, &assignment);
    match &result {
        Ok(()) => known.version = connection.version(),
        Err(error) if error.is_own() => {
            tracing::warn!("asking for no other job before one for a trial has run here");
            (known.version, known.is_doubtful) = (connection.version(), true);
        }
        Err(_) => {}
    }
    result
}

/// Refuses to work when something is missing that the policy asks.
pub(crate) fn fulfilled(findings: Vec<Finding>) -> Result<(), Error> {
    let missing: Vec<_> = findings.into_iter().filter(|finding| !finding.is_fulfilled()).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Refused { findings: missing }) }
}

/// What this host gives now, and whether that is what the policy asks.
pub(crate) fn look(settings: &Settings) -> (Host, Vec<Finding>) {
    let own_program = supervisor_program(settings);
    let host = Host {
        landlock: sys::landlock_version(),
        ..Host::gather(&settings.policy, own_program.as_deref(), nix::unistd::geteuid().as_raw())
    };
    let findings = builder_sandbox::check(&settings.policy, &host);
    (host, findings)
}

/// Between half of the pause and all of it, so that the workers of a farm do not come back all at once.
fn jittered(pause: Duration, random: u64) -> Duration {
    let half = pause / 2;
    let nanoseconds = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_nanos(random % nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_a_server_was_there_for_long() {
        let own = Error::System { act: "do it", source: std::io::ErrorKind::StorageFull.into() };
        let mut pauses = Pauses::default();
        let mut after = |error, lasted| pauses.after(error, lasted).as_millis();
        assert_eq!([(); 3].map(|()| after(&Error::ClosedWaiting, Duration::ZERO)), [250, 500, 1000]);
        assert_eq!([(); 2].map(|()| after(&own, PAUSE_MAX)), [2000, 4000]);
        assert_eq!([(); 2].map(|()| after(&Error::ClosedWaiting, PAUSE_MAX)), [250, 250]);
        assert_eq!([(); 9].map(|()| after(&own, Duration::ZERO))[6..], [32_000, 60_000, 60_000]);
    }

    #[test]
    fn pauses_vary_within_bounds() {
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            for pause in [PAUSE_MIN, PAUSE_MAX, Duration::ZERO] {
                let jittered = jittered(pause, random);
                assert!(jittered >= pause / 2 && jittered <= pause, "{jittered:?}");
            }
        }
    }
}
