//! What every program of builder that goes on running does at its edge: its log, its sockets, its limits, what it tells
//! the service manager, and how it is asked to stop. What the programs do in between is theirs.

mod journal;

use anyhow::Context;
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// When log lines are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// On a terminal, where nobody set `NO_COLOR`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Starts the log, on standard error; where that leads into systemd's journal, as lines with priorities and without times.
/// `filter` is a level or a filter of `tracing`; without one, `RUST_LOG` says what is
/// logged, and where that is not set, `default`.
pub fn start_logging(filter: Option<&str>, default: &str, colours: Colours) {
    let filter = match filter {
        Some(filter) => filter.into(),
        None => tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into()),
    };
    let colours = match colours {
        Colours::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        Colours::Always => true,
        Colours::Never => false,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr);
    if journal::has_standard_error() {
        log.event_format(journal::Lines::default()).init();
    } else {
        log.with_ansi(colours).init();
    }
}

/// What a program that cannot go on says on standard error, as the journal wants it where that is one.
pub fn for_standard_error(text: &str) -> String {
    if journal::has_standard_error() { journal::lines(tracing::Level::ERROR, text) } else { format!("{text}\n") }
}

/// An error as it shows itself, behind its context where it has one. What lies below is part of its text already, before
/// the hint.
pub fn last_words(error: &anyhow::Error) -> String {
    let is_context = error.is::<String>() || error.is::<&str>();
    match error.chain().nth(1) {
        Some(cause) if is_context => format!("{error}: {cause}"),
        Some(_) | None => error.to_string(),
    }
}

/// Whether a socket for all addresses of IPv6 takes those of IPv4 as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6 {
    /// It does not: several addresses may be given, and an IPv6 one does not take the IPv4 port beside it.
    Only,
    /// It does: there is one address.
    AndIpv4,
}

/// A socket that listens at an address.
pub fn listen(address: SocketAddr, ipv6: Ipv6) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(ipv6 == Ipv6::Only)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sockets that listen at all of these addresses.
pub fn listen_at(addresses: &[SocketAddr], ipv6: Ipv6) -> anyhow::Result<Vec<TcpListener>> {
    let listen = |address: &SocketAddr| listen(*address, ipv6).with_context(|| format!("cannot listen at {address}"));
    addresses.iter().map(listen).collect()
}

/// The sockets that the service manager passed, or new ones at these addresses.
pub fn passed_or_listen_at(addresses: &[SocketAddr], ipv6: Ipv6) -> anyhow::Result<Vec<TcpListener>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        listeners.extend(passed.take_tcp_listener(index).context("the service manager passed a strange socket")?);
    }
    if listeners.is_empty() { listen_at(addresses, ipv6) } else { Ok(listeners) }
}

/// Tells the service manager that the program serves.
pub fn tell_ready() {
    tell(sd_notify::NotifyState::Ready);
}

/// Tells the service manager that the program ends.
pub fn tell_stopping() {
    tell(sd_notify::NotifyState::Stopping);
}

fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("cannot tell the service manager: {error}");
    }
}

/// SIGTERM and SIGINT of this process, from the moment that they are handled.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Handles them from now on. Within a tokio runtime.
    pub fn handle() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Takes as many descriptors as the system allows: one for each connection, and a few for files.
pub fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(limit) => tracing::debug!("{limit} descriptors"),
        Err(error) => tracing::warn!("cannot raise the limit on descriptors: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_ipv6_takes_ipv4_only_when_asked_to() {
        let anywhere = "[::]:0".parse().unwrap();
        let Ok(both) = listen(anywhere, Ipv6::AndIpv4) else { return };
        let port = both.local_addr().unwrap().port();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let only = listen(anywhere, Ipv6::Only).unwrap();
        let port = only.local_addr().unwrap().port();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read /x: {0}\nhint: look at its owner")]
    struct Told(#[from] io::Error);

    #[test]
    fn last_words_repeat_nothing() {
        let missing = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(last_words(&Told(missing()).into()), "cannot read /x: permission denied\nhint: look at its owner");
        let error = Err::<(), _>(missing()).context("cannot read /x").unwrap_err();
        assert_eq!(last_words(&error), "cannot read /x: permission denied");
    }
}
