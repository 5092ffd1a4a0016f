//! The original's `state` file: read with all its historic items, and written on demand.

use crate::der::{DecodeError, Reader};
use crate::element::{Element, Encoded};
use crate::message::{InfoQueue, Job, ScheduleEntry};

/// One item of a state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateItem<'a> {
    /// `[3]`, or the older `[1]`: a job on the schedule.
    Schedule(ScheduleEntry<'a>),
    /// `[4]`: a queue.
    Queue(InfoQueue<'a>),
    /// `[5]`: a platform that is refused.
    DroppedPlatform(&'a [u8]),
}

/// Reads a whole state file. Items `[0]` and `[2]`, queued jobs of old versions, are checked and left out, as the
/// original does: every job of theirs is on the schedule as well.
pub fn decode(bytes: &[u8]) -> Result<Vec<StateItem<'_>>, DecodeError> {
    decode_counting(bytes).map(|(items, _)| items)
}

/// As [`decode`], and how many items were left out.
pub fn decode_counting(bytes: &[u8]) -> Result<(Vec<StateItem<'_>>, usize), DecodeError> {
    let mut reader = Reader::new(bytes);
    let items = reader.sequence_of(|reader| match reader.choice("a state item")? {
        0 => reader.explicit(0, Reader::script_job).map(|_| None),
        1 => reader.explicit(1, legacy_entry).map(|entry| Some(StateItem::Schedule(entry))),
        2 => reader.explicit(2, Reader::job).map(|_| None),
        3 => reader.explicit(3, |r| r.schedule_entry(Reader::job)).map(|entry| Some(StateItem::Schedule(entry))),
        4 => reader.explicit(4, |r| r.queue(Reader::job)).map(|queue| Some(StateItem::Queue(queue))),
        5 => reader.explicit(5, Reader::octets).map(|platform| Some(StateItem::DroppedPlatform(platform))),
        _ => reader.no_such_choice("a state item"),
    })?;
    reader.end()?;
    let left_out = items.iter().filter(|item| item.is_none()).count();
    Ok((items.into_iter().flatten().collect(), left_out))
}

/// Writes a state file.
pub fn encode<'a>(items: &[StateItem<'a>]) -> Encoded<'a> {
    let item = |item: &StateItem<'a>| match item {
        StateItem::Schedule(entry) => Element::explicit(3, entry.element()),
        StateItem::Queue(queue) => Element::explicit(4, queue.element()),
        StateItem::DroppedPlatform(platform) => Element::explicit(5, Element::octets(*platform)),
    };
    Element::sequence(items.iter().map(item).collect()).encode()
}

fn legacy_entry<'a>(reader: &mut Reader<'a>) -> Result<ScheduleEntry<'a>, DecodeError> {
    reader.sequence(|reader| {
        let (next, period, job) = (reader.utc_time()?, reader.period()?, reader.script_job()?);
        Ok(ScheduleEntry { next, period, job: Job::Script(job) })
    })
}
