//! The real program, killed while it receives: what was acknowledged is there, and of the rest nothing is.

use crate::site::{PASSWORD, Site, Told, USER, basic};
use builder_model::BuildId;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: u64 = 10;
const SENDERS: u64 = 3;

/// A repository in a process of its own.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(site: &Site) -> Self {
        let (data, config) = (site.data(), site.data().parent().unwrap().join("config"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_builder-web"));
        command.args(["--port", "0", "--datadir"]).arg(data).arg("--configdir").arg(config).env_remove("RUST_LOG");
        let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("the program ended").unwrap();
            if let Some((_, url)) = line.split_once("serving at ") {
                break url.trim_end_matches('/').to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A build that differs from all others, and shares some content with them.
fn build(number: u64) -> Told {
    let mut told = Told::new(1);
    told.build = BuildId::from_random((u128::from(number) * 0x9e37_79b9_7f4a_7c15_u128 + 1).to_be_bytes());
    let large: Vec<u8> = (0..200_000_u64).map(|at| (at * number).to_le_bytes()[0]).collect();
    told.files(&[
        ("bin/hello", format!("binary {number}").as_bytes()),
        ("shared", b"shared"),
        ("large", &large),
        ("empty", b""),
    ])
}

fn send(url: &str, told: &Told) -> Option<u16> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(20)))
        .http_status_as_error(false)
        .build()
        .into();
    let request = agent.post(format!("{url}/upload")).header("authorization", basic(USER, PASSWORD));
    request.send(told.encode()).ok().map(|response| response.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_it_acknowledged() {
    let site = Site::new();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let program = Program::start(&site);
        let (is_over, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let url = program.url.clone();
        let sent = std::thread::scope(|scope| {
            let sender = |sender: u64| {
                let (url, is_over, count) = (url.as_str(), &is_over, &count);
                scope.spawn(move || {
                    let numbers = (0..).map(|number| (round * SENDERS + sender) * 1_000 + number);
                    let sent = numbers.take_while(|number| {
                        let is_stored = !is_over.load(Ordering::SeqCst)
                            && send(url, &build(*number)).is_some_and(|status| status == 201);
                        count.fetch_add(u64::from(is_stored), Ordering::SeqCst);
                        is_stored
                    });
                    sent.collect::<Vec<_>>()
                })
            };
            let senders: Vec<_> = (0..SENDERS).map(sender).collect();
            // Another moment in each round; which it is in the life of an upload, chance decides.
            let until = Instant::now() + Duration::from_secs(30);
            while count.load(Ordering::SeqCst) < SENDERS && Instant::now() < until {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(7 * round));
            program.kill();
            is_over.store(true, Ordering::SeqCst);
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect::<Vec<_>>()
        });
        acknowledged.extend(sent);
    }
    assert!(acknowledged.len() as u64 >= ROUNDS * SENDERS, "{acknowledged:?}");
    let program = Program::start(&site);
    for number in &acknowledged {
        let told = build(*number);
        let answer = site.get(&format!("{}/exec", told.page())).await;
        assert!(answer.body == told.encode(), "build {number} is not what was sent");
        assert_eq!(send(&program.url, &told), Some(200), "a sender that was not sure may send again");
    }
    program.kill();
    checked(&site.data());
    let stagings = std::fs::read_dir(site.data().join("_staging")).unwrap().count();
    assert_eq!(stagings, 0, "nothing is left of what did not end");
}

/// Files and rows agree, as far as builder-db can tell.
fn checked(data: &Path) {
    let check =
        Command::new(env!("CARGO_BIN_EXE_builder-db")).arg("check").arg("--datadir").arg(data).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    assert!(check.status.success(), "{out}\n{err}");
}

#[tokio::test]
async fn what_a_crash_left_before_the_rows_is_taken_back() {
    let site = Site::new();
    let (kept, lost) = (Told::new(1), Told::new(2).files(&[("bin/hello", b"binary"), ("new", b"new")]));
    site.upload(&kept).await;
    let before = site.files();
    site.upload(&lost).await;
    // As if the power had gone after the files were moved and before the rows were written.
    let connection = site.connection();
    connection.execute_batch("PRAGMA foreign_keys = on; BEGIN; PRAGMA defer_foreign_keys = on").unwrap();
    let of_lost = format!("(SELECT id FROM build WHERE uuid = '{}')", lost.build);
    connection.execute(&format!("DELETE FROM build_artifact WHERE build = {of_lost}"), []).unwrap();
    connection.execute(&format!("DELETE FROM build WHERE uuid = '{}'", lost.build), []).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    let staging = site.data().join("_staging").join(format!("{}.0", lost.build));
    std::fs::create_dir(&staging).unwrap();
    let digests = [b"binary".as_slice(), b"new"].map(|data| builder_web::Digest::of(data).to_string());
    std::fs::write(staging.join("intent"), format!("{}\nhello\n{}\n", lost.build, digests.join("\n"))).unwrap();
    std::fs::create_dir(site.data().join("_staging/half")).unwrap();
    // What a binary that was made by hand comes to, where the system has no files without names.
    std::fs::write(site.data().join("_staging/.tmpa1b2c3"), "half").unwrap();
    Program::start(&site).kill();
    assert_eq!(site.files(), before);
    checked(&site.data());
}

#[tokio::test]
async fn what_cannot_be_taken_back_keeps_no_server_from_its_start() {
    let site = Site::new();
    site.upload(&Told::new(1)).await;
    let stagings = site.data().join("_staging");
    std::fs::create_dir_all(stagings.join("half")).unwrap();
    // As if it were somebody else's, also for root: a folder cannot be read as a file.
    std::fs::create_dir_all(stagings.join("odd/intent")).unwrap();
    Program::start(&site).kill();
    let left: Vec<_> = std::fs::read_dir(&stagings).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["odd"]);
}

#[tokio::test]
async fn facts_of_builds_that_the_original_stored_are_derived_after_the_start() {
    let site = Site::new();
    for number in 1..=120 {
        site.upload(&Told::new(number)).await;
    }
    let facts = "SELECT group_concat(build || hex(input) || hex(output) || console_lines || artifact_bytes)
        FROM (SELECT * FROM repository_build ORDER BY build)";
    let facts = || site.connection().query_row(facts, [], |row| row.get::<_, Option<String>>(0)).unwrap();
    let known = facts();
    site.connection().execute("DELETE FROM repository_build", []).unwrap();
    let program = Program::start(&site);
    let until = Instant::now() + Duration::from_secs(30);
    while site.count("SELECT count(*) FROM repository_build") < 120 {
        assert!(Instant::now() < until, "they are not derived");
        tokio::task::yield_now().await;
    }
    program.kill();
    assert_eq!(facts(), known);
}

#[tokio::test]
async fn a_data_folder_has_one_server() {
    let site = Site::new();
    let program = Program::start(&site);
    let mut second = Command::new(env!("CARGO_BIN_EXE_builder-web"));
    let config = site.data().parent().unwrap().join("config");
    second.args(["--port", "0", "--datadir"]).arg(site.data()).arg("--configdir").arg(config);
    let output = second.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("another builder-web uses the data folder") && text.contains("hint: stop it first"),
        "{text}"
    );
    program.kill();
}
