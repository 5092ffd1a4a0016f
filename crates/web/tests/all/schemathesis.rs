//! The interface for programs against its own description: schemathesis makes up requests, right ones and wrong ones,
//! and compares each answer with what the OpenAPI document promises.

use crate::browser::town::Town;
use builder_web::Repository;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// How long it may make up requests, in seconds, and how many for each address.
const SECONDS: &str = "20";
const EXAMPLES: &str = "30";

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_gets_no_answer_that_the_document_does_not_promise() {
    let town = Town::build().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let repository = Repository::start(town.site.app.settings().clone(), vec![listener]).await.unwrap();
    let url = format!("http://{}/api/v1/openapi.json", repository.addresses()[0]);
    // Where `xtask/src/component.rs` puts it.
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis/bin/st");
    assert!(program.is_file(), "{} is not there\nhint: `cargo xtask test` brings it", program.display());
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.args(["run", &url, "--max-time", SECONDS, "--max-examples", EXAMPLES, "--seed", "1", "--no-shrink"]);
    command.args(["--phases", "coverage,fuzzing", "--suppress-health-check", "all", "--warnings", "off"]);
    // It keeps what it saw beside itself.
    command.current_dir(folder.path()).env("NO_COLOR", "1");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    repository.stop().await;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("No issues found"), "{out}{err}");
}
