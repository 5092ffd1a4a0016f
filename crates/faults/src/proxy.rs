//! The network between workers or clients and the server: a proxy that stalls, delays and cuts, and that sees which
//! worker holds which build.

use crate::frames::Frames;
use crate::wait;
use anyhow::{Context, Result};
use builder_model::BuildId;
use builder_wire::{Inbox, Message};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much is moved at once, in bytes.
const BLOCK_BYTES: usize = 16 << 10;
/// How long the server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Which connections hold which builds, as the server sees it: from `jobSchedule` until the server's end is closed.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    builds: Mutex<HashMap<BuildId, Vec<u64>>>,
    next_link: AtomicU64,
}

impl Holds {
    /// Builds that more than one connection holds.
    pub(crate) fn shared(&self) -> Vec<BuildId> {
        lock(&self.builds).iter().filter(|(_, links)| links.len() > 1).map(|(build, _)| *build).collect()
    }

    fn taken(&self, build: BuildId, link: u64) {
        lock(&self.builds).entry(build).or_default().push(link);
    }

    fn closed(&self, link: u64) {
        lock(&self.builds).retain(|_, links| {
            links.retain(|candidate| *candidate != link);
            !links.is_empty()
        });
    }
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the worker to the server.
    Up,
    /// From the server to the worker.
    Down,
}

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The worker's.
    Worker,
    /// The server's.
    Server,
}

/// Whether bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// They do.
    Open,
    /// They wait.
    Shut,
    /// They are late.
    Late(Duration),
}

#[derive(Debug)]
struct Link {
    worker: TcpStream,
    server: TcpStream,
    /// One side was cut: its end is not passed on.
    is_torn: bool,
}

/// Where a connection is to be cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// In which direction.
    pub(crate) way: Way,
    /// After so many blocks of bytes that went there on the connection.
    pub(crate) blocks: usize,
    /// And after about so many bytes of a later one, within a frame.
    pub(crate) bytes: usize,
    /// How many connections.
    pub(crate) times: usize,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    links: HashMap<u64, Link>,
    cut: Option<Cut>,
}

/// The proxy of one worker.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// Where the worker connects to.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    holds: Arc<Holds>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind the locks here is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens, and passes on everything until this process ends.
    pub(crate) fn start(server: SocketAddr, holds: Arc<Holds>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for a worker")?;
        let address = listener.local_addr()?;
        let state = State { gate: Gate::Open, links: HashMap::new(), cut: None };
        let shared = Arc::new(Shared { server, state: Mutex::new(state), changed: Condvar::new(), holds });
        let accepting = shared.clone();
        std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for worker in listener.incoming() {
                // A worker that cannot be served finds its connection closed, and tries again.
                let linked = worker.and_then(|worker| accepting.link(worker));
                if linked.is_err() {
                    wait::pause(Duration::from_millis(1));
                }
            }
        })?;
        Ok(Self { address, shared })
    }

    /// Opens or shuts the gate.
    pub(crate) fn set_gate(&self, gate: Gate) {
        lock(&self.shared.state).gate = gate;
        self.shared.changed.notify_all();
    }

    /// Cuts all connections; gives how many there were.
    pub(crate) fn cut(&self) -> usize {
        let mut state = lock(&self.shared.state);
        let ends: Vec<(u64, Link)> = state.links.drain().collect();
        drop(state);
        self.shared.changed.notify_all();
        for (id, link) in &ends {
            hang_up(&link.worker);
            hang_up(&link.server);
            self.shared.holds.closed(*id);
        }
        ends.len()
    }

    /// Cuts one side of all connections; the other learns of it with [`Proxy::cut`].
    pub(crate) fn tear(&self, side: Side) -> usize {
        let mut state = lock(&self.shared.state);
        for (id, link) in &mut state.links {
            link.is_torn = true;
            match side {
                Side::Worker => hang_up(&link.worker),
                Side::Server => {
                    hang_up(&link.server);
                    self.shared.holds.closed(*id);
                }
            }
        }
        state.links.len()
    }

    /// Cuts connections within a frame, as soon as one goes there.
    pub(crate) fn cut_within_frame(&self, cut: Cut) {
        lock(&self.shared.state).cut = Some(cut);
    }

    /// Takes that back; how many are left uncut.
    pub(crate) fn left_uncut(&self) -> usize {
        lock(&self.shared.state).cut.take().map_or(0, |cut| cut.times)
    }
}

