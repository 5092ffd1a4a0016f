//! Hooks and webhooks of a repository that runs.

use super::site::{PASSWORD, Site, Told, USER, basic};
use axum::body::Body;
use builder_model::Outcome;
use builder_testkit::{Repository as Receiver, eventually};
use builder_web::settings::Webhook;
use builder_web::{Repository, Settings};
use http::{Request, StatusCode};
use rusqlite::{Connection, params};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use tower::ServiceExt as _;

mod debian;
mod shipped;
mod told;

/// A repository that runs, and the data folder under it.
struct Running {
    site: Site,
    repository: Option<Repository>,
}

/// A row of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    id: i64,
    event: String,
    target: String,
    state: String,
    tries: i64,
    status: Option<i64>,
    log: String,
}

impl Running {
    /// With these scripts in the folder of hooks.
    async fn new(scripts: &[(&str, &str)], change: impl FnOnce(&mut Settings)) -> Self {
        let site = Site::with(change);
        let hooks = site.app.settings().configdir.join("upload-hooks");
        fs::create_dir(&hooks).unwrap();
        for (name, text) in scripts {
            fs::write(hooks.join(name), text).unwrap();
            fs::set_permissions(hooks.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut running = Self { site, repository: None };
        running.start().await;
        running
    }

    async fn start(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = self.site.app.settings().clone();
        self.repository = Some(Repository::start(settings, vec![listener]).await.unwrap());
    }

    async fn stop(&mut self) {
        self.repository.take().unwrap().stop().await;
    }

    async fn upload(&self, told: &Told) {
        self.post("/upload", told.encode()).await;
    }

    async fn post(&self, target: &str, body: Vec<u8>) {
        let router = builder_web::http::router(self.repository.as_ref().unwrap().app().clone());
        let request = Request::post(target).header("authorization", basic(USER, PASSWORD));
        let answer = router.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
    }

    /// A file that scripts write to, in the data folder.
    fn file(&self, name: &str) -> PathBuf {
        self.site.data().join(name)
    }

    fn connection(&self) -> Connection {
        let connection = self.site.connection();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    fn runs(&self) -> Vec<Run> {
        let text = "SELECT id, event, target, state, tries, status, log FROM repository_hook_run ORDER BY id";
        let connection = self.connection();
        let mut statement = connection.prepare(text).unwrap();
        let run = |row: &rusqlite::Row<'_>| {
            Ok(Run {
                id: row.get(0)?,
                event: row.get(1)?,
                target: row.get(2)?,
                state: row.get(3)?,
                tries: row.get(4)?,
                status: row.get(5)?,
                log: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
            })
        };
        statement.query_map([], run).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    /// Waits until all runs are as told.
    async fn until(&self, what: &str, is_so: impl Fn(&Run) -> bool) -> Vec<Run> {
        let all = async || Some(self.runs()).filter(|runs| !runs.is_empty() && runs.iter().all(&is_so));
        eventually(what, all).await
    }

    async fn ended(&self) -> Vec<Run> {
        self.until("the end of all runs", |run| run.state == "done" || run.state == "failed").await
    }

    /// Lets what waits for its next try be due.
    fn hurry(&self) {
        self.connection().execute("UPDATE repository_hook_run SET next_try = 0 WHERE state = 'waiting'", []).unwrap();
    }
}

/// Writes each argument on a line of its own, behind its length, where `--data-dir` says.
const ARGUMENTS: &str = r#"#!/bin/sh
for argument; do case "$argument" in --data-dir=*) data="${argument#*=}" ;; esac; done
for argument; do printf '%s:%s\n' "${#argument}" "$argument"; done > "$data/arguments.$$"
mv "$data/arguments.$$" "$data/arguments"
"#;

#[tokio::test]
async fn a_hook_gets_exactly_the_arguments_of_the_original() {
    let running = Running::new(&[("arguments.sh", ARGUMENTS)], |_| {}).await;
    let hostile = "a'b\"c$(touch x) `id` *;|&é --job=z";
    let told = Told::new(1).job(hostile).platform("p q=r").files(&[("bin/sub dir/$x.hvt", b"x")]);
    running.upload(&told).await;
    let runs = running.ended().await;
    assert_eq!((runs[0].state.as_str(), runs[0].status, runs[0].tries), ("done", Some(0), 1), "{runs:?}");
    let data = running.site.data();
    let data = data.display();
    let digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let expected = [
        "--build-time=20240905130000".to_owned(),
        format!("--sha256={digest}"),
        format!("--job={hostile}"),
        format!("--uuid={}", told.build),
        "--platform=p q=r".to_owned(),
        format!("--cache-dir={data}/_cache"),
        format!("--data-dir={data}"),
        "--main-binary-filepath=bin/sub dir/$x.hvt".to_owned(),
        format!("{data}/_artifacts/2d/{digest}"),
    ];
    // A shell counts characters or bytes, as its locale is.
    let text = fs::read_to_string(running.file("arguments")).unwrap();
    let arguments: Vec<&str> = text.lines().map(|line| line.split_once(':').unwrap().1).collect();
    assert_eq!(arguments, expected);
}

#[tokio::test]
async fn hooks_run_for_main_binaries_only_on_both_routes_and_without_interpreter() {
    // A script that does not say what reads it is one for the shell, as it is in the original.
    let running = Running::new(&[("x.sh", "echo \"$3 $8\"\ncat\n"), ("y.sh.sample", "exit 1\n")], |_| {}).await;
    let dangling = running.site.app.settings().configdir.join("upload-hooks/dangling.sh");
    std::os::unix::fs::symlink("nowhere", dangling).unwrap();
    running.upload(&Told::new(1).files(&[("lib/x", b"x")])).await;
    running.upload(&Told::new(2).outcome(Outcome::Exited(1))).await;
    running.post("/job/hello/platform/p/upload", b"by hand".to_vec()).await;
    let runs = running.ended().await;
    let logs: Vec<&str> = runs.iter().map(|run| run.log.as_str()).collect();
    let expected =
        ["--job=hello --main-binary-filepath=bin/hello\n", "--job=hello --main-binary-filepath=bin/hello.bin\n"];
    assert_eq!(logs, expected, "{runs:?}");
}

#[tokio::test]
async fn runs_of_one_hook_follow_each_other_and_hooks_go_side_by_side() {
    // Each notes that it began and ended; `b` does not end before `a` has run three times.
    let a =
        "#!/bin/sh\necho \"begin $4\"; echo \"begin $4\" >> \"${7#*=}/order\"; echo \"end $4\" >> \"${7#*=}/order\"\n";
    let b = "#!/bin/sh\nuntil [ \"$(grep -c end \"${7#*=}/order\")\" = 3 ]; do sleep 0.01; done\n";
    let running = Running::new(&[("a.sh", a), ("b.sh", b)], |_| {}).await;
    fs::write(running.file("order"), "").unwrap();
    let builds = [1, 2, 3].map(Told::new);
    for told in &builds {
        running.upload(told).await;
    }
    let runs = running.ended().await;
    assert!(runs.iter().all(|run| run.state == "done" && run.tries == 1), "{runs:?}");
    let targets: Vec<&str> = runs.iter().map(|run| run.target.as_str()).collect();
    assert_eq!(targets, ["a.sh", "b.sh", "a.sh", "b.sh", "a.sh", "b.sh"], "sorted by name for each build");
    let expected: String =
        builds.iter().map(|told| format!("begin --uuid={0}\nend --uuid={0}\n", told.build)).collect();
    assert_eq!(fs::read_to_string(running.file("order")).unwrap(), expected);
}

#[tokio::test]
async fn a_hook_that_runs_too_long_is_ended_with_its_children() {
    // It and its child hear no polite request, and the child holds the output open.
    let script = "#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho \"$!\" > \"${7#*=}/child\"\necho waiting\nsleep 1000; sleep 1000\n";
    let running = Running::new(&[("x.sh", script)], |settings| settings.hook_limit = Duration::from_secs(1)).await;
    running.upload(&Told::new(1)).await;
    let runs = running.until("a first try", |run| run.tries == 1 && run.state == "waiting").await;
    assert_eq!(
        (runs[0].status, runs[0].log.as_str()),
        (None, "waiting\nit ran longer than 1 seconds, and was ended\n")
    );
    let child = fs::read_to_string(running.file("child")).unwrap();
    let is_gone = || match fs::read_to_string(format!("/proc/{}/stat", child.trim())) {
        Err(_) => true,
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|state| state.starts_with('Z')),
    };
    eventually("the end of the child", async || is_gone().then_some(())).await;
}

#[tokio::test]
async fn a_hook_that_fails_is_tried_again_and_given_up_at_last() {
    let script = "#!/bin/sh\ncase $3 in *=good) [ -e \"${7#*=}/seen\" ] && exit 0; : > \"${7#*=}/seen\" ;; esac\necho sorry\nexit 7\n";
    let running = Running::new(&[("x.sh", script)], |_| {}).await;
    running.upload(&Told::new(1).job("good")).await;
    running.upload(&Told::new(2).job("bad")).await;
    let runs = running.until("first tries", |run| run.tries == 1 && run.state == "waiting").await;
    assert!(runs.iter().all(|run| run.status == Some(7) && run.log == "sorry\nexit status: 7\n"), "{runs:?}");
    let text = "SELECT min(next_try - finished), max(next_try - finished) FROM repository_hook_run";
    let pause = running.connection().query_row(text, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(pause, (30_000_i64, 30_000_i64));
    for tries in 2..=5 {
        running.hurry();
        running.until("the next try", |run| run.tries == tries && run.state != "running" || run.state == "done").await;
    }
    let runs: Vec<_> = running.ended().await.into_iter().map(|run| (run.state, run.tries, run.status)).collect();
    assert_eq!(runs, [("done".into(), 2, Some(0)), ("failed".into(), 5, Some(7))]);
}

#[tokio::test]
async fn hooks_survive_the_end_of_the_server() {
    let script = "#!/bin/sh\n[ -e \"${7#*=}/go\" ] && exit 0\n: > \"${7#*=}/begun\"\nsleep 1000\n";
    let mut running = Running::new(&[("x.sh", script)], |_| {}).await;
    running.upload(&Told::new(1)).await;
    eventually("the beginning", async || running.file("begun").exists().then_some(())).await;
    running.upload(&Told::new(2)).await;
    running.stop().await;
    let states: Vec<_> = running.runs().into_iter().map(|run| (run.state, run.tries)).collect();
    assert_eq!(states, [("waiting".into(), 0), ("waiting".into(), 0)], "as if they had not been tried");
    // As a crash leaves them: one for the first time, one for the last.
    let crash = "UPDATE repository_hook_run SET state = 'running', tries = CASE id WHEN 1 THEN 1 ELSE 5 END";
    running.connection().execute(crash, []).unwrap();
    fs::write(running.file("go"), "").unwrap();
    running.start().await;
    let runs = running.ended().await;
    let states: Vec<_> = runs.iter().map(|run| (run.state.as_str(), run.tries)).collect();
    assert_eq!(states, [("done", 2), ("failed", 5)], "{runs:?}");
    assert_eq!(runs[1].log, "the server ended while this ran\n");
}

#[tokio::test]
async fn the_end_of_a_long_output_is_kept() {
    let script = "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x\nprintf '\\377<b>last' >&2\n";
    let running = Running::new(&[("x.sh", script)], |_| {}).await;
    running.upload(&Told::new(1)).await;
    let log = running.ended().await.remove(0).log;
    assert!(log.starts_with("[934472 bytes before this are not kept]\nxxx"), "{}", &log[..100]);
    assert!(log.ends_with("xxx\u{fffd}<b>last"));
    assert!(log.len() < (64 << 10) + 100, "{}", log.len());
}

#[tokio::test]
async fn old_runs_are_forgotten() {
    let mut running = Running::new(&[("x.sh", "#!/bin/sh\n")], |_| {}).await;
    for number in 1..=4 {
        running.upload(&Told::new(number)).await;
    }
    running.ended().await;
    running.stop().await;
    let day = 86_400_000_i64;
    for (id, state, days) in [(1, "done", 31), (2, "done", 29), (3, "failed", 364), (4, "failed", 366)] {
        let text = "UPDATE repository_hook_run SET state = ?2, finished = finished - ?3 WHERE id = ?1";
        running.connection().execute(text, params![id, state, days * day]).unwrap();
    }
    running.start().await;
    let left = eventually("two that are forgotten", async || Some(running.runs()).filter(|runs| runs.len() < 4)).await;
    assert_eq!(left.iter().map(|run| run.id).collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn builder_db_shows_runs_and_lets_them_run_again() {
    let script = "#!/bin/sh\necho \"what I did\"\n[ -e \"${7#*=}/mended\" ]\n";
    let running = Running::new(&[("x.sh", script)], |_| {}).await;
    running.upload(&Told::new(1)).await;
    running.upload(&Told::new(2).files(&[])).await;
    running.until("a first try", |run| run.tries == 1 && run.state == "waiting").await;
    let run = |arguments: &[&str]| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_builder-db"));
        let output = command.arg("--datadir").arg(running.site.data()).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (status, out, _) = run(&["hooks", "1"]);
    assert_eq!(status, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("ID  JOB") && lines[1].contains("x.sh  waiting  1      1       from "), "{out}");
    assert_eq!(&lines[2..], ["what I did", "exit status: 1"]);
    let (_, out, _) = run(&["hooks", "--failed", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let [row] = json["hooks"].as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!((row["job"].as_str(), row["status"].as_i64()), (Some("hello"), Some(1)));
    assert_eq!(row["log"], "what I did\nexit status: 1\n");

    fs::write(running.file("mended"), "").unwrap();
    let (status, out, _) = run(&["hook-retry", "1"]);
    assert_eq!((status, out.as_str()), (0, "hook run 1 waits for its turn\n"));
    let runs = running.ended().await;
    assert_eq!((runs[0].state.as_str(), runs[0].tries), ("done", 1), "{runs:?}");
    assert_eq!(run(&["hooks", "--failed", "--format=json"]).1, "{\"hooks\":[]}\n");
    let (status, _, error) = run(&["hook-retry", "77"]);
    assert!(status == 1 && error.contains("hint: `builder-db hooks`"), "{error}");
    assert_eq!(run(&["hooks", "77"]).0, 1);
}

/// A webhook to this receiver.
fn webhook(receiver: &Receiver, events: &[&str], jobs: &[&str]) -> Webhook {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let url = format!("http://us%3Aer:pass@{}/told?x=1", receiver.address());
    Webhook { url, secret: "secret".into(), events: words(events), jobs: words(jobs) }
}
