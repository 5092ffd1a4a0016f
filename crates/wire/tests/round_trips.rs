//! Whatever is written is read back, by every way of writing and reading it; and no bytes make anything panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_model::{BuildId, Outcome, Period, Timestamp};
use builder_wire::message::{
    ArtifactRow, AskBuilds, AskRender, AskTemplates, BUILDS_ASKED_MAX, BuildRow, BuildsReply, ParameterRow, Reply,
    TemplateContent, TemplateRow, UploadRow, WaitRow, write_output_frame,
};
use builder_wire::record::{ConsoleLine, FileHead, Frame, files_header, finished_head};
use builder_wire::{
    Ask, File, Inbox, Info, InfoQueue, InfoRunning, Job, Message, ParameterJob, Record, Role, ScheduleEntry, ScriptJob,
    StateItem, Told, state,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::{Exec, Finished, OwnFile, vectors};

/// What values are made of: they borrow from it.
#[derive(Debug, Clone)]
struct Seed {
    texts: [Vec<u8>; 3],
    number: i64,
    build: BuildId,
    times: (Timestamp, Timestamp),
    period: Period,
    outcome: Outcome,
    files: Vec<OwnFile>,
    lines: Vec<(i64, Vec<u8>)>,
    flag: bool,
    count: usize,
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    // Short texts, texts at the border of the length's forms, and payloads that are borrowed when written.
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..20),
        2 => prop::collection::vec(any::<u8>(), 120..140),
        1 => prop::collection::vec(any::<u8>(), 250..300),
        1 => prop::collection::vec(any::<u8>(), 65_500..65_600),
    ]
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![-300_i64..300, -(1_i64 << 62)..(1_i64 << 62), select(vec![-(1_i64 << 62), (1 << 62) - 1])]
}

fn time() -> impl Strategy<Value = Timestamp> {
    let all = Timestamp::MIN.milliseconds()..=Timestamp::MAX.milliseconds();
    let some = prop_oneof![all, select(vec![Timestamp::MAX.milliseconds(), 0, 1_725_453_296_000])];
    some.prop_map(|milliseconds| Timestamp::from_milliseconds(milliseconds).unwrap())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        integer().prop_map(Outcome::Exited),
        integer().prop_map(Outcome::Signalled),
        integer().prop_map(Outcome::Stopped),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(Outcome::Aborted),
    ]
}

fn files() -> impl Strategy<Value = Vec<OwnFile>> {
    // Repeated slashes are collapsed when read, so none are written here.
    let path = "[a-z./ü]{1,20}".prop_filter("no repeated slashes", |path| !path.contains("//"));
    prop::collection::vec((path.prop_map(String::into_bytes), octets()), 0..4)
}

fn seed() -> impl Strategy<Value = Seed> {
    let texts = [octets(), octets(), octets()];
    let lines = prop::collection::vec((integer(), octets()), 0..4);
    let (build, periods) = (any::<[u8; 16]>(), select(Period::ALL.to_vec()));
    (texts, integer(), build, (time(), time()), periods, outcome(), files(), lines, any::<bool>(), 0..3_usize).prop_map(
        |(texts, number, build, times, period, outcome, files, lines, flag, count)| {
            let build = BuildId::from_bytes(build);
            Seed { texts, number, build, times, period, outcome, files, lines, flag, count }
        },
    )
}

