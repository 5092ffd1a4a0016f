//! What goes wrong in which round: a sequence of faults that follows from the seed alone.

use crate::chance::Chance;
use std::fmt;

/// How many workers a run has.
pub(crate) const WORKERS: usize = 4;
/// The number of the network of the clients; those before it are the workers'.
pub(crate) const CLIENTS: usize = WORKERS;

/// Whose process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The server.
    Server,
    /// The worker with this number.
    Worker(usize),
    /// A process of a job, a supervisor among them: which one, of those that are there, this number chooses.
    Job(u64),
}

/// What happens to the network of a worker, or of all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Net {
    /// Nothing passes, then everything does.
    Stall,
    /// Nothing passes, then the connection is cut.
    StallThenCut,
    /// All passes late, by so many milliseconds each time.
    Delay(u64),
    /// The connection is cut at once.
    Cut,
    /// It is cut within a frame to the server.
    CutInUpload,
    /// It is cut within a frame from the server.
    CutInDownload,
    /// The worker loses the connection; the server learns of it later.
    WorkerSideCut,
    /// The server loses the connection; the worker learns of it later.
    ServerSideCut,
}

/// A part of the server's data, on a file system of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    /// Records, and everything that has no volume of its own.
    Records,
    /// The consoles of builds that have no record yet.
    Consoles,
    /// The database.
    Database,
}

/// A fault that is over as soon as it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// `kill -9`.
    Kill(Target),
    /// The server is stopped in order, and started again.
    Restart,
}

/// A fault that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spell {
    /// SIGSTOP, later SIGCONT.
    Freeze(Target),
    /// The network with this number.
    Net(usize, Net),
    /// A volume is full but for so many bytes.
    Full(Volume, u64),
    /// Nothing new can be written to a volume.
    ReadOnly(Volume),
    /// The server has only so many descriptors left, and many connections come.
    Descriptors(u64),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something that happens.
    Blow(Blow),
    /// Something that lasts so many milliseconds, and perhaps something that happens meanwhile.
    Spell(Spell, u64, Option<Blow>),
    /// A second server is started on the data folder.
    SecondServer,
}

/// One round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    /// What goes wrong.
    pub(crate) fault: Fault,
    /// How long nothing goes wrong afterwards, in milliseconds.
    pub(crate) pause_milliseconds: u64,
}

/// All rounds of a seed.
pub(crate) fn plan(seed: u64, rounds: usize) -> Vec<Round> {
    let mut chance = Chance::new(seed, 0);
    let round = |_| Round { fault: fault(&mut chance), pause_milliseconds: chance.between(50, 350) };
    (0..rounds).map(round).collect()
}

fn fault(chance: &mut Chance) -> Fault {
    match chance.below(100) {
        0..=34 => Fault::Blow(blow(chance)),
        35..=96 => {
            let (spell, milliseconds) = (spell(chance), chance.between(50, 900));
            Fault::Spell(spell, milliseconds, (chance.below(3) == 0).then(|| blow(chance)))
        }
        _ => Fault::SecondServer,
    }
}

fn blow(chance: &mut Chance) -> Blow {
    match chance.below(10) {
        0..=2 => Blow::Kill(Target::Server),
        3..=5 => Blow::Kill(worker(chance)),
        6..=8 => Blow::Kill(Target::Job(chance.next())),
        _ => Blow::Restart,
    }
}

fn worker(chance: &mut Chance) -> Target {
    Target::Worker(chance.index(WORKERS))
}

fn spell(chance: &mut Chance) -> Spell {
    match chance.below(20) {
        0..=1 => Spell::Freeze(Target::Server),
        2..=3 => Spell::Freeze(worker(chance)),
        4..=5 => Spell::Freeze(Target::Job(chance.next())),
        6..=12 => Spell::Net(chance.index(CLIENTS + 1), net(chance)),
        13..=15 => Spell::Full(volume(chance), chance.below(24) << 10),
        16..=17 => Spell::ReadOnly(volume(chance)),
        _ => Spell::Descriptors(chance.below(24)),
    }
}

