//! Listening: sockets with a deep backlog, and an accept loop that outlives a lack of descriptors.

use crate::Shared;
use crate::connection::Connection;
use crate::session;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// How long accepting pauses when it fails, as it does when there is no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A silent peer is asked whether it lives after this long, and then this often; after three silences it is gone.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 3;
/// How long data that was sent may stay unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(120);
/// One in this many descriptors is kept for files.
const DESCRIPTORS_RESERVED: usize = 8;
/// How long sessions may take to end in order when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Accepts connections until the server stops, and then waits for their sessions.
pub(crate) async fn serve(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    let mut sessions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &shared.places) => accepted,
            Some(ended) = sessions.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a session ended badly, which is a mistake of ours: {error}");
                }
                continue;
            }
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        match accepted {
            Ok((place, stream, peer)) => {
                if let Err(error) = configure(&stream) {
                    tracing::debug!(%peer, "cannot configure a connection: {error}");
                }
                let connection = Box::new(Connection::new(stream, peer, shared.metrics.clone()));
                let connected = shared.metrics.connected();
                let shared = shared.clone();
                sessions.spawn(async move {
                    session::serve(connection, shared).await;
                    drop((connected, place));
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let ended = async { while sessions.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
        tracing::warn!("some connections did not end within {} seconds", STOP_LIMIT.as_secs());
    }
}

/// Accepts a connection once there is a place for it: builds that run need descriptors, too.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((place, stream, peer))
}

/// Places for as many connections as leave some descriptors for files.
pub(crate) fn places() -> Arc<Semaphore> {
    use nix::sys::resource::{Resource, getrlimit};
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX));
    let count = soft - soft / DESCRIPTORS_RESERVED;
    Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)))
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_LIMIT))?;
    socket.set_tcp_keepalive(&keepalive)
}