impl Seed {
    fn script(&self) -> ScriptJob<'_> {
        let [name, platform, script] = &self.texts;
        ScriptJob { name, platform, script }
    }

    fn jobs(&self) -> Vec<Job<'_>> {
        let [name, package, _] = &self.texts;
        [Job::Script(self.script()), Job::Templated { name, package }].into_iter().cycle().take(self.count).collect()
    }

    fn parameter_job(&self) -> ParameterJob<'_> {
        let [name, template, value] = &self.texts;
        let values = vec![(name.as_slice(), value.as_slice()); self.count];
        ParameterJob { name, template, values, platform: self.flag.then_some(value) }
    }

    /// What is asked about templates, and the replies; and what a worker tells.
    fn templates(&self) -> Vec<Message<'_>> {
        let [name, platform, text] = &self.texts;
        let parameter = ParameterRow {
            name,
            description: text,
            allowed: text.as_slice().into(),
            default: self.flag.then_some(platform),
        };
        let parameters = vec![parameter; self.count];
        let readable = TemplateContent::Readable { description: text, parameters, text: self.flag.then_some(text) };
        let unreadable = TemplateContent::Unreadable(text.as_slice().into());
        let rows = [readable, unreadable].map(|content| TemplateRow { name, platform, content });
        let ask = AskTemplates {
            name: self.flag.then_some(name),
            platform: (!self.flag).then_some(platform),
            with_text: self.flag,
        };
        let values = self.parameter_job().values;
        vec![
            Message::Ask(Ask::Templates(ask)),
            Message::Ask(Ask::Render(AskRender { template: name, platform, values })),
            Message::Reply(Reply::Templates(rows.to_vec())),
            Message::Reply(Reply::Script(text.as_slice().into())),
            Message::Tell { build: self.build, what: Told::Refused(text) },
        ]
    }

    fn entries(&self) -> Vec<ScheduleEntry<'_>> {
        self.jobs().into_iter().map(|job| ScheduleEntry { next: self.times.0, period: self.period, job }).collect()
    }

    fn queues(&self) -> Vec<InfoQueue<'_>> {
        (0..self.count).map(|index| InfoQueue { platform: &self.texts[index], jobs: self.jobs() }).collect()
    }

    fn info(&self) -> Info<'_> {
        let running = InfoRunning { started: self.times.1, build: self.build, job: self.script() };
        let mut schedule = self.entries();
        let job = Job::Parameter(self.parameter_job());
        schedule.push(ScheduleEntry { next: self.times.0, period: self.period, job });
        Info {
            schedule,
            queues: self.queues(),
            running: vec![running; self.count],
            dropped: self.texts[..self.count].iter().map(Vec::as_slice).collect(),
        }
    }

    fn files(&self) -> Vec<File<'_>> {
        self.files.iter().map(|(path, data)| File { path: path.into(), data }).collect()
    }

    fn finished(&self) -> Message<'_> {
        Message::JobFinished { build: self.build, outcome: self.outcome.clone(), files: self.files() }
    }

    fn record(&self) -> Record<'_> {
        Record {
            job: self.script(),
            build: self.build,
            console: self.lines.iter().map(|(delta, line)| ConsoleLine { delta: *delta, line }).collect(),
            started: self.times.0,
            finished: self.times.1,
            outcome: self.outcome.clone(),
            files: self.files(),
        }
    }

    fn state(&self) -> Vec<StateItem<'_>> {
        let dropped = self.texts[..self.count].iter().map(|text| StateItem::DroppedPlatform(text));
        let entries = self.entries().into_iter().map(StateItem::Schedule);
        dropped.chain(entries).chain(self.queues().into_iter().map(StateItem::Queue)).collect()
    }

    fn ask_builds(&self) -> Ask<'_> {
        let some = self.flag;
        let [job, platform, _] = &self.texts;
        Ask::Builds(AskBuilds {
            count: 1 + self.number.unsigned_abs() as u32 % BUILDS_ASKED_MAX,
            before: some.then_some(self.number),
            job: some.then_some(job),
            platform: (!some).then_some(platform),
            failed: some,
        })
    }

    fn builds(&self) -> BuildsReply<'_> {
        let [job, platform, _] = &self.texts;
        let row = BuildRow {
            number: self.number,
            build: self.build,
            job,
            platform,
            attempts: self.number as u32,
            started: self.times.0,
            finished: self.times.1,
            outcome: self.outcome.clone(),
            record_bytes: self.flag.then_some(self.number.unsigned_abs() >> 2),
            uploaded: (!self.flag).then_some(self.times.0),
        };
        BuildsReply { builds: vec![row; self.count], next: self.flag.then_some(self.number) }
    }

    /// The messages that version 14 has more than version 13.
    fn asked(&self) -> Vec<Message<'_>> {
        let (build, tries, count) = (self.build, self.number as u32, self.count);
        let [name, platform, text] = &self.texts;
        let wait = WaitRow { platform, job: name, reason: text.into() };
        let upload = UploadRow { build, job: name, tries, error: self.flag.then_some(text) };
        let sha256 = std::array::from_fn(|index| index as u8);
        let artifact = ArtifactRow { path: name, bytes: self.number.unsigned_abs() >> 2, sha256 };
        vec![
            Message::Ask(Ask::Waits),
            Message::Ask(self.ask_builds()),
            Message::Ask(Ask::Uploads),
            Message::Ask(Ask::Artifacts(build)),
            Message::WaitsReply(vec![wait; count]),
            Message::BuildsReply(self.builds()),
            Message::UploadsReply(vec![upload; count]),
            Message::ArtifactsReply(vec![artifact; count]),
        ]
    }

    /// One message of every kind.
    fn messages(&self) -> Vec<Message<'_>> {
        let Self { build, period, flag, .. } = *self;
        let [name, text, line] = &self.texts;
        let role = if flag { Role::Client } else { Role::Worker };
        let mut messages = vec![
            Message::JobSchedule { build, job: self.script() },
            self.finished(),
            Message::Output { build, line, delta: flag.then_some(self.number) },
            Message::Schedule { period, job: self.script() },
            Message::Info,
            Message::Unschedule { name },
            Message::Observe { build },
            Message::ScheduleTemplated { period, name, package: text },
            Message::Reschedule { name, next: self.times.0, period: flag.then_some(period) },
            Message::ClientHello { role, version: self.number },
            Message::ServerHello,
            Message::JobRequested { platform: text },
            Message::DropPlatform { platform: text },
            Message::Success,
            Message::Failure { reason: text },
            Message::Execute { name, platform: flag.then_some(text) },
            Message::UndropPlatform { platform: text },
            Message::InfoReply(self.info()),
            Message::ScheduleTemplate { period, job: self.parameter_job() },
        ];
        messages.extend(self.asked());
        messages.extend(self.templates());
        messages
    }
}

