//! Client version 14 and worker version 6 by their golden octets, which `docs/protocol.md` lists, and what their readers
//! refuse.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{BuildId, Outcome, Period, Timestamp};
use builder_wire::message::{
    ArtifactRow, AskBuilds, AskRender, AskTemplates, BuildRow, BuildsReply, ParameterRow, Reply, TemplateContent,
    TemplateRow, UploadRow, WaitRow,
};
use builder_wire::{Ask, ClientVersion, Info, Job, Message, ParameterJob, ScheduleEntry, Told, WorkerVersion};

const BUILD: BuildId = BuildId::from_bytes([
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
]);
const ALL: AskBuilds<'_> = AskBuilds { count: 20, before: None, job: None, platform: None, failed: false };

const PAGE: &str = include_str!("../../../docs/protocol.md");

fn unhex(text: &str) -> Vec<u8> {
    let text: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    text.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn build() -> BuildRow<'static> {
    let time = |text: &str| -> Timestamp { text.parse().unwrap() };
    BuildRow {
        number: 7,
        build: BUILD,
        job: b"j",
        platform: b"p",
        attempts: 1,
        started: time("2024-09-05T12:34:56Z"),
        finished: time("2024-09-05T12:35:57.250Z"),
        outcome: Outcome::Exited(0),
        record_bytes: None,
        uploaded: None,
    }
}

#[test]
fn golden_octets() {
    let narrow = AskBuilds { count: 10_000, before: Some(7), job: Some(b"j"), platform: Some(b"p"), failed: true };
    let kept = BuildRow { record_bytes: Some(300), uploaded: Some(build().started), ..build() };
    let wait = WaitRow { platform: b"p", job: b"j", reason: b"a free worker".into() };
    let tried = UploadRow { build: BUILD, job: b"j", tries: 2, error: Some(b"no") };
    let artifact = ArtifactRow { path: b"bin/a", bytes: 300, sha256: [0xee; 32] };
    let u = "0c1000112233445566778899aabbccddeeff";
    let (started, finished) = ("180f32303234303930353132333435365a", "181332303234303930353132333535372e3235305a");
    let row = format!("020107 {u} 0c016a 0c0170 020101 {started} {finished} a003020100");
    let cases = [
        (ClientVersion::Fourteen.hello(), "ae093007a002050002010e".to_owned()),
        (Message::Ask(Ask::Waits), "b7063004a0020500".to_owned()),
        (Message::Ask(Ask::Builds(ALL)), "b7093007a1053003020114".to_owned()),
        (
            Message::Ask(Ask::Builds(narrow)),
            "b71d301ba1193017 02022710 a003020107 a1030c016a a2030c0170 a3020500".to_owned(),
        ),
        (Message::Ask(Ask::Uploads), "b7063004a2020500".to_owned()),
        (Message::Ask(Ask::Artifacts(BUILD)), format!("b7163014a312{u}")),
        (Message::WaitsReply(Vec::new()), "b8023000".to_owned()),
        (Message::WaitsReply(vec![wait]), "b8193017 3015 0c0170 0c016a 0c0d61206672656520776f726b6572".to_owned()),
        (Message::BuildsReply(BuildsReply::default()), "b90430023000".to_owned()),
        (Message::BuildsReply(BuildsReply { builds: vec![build()], next: None }), format!("b94f304d 304b 3049 {row}")),
        (
            Message::BuildsReply(BuildsReply { builds: vec![kept], next: Some(7) }),
            format!("b96d306b 3064 3062 {row} a0040202012c a111{started} a003020107"),
        ),
        (Message::UploadsReply(vec![tried]), format!("ba20301e 301c {u} 0c016a 020102 0c026e6f")),
        (
            Message::ArtifactsReply(vec![artifact]),
            format!("bb31302f 302d 0c0562696e2f61 0202012c 0c20{}", "ee".repeat(32)),
        ),
    ];
    check(&cases);
}

