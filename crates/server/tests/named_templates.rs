//! Jobs of templates with parameters, on a real server: listed, rendered, refused, scheduled, dispatched, exported.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

use builder_model::{Outcome, Period};
use builder_testkit::{Farm, Grounds, Peer, Program};
use builder_wire::message::{AskRender, AskTemplates, Reply, TemplateContent, WaitRow};
use builder_wire::{Ask, ClientVersion, Message, ParameterJob};
use std::time::Duration;

/// Shorter than the pause after which a server that has nothing to do looks at the templates again.
const AT_ONCE: Duration = Duration::from_secs(3);

const GREET: &str = r#"#!/bin/sh
#: description = "Says hello."
#:
#: [[parameter]]
#: name = "who"
#: description = "Whom to greet"
#: kind = "word"
echo "hello $who"
"#;

/// As a worker sees it.
const GREETED: &str = "#!/bin/sh\n# template greet, filled in for p\nwho='world'\necho \"hello $who\"\n";

type Values<'a> = Vec<(&'a [u8], &'a [u8])>;

fn world() -> Values<'static> {
    vec![(b"who", b"world")]
}

/// Sends one message in version 14; gives what comes before `success`, if anything does, or why it is refused.
async fn asked(farm: &Farm, message: &Message<'_>) -> Result<Vec<u8>, String> {
    let mut peer = Peer::connect(farm.address()).await;
    peer.send(&ClientVersion::Fourteen.hello()).await;
    peer.expect(&Message::ServerHello).await;
    peer.send(message).await;
    let reply = peer.next().await.unwrap();
    let message = Message::decode(&reply).unwrap();
    if let Message::Failure { reason } = message {
        return Err(String::from_utf8(reason.to_vec()).unwrap());
    }
    if message != Message::Success {
        peer.expect(&Message::Success).await;
    }
    peer.closed().await;
    Ok(reply)
}

async fn schedule(farm: &Farm, name: &str, on: Option<&str>, values: Values<'_>) -> Result<(), String> {
    let job = ParameterJob { name: name.as_bytes(), template: b"greet", values, platform: on.map(str::as_bytes) };
    asked(farm, &Message::ScheduleTemplate { period: Period::Never, job }).await.map(drop)
}

async fn render(farm: &Farm, template: &str, on: &str, values: Values<'_>) -> Result<String, String> {
    let ask = AskRender { template: template.as_bytes(), platform: on.as_bytes(), values };
    let reply = asked(farm, &Message::Ask(Ask::Render(ask))).await?;
    let Message::Reply(Reply::Script(script)) = Message::decode(&reply).unwrap() else { panic!("{reply:x?}") };
    Ok(String::from_utf8(script.to_vec()).unwrap())
}

/// The templates that a server tells of, each as a line.
async fn listed(farm: &Farm, name: Option<&str>, platform: Option<&str>) -> Vec<String> {
    let (name, platform) = (name.map(str::as_bytes), platform.map(str::as_bytes));
    let with_text = name.is_some();
    let ask = AskTemplates { name, platform, with_text };
    let reply = asked(farm, &Message::Ask(Ask::Templates(ask))).await.unwrap();
    let Message::Reply(Reply::Templates(rows)) = Message::decode(&reply).unwrap() else { panic!("{reply:x?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let lines = rows.iter().map(|row| {
        let what = match &row.content {
            TemplateContent::Unreadable(_) => "unreadable".to_owned(),
            TemplateContent::Readable { description, parameters, text: told } => {
                assert_eq!(told.is_some(), with_text);
                let names: Vec<String> = parameters.iter().map(|parameter| text(parameter.name)).collect();
                format!("{} ({})", text(description), names.join(" "))
            }
        };
        format!("{} on {}: {what}", text(row.name), text(row.platform))
    });
    lines.collect()
}

