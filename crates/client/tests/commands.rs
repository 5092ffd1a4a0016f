//! Every command against a server that speaks the protocol: what goes over the wire, what is printed, how it ends.

mod support;

use builder_model::limits::SCRIPT_BYTES_MAX;
use builder_model::{Period, Timestamp};
use builder_wire::{Message, ScriptJob};
use support::{Peer, Server, UUID, client, frames, ran, run, run_with_input};

const REFUSAL: Message<'static> = Message::Failure { reason: b"unknown job j\x1b[31m" };

#[test]
fn each_command_sends_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.sh");
    std::fs::write(&file, "make\n").unwrap();
    let file = file.to_str().unwrap();
    let job = ScriptJob { name: b"j", platform: b"p", script: b"make\n" };
    let noon: Timestamp = "2026-01-31T10:00:00Z".parse().unwrap();
    let cases: [(&[&str], Message<'_>); 10] = [
        (&["schedule", "j", "p", file], Message::Schedule { period: Period::Daily, job }),
        (&["schedule", "--period", "never", "j", "p", file], Message::Schedule { period: Period::Never, job }),
        (
            &["orb-build", "j", "o", "--period=hourly"],
            Message::ScheduleTemplated { period: Period::Hourly, name: b"j", package: b"o" },
        ),
        (&["unschedule", "a/b"], Message::Unschedule { name: b"a/b" }),
        (&["execute", "j"], Message::Execute { name: b"j", platform: None }),
        (&["execute", "j", "--platform", "p"], Message::Execute { name: b"j", platform: Some(b"p") }),
        (
            &["reschedule", "j", "2026-01-31T12:00:00+02:00"],
            Message::Reschedule { name: b"j", next: noon, period: None },
        ),
        (
            &["reschedule", "j", "2026-01-31T10:00:00Z", "--period", "weekly"],
            Message::Reschedule { name: b"j", next: noon, period: Some(Period::Weekly) },
        ),
        (&["drop-platform", "p"], Message::DropPlatform { platform: b"p" }),
        (&["undrop-platform", "p"], Message::UndropPlatform { platform: b"p" }),
    ];
    for (arguments, expected) in cases {
        let server = Server::sending(vec![frames(&[Message::Success]), frames(&[REFUSAL])]);
        // The server may be named before the command and behind it.
        let before = run(client(&["-r", &server.remote]).args(arguments));
        let behind = run(client(arguments).args(["--remote", &server.remote]));
        assert_eq!(before, ran(0, "", ""), "{arguments:?}");
        let refused = "builder-client: the server refuses: unknown job j\\x1b[31m\n";
        assert_eq!(behind, ran(124, "", refused), "{arguments:?}");
        assert_eq!(server.commands(), vec![expected.encode().to_vec(); 2], "{arguments:?}");
    }
}

#[test]
fn a_script_comes_from_standard_input_and_may_be_as_long_as_a_server_takes() {
    let server = Server::sending(vec![frames(&[Message::Success])]);
    let script = vec![b'#'; SCRIPT_BYTES_MAX];
    let mut command = client(&["schedule", "j", "p", "-"]);
    let output = run_with_input(command.env("BUILDER_REMOTE", &server.remote), &script);
    assert_eq!(support::Ran::from(output), ran(0, "", ""));
    let job = ScriptJob { name: b"j", platform: b"p", script: &script };
    let expected = Message::Schedule { period: Period::Daily, job }.encode().to_vec();
    assert!(server.commands() == [expected], "the script arrives whole");
}

#[test]
fn scripts_that_cannot_be_sent() {
    let long = vec![b'#'; SCRIPT_BYTES_MAX + 1];
    let output = run_with_input(&mut client(&["schedule", "j", "p", "-"]), &long);
    let stderr = "builder-client: the script from standard input has more than 4194304 bytes\n\
                  hint: have the script fetch what is large\n";
    assert_eq!(support::Ran::from(output), ran(124, "", stderr));
    let missing = run(&mut client(&["schedule", "j", "p", "no-such-file"]));
    let stderr = "builder-client: cannot read the script no-such-file: No such file or directory (os error 2)\n";
    assert_eq!(missing, ran(124, "", stderr));
}