fn net(chance: &mut Chance) -> Net {
    match chance.below(9) {
        0 => Net::Stall,
        1 => Net::StallThenCut,
        2 => Net::Delay(chance.between(20, 200)),
        3 => Net::Cut,
        4 | 5 => Net::CutInUpload,
        6 => Net::CutInDownload,
        7 => Net::WorkerSideCut,
        _ => Net::ServerSideCut,
    }
}

fn volume(chance: &mut Chance) -> Volume {
    [Volume::Records, Volume::Consoles, Volume::Database][chance.index(3)]
}

impl Blow {
    /// What it is counted as.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Kill(Target::Server) => "kill -9 of the server",
            Self::Kill(Target::Worker(_)) => "kill -9 of a worker",
            Self::Kill(Target::Job(_)) => "kill -9 of a job's process",
            Self::Restart => "restart of the server by TERM",
        }
    }
}

impl Spell {
    /// What it is counted as.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Freeze(Target::Server) => "SIGSTOP of the server",
            Self::Freeze(Target::Worker(_)) => "SIGSTOP of a worker",
            Self::Freeze(Target::Job(_)) => "SIGSTOP of a job's process",
            Self::Net(_, Net::Stall) => "network stalls",
            Self::Net(_, Net::StallThenCut) => "network stalls, then is cut",
            Self::Net(_, Net::Delay(_)) => "network delays",
            Self::Net(_, Net::Cut) => "network cut",
            Self::Net(_, Net::CutInUpload | Net::CutInDownload) => "network cut within a frame",
            Self::Net(_, Net::WorkerSideCut | Net::ServerSideCut) => "network cut on one side",
            Self::Full(Volume::Records, _) => "disk full for records",
            Self::Full(Volume::Consoles, _) => "disk full for consoles",
            Self::Full(Volume::Database, _) => "disk full for the database",
            Self::ReadOnly(Volume::Records) => "read-only disk for records",
            Self::ReadOnly(Volume::Consoles) => "read-only disk for consoles",
            Self::ReadOnly(Volume::Database) => "read-only disk for the database",
            Self::Descriptors(_) => "descriptors exhausted",
        }
    }

    /// Whether the disk is at fault: then a server may refuse to start.
    pub(crate) fn is_disk(self) -> bool {
        match self {
            Self::Full(..) | Self::ReadOnly(_) => true,
            Self::Freeze(_) | Self::Net(..) | Self::Descriptors(_) => false,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("the server"),
            Self::Worker(number) => write!(f, "worker {number}"),
            Self::Job(_) => f.write_str("a job's process"),
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target) => write!(f, "kill -9 {target}"),
            Self::Restart => f.write_str("restart the server"),
        }
    }
}

impl fmt::Display for Spell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Freeze(target) => write!(f, "freeze {target}"),
            Self::Net(CLIENTS, net) => write!(f, "the network of the clients: {net:?}"),
            Self::Net(worker, net) => write!(f, "the network of worker {worker}: {net:?}"),
            Self::Full(volume, spare) => write!(f, "{volume:?}: disk full but for {spare} bytes"),
            Self::ReadOnly(volume) => write!(f, "{volume:?}: read-only"),
            Self::Descriptors(spare) => write!(f, "the server has {spare} descriptors left"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blow(blow) => blow.fmt(f),
            Self::Spell(spell, milliseconds, None) => write!(f, "{spell}, for {milliseconds} ms"),
            Self::Spell(spell, milliseconds, Some(blow)) => write!(f, "{spell}, for {milliseconds} ms; then {blow}"),
            Self::SecondServer => f.write_str("a second server on the same folder"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_gives_the_same_faults_and_every_kind_comes() {
        assert_eq!(plan(5, 300), plan(5, 300));
        assert_eq!(plan(5, 20), plan(5, 300)[..20]);
        assert_ne!(plan(5, 300), plan(6, 300));
        let kinds: BTreeSet<&str> = plan(1, 2000)
            .iter()
            .flat_map(|round| match round.fault {
                Fault::Blow(blow) => vec![blow.kind()],
                Fault::Spell(spell, _, blow) => blow.map(Blow::kind).into_iter().chain([spell.kind()]).collect(),
                Fault::SecondServer => vec!["second server"],
            })
            .collect();
        assert_eq!(kinds.len(), 21, "{kinds:?}");
    }
}