fn check(cases: &[(Message<'_>, String)]) {
    for (message, octets) in cases {
        let octets = octets.replace(' ', "");
        assert_eq!(hex(&message.encode().to_vec()), octets, "{message:?}");
        assert_eq!(Message::decode(&unhex(&octets)).as_ref(), Ok(message));
        assert!(PAGE.contains(&format!("`{octets}`")), "docs/protocol.md has the example {octets}");
    }
}

#[test]
fn golden_octets_about_templates() {
    let bound = || ParameterJob {
        name: b"j",
        template: b"n",
        values: vec![(b"a".as_slice(), b"x".as_slice())],
        platform: Some(b"p"),
    };
    let unbound = ParameterJob { values: Vec::new(), platform: None, ..bound() };
    let parameter = |name, default| ParameterRow { name, description: b"d", allowed: b"w".as_slice().into(), default };
    let readable = TemplateContent::Readable {
        description: b"t",
        parameters: vec![parameter(b"a".as_slice(), None), parameter(b"b", Some(b"".as_slice()))],
        text: Some(b"s"),
    };
    let unreadable = TemplateContent::Unreadable(b"no".as_slice().into());
    let row = |content| TemplateRow { name: b"n", platform: b"p", content };
    let ask = AskTemplates { name: Some(b"n"), platform: Some(b"p"), with_text: true };
    let render = AskRender { template: b"n", platform: b"p", values: bound().values };
    let entry = ScheduleEntry { next: Timestamp::MAX, period: Period::Never, job: Job::Parameter(bound()) };
    let cases = [
        (Message::ScheduleTemplate { period: Period::Daily, job: bound() }, "bc1d301ba102050030150c016a0c016e300830060c01610c0178a0030c0170".to_owned()),
        (Message::ScheduleTemplate { period: Period::Daily, job: unbound }, "bc10300ea102050030080c016a0c016e3000".to_owned()),
        (Message::InfoReply(Info { schedule: vec![entry], ..Info::default() }), "b63e303c30343032181339393939313233313233353935392e3939395aa3020500a21730150c016a0c016e300830060c01610c0178a0030c0170300030003000".to_owned()),
        (Message::Ask(Ask::Templates(AskTemplates::default())), "b7063004a4023000".to_owned()),
        (Message::Ask(Ask::Templates(ask)), "b7143012a410300ea0030c016ea1030c0170a2020500".to_owned()),
        (Message::Ask(Ask::Render(render)), "b7163014a51230100c016e0c0170300830060c01610c0178".to_owned()),
        (Message::Reply(Reply::Templates(Vec::new())), "bd063004a0023000".to_owned()),
        (Message::Reply(Reply::Templates(vec![row(readable), row(unreadable)])), "bd443042a040303e302e0c016e0c0170a02630240c0174301a30090c01610c01640c0177300d0c01620c01640c0177a0020c00a0030c0173300c0c016e0c0170a1040c026e6f".to_owned()),
        (Message::Reply(Reply::Script(b"s".as_slice().into())), "bd073005a1030c0173".to_owned()),
    ];
    check(&cases);
    // To version 13 the job is one of a package.
    let for_13 = Job::Parameter(bound()).for_version_13();
    assert_eq!(for_13, Job::Templated { name: b"j", package: b"n" });
}

#[test]
fn golden_octets_of_a_worker() {
    let told = Message::Tell { build: BUILD, what: Told::Refused(b"no") };
    check(&[
        (WorkerVersion::Six.hello(), "ae093007a1020500020106".to_owned()),
        (told, "be1a 3018 0c1000112233445566778899aabbccddeeff a0040c026e6f".to_owned()),
    ]);
}

#[test]
fn what_is_refused() {
    let cases = [
        ("b7020500", "byte 2: expected SEQUENCE, found tag 0x05"),
        ("b7023000", "byte 4: the data ends here, within an element"),
        ("b7063004a6020500", "byte 4: expected a question, found tag 0xa6"),
        ("bd063004a2020500", "byte 4: expected a reply, found tag 0xa2"),
        ("b7083006a002050005 00", "byte 8: surplus data"),
        ("b7093007a1053003020100", "byte 8: the count of builds is not from 1 to 10000"),
        ("b7093007a10530030201ff", "byte 8: the count of builds is not from 1 to 10000"),
        ("b70a3008a1063004 02022711", "byte 8: the count of builds is not from 1 to 10000"),
        // The options have an order.
        ("b7133011a10f300d 020114 a2030c0170 a1030c016a", "byte 16: surplus data"),
        ("b8020500", "byte 2: expected SEQUENCE, found tag 0x05"),
        ("bb0f300d 300b 0c0161 020101 0c03616263", "byte 12: a SHA-256 has 32 octets, this one has 3"),
        ("bb0f300d 300b 0c0161 0201ff 0c03616263", "byte 9: a size is not from 0 to 4611686018427387903"),
        ("be020500", "byte 2: expected SEQUENCE, found tag 0x05"),
        (
            "be18 3016 0c1000112233445566778899aabbccddeeff a1020500",
            "byte 22: expected what a worker tells, found tag 0xa1",
        ),
        ("bf020500", "byte 0: expected a message, found tag 0xbf"),
    ];
    for (octets, expected) in cases {
        let error = Message::decode(&unhex(octets)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{octets}");
    }
}

#[test]
fn sizes_of_rows_are_those_of_their_octets() {
    let wait = WaitRow { platform: b"p", job: &[b'j'; 200], reason: b"a free worker".into() };
    let artifact = ArtifactRow { path: &[b'a'; 300], bytes: 1 << 40, sha256: [1; 32] };
    let (wait_size, artifact_size) = (wait.size(), artifact.size());
    let length = |message: &Message<'_>| message.encode().len() as u64;
    // A list of one row has its own header, and that of the message around it.
    assert_eq!(length(&Message::WaitsReply(vec![wait])), wait_size + 3 + 3);
    assert_eq!(length(&Message::ArtifactsReply(vec![artifact])), artifact_size + 4 + 4);
}
