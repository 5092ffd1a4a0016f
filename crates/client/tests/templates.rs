//! The commands about templates with parameters: what goes over the wire, what is printed, and what an old server makes
//! of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use builder_model::{Period, Timestamp};
use builder_wire::message::{AskRender, AskTemplates, ParameterRow, Reply, TemplateContent, TemplateRow};
use builder_wire::{Ask, Info, Job, Message, ParameterJob, ScheduleEntry};
use support::{Server, client, frames, ran, run};

const TEXT: &[u8] = b"#!/bin/sh\n#: description = \"d\"\necho \x1b";

fn templates(with_text: bool) -> Vec<u8> {
    let parameter = |name, default| ParameterRow {
        name,
        description: b"Whom to greet".as_slice(),
        allowed: b"a word".as_slice().into(),
        default,
    };
    let content = TemplateContent::Readable {
        description: b"Says hello.\nKindly.",
        parameters: vec![
            parameter(b"who".as_slice(), None),
            parameter(b"how", Some(b"kindly".as_slice())),
            parameter(b"why", Some(b"".as_slice())),
        ],
        text: with_text.then_some(TEXT),
    };
    let mut rows = vec![TemplateRow { name: b"greet", platform: b"debian-12", content }];
    if !with_text {
        let content = TemplateContent::Unreadable(b"line 1: what\x1b".as_slice().into());
        rows.push(TemplateRow { name: b"odd", platform: b"debian-13", content });
    }
    frames(&[Message::Reply(Reply::Templates(rows)), Message::Success])
}

#[test]
fn a_list_for_people_and_for_scripts() {
    let server = Server::answering(vec![templates(false); 2]);
    let expected = "\
NAME   PLATFORM   PARAMETERS  DESCRIPTION
greet  debian-12  who [+2]    Says hello.
odd    debian-13              cannot be read: line 1: what\\x1b
";
    assert_eq!(run(&mut client(&["template", "list", "-r", &server.remote])), ran(0, expected, ""));
    let arguments = ["template", "list", "--platform", "debian-12", "--format", "json", "-r", &server.remote];
    let result = run(&mut client(&arguments));
    let value: serde_json::Value = serde_json::from_str(&result.stdout).unwrap();
    let parameter = |name: &str, default: Option<&str>| {
        serde_json::json!({
            "name": name, "description": "Whom to greet", "allowed": "a word", "required": default.is_none(),
            "default": default,
        })
    };
    let expected = serde_json::json!({ "templates": [
        { "name": "greet", "platform": "debian-12", "description": "Says hello.\nKindly.", "error": null,
          "parameters": [parameter("who", None), parameter("how", Some("kindly")), parameter("why", Some(""))] },
        { "name": "odd", "platform": "debian-13", "description": null, "parameters": null,
          "error": "line 1: what\\x1b" },
    ]});
    assert_eq!(value, expected);
    let ask = |platform| Message::Ask(Ask::Templates(AskTemplates { name: None, platform, with_text: false }));
    assert_eq!(server.commands(), [None, Some(b"debian-12".as_slice())].map(|on| ask(on).encode().to_vec()));

    let none = frames(&[Message::Reply(Reply::Templates(Vec::new())), Message::Success]);
    let server = Server::answering(vec![none]);
    assert_eq!(run(&mut client(&["template", "list", "-r", &server.remote])), ran(0, "no such template\n", ""));
}

#[test]
fn one_template_with_its_text() {
    let none = frames(&[Message::Reply(Reply::Templates(Vec::new())), Message::Success]);
    let server = Server::answering(vec![templates(true), templates(true), none]);
    let arguments = ["template", "show", "greet", "--platform", "debian-12", "-r", &server.remote];
    let head = "\
greet on debian-12
Says hello.
Kindly.

parameters:
  who  Whom to greet
      a word; required
  how  Whom to greet
      a word; default: kindly
  why  Whom to greet
      a word; empty by default
";
    let expected = format!("{head}\ntext:\n#!/bin/sh\n#: description = \"d\"\necho \x1b\n");
    assert_eq!(run(&mut client(&arguments)), ran(0, &expected, ""));
    assert_eq!(run(client(&arguments).arg("--brief")), ran(0, head, ""));
    let stderr = "builder-client: platform debian-12 has no template greet\n\
                  hint: `builder-client template list` lists all of them\n";
    assert_eq!(run(&mut client(&arguments)), ran(124, "", stderr));
    let ask = AskTemplates { name: Some(b"greet"), platform: Some(b"debian-12"), with_text: true };
    assert_eq!(server.commands(), vec![Message::Ask(Ask::Templates(ask)).encode().to_vec(); 3]);

    let content = TemplateContent::Unreadable(b"line 1: what".as_slice().into());
    let row = TemplateRow { name: b"greet", platform: b"debian-12", content };
    let server = Server::answering(vec![frames(&[Message::Reply(Reply::Templates(vec![row])), Message::Success])]);
    let result = run(&mut client(&["template", "show", "greet", "--platform", "debian-12", "-r", &server.remote]));
    let stderr = "builder-client: the template greet of platform debian-12 cannot be read: line 1: what\n";
    assert_eq!(result, ran(124, "", stderr));
}

