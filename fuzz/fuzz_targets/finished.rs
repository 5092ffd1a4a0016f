//! `jobFinished`: read as it arrives, in any pieces, it means what it means when it is read whole.
#![no_main]

use builder_wire::der::Fault;
use builder_wire::stream::{FileEvent, FinishedEvent, FinishedParser};
use builder_wire::{DecodeError, Message};
use libfuzzer_sys::fuzz_target;

/// Build and outcome as text, and the files.
type Told = (String, Vec<(Vec<u8>, Vec<u8>)>);

/// The message as the stream tells it; nothing, if it is not complete.
fn streamed(bytes: &[u8], piece: usize) -> Result<Option<Told>, DecodeError> {
    let mut parser = FinishedParser::new(bytes.len() as u64);
    let mut start = None;
    let mut files: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    // An empty piece at the end: what needs no more bytes comes out then.
    for mut input in bytes.chunks(piece).chain([&[][..]]) {
        while let Some(event) = parser.next(&mut input)? {
            match event {
                FinishedEvent::Start { build, outcome, .. } => start = Some(format!("{build} {outcome:?}")),
                FinishedEvent::File(FileEvent::Start { path, .. }) => files.push((path, Vec::new())),
                FinishedEvent::File(FileEvent::Data(data)) => {
                    files.last_mut().expect("a file began").1.extend_from_slice(data);
                }
                FinishedEvent::File(FileEvent::End | FileEvent::ListEnd) => {}
                FinishedEvent::End => return Ok(Some((start.expect("a start comes before the end"), files))),
            }
        }
        assert!(input.is_empty(), "bytes are left, but nothing comes out of them");
    }
    Ok(None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = Message::decode(bytes);
    let pieces = streamed(bytes, usize::from(*piece).max(1));
    match (whole, pieces) {
        (Ok(Message::JobFinished { build, outcome, files }), Ok(Some(pieces))) => {
            let files = files.iter().map(|file| (file.path.to_vec(), file.data.to_vec())).collect();
            assert_eq!((format!("{build} {outcome:?}"), files), pieces);
        }
        // The stream holds only elements of a bounded size.
        (Ok(Message::JobFinished { .. }), Err(error)) => {
            assert!(matches!(error.fault, Fault::Limit { .. }), "only the stream refuses: {error}");
        }
        (Ok(Message::JobFinished { .. }), Ok(None)) => panic!("the stream wants more than the whole message"),
        (_, Ok(Some(_))) => panic!("only the stream takes it"),
        (_, Ok(None) | Err(_)) => {}
    }
});
