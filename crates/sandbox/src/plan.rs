//! A plan: all that the worker's supervisor needs to know to run one job in its sandbox. It is made by the worker and
//! travels to the supervisor as JSON, so what may be no UTF-8 is an `OsString`.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where a job lies on the host, and which of the jobs of a worker it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder of the job.
    pub folder: OsString,
    /// A folder for what a job writes into its root file system, where it may do that.
    pub layer: Option<OsString>,
    /// Tells the jobs of this host apart that run at the same time: in names of what has to be taken away after them. By it,
    /// the next worker tells what a killed one left, where that is possible.
    pub name: String,
    /// Which of the jobs of this worker that run at the same time it is, counted from 0.
    pub slot: u32,
}

/// How one job is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plan {
    /// The script is started by the supervisor itself, in the job's folder.
    Bare(Environment),
    /// A command is started that makes a sandbox and runs the script in it.
    Enclosed(Box<Enclosure>),
}

/// The environment of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Whether it begins with that of the worker.
    pub inherits: bool,
    /// What is set in any case; of one name, the last counts.
    pub set: Vec<(OsString, OsString)>,
}

/// A sandbox that is made by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosure {
    /// What it is called in messages, such as `bubblewrap`.
    pub name: String,
    /// What the supervisor does to its own view of the file system before anything else.
    pub stage: Option<Stage>,
    /// Commands that make it ready, one after the other; when one fails, the job is refused.
    pub prepare: Vec<Step>,
    /// The command, its program first. Its environment is empty.
    pub command: Vec<Argument>,
    /// What [`Argument::Descriptor`] refers to: the content of files that exist only as descriptors.
    pub descriptors: Vec<Vec<u8>>,
    /// Whom the folder of the job is given to, when it is not to be the worker's.
    pub owner: Option<HostUser>,
    /// Who the command is on the host, when it is not to be who the supervisor is.
    pub host_user: Option<HostUser>,
    /// Where the command itself says what is wrong.
    pub complaints: Complaints,
    /// What the command runs inside.
    pub inside: Inside,
    /// A command that says afterwards what only who made the sandbox knows, as two words: `exited`, or else it never was
    /// there; and `true` if memory ran out in it.
    pub verdict: Option<Step>,
    /// Commands that take away what is left, run whatever happened.
    pub cleanup: Vec<Step>,
}

/// A part of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// As it is.
    Text(OsString),
    /// The number of the descriptor with this index in [`Enclosure::descriptors`].
    Descriptor(usize),
    /// The number of a descriptor of the program that the supervisor runs, whatever became of its file.
    OwnProgram,
}

impl<T: Into<OsString>> From<T> for Argument {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// A user of the host, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostUser {
    /// The user.
    pub uid: u32,
    /// Its only group.
    pub gid: u32,
}

/// Where a command says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Complaints {
    /// On its standard error, which is the console of the job.
    OnConsole,
    /// On its standard error, which the supervisor reads: the command hands all other descriptors on to the inside, and
    /// one of them is the console.
    ToSupervisor,
}

/// What runs inside of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inside {
    /// The script itself: the exit status of the command is that of the script, and signals go to the command. Its
    /// standard input has nothing to read, and ends when the supervisor ends.
    Script,
    /// This program once more: it runs the script as a supervisor does, and so can tell its end by a signal from an
    /// exit status, and give the processes inside their grace. Its standard input is its socket to the supervisor outside.
    Supervisor {
        /// The folder of the job, seen from inside.
        folder: OsString,
        /// The environment of the script.
        environment: Environment,
        /// Places that may be written to, seen from inside, where the sandbox has walls that the inside has to put up
        /// itself; nothing else may be changed then.
        writable: Option<Vec<OsString>>,
        /// How long files may get, in bytes, where what makes the sandbox undoes such a limit from outside.
        file_bytes: Option<u64>,
    },
}

/// A command that is run to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

/// A view of the file system for the supervisor and all that it starts, in a mount namespace of its own (Linux). It ends
/// with its last process, so that nothing has to be taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which users there are on it.
    pub users: StageUsers,
    /// What is bound below [`STAGE_FOLDER`], where every user of the host can get at it.
    pub binds: Vec<StageBind>,
    /// The root file system that is put up at [`STAGE_ROOT`].
    pub root: Option<StageRoot>,
}

impl Stage {
    /// One with nothing on it.
    pub(crate) fn empty(users: StageUsers) -> Self {
        Self { users, binds: Vec::new(), root: None }
    }

    /// Puts a path of the host on it; gives where it is then.
    pub(crate) fn bind(&mut self, source: &Path) -> PathBuf {
        let name = format!("bind-{}", self.binds.len());
        let place = Path::new(STAGE_FOLDER).join(&name);
        self.binds.push(StageBind { source: source.into(), name });
        place
    }
}

/// Where a stage is put up: everything else that lies there on the host is out of sight.
pub const STAGE_FOLDER: &str = "/tmp";
/// Where its root file system is.
pub const STAGE_ROOT: &str = "/tmp/root";

/// Which users there are on a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageUsers {
    /// Those of the host; only root can put up such a stage.
    Host,
    /// Only who puts it up: anybody may do that.
    Own,
    /// As many as a system has, root among them, who on the host are users that nobody has. Files of the root file
    /// system belong to them. Only root can put up such a stage.
    Range {
        /// The number on the host of root; the others follow.
        first: u32,
    },
}

/// How many users a range has.
pub const RANGE_USERS: u32 = 65_536;

/// One bind of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageBind {
    /// A file or a folder of the host.
    pub source: OsString,
    /// Its name below [`STAGE_FOLDER`].
    pub name: String,
}

/// A root file system on a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRoot {
    /// Its folder on the host, which is not changed.
    pub source: OsString,
    /// What makes it writable.
    pub layer: Option<StageLayer>,
}

/// A layer over a root file system that takes what is written, and is thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageLayer {
    /// A folder of the host with the empty folders [`LAYER_FOLDERS`].
    pub source: OsString,
    /// Whom these folders belong to, when that is not the worker: who writes into the root of it.
    pub owner: Option<HostUser>,
    /// Folders that are there in any case, below the root.
    pub folders: Vec<String>,
    /// Files that are written before the job begins, with their content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What is in the folder of a layer: what is written, and a place for the kernel to work in.
pub const LAYER_FOLDERS: [&str; 2] = ["upper", "work"];