#[test]
fn wrong_command_lines_are_told_at_once() {
    let cases: [(&[&str], &str); 7] = [
        (&["observe", "1234"], "\"1234\" is not a build id: expected a UUID"),
        (&["reschedule", "j", "2026-01-31T12:00:00"], "is not a time: expected RFC 3339"),
        (&["orb-build", "j", "o", "--period", "yearly"], "\"yearly\" is not a period: expected hourly, daily"),
        (&["info", "-r", "localhost"], "\"localhost\" is not HOST:PORT: the port is missing"),
        (&["info", "-r", "::1:1234"], "an IPv6 address needs brackets, as in [::1]:1234"),
        (&["info", "--format", "xml"], "possible values: text, json"),
        (&[], "Usage: builder-client"),
    ];
    for (arguments, text) in cases {
        let result = run(&mut client(arguments));
        assert_eq!((result.status, result.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(result.stderr.contains(text), "{arguments:?}: {}", result.stderr);
    }
}

#[test]
fn servers_that_are_none() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let result = run(&mut client(&["info", "-r", &free]));
    let stderr = format!(
        "builder-client: cannot connect to {free}: {free}: Connection refused (os error 111)\n\
         hint: is builder-server running there? -r HOST:PORT or BUILDER_REMOTE names another server\n"
    );
    assert_eq!(result, ran(124, "", &stderr));

    // It is greeted twice: `info` says version 14 first.
    let silent = Server::start(2, |_, _| Vec::new());
    let result = run(&mut client(&["info", "-r", &silent.remote]));
    let stderr = format!(
        "builder-client: {} closed the connection without a hello\nhint: it may speak another version of the \
         protocol (this program speaks 13 and 14), or be no builder-server\n",
        silent.remote
    );
    assert_eq!(result, ran(124, "", &stderr));

    let web = Server::start(1, |_, stream| {
        let mut stream = stream;
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        std::io::Read::read(&mut stream, &mut [0; 64]).unwrap();
        Vec::new()
    });
    let result = run(&mut client(&["info", "-r", &web.remote]));
    let stderr = format!(
        "builder-client: {} does not speak the protocol of builder: a frame starts with 0x20, which no message does\n\
         hint: is it a builder-server that listens there?\n",
        web.remote
    );
    assert_eq!(result, ran(124, "", &stderr));
}

#[test]
fn answers_that_may_not_come() {
    let server = Server::sending(vec![
        Vec::new(),
        frames(&[Message::ServerHello]),
        vec![0, 0, 0, 0, 0, 0, 0, 3, 0xb2, 0x05, 0x00],
        frames(&[Message::Success]),
    ]);
    let remote = server.remote.clone();
    let expected = [
        format!(
            "{remote} closed the connection without an answer\nhint: look with `builder-client info` whether it was done"
        ),
        "the server sent ServerHello where success or failure was expected".to_owned(),
        format!("{remote} sent a malformed message: byte 0: the data ends here, within an element"),
    ];
    for text in expected {
        let result = run(&mut client(&["unschedule", "j", "-r", &remote]));
        assert!(result.stderr.starts_with(&format!("builder-client: {text}")), "{}", result.stderr);
        assert_eq!((result.status, result.stdout.as_str()), (124, ""));
    }
    // `success` without the reply to info.
    let result = run(&mut client(&["info", "-r", &remote]));
    let stderr = "builder-client: the server sent Success where the reply to info was expected\n";
    assert_eq!(result, ran(124, "", stderr));
}

#[test]
fn a_refusal_that_comes_before_the_script_was_read_is_heard() {
    let server = Server::start(1, |_, stream| {
        let mut peer = Peer::greeted(stream);
        peer.send(&frames(&[REFUSAL]));
        peer.receive()
    });
    let result = run_with_input(&mut client(&["schedule", "j", "p", "-", "-r", &server.remote]), &[b'#'; 1 << 20]);
    assert_eq!(result.status.code(), Some(124));
    assert!(String::from_utf8_lossy(&result.stderr).contains("the server refuses: unknown job j"));
}

#[test]
fn names_and_addresses_of_version_six() {
    let server = Server::sending(vec![frames(&[Message::Success])]);
    let port = server.remote.rsplit_once(':').unwrap().1;
    // `localhost` may have an IPv6 address, where nobody listens, before the IPv4 one.
    let remote = format!("localhost:{port}");
    assert_eq!(run(&mut client(&["unschedule", "j", "-r", &remote])), ran(0, "", ""));

    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else { return };
    let remote = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let mut peer = Peer::greeted(listener.accept().unwrap().0);
        let command = peer.receive();
        peer.send(&frames(&[Message::Success]));
        command
    });
    assert_eq!(run(&mut client(&["unschedule", "j", "-r", &remote])), ran(0, "", ""));
    assert_eq!(thread.join().unwrap(), Message::Unschedule { name: b"j" }.encode().to_vec());
}

#[test]
fn completions_and_man_pages() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let result = run(&mut client(&["completions", shell]));
        assert!(result.status == 0 && result.stdout.contains("observe-latest"), "{shell}");
        let result = run(&mut client(&["completions", shell, "--program", "builder-inspect"]));
        assert!(result.status == 0 && result.stdout.contains("decode"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&mut client(&["man", folder.path().to_str().unwrap()])), ran(0, "", ""));
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("builder-client.1").contains("Exit status:"));
    assert!(page("builder-client-schedule.1").contains("standard input"));
    assert!(page("builder-inspect.1").contains("Exit status:"));
    let result = run(&mut client(&["man", "no-such-folder"]));
    assert_eq!((result.status, result.stdout.as_str()), (124, ""));
}

#[test]
fn help_documents_the_exit_status() {
    let help = run(&mut client(&["--help"]));
    assert_eq!((help.status, help.stderr.as_str()), (0, ""));
    for text in [
        "124  everything else",
        "a server too old to tell",
        "the build failed, was killed",
        "BUILDER_REMOTE",
        "observe-latest",
    ] {
        assert!(help.stdout.contains(text), "{text}: {}", help.stdout);
    }
    let unknown = run(&mut client(&["observe", UUID, "--color", "sometimes"]));
    assert_eq!(unknown.status, 2);
}
