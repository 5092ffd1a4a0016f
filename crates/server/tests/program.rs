//! builder-server as it is run: its command line, its end, and what becomes of a build when it is killed.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{Outcome, Period};
use builder_testkit::{FakeWorker, Grounds, Observer, PATIENCE, Program, eventually, get, info, metric, schedule};
use nix::sys::signal::Signal;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

const SERVER: &str = env!("CARGO_BIN_EXE_builder-server");

/// The folders of these grounds as flags, and a free port.
fn flags(grounds: &Grounds) -> [&str; 6] {
    let (data, config) = (grounds.data().to_str().unwrap(), grounds.settings.config_dir.to_str().unwrap());
    ["--listen", "127.0.0.1:0", "--dir", data, "--config-dir", config]
}

async fn start(grounds: &Grounds) -> (Program, SocketAddr) {
    let mut server = Program::start(SERVER, &flags(grounds));
    let address = server.address().await;
    (server, address)
}

/// What a program says that ends by itself, and its status.
async fn said(arguments: &[&str]) -> (i32, String) {
    let (status, log) = Program::start(SERVER, arguments).ended().await;
    (status.code().unwrap(), log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_no_build() {
    let grounds = Grounds::new();
    let (server, address) = start(&grounds).await;
    for name in ["a", "b"] {
        assert_eq!(schedule(address, name, "p", Period::Daily).await, Ok(()));
    }
    let before = info(address).await;
    let (mut worker, job) = FakeWorker::running(address, "p").await;
    worker.line("before").await;
    assert_eq!(Observer::of(address, job.build).await.line().await, "before");
    server.kill();
    worker.closed().await;

    let (server, address) = start(&grounds).await;
    let seen = info(address).await;
    assert_eq!((&seen.queues, &seen.schedule), (&before.queues, &before.schedule));
    let (mut worker, again) = FakeWorker::running(address, "p").await;
    assert_eq!(again, job);
    worker.line("after").await;
    worker.finish(Outcome::Exited(0), &[("f", b"data")]).await;
    server.kill();

    let record = grounds.record("a", job.build);
    let console = ["after", "builder-server: attempt 2 begins", "before"].map(str::to_owned);
    assert_eq!((record.console.as_slice(), record.outcome.as_str()), (&console[..], "exited 0"));
    assert_eq!(record.paths(), ["f"]);
    let row = grounds.history().remove(0);
    assert_eq!((row.build, row.attempts), (job.build, 2));
    let (_server, address) = start(&grounds).await;
    assert_eq!(info(address).await.queues, ["p: b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_ends_with_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let grounds = Grounds::new();
        let mut arguments = flags(&grounds).to_vec();
        arguments.extend(["--upload", "http://127.0.0.1:9/upload"]);
        let mut server = Program::start(SERVER, &arguments);
        let address = server.address().await;
        assert_eq!(schedule(address, "a", "p", Period::Daily).await, Ok(()));
        let (mut running, job) = FakeWorker::running(address, "p").await;
        let mut waiting = FakeWorker::waiting(address, "q").await;
        server.signal(signal);
        running.closed().await;
        waiting.closed().await;
        let (status, log) = server.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
        let (_server, address) = start(&grounds).await;
        assert_eq!(FakeWorker::running(address, "p").await.1, job);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_failures_have_their_status() {
    let grounds = Grounds::new();
    let config = grounds.settings.config_dir.to_str().unwrap();
    let (status, help) = said(&["--help"]).await;
    assert!(status == 0 && help.contains("\nExamples:\n") && help.contains("\nExit status: 0 stopped"), "{help}");
    let (status, version) = said(&["--version"]).await;
    assert_eq!((status, version), (0, format!("builder-server {}\n", env!("CARGO_PKG_VERSION"))));

    let no_database = format!("builder-server: there is no database in {config}\nhint: ");
    let table: [(&[&str], i32, &str); 13] = [
        (&["--prot", "1"], 2, "unexpected argument '--prot'"),
        (&["--port", "70000"], 2, "invalid value '70000' for '--port"),
        (&["--timeout", "1x"], 2, "\"1x\" is not a duration such as 90s, 30m, 2h or 7d"),
        (&["--log-level", "loud"], 1, "builder-server: \"loud\" is no log level"),
        (
            &["--listen", "127.0.0.1:0", "--dir", "/nowhere"],
            1,
            "builder-server: the data folder /nowhere does not exist\nhint: ",
        ),
        (&["--config", "/nowhere"], 1, "builder-server: cannot read /nowhere: No such file"),
        (&["--job-timeout", "a/b=1h"], 1, "builder-server: --job-timeout: job name a/b may only have"),
        (&["export-state", "--dir", "/nowhere"], 1, "builder-server: the data folder /nowhere does not exist\nhint: "),
        (&["export-state", "--dir", config], 1, &no_database),
        (&["check", "--dir", "/nowhere"], 1, "builder-server: the data folder /nowhere does not exist\nhint: "),
        (&["check", "--dir", config], 1, &no_database),
        (&["backup", "--dir", config, "/nowhere"], 1, &no_database),
        (&["backup"], 2, "<BACKUP>"),
    ];
    for (arguments, status, text) in table {
        let mut arguments = arguments.to_vec();
        if status == 1 && !["export-state", "check", "backup"].contains(&arguments[0]) {
            arguments.extend(["--config-dir", config]);
        }
        let (ended, log) = said(&arguments).await;
        assert!(ended == status && log.contains(text), "{arguments:?}: {ended}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_and_a_folder_are_taken_once() {
    let grounds = Grounds::new();
    let (server, address) = start(&grounds).await;
    let other = Grounds::new();
    let mut arguments = flags(&other);
    let listen = address.to_string();
    arguments[1] = &listen;
    let (status, log) = said(&arguments).await;
    assert!(
        status == 1 && log.contains(&format!("builder-server: cannot listen at {address}: Address already in use")),
        "{log}"
    );
    let (status, log) = said(&flags(&grounds)).await;
    let text = format!("builder-server: another builder-server (process {}) uses the data folder", server.pid());
    assert!(status == 1 && log.contains(&text), "{log}");
    assert_eq!(info(address).await.builds, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_file_has_the_flags_as_keys() {
    let grounds = Grounds::new();
    let config = grounds.settings.config_dir.join("builder-server.toml");
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = probe.local_addr().unwrap();
    drop(probe);
    let text = format!(
        "listen = [\"127.0.0.1:0\", \"[::1]:0\"]\ndir = {:?}\ntimeout = \"1h\"\nmax-console = \"1K\"\nmetrics = [\"{metrics}\"]\n",
        grounds.data()
    );
    std::fs::write(&config, text).unwrap();
    let mut server = Program::start(SERVER, &["--config-dir", grounds.settings.config_dir.to_str().unwrap()]);
    let address = server.address().await;
    server.says("listening at [::1]:").await;
    assert_eq!(get(metrics, "/healthz").await.body, "ok\n");
    assert_eq!(schedule(address, "a", "p", Period::Daily).await, Ok(()));
    let (mut worker, job) = FakeWorker::running(address, "p").await;
    worker.peer.offer_bytes(&worker.line_frames([[b'x'; 1025]])).await;
    worker.closed().await;
    assert_eq!(
        grounds.record("a", job.build).outcome,
        "execution aborted: the console is over its limit of 1024 bytes"
    );
    assert_eq!(metric(metrics, "builder_builds_finished_total{outcome=\"aborted\"}").await, Some(1.0));

    let (status, log) = said(&["export-state", "--config", config.to_str().unwrap()]).await;
    assert!(status == 0 && !log.contains("builder-server:"), "the folder is the one that the file names: {log}");
    let check = ["check", "--config", config.to_str().unwrap()];
    let (status, log) = said(&check).await;
    assert!(status == 0 && log.contains("1 builds in the history; 1 records read, "), "{log}");
    let copy = grounds.data().with_file_name("copy");
    let (status, log) = said(&["backup", "--config", config.to_str().unwrap(), copy.to_str().unwrap()]).await;
    assert!(status == 0 && log.contains("/copy has 1 builds and "), "beside the server: {log}");
    let (status, log) = said(&["check", "--dir", copy.to_str().unwrap()]).await;
    assert!(status == 0 && log.contains("1 builds in the history; 1 records read, "), "{log}");
    // Until it is stopped, a small record may be in the database only.
    server.signal(Signal::SIGTERM);
    server.ended().await;
    let job = grounds.data().join("a");
    std::fs::rename(&job, job.with_extension("away")).unwrap();
    let (status, log) = said(&check).await;
    assert!(status == 1 && log.contains("/full is missing\n") && log.contains("builder-server: 1 faults in "), "{log}");
    std::fs::write(&config, "listen = [\"127.0.0.1:0\"]\nip = [\"127.0.0.1\"]\n").unwrap();
    let (status, log) = said(&["--config", config.to_str().unwrap()]).await;
    assert!(status == 1 && log.contains("builder-server.toml: `listen` has addresses"), "{log}");
    std::fs::write(&config, "tiemout = \"2h\"\n").unwrap();
    let (status, log) = said(&["--config-dir", grounds.settings.config_dir.to_str().unwrap()]).await;
    assert!(status == 1 && log.contains("builder-server.toml: ") && log.contains("unknown field `tiemout`"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told() {
    let grounds = Grounds::new();
    let path = grounds.folder().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hears = || {
        let mut bytes = [0; 1024];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).trim_end().to_owned()
    };
    let mut command = Command::new(SERVER);
    command.args(flags(&grounds)).stdin(Stdio::null()).env("NOTIFY_SOCKET", &path);
    let mut server = Program::start_with(&mut command);
    assert_eq!(hears(), "READY=1");
    assert_eq!(info(server.address().await).await.builds, []);
    server.signal(Signal::SIGTERM);
    assert_eq!(hears(), "STOPPING=1");
    assert_eq!(server.ended().await.0.code(), Some(0));
}

/// The socket is passed as systemd does it: descriptor 3 of the process that `LISTEN_PID` names.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_passed_is_used() {
    let grounds = Grounds::new();
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap();
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, SERVER]).args(flags(&grounds)).stdin(Stdio::from(OwnedFd::from(passed)));
    let mut server = Program::start_with(&mut command);
    assert_eq!(server.address().await, address);
    assert_eq!(schedule(address, "a", "p", Period::Daily).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_descriptors_passes() {
    let grounds = Grounds::new();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", SERVER]).args(flags(&grounds)).stdin(Stdio::null());
    let mut server = Program::start_with(&mut command);
    let address = server.address().await;
    let connections: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    server.says("cannot accept a connection: ").await;
    drop(connections);
    assert_eq!(info(address).await.builds, []);
    // What the lack hurt is whole again.
    assert_eq!(schedule(address, "a", "p", Period::Daily).await, Ok(()));
    let (worker, job) = FakeWorker::running(address, "p").await;
    worker.finish(Outcome::Exited(0), &[]).await;
    let path = grounds.record_path("a", job.build);
    eventually("the record", async || path.exists().then_some(())).await;
}
