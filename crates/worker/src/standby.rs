//! A supervisor on standby: started, in a control group of its own, while its worker waits for a job. To get there takes
//! longer than to run a short script: a program has to be loaded, and to enter a group the kernel waits for all
//! processors.

use crate::error::Error;
use crate::limits::{self, Group};
use crate::order::Order;
use crate::processes::{self, Orphans};
use crate::supervisor;
use crate::worker::Settings;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// A supervisor process, from outside.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) program: PathBuf,
    pub(crate) child: Child,
    /// Where it takes orders and requests, and reports.
    pub(crate) control: UnixStream,
    /// Holds the job to its limits, and ends what escaped the supervisor when all is over.
    pub(crate) group: Option<Group>,
}

impl Supervisor {
    /// Gives it its job. One that ends now tells so by its end.
    pub(crate) fn give(&self, order: &Order) -> Result<(), Error> {
        match order.write(&self.control) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|source| {
                let program = self.program.clone();
                Error::Supervisor { act: "talk to", program, source }
            }),
        }
    }
}

/// A supervisor that has no job yet, and ends with this value unless it gets one.
#[derive(Debug)]
pub(crate) struct Standby {
    /// With what its job will print.
    waiting: Option<(Supervisor, PipeReader)>,
    orphans: Option<Orphans>,
}

impl Standby {
    /// Starts one; it may not be ready yet.
    pub(crate) fn start(settings: &Settings) -> Result<Self, Error> {
        let program = settings.supervisor_program.clone().unwrap_or_else(this_program);
        let refused = |finding| Error::Refused { findings: vec![finding] };
        let group = limits::group(&settings.policy).map_err(refused)?;
        let process_limits = limits::of_processes(&settings.policy).map_err(refused)?;
        let started = || -> io::Result<(Child, UnixStream, PipeReader)> {
            let (control, theirs) = UnixStream::pair()?;
            control.set_nonblocking(true)?;
            let (pipe, console) = io::pipe()?;
            let mut command = supervisor::command(&program, settings.grace, group.as_ref(), process_limits);
            command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(console.try_clone()?).stderr(console);
            let child = match &settings.orphans {
                Some(orphans) => orphans.spawn(&mut command)?,
                None => command.spawn()?,
            };
            Ok((child, control, pipe))
        };
        match started() {
            Ok((child, control, console)) => {
                let supervisor = Supervisor { program, child, control, group };
                Ok(Self { waiting: Some((supervisor, console)), orphans: settings.orphans.clone() })
            }
            Err(source) => Err(Error::Supervisor { act: "start", program, source }),
        }
    }

    /// The supervisor, and what its job will print. One that ended while it waited is replaced.
    pub(crate) fn ready(mut self, settings: &Settings) -> Result<(Supervisor, PipeReader), Error> {
        let has_ended = |(waiting, _): &mut (Supervisor, PipeReader)| !matches!(waiting.child.try_wait(), Ok(None));
        if self.waiting.as_mut().is_none_or(has_ended) {
            tracing::warn!("the supervisor on standby has ended: starting another one");
            self = Self::start(settings)?;
        }
        // It is there, as it has just been started or looked at.
        self.waiting.take().ok_or(Error::Stopped)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let Some((mut supervisor, _)) = self.waiting.take() else { return };
        // It runs nothing, so it may be killed; and it must not outlive us as a zombie.
        let reaped = supervisor.child.kill().and_then(|()| supervisor.child.wait());
        if let Err(error) = reaped {
            tracing::debug!("cannot end a supervisor that has no job: {error}");
        }
        if let Some(orphans) = &self.orphans {
            orphans.forget(processes::id_of(&supervisor.child));
        }
    }
}

/// The program that becomes a supervisor, by a name that others can open, too; none if it is this one, and its file is
/// gone.
pub(crate) fn supervisor_program(settings: &Settings) -> Option<PathBuf> {
    settings.supervisor_program.clone().unwrap_or_else(this_program).canonicalize().ok()
}

/// This program, even if its file has been replaced since it was started.
fn this_program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or(own) }
}
