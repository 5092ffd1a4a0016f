//! The layer of a container that takes what its job writes into its root file system: its engine puts it where it likes,
//! and the kernel says where, once the container runs.
//!
//! The engine could be asked for the folder as well, but podman names another one than it uses for a root file system.

use super::disk::FOLDER;
use crate::enclosure::run_step;
use builder_sandbox::plan::Step;
use builder_sandbox::{Host, Kind, Policy};
use nix::fcntl::open;
use nix::sys::stat::Mode;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What to do about a layer that is not to be found.
const HINT: &str =
    "hint: the engine has to be on this machine, or take `root-writable` or `limits.disk` out of the policy";

/// The layer of one container.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Asks for a process in it.
    question: Step,
    /// Its folder, as soon as it is there.
    held: OnceLock<OwnedFd>,
    /// Whether the container ran at the last look, and its process or its folder was not to be found.
    was_lost: AtomicBool,
}

impl Layer {
    /// The one of the container of this name, if the job may write there.
    pub(crate) fn of(policy: &Policy, host: &Host, name: &str) -> Option<Self> {
        match policy.kind {
            Kind::Container if policy.is_root_writable => {
                let question = host.container.as_ref()?.process_question(name);
                Some(Self { question, held: OnceLock::new(), was_lost: AtomicBool::new(false) })
            }
            // Others have none, or one that we have made ourselves.
            Kind::Container | Kind::None | Kind::Bubblewrap | Kind::Nspawn | Kind::Jail => None,
        }
    }

    /// Its folder; nothing as long as the container does not run. Once found, it is held.
    ///
    /// # Errors
    ///
    /// The container runs, and there is no telling where its layer is.
    pub(crate) fn folder(&self) -> io::Result<Option<&OwnedFd>> {
        if let Some(folder) = self.held.get() {
            return Ok(Some(folder));
        }
        // An engine fails that is asked for a container that is not there.
        let process = run_step(&self.question).ok().and_then(|said| said.trim().parse::<u32>().ok());
        let Some(process) = process.filter(|process| *process > 0) else { return Ok(None) };
        match look(process) {
            Ok(folder) => Ok(Some(self.held.get_or_init(|| folder))),
            // It may begin or end just now; an engine on another machine says the same each time.
            Err(_) if !self.was_lost.swap(true, Ordering::Relaxed) => Ok(None),
            Err(error) => {
                let why = format!("the layer of its container cannot be counted (process {process}: {error})\n{HINT}");
                Err(io::Error::new(error.kind(), why))
            }
        }
    }
}

/// The layer of a container that has this process.
fn look(process: u32) -> io::Result<OwnedFd> {
    let mounts = fs::read_to_string(format!("/proc/{process}/mountinfo"))?;
    let folder = upper_folder(&mounts).ok_or_else(|| io::Error::other("its root is no overlay that is known here"))?;
    Ok(open(&folder, FOLDER, Mode::empty())?)
}

/// The folder of the overlay that is mounted at `/`, in the lines of proc_pid_mountinfo(5).
fn upper_folder(mounts: &str) -> Option<PathBuf> {
    // What was mounted later lies above.
    let root = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/"))?;
    let (_, system) = root.split_once(" - ")?;
    let options = system.strip_prefix("overlay ")?.split(' ').nth(1)?;
    let folder = options.split(',').find_map(|option| option.strip_prefix("upperdir="))?;
    // What has to be escaped is cut off above, or not what it looks like.
    (folder.starts_with('/') && !folder.contains('\\')).then(|| PathBuf::from(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_runs_elsewhere_is_an_error_and_one_that_ends_is_none() {
        let asked = |words: &[&str]| Layer {
            question: Step { command: words.iter().map(Into::into).collect() },
            held: OnceLock::new(),
            was_lost: AtomicBool::new(false),
        };
        for none in [&["false"][..], &["echo", "0"], &["echo"], &["echo", "Error: no such object"]] {
            let layer = asked(none);
            assert!((0..3).all(|_| layer.folder().unwrap().is_none()), "{none:?}");
        }
        // A process that is not here: it has just ended, or never was.
        let elsewhere = asked(&["echo", "4294967295"]);
        assert!(elsewhere.folder().unwrap().is_none());
        let error = elsewhere.folder().unwrap_err().to_string();
        assert!(error.starts_with("the layer of its container cannot be counted (process 4294967295: "), "{error}");
    }

    #[test]
    fn the_kernel_says_where_the_layer_is() {
        let line = |point: &str, options: &str| {
            format!("263 238 0:58 / {point} rw,relatime shared:7 - overlay overlay rw,lowerdir=/a/l/B:/c{options}\n")
        };
        let upper = |mounts: &str| upper_folder(mounts).map(|folder| folder.into_os_string().into_string().unwrap());
        let root = line("/", ",upperdir=/a/one/diff,workdir=/a/one/work,uuid=on");
        let proc = "264 263 0:60 / /proc rw - proc proc rw\n";
        assert_eq!(upper(&(root.clone() + proc)).as_deref(), Some("/a/one/diff"));
        assert_eq!(upper(&(root.clone() + &line("/", ",upperdir=/a/two/diff"))).as_deref(), Some("/a/two/diff"));
        assert_eq!(upper(&(root + &line("/build", ",upperdir=/no"))).as_deref(), Some("/a/one/diff"));
        for options in ["", ",upperdir=one/diff", ",upperdir=/a\\040b/diff", ",upperdir=/a\\", ",workdir=/upperdir=/x"]
        {
            assert_eq!(upper(&line("/", options)), None, "{options}");
        }
        for mounts in ["", proc, "263 238 0:58 / / rw - btrfs /dev/x rw,subvol=/upperdir=/x\n", "/ / / / / / - overlay"]
        {
            assert_eq!(upper(mounts), None, "{mounts}");
        }
    }
}
