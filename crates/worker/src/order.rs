//! What a supervisor is to run, and what it says of that: the two things that go over the socket between a worker and
//! its supervisor, and between the supervisor outside of a sandbox and the one inside.

use builder_sandbox::Plan;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The size of the length in front of an order.
const ORDER_HEADER_BYTES: usize = 4;
/// What a supervisor says in front of its report, when it is about to begin the job.
pub(crate) const BEGUN: u8 = b'!';
/// Longest report of a supervisor, in bytes.
pub(crate) const REPORT_BYTES_MAX: usize = 64 << 10;

/// What a supervisor is to run.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Where.
    pub(crate) folder: OsString,
    /// What.
    pub(crate) script: OsString,
    /// In what.
    pub(crate) plan: Plan,
    /// For a supervisor inside of a sandbox: where alone the script may write.
    pub(crate) writable: Option<Vec<OsString>>,
    /// For one inside of a sandbox: how long files may get, in bytes, if nobody outside could see to that.
    pub(crate) file_bytes: Option<u64>,
}

impl Order {
    /// Sends it to a supervisor.
    pub(crate) fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut order = vec![0; ORDER_HEADER_BYTES];
        serde_json::to_writer(&mut order, self)?;
        let length = u32::try_from(order.len() - ORDER_HEADER_BYTES).map_err(io::Error::other)?;
        order[..ORDER_HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
        to.write_all(&order)
    }

    /// Reads it, and not a byte of what follows.
    pub(crate) fn read(mut from: impl Read) -> io::Result<Self> {
        let mut length = [0; ORDER_HEADER_BYTES];
        from.read_exact(&mut length)?;
        let mut order = Vec::new();
        let length = u32::from_be_bytes(length);
        if from.take(u64::from(length)).read_to_end(&mut order)? < usize::try_from(length).unwrap_or(usize::MAX) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&order)?)
    }
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Report {
    /// How the script ended; nothing if it did not.
    pub(crate) end: Option<End>,
    /// Why it did not even start.
    pub(crate) failure: Option<String>,
    /// Why there is no sandbox that it could have been started in: it has not begun.
    pub(crate) refusal: Option<String>,
    /// Why nobody knows what became of it, where that is so.
    pub(crate) lost: Option<String>,
    /// Whether memory ran out, where only the maker of the sandbox knows.
    pub(crate) is_out_of_memory: bool,
    /// How many processes it left running, which were then ended.
    pub(crate) left: usize,
    /// How many processes could not be ended.
    pub(crate) survived: usize,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With this status.
    Exited(i32),
    /// By this signal of the system.
    Signalled(i32),
}

impl End {
    /// How a process ended; nothing if it was only stopped.
    pub(crate) fn of(status: ExitStatus) -> Option<Self> {
        status.code().map(Self::Exited).or(status.signal().map(Self::Signalled))
    }
}

impl Report {
    /// There was no sandbox.
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self { refusal: Some(why.into()), ..Self::default() }
    }

    /// Nobody can tell what became of the job.
    pub(crate) fn lost(why: impl Into<String>) -> Self {
        Self { lost: Some(why.into()), ..Self::default() }
    }

    /// As it goes over the socket.
    pub(crate) fn to_text(&self) -> String {
        let end = match self.end {
            Some(End::Exited(status)) => format!("exited {status}\n"),
            Some(End::Signalled(signal)) => format!("signalled {signal}\n"),
            None => String::new(),
        };
        let said = |key, text: &Option<String>| {
            text.as_ref().map_or(String::new(), |text| format!("{key} {}\n", text.replace('\n', " ")))
        };
        let (failure, refusal) = (said("failure", &self.failure), said("refusal", &self.refusal));
        let lost = said("lost", &self.lost);
        let memory = if self.is_out_of_memory { "memory out\n" } else { "" };
        format!("{end}{failure}{refusal}{lost}{memory}left {}\nsurvived {}\n", self.left, self.survived)
    }

    /// Reads what a supervisor wrote; nothing if it is not whole.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut report = Self::default();
        let mut is_whole = false;
        for line in text.split_inclusive('\n') {
            let (key, value) = line.strip_suffix('\n')?.split_once(' ')?;
            match key {
                "exited" => report.end = Some(End::Exited(value.parse().ok()?)),
                "signalled" => report.end = Some(End::Signalled(value.parse().ok()?)),
                "failure" => report.failure = Some(value.to_owned()),
                "refusal" => report.refusal = Some(value.to_owned()),
                "lost" => report.lost = Some(value.to_owned()),
                "memory" => report.is_out_of_memory = true,
                "left" => report.left = value.parse().ok()?,
                "survived" => (report.survived, is_whole) = (value.parse().ok()?, true),
                _ => return None,
            }
        }
        is_whole.then_some(report)
    }
}

