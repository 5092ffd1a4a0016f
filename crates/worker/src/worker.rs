//! The life of a worker: connect, take a job, run it; with a loop, again and again, patient with a server that is away.

use crate::connection::{Connection, Remote};
use crate::error::Error;
use crate::folder::{Folder, random};
use crate::job;
use crate::processes::Orphans;
use crate::signals::Stop;
use builder_model::Platform;
use std::path::PathBuf;
use std::time::Duration;

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
    /// The program that becomes the supervisor of a job; it calls [`crate::supervisor::run_if_asked`]. Without one,
    /// this program itself.
    pub supervisor_program: Option<PathBuf>,
    /// Catches processes of a job whose supervisor was killed.
    pub orphans: Option<Orphans>,
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
    let mut pause = PAUSE_MIN;
    loop {
        let mut welcome = false;
        match one_job(settings, stop, &mut welcome) {
            Ok(()) if settings.looping => pause = PAUSE_MIN,
            Ok(()) => return Ok(Ended::JobDone),
            Err(Error::Stopped) => {
                tracing::info!("asked to stop");
                return Ok(Ended::Stopped);
            }
            Err(error) if settings.looping => {
                if welcome {
                    pause = PAUSE_MIN;
                }
                let jittered = jittered(pause, random());
                tracing::warn!("{error}; trying again in {} ms", jittered.as_millis());
                if stop.wait(jittered) {
                    return Ok(Ended::Stopped);
                }
                pause = pause.saturating_mul(2).min(PAUSE_MAX);
            }
            Err(error) => return Err(error),
        }
    }
}

/// From one connection to its end; `welcome` tells whether the server was there.
fn one_job(settings: &Settings, stop: &Stop, welcome: &mut bool) -> Result<(), Error> {
    // A worker that cannot make folders must not take jobs, only to fail them one after the other.
    drop(Folder::create(&settings.workdir)?);
    let mut connection = Connection::open(&settings.remote, stop)?;
    *welcome = true;
    tracing::info!("connected to {}, waiting for a job for {}", settings.remote, settings.platform);
    let assignment = connection.request(settings.platform.as_bytes())?;
    let job = &assignment.job;
    tracing::info!("received job uuid {}: name {} on {}", assignment.build, job.name, job.platform);
    if job.platform != settings.platform {
        tracing::warn!("the job is for {}, and we are {}; running it all the same", job.platform, settings.platform);
    }
    job::run(&connection, settings, stop, &assignment)
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
    fn pauses_vary_within_bounds() {
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            for pause in [PAUSE_MIN, PAUSE_MAX, Duration::ZERO] {
                let jittered = jittered(pause, random);
                assert!(jittered >= pause / 2 && jittered <= pause, "{jittered:?}");
            }
        }
    }
}