#[test]
fn what_would_run() {
    let script = frames(&[Message::Reply(Reply::Script(b"who='x'\necho".as_slice().into())), Message::Success]);
    let refused = frames(&[Message::Failure { reason: b"it has no parameter who" }]);
    let mixed_up = frames(&[Message::Reply(Reply::Templates(Vec::new())), Message::Success]);
    let server = Server::answering(vec![script.clone(), script, refused, mixed_up]);
    let arguments = ["template", "render", "greet", "--platform", "p", "who=x", "how=a=b c", "-r", &server.remote];
    assert_eq!(run(&mut client(&arguments)), ran(0, "who='x'\necho\n", ""));
    let json = run(client(&arguments).args(["--format", "json"]));
    assert_eq!(json, ran(0, "{\"script\":\"who='x'\\necho\"}\n", ""));
    let stderr = "builder-client: the server refuses: it has no parameter who\n";
    assert_eq!(run(&mut client(&arguments)), ran(124, "", stderr));
    let stderr = "builder-client: the server sent Reply where the reply to the question was expected\n";
    assert_eq!(run(&mut client(&arguments)), ran(124, "", stderr));
    let values = vec![(b"who".as_slice(), b"x".as_slice()), (b"how", b"a=b c")];
    let ask = Message::Ask(Ask::Render(AskRender { template: b"greet", platform: b"p", values }));
    assert_eq!(server.commands(), vec![ask.encode().to_vec(); 4]);

    let wrong = run(&mut client(&["template", "render", "greet", "--platform", "p", "who"]));
    assert_eq!((wrong.status, wrong.stderr.contains("expected PARAMETER=VALUE")), (2, true), "{wrong:?}");
}

#[test]
fn a_job_is_scheduled() {
    let server = Server::answering(vec![frames(&[Message::Success]); 2]);
    let arguments = ["schedule-template", "j", "greet", "who=x", "-r", &server.remote];
    assert_eq!(run(&mut client(&arguments)), ran(0, "", ""));
    let more = ["--platform", "p", "--period", "weekly"];
    assert_eq!(run(client(&arguments).args(more)), ran(0, "", ""));
    let values = || vec![(b"who".as_slice(), b"x".as_slice())];
    let job = |platform| ParameterJob { name: b"j", template: b"greet", values: values(), platform };
    let expected = [(Period::Daily, None), (Period::Weekly, Some(b"p".as_slice()))]
        .map(|(period, on)| Message::ScheduleTemplate { period, job: job(on) }.encode().to_vec());
    assert_eq!(server.commands(), expected);
}

#[test]
fn an_old_server_cannot() {
    let cases: [(&[&str], &str); 4] = [
        (&["template", "list"], "tell"),
        (&["template", "show", "greet", "--platform", "p"], "tell"),
        (&["template", "render", "greet", "--platform", "p"], "tell"),
        (&["schedule-template", "j", "greet"], "have templates with parameters"),
    ];
    for (arguments, cannot) in cases {
        // It speaks version 13: the second connection is greeted, and then nothing is asked.
        let server = Server::start(2, |_, stream| {
            drop(support::Peer::greeted_in(stream, &[builder_wire::ClientVersion::Thirteen]));
            Vec::new()
        });
        let result = run(client(arguments).args(["-r", &server.remote]));
        let stderr = format!(
            "builder-client: the server at {} speaks protocol 13: it cannot {cannot}\n\
             hint: update builder-server there\n",
            server.remote
        );
        assert_eq!(result, ran(124, "", &stderr), "{arguments:?}");
    }
}

#[test]
fn info_tells_of_templates() {
    let job = |platform| {
        Job::Parameter(ParameterJob { name: b"j", template: b"greet", values: vec![(b"who", b"x")], platform })
    };
    let entry = |platform| ScheduleEntry { next: Timestamp::MAX, period: Period::Never, job: job(platform) };
    let info = Info { schedule: vec![entry(None), entry(Some(b"p"))], ..Info::default() };
    let told = frames(&[Message::InfoReply(info), Message::Success]);
    let waits = frames(&[Message::WaitsReply(Vec::new()), Message::Success]);
    let server = Server::answering(vec![told.clone(), waits.clone(), told, waits]);
    let result = run(&mut client(&["info", "-r", &server.remote]));
    assert!(result.stdout.contains("j     template greet     never"), "{result:?}");
    assert!(result.stdout.contains("j     p, template greet  never"), "{result:?}");
    let result = run(&mut client(&["info", "--format", "json", "-r", &server.remote]));
    let value: serde_json::Value = serde_json::from_str(&result.stdout).unwrap();
    let expected = serde_json::json!({
        "name": "j", "platform": "p", "package": null, "template": "greet", "values": { "who": "x" },
        "period": "never", "next": null,
    });
    assert_eq!(value["schedule"][1], expected);
}
