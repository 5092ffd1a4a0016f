//! The original's state file: imported on the first start, and written so that one can go back.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::Outcome;
use builder_testkit::{Grounds, Program, Seen, Vector, vectors};
use builder_wire::{Job, StateItem, state};
use std::collections::{BTreeMap, BTreeSet};

/// A dropped platform; a daily job that never comes; its place in a queue. The bytes are the original's.
const CANONICAL: &str = "3049a5030c0171a32a3028181339393939313233313233353935392e3939395aa1020500a00d300b0c016a0c017330\
                         000c0170a41630140c0170300fa00d300b0c016a0c017330000c0170";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The states among the vectors; what would be due at any time at all is due a year later.
fn state_vectors() -> impl Iterator<Item = Vector> {
    const EARLIEST: &[u8] = b"00000101000000Z";
    vectors().into_iter().filter(|vector| vector.kind == "state").map(|mut vector| {
        while let Some(at) = vector.bytes.windows(EARLIEST.len()).position(|window| window == EARLIEST) {
            vector.bytes[at + 3] = b'1';
        }
        vector
    })
}

/// Grounds with this state file, at a time at which nothing is due.
fn grounds(state: &[u8]) -> Grounds {
    let grounds = Grounds::new().at("0000-01-01T00:00:00Z");
    std::fs::write(grounds.data().join("state"), state).unwrap();
    grounds
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn name<'a>(job: &Job<'a>) -> &'a [u8] {
    match job {
        Job::Script(job) => job.name,
        Job::Templated { name, .. } => name,
        Job::Parameter(job) => job.name,
    }
}

