//! Records: read as they arrive, in any pieces, they mean what they mean when they are read whole.
#![no_main]

use builder_wire::der::Fault;
use builder_wire::record::ConsoleLine;
use builder_wire::stream::{FileEvent, RecordEvent, RecordParser};
use builder_wire::{DecodeError, Record};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Default, PartialEq)]
struct Told {
    lines: Vec<(i64, Vec<u8>)>,
    files: Vec<(Vec<u8>, Vec<u8>)>,
    /// Job, build, times and outcome as text.
    rest: Vec<String>,
}

fn streamed(bytes: &[u8], piece: usize) -> Result<Option<Told>, DecodeError> {
    let mut parser = RecordParser::new();
    let mut told = Told::default();
    // An empty piece at the end: what needs no more bytes comes out then.
    for mut input in bytes.chunks(piece).chain([&[][..]]) {
        while let Some(event) = parser.next(&mut input)? {
            match event {
                RecordEvent::Start { job, build } => told.rest.push(format!("{job:?} {build}")),
                RecordEvent::Line { delta, line } => told.lines.push((delta, line)),
                RecordEvent::Ended { started, finished, outcome } => {
                    told.rest.push(format!("{started:?} {finished:?} {outcome:?}"));
                }
                RecordEvent::File(FileEvent::Start { path, .. }) => told.files.push((path, Vec::new())),
                RecordEvent::File(FileEvent::Data(data)) => {
                    told.files.last_mut().expect("a file began").1.extend_from_slice(data);
                }
                RecordEvent::File(FileEvent::End | FileEvent::ListEnd) | RecordEvent::End => {}
            }
        }
        assert!(input.is_empty(), "bytes are left, but nothing comes out of them");
    }
    Ok(parser.is_done().then_some(told))
}

fn whole(record: &Record<'_>) -> Told {
    let (started, finished, outcome) = (record.started, record.finished, &record.outcome);
    Told {
        lines: record.console.iter().map(|ConsoleLine { delta, line }| (*delta, line.to_vec())).collect(),
        files: record.files.iter().map(|file| (file.path.to_vec(), file.data.to_vec())).collect(),
        rest: vec![
            format!("{:?} {}", record.job.to_model(), record.build),
            format!("{started:?} {finished:?} {outcome:?}"),
        ],
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let record = Record::decode(bytes);
    match (&record, streamed(bytes, usize::from(*piece).max(1))) {
        (Ok(record), Ok(Some(told))) => assert_eq!(whole(record), told),
        // The stream holds only elements of a bounded size.
        (Ok(_), Err(error)) => assert!(matches!(error.fault, Fault::Limit { .. }), "only the stream refuses: {error}"),
        (Ok(_), Ok(None)) => panic!("the stream wants more than the whole record"),
        (Err(error), Ok(Some(_))) => panic!("only the stream takes it: {error}"),
        (Err(_), Ok(None) | Err(_)) => {}
    }
    if let Ok(record) = record {
        assert_eq!(Record::decode(&record.encode().to_vec()).as_ref(), Ok(&record));
    }
});
