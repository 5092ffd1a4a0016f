//! Frames: each message travels behind its length, 8 bytes, big endian.
//!
//! [`Inbox`] collects bytes as they arrive and gives out whole messages. It reads the length and the first byte of a
//! message before it makes room for the rest, and makes room only for what has arrived, so that a peer cannot make
//! it allocate by announcing much.

use crate::message::MessageKind;
use builder_model::limits;

/// The length of the header in front of each message, in bytes.
pub const HEADER_BYTES: usize = 8;
/// How much room is made at first, in bytes.
const ROOM_BYTES_MIN: usize = 4 << 10;
/// How much room is made at once, at most, in bytes.
const ROOM_BYTES_MAX: usize = 256 << 10;

/// A frame that cannot be one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message of no bytes.
    #[error("a frame announces no bytes")]
    Empty,
    /// The first byte is no message's.
    #[error("a frame starts with 0x{0:02x}, which no message does")]
    Unknown(u8),
    /// Longer than any message of its kind may be.
    #[error("the message {kind:?} announces {length} bytes, at most {limit} are taken")]
    Long {
        /// Which message.
        kind: MessageKind,
        /// What it announces.
        length: u64,
        /// What it may have.
        limit: u64,
    },
}

/// What is known of a message when its first byte is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which message.
    pub kind: MessageKind,
    /// How long it is in bytes, without the header of the frame.
    pub length: u64,
}

/// Bytes that arrived and are not yet used.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// An inbox that holds no memory until bytes are expected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the next bytes go; never empty. Call [`Inbox::filled`] with how many came.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if self.end == self.buffer.len() {
                let more = self.buffer.len().clamp(ROOM_BYTES_MIN, ROOM_BYTES_MAX);
                self.buffer.resize(self.end + more, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// Takes note of bytes that were written to [`Inbox::room`].
    pub fn filled(&mut self, count: usize) {
        assert!(count <= self.buffer.len() - self.end, "more bytes were filled in than there was room for");
        self.end += count;
    }

    /// The bytes that are there.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Forgets the first bytes.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "more bytes were consumed than there are");
        self.start += count;
    }

    /// Gives the memory back while nothing is there: for a peer that may be silent for days.
    pub fn release(&mut self) {
        if self.bytes().is_empty() {
            *self = Self::default();
        }
    }

    /// The kind and length of the next message, as soon as its first byte is there.
    pub fn head(&self) -> Result<Option<Head>, FrameError> {
        let bytes = self.bytes();
        let Some((length, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u64::from_be_bytes(*length);
        if length == 0 {
            return Err(FrameError::Empty);
        }
        let Some(&first) = rest.first() else { return Ok(None) };
        let kind = MessageKind::from_identifier(first).ok_or(FrameError::Unknown(first))?;
        let limit = kind.bytes_max();
        if length > limit { Err(FrameError::Long { kind, length, limit }) } else { Ok(Some(Head { kind, length })) }
    }

    /// The bytes of the next message when all of them are there.
    pub fn message(&self, head: Head) -> Option<&[u8]> {
        let end = usize::try_from(head.length).ok()?.checked_add(HEADER_BYTES)?;
        self.bytes().get(HEADER_BYTES..end)
    }

    /// Forgets the message that [`Inbox::message`] gave.
    pub fn message_done(&mut self, head: Head) {
        self.consume(HEADER_BYTES + usize::try_from(head.length).unwrap_or(usize::MAX));
    }
}

// The widest message that is held whole must fit the memory of a small machine.
const _: () = assert!(limits::SCRIPT_BYTES_MAX < 64 << 20 && limits::LINE_BYTES_MAX < 64 << 20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn feed(inbox: &mut Inbox, bytes: &[u8]) {
        for byte in bytes {
            inbox.room()[0] = *byte;
            inbox.filled(1);
        }
    }

    #[test]
    fn messages_come_out_whole_whatever_the_cuts() {
        let mut inbox = Inbox::new();
        let frame = Message::Unschedule { name: &[b'x'; 9000] }.frame().to_vec();
        for round in 0..3 {
            feed(&mut inbox, &frame[..frame.len() - 1]);
            let head = inbox.head().unwrap().unwrap();
            assert_eq!(head, Head { kind: MessageKind::Unschedule, length: 9008 }, "{round}");
            assert_eq!(inbox.message(head), None);
            feed(&mut inbox, &frame[frame.len() - 1..]);
            assert_eq!(inbox.message(head), Some(&frame[8..]));
            inbox.message_done(head);
            assert_eq!(inbox.head(), Ok(None));
        }
        inbox.release();
        assert_eq!(inbox.buffer.capacity(), 0);
    }

    #[test]
    fn announced_lengths_cost_nothing() {
        let mut inbox = Inbox::new();
        feed(&mut inbox, &(1_u64 << 30).to_be_bytes());
        feed(&mut inbox, &[0xb6]);
        assert!(inbox.head().unwrap().is_some());
        assert!(inbox.buffer.len() <= ROOM_BYTES_MIN);
        for (length, first) in [(0, 0xa6), (5, 0x00), (5, 0xbf), (1025, 0xae), (1 << 62, 0xa4), (u64::MAX, 0xa3)] {
            let mut inbox = Inbox::new();
            feed(&mut inbox, &u64::to_be_bytes(length));
            feed(&mut inbox, &[first]);
            assert!(inbox.head().is_err(), "{length} {first:x}");
        }
    }
}