/// What `info` has to say of a state, sorted. Of two jobs with one name the last counts; a queue holds a job once, and
/// only if it is on the schedule and may run there.
fn expected(bytes: &[u8]) -> Seen {
    let items = state::decode(bytes).unwrap();
    let (mut jobs, mut queues, mut dropped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for item in &items {
        match item {
            StateItem::Schedule(entry) => drop(jobs.insert(name(&entry.job), entry)),
            StateItem::Queue(queue) => {
                queues.entry(queue.platform).or_insert_with(Vec::new).extend(queue.jobs.iter().map(name));
            }
            StateItem::DroppedPlatform(platform) => drop(dropped.insert(*platform)),
        }
    }
    let mut shown = Vec::new();
    for (platform, queued) in queues.into_iter().filter(|(platform, _)| !dropped.contains(platform)) {
        let mut kept: Vec<&[u8]> = Vec::new();
        for name in queued {
            let belongs = match jobs.get(name).map(|entry| &entry.job) {
                Some(Job::Script(job)) => job.platform == platform,
                Some(Job::Templated { .. } | Job::Parameter(_)) => true,
                None => false,
            };
            if belongs && !kept.contains(&name) {
                kept.push(name);
            }
        }
        let names: Vec<String> = kept.into_iter().map(text).collect();
        shown.push(format!("{}: {}", text(platform), names.join(" ")).trim_end().to_owned());
    }
    let dropped = dropped.into_iter().map(text).collect();
    let schedule = jobs.values().map(|entry| format!("{} {} {}", text(name(&entry.job)), entry.period, entry.next));
    let schedule = schedule.collect();
    sorted(Seen { schedule, queues: shown, dropped, ..Seen::default() })
}

fn sorted(mut seen: Seen) -> Seen {
    for list in [&mut seen.schedule, &mut seen.queues, &mut seen.dropped] {
        list.sort();
    }
    seen
}

/// What the program itself writes.
async fn exported(grounds: &Grounds) -> Vec<u8> {
    let file = grounds.folder().join("exported");
    let arguments = ["export-state", "--dir", grounds.data().to_str().unwrap(), file.to_str().unwrap()];
    let (status, log) = Program::start(env!("CARGO_BIN_EXE_builder-server"), &arguments).ended().await;
    assert!(status.success(), "{log}");
    std::fs::read(file).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_of_the_original_is_imported() {
    for vector in state_vectors().filter(|vector| vector.accept) {
        let farm = grounds(&vector.bytes).start().await;
        assert_eq!(sorted(farm.info().await), expected(&vector.bytes), "line {}", vector.number);
        let farm = farm.restart().await;
        assert_eq!(sorted(farm.info().await), expected(&vector.bytes), "line {} again", vector.number);
        assert_eq!(std::fs::read(farm.grounds().data().join("state")).unwrap(), vector.bytes);
        let grounds = farm.stop().await;
        let back = exported(&grounds).await;
        assert_eq!(expected(&back), expected(&vector.bytes), "line {} and back", vector.number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_comes_back_byte_for_byte() {
    let bytes = unhex(CANONICAL);
    let farm = grounds(&bytes).start().await;
    let seen = farm.info().await;
    let schedule = "j daily 9999-12-31T23:59:59.999Z".to_owned();
    let expected = Seen {
        schedule: vec![schedule],
        queues: vec!["p: j".to_owned()],
        dropped: vec!["q".to_owned()],
        ..Seen::default()
    };
    assert_eq!(seen, expected);
    assert_eq!(exported(farm.grounds()).await, bytes, "beside the running server");

    std::fs::remove_file(farm.grounds().folder().join("exported")).unwrap();
    let (_worker, _) = farm.running("p").await;
    assert_eq!(exported(farm.grounds()).await, bytes, "what runs stands at the front of its queue");
}

/// Names of an old state that we would not take any more go on to work, in a folder with an escaped name.
#[tokio::test(flavor = "multi_thread")]
async fn old_names_go_on_to_work() {
    let bytes: Vec<u8> =
        unhex(&CANONICAL.replace("300b0c016a", "300c0c022e2e").replace("a00d", "a00e").replace("300fa0", "3010a0"));
    let grow = |from: &str, to: &str, bytes: &[u8]| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        unhex(&hex.replacen(from, to, 1))
    };
    let bytes = grow("3049", "304b", &bytes);
    let bytes = grow("a32a3028", "a32b3029", &bytes);
    let bytes = grow("a4163014", "a4173015", &bytes);
    let farm = grounds(&bytes).start().await;
    assert_eq!(farm.info().await.queues, ["p: .."]);
    let (worker, job) = farm.running("p").await;
    worker.finish(Outcome::Exited(0), &[("f", b"x")]).await;
    assert_eq!(farm.observe(job.build).await.lines, ["exited 0"]);
    let path = farm.grounds().data().join("%..").join(job.build.to_string()).join("full");
    assert!(path.exists(), "{}", path.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_is_left_alone() {
    for vector in state_vectors().filter(|vector| !vector.accept) {
        let grounds = grounds(&vector.bytes);
        let path = grounds.data().join("state");
        let refusal = grounds.refusal().await;
        let (what, hint) = refusal.split_once("\nhint: ").unwrap();
        assert!(what.starts_with(&format!("the state file {} is damaged: byte ", path.display())), "{refusal}");
        let expected =
            "nothing was changed; restore the file from a backup, or move it away to start with an empty schedule";
        assert_eq!(hint, expected);
        assert_eq!(std::fs::read(&path).unwrap(), vector.bytes);

        std::fs::write(&path, unhex(CANONICAL)).unwrap();
        assert_eq!(grounds.start().await.info().await.queues, ["p: j"], "the mended file is imported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_imported_only_once() {
    let grounds = grounds(&unhex(CANONICAL)).start().await.stop().await;
    let path = grounds.data().join("state");
    for later in [&b"\x30\x00"[..], b"garbage"] {
        std::fs::write(&path, later).unwrap();
        let farm = grounds_again(&grounds).start().await;
        assert_eq!(farm.info().await.queues, ["p: j"]);
        farm.stop().await;
        assert_eq!(std::fs::read(&path).unwrap(), later);
    }
}

/// People edit these files. What is overdue runs once, and its next time is in the future; that also goes for a job
/// that never runs again, which must not stand in the way of those behind it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_overdue_by_hand_runs_once() {
    use builder_model::Period;
    let item = |name: &'static [u8], period, next: &str| {
        let job = Job::Script(builder_wire::ScriptJob { name, platform: b"p", script: b"true" });
        StateItem::Schedule(builder_wire::ScheduleEntry { next: next.parse().unwrap(), period, job })
    };
    let items = [
        item(b"n", Period::Never, "2019-01-01T00:00:00Z"),
        item(b"h", Period::Hourly, "2020-01-01T00:00:00Z"),
        item(b"d", Period::Daily, "2020-01-01T00:00:00Z"),
    ];
    let grounds = Grounds::new().at("2026-01-01T12:00:00Z");
    std::fs::write(grounds.data().join("state"), state::encode(&items).to_vec()).unwrap();
    let farm = grounds.start().await;
    farm.queues_become(&["p: d h n"]).await;
    let schedule =
        ["d daily 2026-01-02T12:00:00Z", "h hourly 2026-01-01T13:00:00Z", "n never 9999-12-31T23:59:59.999Z"];
    assert_eq!(sorted(farm.info().await).schedule, schedule);
}

/// The original writes its state under another name first; half of such a file is of no consequence.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_new_state_beside_the_state_is_ignored() {
    let grounds = grounds(&unhex(CANONICAL));
    let half = grounds.data().join("state.tmp");
    std::fs::write(&half, "half").unwrap();
    let farm = grounds.start().await;
    assert_eq!(farm.info().await.queues, ["p: j"]);
    assert_eq!(std::fs::read(half).unwrap(), b"half");
}

/// The same data folder, for one more server.
fn grounds_again(grounds: &Grounds) -> Grounds {
    let data = grounds.data().to_owned();
    Grounds::new().at("0000-01-01T00:00:00Z").with(|settings| settings.dir = data)
}
