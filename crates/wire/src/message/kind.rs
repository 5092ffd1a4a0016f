//! The kinds of messages: their tags, and how long each may be.

use crate::message::ask::REPLY_BYTES_MAX;
use builder_model::limits;

/// The kind of a message: its context tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the variants are those of `Message`")]
pub enum MessageKind {
    Obsolete0 = 0,
    Obsolete1 = 1,
    JobSchedule = 2,
    JobFinished = 3,
    Output = 4,
    Schedule = 5,
    Info = 6,
    InfoReplyOld = 7,
    Obsolete8 = 8,
    Unschedule = 9,
    Observe = 10,
    ExecuteOld = 11,
    ScheduleTemplated = 12,
    Reschedule = 13,
    ClientHello = 14,
    ServerHello = 15,
    JobRequested = 16,
    DropPlatform = 17,
    Success = 18,
    Failure = 19,
    Execute = 20,
    UndropPlatform = 21,
    InfoReply = 22,
    Ask = 23,
    WaitsReply = 24,
    BuildsReply = 25,
    UploadsReply = 26,
    ArtifactsReply = 27,
    ScheduleTemplate = 28,
    Reply = 29,
    Tell = 30,
}

/// Longest message that holds only names, times and numbers, in bytes: long enough to say what is wrong with a name.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Longest message that holds a script, in bytes.
const SCRIPT_MESSAGE_BYTES_MAX: u64 = limits::SCRIPT_BYTES_MAX as u64 + SMALL_BYTES_MAX;
/// Longest answer to `info`, in bytes.
const INFO_BYTES_MAX: u64 = 1 << 30;

impl MessageKind {
    /// All kinds; the index is the tag.
    pub const ALL: [Self; 31] = [
        Self::Obsolete0,
        Self::Obsolete1,
        Self::JobSchedule,
        Self::JobFinished,
        Self::Output,
        Self::Schedule,
        Self::Info,
        Self::InfoReplyOld,
        Self::Obsolete8,
        Self::Unschedule,
        Self::Observe,
        Self::ExecuteOld,
        Self::ScheduleTemplated,
        Self::Reschedule,
        Self::ClientHello,
        Self::ServerHello,
        Self::JobRequested,
        Self::DropPlatform,
        Self::Success,
        Self::Failure,
        Self::Execute,
        Self::UndropPlatform,
        Self::InfoReply,
        Self::Ask,
        Self::WaitsReply,
        Self::BuildsReply,
        Self::UploadsReply,
        Self::ArtifactsReply,
        Self::ScheduleTemplate,
        Self::Reply,
        Self::Tell,
    ];

    /// The kind that starts with this identifier octet.
    pub fn from_identifier(octet: u8) -> Option<Self> {
        Self::ALL.get(usize::from(octet.checked_sub(0xa0)?)).copied()
    }

    /// The longest message of this kind that is taken, in bytes. A `jobFinished` is never held whole: its own limit
    /// is the one on the artifacts of a build.
    pub const fn bytes_max(self) -> u64 {
        match self {
            Self::JobSchedule | Self::Schedule => SCRIPT_MESSAGE_BYTES_MAX,
            Self::JobFinished => i64::MAX as u64,
            Self::Output => limits::LINE_BYTES_MAX as u64 + 64,
            Self::InfoReply | Self::InfoReplyOld => INFO_BYTES_MAX,
            Self::WaitsReply | Self::BuildsReply | Self::UploadsReply | Self::ArtifactsReply | Self::Reply => {
                REPLY_BYTES_MAX
            }
            Self::Failure => limits::REASON_BYTES_MAX as u64 + 64,
            Self::ClientHello | Self::ServerHello | Self::Info | Self::Success | Self::Observe => 1024,
            Self::Obsolete0
            | Self::Obsolete1
            | Self::Obsolete8
            | Self::Unschedule
            | Self::ExecuteOld
            | Self::ScheduleTemplated
            | Self::ScheduleTemplate
            | Self::Reschedule
            | Self::JobRequested
            | Self::DropPlatform
            | Self::Execute
            | Self::UndropPlatform
            | Self::Ask
            | Self::Tell => SMALL_BYTES_MAX,
        }
    }
}
