//! Frames: whatever comes, in whatever pieces, the same messages come out, or the same fault.
#![no_main]

use builder_wire::{FrameError, Inbox};
use libfuzzer_sys::fuzz_target;

/// Most memory that an inbox may take for bytes that came: what came, and one step of growth.
const ROOM_BYTES_MAX: usize = 256 << 10;

fn messages(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut inbox = Inbox::new();
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() {
            let room = inbox.room();
            assert!(!room.is_empty() && room.len() <= bytes.len() + ROOM_BYTES_MAX);
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            inbox.filled(count);
            rest = &rest[count..];
        }
        loop {
            let head = match inbox.head() {
                Ok(Some(head)) => head,
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            };
            let Some(message) = inbox.message(head) else { break };
            assert_eq!(message.len() as u64, head.length);
            messages.push(message.to_vec());
            inbox.message_done(head);
        }
    }
    (messages, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = messages(bytes, bytes.len().max(1));
    assert_eq!(messages(bytes, usize::from(*piece).max(1)), whole);
});
