//! One task for each connection: the hello, and then what its role asks for.

mod ask;
mod client;
mod finish;
mod observe;
mod templates;
mod worker;

use crate::Shared;
use crate::connection::{Connection, ConnectionError, PROGRESS_LIMIT};
use builder_wire::frame::Head;
use builder_wire::session::server::{Session, Step, Violation};
use builder_wire::{DecodeError, Message, Role};
use std::sync::Arc;
use std::time::Duration;

/// How long a peer may take to say hello, and a worker to ask for a job.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error("a message cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Refused(String),
}

/// Serves a connection to its end.
pub(crate) async fn serve(mut connection: Box<Connection>, shared: Arc<Shared>) {
    let peer = connection.peer;
    let mut session = Session::Greeting;
    match within(HELLO_LIMIT, greet(&mut connection, &mut session)).await {
        // What serves a client is large and soon over; a worker waits for days, and by the thousand.
        Ok(Role::Client) => Box::pin(client::serve(connection, session, shared)).await,
        Ok(Role::Worker) => worker::serve(connection, session, shared).await,
        // A peer that comes and goes without a word is a port check of a supervisor, as a rule.
        Err(SessionError::Connection(ConnectionError::Closed)) => tracing::debug!(%peer, "closed before a hello"),
        Err(error) => tracing::warn!(%peer, "no hello: {error}"),
    }
}

async fn greet(connection: &mut Connection, session: &mut Session) -> Result<Role, SessionError> {
    let head = next_head(connection, session).await?;
    connection.whole(head).await?;
    let bytes = connection.inbox.message(head).unwrap_or_default();
    let message = Message::decode(bytes)?;
    let step = session.receive(&message)?;
    let Step::Greet(role) = step else { return Err(Violation::NoHello(head.kind).into()) };
    connection.inbox.message_done(head);
    connection.send(&Message::ServerHello).await?;
    Ok(role)
}

/// Does something with a peer that may not take longer than this, however busily it talks.
async fn within<T>(limit: Duration, talk: impl Future<Output = Result<T, SessionError>>) -> Result<T, SessionError> {
    tokio::time::timeout(limit, talk).await.map_err(|_| ConnectionError::Slow(limit))?
}

/// Waits for the next message to begin, and checks with its first byte that it may come now.
async fn next_head(connection: &mut Connection, session: &Session) -> Result<Head, SessionError> {
    let head = connection.head_within(PROGRESS_LIMIT).await?;
    session.admits(head.kind)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a session takes while its worker waits, in bytes; what is boxed comes when there is a build.
    const SESSION_BYTES_MAX: usize = 2048;

    fn future_bytes<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_worker_that_waits_is_small() {
        let bytes = future_bytes(serve);
        assert!(bytes <= SESSION_BYTES_MAX, "{bytes}");
    }
}
