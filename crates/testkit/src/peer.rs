//! A connection that says exactly what a test wants said.

use crate::wait::in_time;
use builder_wire::{Inbox, Message};
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One end of a connection to a server.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    inbox: Inbox,
}

impl Peer {
    /// Connects, and says nothing.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = in_time("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, inbox: Inbox::new() }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Message<'_>) {
        self.send_bytes(&message.frame().to_vec()).await;
    }

    /// Sends any bytes.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        in_time("bytes are taken", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends any bytes to a server that may refuse to read them all.
    pub async fn offer_bytes(&mut self, bytes: &[u8]) {
        match in_time("bytes are taken or refused", self.stream.write_all(bytes)).await {
            Ok(()) => {}
            Err(error) => assert!(is_end(&error), "{error}"),
        }
    }

    /// The bytes of the next message; none when the server closed.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(head) = self.inbox.head().unwrap()
                && let Some(message) = self.inbox.message(head)
            {
                let message = message.to_vec();
                self.inbox.message_done(head);
                return Some(message);
            }
            match in_time("the server says something", self.stream.read(self.inbox.room())).await {
                Ok(0) => {
                    assert_eq!(self.inbox.bytes(), b"", "the server closed within a message");
                    return None;
                }
                Ok(count) => self.inbox.filled(count),
                Err(error) if is_end(&error) => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next message is this one.
    pub async fn expect(&mut self, expected: &Message<'_>) {
        let bytes = self.next().await;
        let message = bytes.as_deref().map(|bytes| Message::decode(bytes).unwrap());
        assert_eq!(message.as_ref(), Some(expected));
    }

    /// Waits until the server closes, which it does without another word.
    pub async fn closed(&mut self) {
        let more = self.next().await;
        let message = more.as_deref().map(Message::decode);
        assert!(message.is_none(), "{message:?} instead of the end");
    }

    /// Says that nothing more comes, and goes on listening.
    pub async fn end_of_words(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