fn hang_up(stream: &TcpStream) {
    match stream.shutdown(Shutdown::Both) {
        // One that is gone already needs no end.
        Ok(()) | Err(_) => {}
    }
}

impl Shared {
    fn link(self: &Arc<Self>, worker: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect_timeout(&self.server, CONNECT_LIMIT)?;
        worker.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let id = self.holds.next_link.fetch_add(1, Ordering::Relaxed);
        let link = Link { worker: worker.try_clone()?, server: server.try_clone()?, is_torn: false };
        lock(&self.state).links.insert(id, link);
        for way in [Way::Up, Way::Down] {
            let (worker, server, shared) = (worker.try_clone()?, server.try_clone()?, self.clone());
            std::thread::Builder::new().name("pump".to_owned()).spawn(move || match way {
                Way::Up => shared.pump(id, way, worker, &server),
                Way::Down => shared.pump(id, way, server, &worker),
            })?;
        }
        Ok(())
    }

    /// Moves bytes until the connection ends, which it passes on.
    fn pump(&self, id: u64, way: Way, mut from: TcpStream, to: &TcpStream) {
        let mut block = vec![0; BLOCK_BYTES];
        let (mut frames, mut inbox, mut blocks) = (Frames::default(), Inbox::new(), 0);
        // A connection that breaks ends here as one that is closed does.
        while let Ok(count @ 1..) = from.read(&mut block) {
            let bytes = &block[..count];
            if way == Way::Down {
                self.watch(id, &mut inbox, bytes);
            }
            if !self.pass_gate(id) {
                break;
            }
            let allowed = self.allowed(way, &frames, blocks, bytes);
            blocks += 1;
            frames.pass(&bytes[..allowed]);
            let mut to = to;
            if to.write_all(&bytes[..allowed]).is_err() {
                break;
            }
            if allowed < count {
                hang_up(to);
                hang_up(&from);
                break;
            }
        }
        if way == Way::Down {
            self.holds.closed(id);
        }
        self.end(id, way, &from, to);
    }

    fn end(&self, id: u64, way: Way, from: &TcpStream, to: &TcpStream) {
        let mut state = lock(&self.state);
        let is_torn = state.links.get(&id).is_some_and(|link| link.is_torn);
        if is_torn {
            return;
        }
        let passed_on = to.shutdown(Shutdown::Write).is_ok();
        if way == Way::Down || !passed_on {
            // A server that closed expects nothing more; what the worker still says reaches nobody.
            hang_up(from);
            state.links.remove(&id);
        }
    }

    /// Notes which builds the server hands out.
    fn watch(&self, id: u64, inbox: &mut Inbox, bytes: &[u8]) {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let room = inbox.room();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            inbox.filled(count);
            bytes = &bytes[count..];
            while let Ok(Some(head)) = inbox.head() {
                let Some(message) = inbox.message(head) else { break };
                if let Ok(Message::JobSchedule { build, .. }) = Message::decode(message) {
                    self.holds.taken(build, id);
                }
                inbox.message_done(head);
            }
        }
    }

    /// Waits while the gate is shut; whether the connection is still there.
    fn pass_gate(&self, id: u64) -> bool {
        let mut state = lock(&self.state);
        while state.gate == Gate::Shut && state.links.contains_key(&id) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (gate, is_there) = (state.gate, state.links.contains_key(&id));
        drop(state);
        if let Gate::Late(by) = gate {
            wait::pause(by);
        }
        is_there
    }

    /// How many of these bytes pass: all, but for the block in which the connection is to be cut.
    fn allowed(&self, way: Way, frames: &Frames, blocks: usize, bytes: &[u8]) -> usize {
        let mut state = lock(&self.state);
        let is_meant = |cut: &&mut Cut| cut.way == way && cut.times > 0 && cut.blocks <= blocks;
        let Some(cut) = state.cut.as_mut().filter(is_meant) else { return bytes.len() };
        let place = frames.cut(bytes, cut.bytes).filter(|count| *count < bytes.len());
        cut.times -= usize::from(place.is_some());
        place.unwrap_or(bytes.len())
    }
}