async fn waits(farm: &Farm) -> Vec<String> {
    let reply = asked(farm, &Message::Ask(Ask::Waits)).await.unwrap();
    let Message::WaitsReply(rows) = Message::decode(&reply).unwrap() else { panic!("{reply:x?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    rows.iter()
        .map(|WaitRow { platform, job, reason }| format!("{} on {}: {}", text(job), text(platform), text(reason)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_listed_and_rendered() {
    let grounds = Grounds::new();
    grounds.named_template("greet", "p", GREET);
    grounds.named_template("greet", "q", "true\n");
    grounds.named_template("odd", "p", "#: [[\n");
    grounds.named_template("odd", "p~", "a copy of an editor");
    let farm = grounds.start().await;
    let all = ["greet on p: Says hello. (who)", "greet on q:  ()", "odd on p: unreadable"];
    assert_eq!(listed(&farm, None, None).await, all);
    assert_eq!(listed(&farm, None, Some("q")).await, all[1..2]);
    assert_eq!(listed(&farm, Some("greet"), Some("p")).await, all[..1]);
    assert!(listed(&farm, Some("none"), None).await.is_empty());

    assert_eq!(render(&farm, "greet", "p", world()).await, Ok(GREETED.to_owned()));
    let path = farm.grounds().named_template_path("odd", "p");
    let cases: [(&str, &str, Values<'_>, String); 7] = [
        ("greet", "r", world(), "platform r has no template greet".to_owned()),
        ("none", "p", world(), "platform p has no template none".to_owned()),
        (
            "greet",
            "p",
            Vec::new(),
            "the template greet of platform p does not take the values: parameter who is required (Whom to greet): a \
             word of letters, digits and ._+-@~:, which begins with a letter or digit"
                .to_owned(),
        ),
        (
            "greet",
            "q",
            world(),
            "the template greet of platform q does not take the values: it has no parameter who; it has none"
                .to_owned(),
        ),
        ("odd", "p", world(), format!("the template odd of platform p cannot be read: {}: line 1: ", path.display())),
        ("greet", "p", vec![(b"who", b"a\nb")], "the value of who is not one line of UTF-8".to_owned()),
        ("../etc", "p", world(), "template name ../etc may only have ASCII letters".to_owned()),
    ];
    for (template, on, values, expected) in cases {
        let error = render(&farm, template, on, values).await.unwrap_err();
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_wherever_its_template_is() {
    let grounds = Grounds::new();
    grounds.named_template("greet", "p", GREET);
    grounds.named_template("greet", "q", GREET);
    let farm = grounds.start().await;
    farm.schedule("a", "p").await;
    farm.schedule("b", "r").await;
    assert_eq!(schedule(&farm, "everywhere", None, world()).await, Ok(()));
    assert_eq!(schedule(&farm, "only-q", Some("q"), world()).await, Ok(()));
    // A queue for q came with the job for it alone; there, it runs with what runs wherever the template is.
    farm.queues_become(&["p: a everywhere", "q: everywhere only-q", "r: b"]).await;
    let again = schedule(&farm, "only-q", Some("q"), world()).await;
    assert_eq!(again, Err("job name already used".to_owned()));

    let (_a, _) = farm.running("p").await;
    let mut worker = farm.worker("p").await;
    let job = tokio::time::timeout(AT_ONCE, worker.job()).await.unwrap();
    assert_eq!((job.name.as_str(), job.script.as_str()), ("everywhere", GREETED));
    worker.finish(Outcome::Exited(0), &[]).await;
    let record = farm.record("everywhere", job.build);
    assert_eq!((record.job.as_str(), record.script), ("everywhere on p", GREETED.as_bytes().to_vec()));

    // What an old client is told: a package with the name of the template.
    assert!(farm.info().await.schedule.iter().any(|line| line.starts_with("only-q never")));
    let farm = farm.restart().await;
    farm.queues_become(&["p: a", "q: everywhere only-q", "r: b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_before_anything_is_scheduled() {
    let grounds = Grounds::new();
    grounds.named_template("greet", "p", GREET);
    let farm = grounds.start().await;
    let required = "the template greet of platform p does not take the values: parameter who is required";
    let cases: [(Option<&str>, Values<'_>, &str); 5] = [
        (None, Vec::new(), required),
        (Some("q"), world(), "platform q has no template greet"),
        (
            None,
            vec![(b"who", b"world"), (b"colour", b"red")],
            "the template greet of platform p does not take the values: it has no parameter colour; it has who",
        ),
        (
            None,
            vec![(b"who", b"$(id)")],
            "the template greet of platform p does not take the values: parameter who cannot be \"$(id)\": it has to be a word",
        ),
        (Some("../x"), world(), "platform ../x may only have"),
    ];
    for (on, values, expected) in cases {
        let error = schedule(&farm, "j", on, values).await.unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    std::fs::remove_dir_all(farm.grounds().named_template_path("greet", "p").parent().unwrap()).unwrap();
    assert_eq!(schedule(&farm, "j", None, world()).await, Err("no platform has the template greet".to_owned()));
    let seen = farm.info().await;
    assert!(seen.schedule.is_empty() && seen.queues.is_empty(), "{seen:?}");

    // A client of version 13 has no such command.
    let job = ParameterJob { name: b"j", template: b"greet", values: world(), platform: None };
    let told = farm.command(&Message::ScheduleTemplate { period: Period::Never, job }).await;
    assert_eq!(told, Err("bad communication".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_changes_counts_from_the_next_build_on() {
    let grounds = Grounds::new();
    grounds.named_template("greet", "p", GREET);
    let farm = grounds.start().await;
    assert_eq!(schedule(&farm, "j", Some("p"), world()).await, Ok(()));
    assert_eq!(waits(&farm).await, ["j on p: a worker: none is connected"]);
    let path = farm.grounds().named_template_path("greet", "p");

    farm.grounds().named_template("greet", "p", &GREET.replace("\"word\"", "\"integer\""));
    let misfit = "j on p: the template greet, which does not take its values: parameter who cannot be \"world\": it has \
                  to be a whole number from 0 on";
    assert_eq!(waits(&farm).await, [misfit]);
    farm.grounds().named_template("greet", "p", "true\n");
    let undeclared = "j on p: the template greet, which does not take its values: it has no parameter who; it has none";
    assert_eq!(waits(&farm).await, [undeclared]);
    farm.grounds().named_template("greet", "p", "#: [[\n");
    let [unreadable] = &waits(&farm).await[..] else { panic!("one job waits") };
    let expected = format!("j on p: the template greet, which cannot be read: {}: line 1: ", path.display());
    assert!(unreadable.starts_with(&expected), "{unreadable}");
    std::fs::remove_file(&path).unwrap();
    let mut worker = farm.worker("p").await;
    assert_eq!(waits(&farm).await, ["j on p: the template greet: the platform has none"]);
    let execute = Message::Execute { name: b"j", platform: None };
    assert_eq!(farm.command(&execute).await, Err("execute failed: platform p has no template greet".to_owned()));

    farm.grounds().named_template("greet", "p", &GREET.replace("hello", "goodbye"));
    // Any request has the templates looked at; without one it would be the next turn of the clock.
    assert!(farm.info().await.queues.len() == 1);
    let job = tokio::time::timeout(AT_ONCE, worker.job()).await.unwrap();
    assert_eq!(job.script, GREETED.replace("hello", "goodbye"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_to_the_original_has_scripts() {
    let grounds = Grounds::new();
    grounds.named_template("greet", "p", GREET);
    grounds.named_template("greet", "q", GREET);
    let farm = grounds.start().await;
    assert_eq!(schedule(&farm, "one", Some("p"), world()).await, Ok(()));
    assert_eq!(schedule(&farm, "all", None, world()).await, Ok(()));
    assert_eq!(schedule(&farm, "gone", Some("q"), world()).await, Ok(()));
    farm.queues_become(&["p: one all", "q: all gone"]).await;
    std::fs::remove_file(farm.grounds().named_template_path("greet", "q")).unwrap();
    let grounds = farm.stop().await;
    let exported = grounds.folder().join("exported");
    let [dir, config, to] =
        [grounds.data(), &grounds.settings.config_dir, &exported].map(|path| path.to_str().unwrap().to_owned());
    let arguments = ["export-state", "--dir", &dir, "--config-dir", &config, &to];
    let (status, said) = Program::start(env!("CARGO_BIN_EXE_builder-server"), &arguments).ended().await;
    assert!(status.success(), "{said}");
    assert!(said.contains("builder-server: left out: job gone on q: platform q has no template greet\n"), "{said}");

    let original = Grounds::new();
    std::fs::copy(&exported, original.data().join("state")).unwrap();
    let farm = original.start().await;
    assert_eq!(farm.info().await.queues, ["p: one all", "q:"]);
    let (_worker, job) = farm.running("p").await;
    assert_eq!((job.name.as_str(), job.script.as_str()), ("one", GREETED));
}