/// Two pieces, cut at this place.
fn cut(bytes: &[u8], at: Index) -> [&[u8]; 2] {
    let (head, tail) = bytes.split_at(at.index(bytes.len() + 1));
    [head, tail]
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn messages(seed in seed()) {
        for message in seed.messages() {
            let bytes = message.encode().to_vec();
            prop_assert_eq!(bytes.len(), message.encode().len());
            prop_assert_eq!(Message::decode(&bytes), Ok(message.clone()));
            let frame = message.frame().to_vec();
            prop_assert_eq!(&frame[..8], &(bytes.len() as u64).to_be_bytes());
            prop_assert_eq!(&frame[8..], &bytes[..]);
        }
    }

    #[test]
    fn frames_in_a_row(seed in seed(), at in any::<Index>()) {
        let small = |message: &Message<'_>| message.encode().len() as u64 <= message.kind().bytes_max();
        let messages: Vec<Message<'_>> = seed.messages().into_iter().filter(small).collect();
        let bytes: Vec<u8> = messages.iter().flat_map(|message| message.frame().to_vec()).collect();
        let (mut inbox, mut expected) = (Inbox::new(), messages.iter());
        for mut piece in cut(&bytes, at) {
            while !piece.is_empty() {
                let room = inbox.room();
                let count = room.len().min(piece.len());
                room[..count].copy_from_slice(&piece[..count]);
                piece = &piece[count..];
                inbox.filled(count);
                while let Some(head) = inbox.head().unwrap() {
                    let Some(message) = inbox.message(head) else { break };
                    let expected = expected.next().unwrap();
                    prop_assert_eq!(head.kind, expected.kind());
                    prop_assert_eq!(&Message::decode(message).unwrap(), expected);
                    inbox.message_done(head);
                }
            }
        }
        prop_assert!(expected.next().is_none() && inbox.bytes().is_empty());
    }

    #[test]
    fn output_frames_of_the_hot_path(seed in seed()) {
        for delta in [None, Some(seed.number)] {
            let mut out = b"before".to_vec();
            write_output_frame(&mut out, &seed.build, &seed.texts[0], delta);
            let message = Message::Output { build: seed.build, line: &seed.texts[0], delta };
            prop_assert_eq!(&out[6..], &message.frame().to_vec()[..]);
        }
    }

    #[test]
    fn finishes_from_pieces(seed in seed(), at in any::<Index>()) {
        let heads: Vec<FileHead> =
            seed.files.iter().map(|(path, data)| FileHead::new(path, data.len() as u64)).collect();
        let content: u64 = heads.iter().map(FileHead::size).sum();
        let mut frame = finished_head(&seed.build, &seed.outcome, content);
        for (head, (_, data)) in heads.iter().zip(&seed.files) {
            frame.extend_from_slice(&head.header);
            frame.extend_from_slice(data);
        }
        prop_assert_eq!(&frame, &seed.finished().frame().to_vec());
        let whole = Finished::whole(&frame[8..]);
        prop_assert!(whole.is_ok());
        prop_assert_eq!(Finished::streamed(&cut(&frame[8..], at)), whole);
    }

    #[test]
    fn records(seed in seed(), at in any::<Index>()) {
        let record = seed.record();
        let bytes = record.encode().to_vec();
        prop_assert_eq!(&Record::decode(&bytes).unwrap(), &record);
        prop_assert_eq!(Exec::streamed(&cut(&bytes, at)), Exec::whole(&bytes));

        let mut console = Vec::new();
        for line in &record.console {
            let before = console.len();
            let size = line.write(&mut console);
            prop_assert_eq!(size, console.len() - before);
            prop_assert_eq!(ConsoleLine::decode(&console[before..]), Ok(*line));
        }
        let mut list = Vec::new();
        for (path, data) in &seed.files {
            list.extend(FileHead::new(path, data.len() as u64).header);
            list.extend(data);
        }
        let header = files_header(list.len() as u64);
        let files_bytes = (header.len() + list.len()) as u64;
        let (job, outcome) = (seed.script(), &seed.outcome);
        let frame = Frame::new(job, &seed.build, console.len() as u64, seed.times, outcome, files_bytes);
        prop_assert_eq!(frame.record_bytes, bytes.len() as u64);
        let pieces = [frame.before_console, console, frame.after_console, header, list].concat();
        prop_assert_eq!(pieces, bytes);
    }

    #[test]
    fn state_files(seed in seed()) {
        let items = seed.state();
        let bytes = state::encode(&items).to_vec();
        prop_assert_eq!(state::decode(&bytes), Ok(items));
    }
}

