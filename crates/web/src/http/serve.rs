//! The connections under the routes: so many at once, each with a limit on how long a head may take and on how long
//! nothing of an answer may be taken, and an orderly end.

use super::Peer;
use crate::limits::{CONNECTIONS_MAX, HEAD_DURATION_MAX, SEND_PAUSE_MAX, SENT_AHEAD_BYTES_MAX, STOP_WAIT};
use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tower::ServiceExt as _;

/// How long to wait when the system has no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the routes on all listeners until `stop` ends, then lets open requests end, for a while.
pub async fn serve(listeners: Vec<TcpListener>, router: Router, stop: impl Future<Output = ()>) {
    let graceful = Arc::new(GracefulShutdown::new());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(listener, router.clone(), places.clone(), graceful.clone())))
        .collect();
    stop.await;
    for task in &accepting {
        task.abort();
    }
    for task in accepting {
        // It was told to end; that it did so is no news.
        if let Err(error) = task.await
            && error.is_panic()
        {
            tracing::error!("a listener ended in a panic: {error}");
        }
    }
    // The tasks are gone, so this is the last holder.
    if let Some(graceful) = Arc::into_inner(graceful)
        && tokio::time::timeout(STOP_WAIT, graceful.shutdown()).await.is_err()
    {
        tracing::warn!("some requests did not end within {} seconds and are cut off", STOP_WAIT.as_secs());
    }
}

async fn accept(listener: TcpListener, router: Router, places: Arc<Semaphore>, graceful: Arc<GracefulShutdown>) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let connection = Connection { stream, peer, router: router.clone(), pause: SEND_PAUSE_MAX, place };
                connection.start(&graceful);
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    /// How long the peer may take nothing of an answer.
    pause: Duration,
    place: OwnedSemaphorePermit,
}

impl Connection {
    fn start(self, graceful: &GracefulShutdown) {
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!("{}: cannot send at once: {error}", self.peer);
        }
        if let Err(error) = send_little_ahead(&self.stream) {
            tracing::debug!("{}: cannot bound what waits in the system: {error}", self.peer);
        }
        let (peer, router, place) = (self.peer, self.router, self.place);
        // Who neither reads nor goes away would hold a place for ever.
        let mut stream = TimeoutWriter::new(self.stream);
        stream.set_timeout(Some(self.pause));
        let service = tower::service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(Peer(Some(peer.ip().to_canonical())));
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DURATION_MAX)
            // Who has said all and closes his half still listens.
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                // A peer that goes away, or that speaks something else.
                tracing::debug!("{peer}: {error}");
            }
        });
    }
}

/// Lets the system keep little that the peer cannot take yet. It would keep megabytes, and take more only once a third of
/// them is gone: a slow peer would seem to take nothing meanwhile, and be cut off.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_little_ahead(stream: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(SENT_AHEAD_BYTES_MAX)
}

/// FreeBSD takes more as soon as there is a little room.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send_little_ahead(_: &TcpStream) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PAUSE: Duration = Duration::from_secs(1);
    /// More than the buffers of two sockets hold.
    const ANSWER_BYTES: usize = 64 << 20;
    /// So little that the system does not take more of an answer within a pause, were it left to itself.
    const SLOW_BYTES: usize = 48 << 10;

    /// A connection that asked for something large, the places, of which it has the only one, and what would end it.
    async fn connected() -> (TcpStream, Arc<Semaphore>, GracefulShutdown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let (places, graceful) = (Arc::new(Semaphore::new(1)), GracefulShutdown::new());
        let answer = bytes::Bytes::from(vec![b'x'; ANSWER_BYTES]);
        let router = Router::new().route("/", axum::routing::get(async || answer));
        let place = places.clone().try_acquire_owned().unwrap();
        Connection { stream, peer, router, pause: PAUSE, place }.start(&graceful);
        client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
        (client, places, graceful)
    }

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
        let (mut client, places, _graceful) = connected().await;
        let start = tokio::time::Instant::now();
        drop(places.acquire().await.unwrap());
        assert!(start.elapsed() >= PAUSE);
        let mut taken = Vec::new();
        let end = client.read_to_end(&mut taken).await;
        assert!(end.is_err() || taken.len() < ANSWER_BYTES, "{end:?}");
    }

    #[tokio::test]
    async fn who_is_slow_gets_all() {
        let (mut client, places, _graceful) = connected().await;
        let (start, mut taken) = (tokio::time::Instant::now(), vec![0; SLOW_BYTES]);
        let mut count = 0;
        while start.elapsed() < 4 * PAUSE {
            count += client.read_exact(&mut taken).await.unwrap();
            tokio::time::sleep(PAUSE / 20).await;
        }
        taken.clear();
        count += client.read_to_end(&mut taken).await.unwrap();
        assert!(count > ANSWER_BYTES, "{count}");
        drop(places.acquire().await.unwrap());
    }
}