/// What a worker heard of its supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Whether the job was about to begin, or has begun.
    pub(crate) is_begun: bool,
    /// What became of it; nothing if that is not whole.
    pub(crate) report: Option<Report>,
}

impl Heard {
    /// Reads all that a supervisor said.
    pub(crate) fn of(said: &[u8]) -> Self {
        let report = said.strip_prefix(&[BEGUN]);
        let text = str::from_utf8(report.unwrap_or(said)).ok();
        Self { is_begun: report.is_some(), report: text.and_then(Report::parse) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder_sandbox::{Argument, Complaints, Enclosure, Environment, Inside};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn reports_come_back_whole_or_not_at_all() {
        let (failure, refusal, lost) = (Some("a\nb".to_owned()), Some("c".to_owned()), Some("d".to_owned()));
        let end = Some(End::Exited(3));
        let report = Report { end, failure, refusal, lost, is_out_of_memory: true, left: 2, survived: 0 };
        let text = report.to_text();
        assert_eq!(Report::parse(&text), Some(Report { failure: Some("a b".to_owned()), ..report }));
        for cut in 0..text.len() {
            assert_eq!(Report::parse(&text[..cut]), None, "{cut}");
        }
        let signalled = Report { end: Some(End::Signalled(9)), ..Report::default() };
        assert_eq!(Report::parse(&signalled.to_text()), Some(signalled.clone()));
        let said = [&[BEGUN], signalled.to_text().as_bytes()].concat();
        assert_eq!(Heard::of(&said), Heard { is_begun: true, report: Some(signalled.clone()) });
        assert_eq!(Heard::of(&said[1..]), Heard { is_begun: false, report: Some(signalled) });
        assert_eq!(Heard::of(&said[..9]), Heard { is_begun: true, report: None });
        assert_eq!(Heard::of(b""), Heard { is_begun: false, report: None });
    }

    #[test]
    fn orders_come_over_whole_and_alone() {
        let odd = OsStr::from_bytes(b"/tmp/\xff").to_owned();
        let environment = Environment { inherits: true, set: vec![("A".into(), odd.clone())] };
        let enclosure = Enclosure {
            name: "bubblewrap".to_owned(),
            stage: None,
            prepare: vec![],
            command: vec!["bwrap".into(), Argument::Descriptor(0)],
            descriptors: vec![vec![0, 255]],
            owner: None,
            host_user: None,
            complaints: Complaints::ToSupervisor,
            inside: Inside::Supervisor {
                folder: "/build".into(),
                environment: environment.clone(),
                writable: None,
                file_bytes: Some(1),
            },
            verdict: None,
            cleanup: vec![],
        };
        for plan in [Plan::Bare(environment), Plan::Enclosed(Box::new(enclosure))] {
            let (folder, writable) = ("/tmp/a folder".into(), Some(vec![odd.clone()]));
            let order = Order { folder, script: odd.clone(), plan, writable, file_bytes: Some(1 << 40) };
            let mut sent = Vec::new();
            order.write(&mut sent).unwrap();
            assert!(Order::read(&sent[..sent.len() - 1]).is_err());
            sent.push(b'e');
            let mut from = &sent[..];
            assert_eq!((Order::read(&mut from).unwrap(), from), (order, &b"e"[..]));
        }
        assert!(Order::read(&b"\0\0"[..]).is_err() && Order::read(&b"\0\0\0\x01x"[..]).is_err());
    }
}