/// Decodes bytes as everything: nothing may panic, and the whole and the streaming readers must agree.
fn readers_agree(bytes: &[u8], at: Index) -> Result<(), TestCaseError> {
    if let Ok(message) = Message::decode(bytes) {
        let again = message.encode().to_vec();
        prop_assert_eq!(Message::decode(&again), Ok(message));
    }
    if let Ok(items) = state::decode(bytes) {
        let again = state::encode(&items).to_vec();
        prop_assert_eq!(state::decode(&again), Ok(items));
    }
    prop_assert_eq!(Finished::streamed(&cut(bytes, at)).ok(), Finished::whole(bytes).ok());
    prop_assert_eq!(Exec::streamed(&cut(bytes, at)).ok(), Exec::whole(bytes).ok());
    let mut inbox = Inbox::new();
    for byte in bytes {
        inbox.room()[0] = *byte;
        inbox.filled(1);
        let Ok(head) = inbox.head() else { break };
        if let Some(head) = head
            && inbox.message(head).is_some()
        {
            inbox.message_done(head);
        }
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    CutOff(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // The octets of the grammar make more mischief than arbitrary ones.
    let octet =
        prop_oneof![select(b"\x00\x01\x02\x05\x0c\x10\x18\x30\x7f\x80\x81\x82\x88\xa0\xa1\xff".to_vec()), any::<u8>()];
    prop_oneof![
        6 => (any::<Index>(), octet.clone()).prop_map(|(at, octet)| Mutation::Set(at, octet)),
        2 => (any::<Index>(), octet).prop_map(|(at, octet)| Mutation::Insert(at, octet)),
        2 => any::<Index>().prop_map(Mutation::Remove),
        1 => any::<Index>().prop_map(Mutation::CutOff),
    ]
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80), at in any::<Index>()) {
        readers_agree(&bytes, at)?;
    }
}

#[test]
fn mutated_vectors() {
    let short: Vec<Vec<u8>> =
        vectors().into_iter().map(|vector| vector.bytes).filter(|bytes| (1..2_000).contains(&bytes.len())).collect();
    let strategy = (any::<Index>(), prop::collection::vec(mutation(), 1..4), any::<Index>());
    proptest!(cases(20_000), |((vector, mutations, at) in strategy)| {
        let mut bytes = vector.get(&short).clone();
        for mutation in mutations {
            let length = bytes.len().max(1);
            match mutation {
                Mutation::Set(at, octet) if !bytes.is_empty() => bytes[at.index(length)] = octet,
                Mutation::Insert(at, octet) => bytes.insert(at.index(bytes.len() + 1), octet),
                Mutation::Remove(at) if !bytes.is_empty() => { bytes.remove(at.index(length)); }
                Mutation::CutOff(at) => bytes.truncate(at.index(length)),
                Mutation::Set(..) | Mutation::Remove(_) => {}
            }
        }
        readers_agree(&bytes, at)?;
    });
}
