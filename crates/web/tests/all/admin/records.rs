//! Records that come out as they went in.

use super::support::{Build, Data, GOOD};
use base64::Engine as _;
use builder_testkit::Told;
use builder_web::start::Repository;
use builder_web::{Digest, Settings};
use std::fs;
use std::net::TcpListener;

#[test]
fn a_build_moves_from_one_repository_to_another() {
    let (from, to) = (Data::new(), Data::new());
    let artifacts = [("bin/hello", "binary"), ("doc/licence", "free")];
    let uuid = from.add(Build { artifacts: &artifacts, ..GOOD });
    let file = from.file("full-record");
    let says = from.ok(&["extract-build", &uuid, "--dest", file.to_str().unwrap()]);
    assert!(says.starts_with("wrote ") && !from.file("full-record.part").exists(), "{says}");
    let record = fs::read(&file).unwrap();
    let told = Told::of(&record);
    assert_eq!((told.job.as_str(), told.paths().len()), ("hello on debian-12", 2));
    assert_eq!((told.console, told.deltas), (vec!["hello".to_owned()], vec![1_000_000]));

    let added = to.run_with(&["user-add", "ann", "--unrestricted", "--scrypt-n", "16"], "secret\n");
    assert_eq!(added.status, 0, "{added:?}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings::new(to.path().to_owned(), to.path().to_owned());
    let server = runtime.block_on(Repository::start(settings, vec![listener])).unwrap();
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("ann:secret"));
    let url = format!("http://{}/upload", server.addresses()[0]);
    let answer = ureq::post(&url).header("authorization", &basic).send(&record[..]).unwrap();
    assert_eq!(answer.status(), 201);

    // Beside the running server, and byte for byte.
    let file = to.file("full-record");
    to.ok(&["extract-build", &uuid, "--dest", file.to_str().unwrap()]);
    assert_eq!(Digest::of(&fs::read(&file).unwrap()), Digest::of(&record));
    fs::remove_file(&file).unwrap();
    let checked = to.run(&["check"]);
    assert!(checked.status == 0 && checked.out.ends_with("all is well\n"), "{checked:?}");
    to.ok(&["vacuum", "older-than", "2027-01-01T00:00:00Z"]);
    let answer = ureq::post(&url).header("authorization", &basic).send(&record[..]).unwrap();
    assert_eq!(answer.status(), 201, "what was removed can come again");
    assert_eq!(to.run(&["check"]).status, 0);
    runtime.block_on(server.stop());
}

#[test]
fn builds_that_are_not_there_are_not_extracted() {
    let data = Data::new();
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let dest = data.file("full");
    let dest = dest.to_str().unwrap();
    assert!(data.fails(&["extract-build", uuid, "--dest", dest]).contains("there is no build 00112233"));
    let uuid = data.add(GOOD);
    fs::remove_file(data.artifact("binary")).unwrap();
    assert!(data.fails(&["extract-build", &uuid, "--dest", dest]).contains("cannot write"));
    assert!(!data.file("full").exists() && !data.file("full.part").exists(), "no half of a record is left");
}
