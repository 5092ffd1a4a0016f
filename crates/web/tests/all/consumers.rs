//! The programs that use a repository, each behaving as it does: albatross and mollymawk by what their code asks for
//! and reads, scripts by the real `wget`, `curl` and `sqlite3`.

use crate::site::{Answer, PASSWORD, Site, Told, USER, uuid};
use builder_model::Outcome;
use builder_web::Digest;
use http::StatusCode;
use serde_json::Value;
use std::process::{Command, Output};

const SWITCH: &str = "opam-version: \"2.0\"\nroots: [\"hello.1\"]\ninstalled: [\"hello.1\" \"LIB\"]\n";

/// A unikernel: an ELF file of nothing but the two notes of Solo5, for hvt, with a network and a disk.
pub(crate) fn unikernel() -> Vec<u8> {
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let note = |kind: u32, descriptor: &[u8]| {
        [words(&[6, u32::try_from(descriptor.len()).unwrap(), kind]), b"Solo5\0\0\0".to_vec(), descriptor.to_vec()]
            .concat()
    };
    let entry = |name: &str, kind: u32| {
        let mut entry = name.as_bytes().to_vec();
        entry.resize(68, 0);
        entry.extend(kind.to_le_bytes());
        entry.resize(104, 0);
        entry
    };
    let manifest = [words(&[0, 1, 3]), entry("", 0x4000_0000), entry("service", 2), entry("storage", 1)].concat();
    let names = b".note.solo5.abi\0.note.solo5.manifest\0.names\0".to_vec();
    let sections = [(0, note(0x3149_4241, &words(&[1, 2, 0, 0]))), (16, note(0x3154_464d, &manifest)), (37, names)];
    let (mut contents, mut headers) = (Vec::new(), Vec::new());
    for (name, content) in &sections {
        let mut header = words(&[*name]);
        header.resize(24, 0);
        header.extend((64 + contents.len() as u64).to_le_bytes());
        header.extend((content.len() as u64).to_le_bytes());
        header.resize(64, 0);
        headers.extend(header);
        contents.extend(content);
        contents.resize(contents.len().next_multiple_of(8), 0);
    }
    let mut file = b"\x7fELF\x02\x01".to_vec();
    file.resize(40, 0);
    file.extend((64 + contents.len() as u64).to_le_bytes());
    file.resize(58, 0);
    file.extend([64_u16, 3, 2].iter().flat_map(|value| value.to_le_bytes()));
    [file, contents, headers].concat()
}

/// A site with builds of a unikernel on two platforms, of a package, and of a plain script.
async fn site() -> Site {
    let site = Site::new();
    let binary = unikernel();
    let switch = |lib: &str| SWITCH.replace("LIB", lib).into_bytes();
    let files = |switch: &[u8], environment: &[u8], packages: &[u8], binary: &[u8]| {
        let named = [("opam-switch", switch), ("build-environment", environment), ("system-packages", packages)];
        named
            .into_iter()
            .chain([("bin/hello.hvt", binary)])
            .map(|(path, data)| (path.to_owned(), data.to_vec()))
            .collect()
    };
    let mut old = Told::new(1);
    old.files = files(&switch("lib.1"), b"HOME=/a\nOLD=1\n", b"gcc=12\nold=1\n", b"old binary");
    let mut new = Told::new(2);
    new.files = files(&switch("other.2"), b"HOME=/b\nNEW=1\n", b"gcc=13\nnew=1\n", &binary);
    let free = Told::new(3).platform("freebsd-14").files(&[("bin/hello.hvt", b"on freebsd")]);
    for told in [&old, &new, &free, &Told::new(4).job("script").files(&[("log", b"no binary")])] {
        site.upload(told).await;
    }
    site
}

/// Follows redirects, as programs do.
async fn follow(site: &Site, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut answer = site.get_with(target, headers).await;
    for _ in 0..5 {
        if !answer.status.is_redirection() {
            break;
        }
        answer = site.get_with(answer.location(), headers).await;
    }
    answer
}

/// How albatross takes a `Location` apart: it must split into exactly these.
fn albatross_build(location: &str) -> (String, String) {
    let parts: Vec<&str> = location.split('/').collect();
    match parts.as_slice() {
        ["", "job", job, "build", build] | ["", "job", job, "build", build, ""] => ((*job).into(), (*build).into()),
        _ => panic!("albatross cannot read {location}"),
    }
}

#[tokio::test]
async fn albatross_finds_what_it_runs_and_what_is_newer() {
    let site = site().await;
    let answer = site.get(&format!("/hash?sha256={}", Digest::of(b"old binary"))).await;
    assert!(answer.status.is_redirection());
    assert_eq!(albatross_build(answer.location()), ("hello".into(), uuid(1).to_string()));
    let unknown = site.get(&format!("/hash?sha256={}", Digest::of(b"nothing"))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let latest = site.get("/job/hello/build/latest").await;
    let (job, build) = albatross_build(latest.location());
    assert_eq!(build, uuid(3).to_string(), "the newest of all platforms");
    let binary = follow(&site, &format!("/job/{job}/build/{}/main-binary", uuid(2)), &[]).await;
    assert_eq!(binary.status, StatusCode::OK);
    assert!(binary.body == unikernel());
    let compare = site.get(&format!("/compare/{}/{build}", uuid(1))).await;
    assert_eq!(compare.status, StatusCode::OK, "it prints this address for people");
}

/// What mollymawk's readers take: a key that is missing or of another type makes them fail.
fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("{key} is no string in {json}"))
}

fn list<'a>(json: &'a Value, key: &str) -> &'a Vec<Value> {
    json[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {json}"))
}

fn mollymawk_build(json: &Value) {
    for key in ["job", "uuid", "platform"] {
        text(json, key);
    }
    for key in ["start_time", "finish_time"] {
        let time = text(json, key);
        assert!(time.ends_with("-00:00"), "as the original writes it: {time}");
        time.replace("-00:00", "Z").parse::<builder_model::Timestamp>().unwrap();
    }
    assert!(json["main_binary"].is_boolean());
    assert!(json["main_binary_size"].is_null() || json["main_binary_size"].is_u64());
}

fn mollymawk_values(json: &Value, keys: &[(&str, &[&str])]) {
    for (key, entries) in keys {
        for entry in list(json, key) {
            entries.iter().for_each(|key| drop(text(entry, key).to_owned()));
        }
    }
}

#[tokio::test]
async fn mollymawk_reads_builds_and_the_list_of_jobs() {
    let site = site().await;
    let accept = [("accept", "application/json")];
    for target in [format!("/hash?sha256={}", Digest::of(b"old binary")), "/job/hello/build/latest".into()] {
        let answer = follow(&site, &target, &accept).await;
        mollymawk_build(&answer.json());
    }
    let all = site.get_with("/all-builds", &accept).await.json();
    let jobs = list(&all, "jobs");
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        text(job, "name");
        text(job, "synopsis");
    }
    // The latest build of all platforms is no unikernel; after a newer one that is, its devices are told.
    let mut newest = Told::new(5);
    newest.files = vec![("bin/hello.hvt".into(), unikernel())];
    site.upload(&newest).await;
    let all = site.get_with("/all-builds", &accept).await.json();
    let latest = &list(&all, "jobs").iter().find(|job| job["name"] == "hello").unwrap()["latest"];
    assert_eq!(text(latest, "uuid"), uuid(5).to_string());
    let devices = list(&latest["solo5_manifest"], "devices");
    assert_eq!((text(&devices[0], "name"), text(&devices[0], "type")), ("service", "NET_BASIC"));
    assert_eq!((text(&devices[1], "name"), text(&devices[1], "type")), ("storage", "BLOCK_BASIC"));
    assert_eq!((text(&latest["solo5_abi"], "target"), latest["solo5_abi"]["version"].as_u64()), ("hvt", Some(2)));
    let binary = follow(&site, "/job/hello/build/latest/main-binary", &accept).await;
    assert!(binary.body == unikernel());
}

#[tokio::test]
async fn mollymawk_reads_a_comparison_with_what_runs_on_the_left() {
    let site = site().await;
    let json =
        site.get_with(&format!("/compare/{}/{}", uuid(1), uuid(2)), &[("accept", "application/json")]).await.json();
    for side in ["left", "right"] {
        mollymawk_build(&json[side]);
    }
    let package: &[&str] = &["name", "version"];
    let change: &[&str] = &["name", "version_left", "version_right"];
    for part in ["env_diff", "package_diff"] {
        let keys = [("left_packages", package), ("right_packages", package), ("different_versions", change)];
        mollymawk_values(&json[part], &keys);
    }
    let opam = &json["opam_diff"];
    let keys = [("version_diff", change), ("only_in_left", package), ("only_in_right", package)];
    mollymawk_values(opam, &keys);
    list(opam, "opam_diff");
    assert!(opam["duniverse_diff"].is_object());
    for key in ["left", "right", "detailed_diff"] {
        list(&opam["duniverse_diff"], key);
    }
    // What only the running build had is on the left.
    assert_eq!(json["env_diff"]["left_packages"][0]["name"], "OLD");
    assert_eq!(json["env_diff"]["right_packages"][0]["name"], "NEW");
    assert_eq!(json["package_diff"]["left_packages"][0]["name"], "old");
    assert_eq!(json["package_diff"]["different_versions"][0]["version_right"], "13");
    assert_eq!(opam["only_in_left"][0]["name"], "lib");
    assert_eq!(opam["only_in_right"][0]["name"], "other");
    // A build without inputs compares as well, with every key there.
    let json =
        site.get_with(&format!("/compare/{}/{}", uuid(1), uuid(4)), &[("accept", "application/json")]).await.json();
    assert!(json["opam_diff"]["duniverse_diff"].is_object() && json["env_diff"]["left_packages"].is_array());
}

/// Runs a program to its end, without a proxy that this machine may have.
async fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env("no_proxy", "*").env_remove("http_proxy").env_remove("HTTP_PROXY");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_scripts_get_the_binary_of_their_platform_with_wget() {
    let site = site().await;
    let (served, folder) = (site.serve().await, tempfile::tempdir().unwrap());
    for (platform, expected) in [("freebsd-14", b"on freebsd".to_vec()), ("debian-12", unikernel())] {
        let file = folder.path().join(platform);
        let address = format!("{}/job/hello/build/latest/main-binary?platform={platform}", served.url());
        let ended = run("wget", &["--tries=1", "-O", file.to_str().unwrap(), &address]).await;
        let (_, errors) = said(&ended);
        assert!(ended.status.success(), "{errors}");
        assert_eq!(errors.matches("HTTP request sent").count(), 3, "two redirects, then the file: {errors}");
        assert!(std::fs::read(&file).unwrap() == expected);
    }
    let missing = format!("{}/job/hello/build/latest/main-binary?platform=none", served.url());
    assert_eq!(run("wget", &["--tries=1", "-O", "/dev/null", &missing]).await.status.code(), Some(8));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_scripts_get_the_binary_with_curl_and_only_what_is_missing_of_it() {
    let site = site().await;
    let (served, folder) = (site.serve().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("hello");
    let file = file.to_str().unwrap();
    let address = format!("{}/job/hello/build/latest/main-binary?platform=debian-12", served.url());
    let ended = run("curl", &["-sfL", "-o", file, "-w", "%{num_redirects} %{http_code}", &address]).await;
    assert_eq!(said(&ended).0, "2 200");
    assert!(std::fs::read(file).unwrap() == unikernel());
    // The download was cut off; it goes on where it ended.
    std::fs::write(file, unikernel().split_at(100).0).unwrap();
    let ended = run("curl", &["-sfL", "-C", "-", "-o", file, "-w", "%{http_code}", &address]).await;
    assert_eq!(said(&ended).0, "206");
    assert!(std::fs::read(file).unwrap() == unikernel());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_upload_records_with_curl_whatever_type_it_claims() {
    let site = Site::new();
    let (served, folder) = (site.serve().await, tempfile::tempdir().unwrap());
    let (file, told) = (folder.path().join("full"), Told::new(1).files(&[("bin/hello", &[7; 3 << 20])]));
    std::fs::write(&file, told.encode()).unwrap();
    let (body, user) = (format!("@{}", file.display()), format!("{USER}:{PASSWORD}"));
    let address = format!("{}/upload", served.url());
    let upload = async |user: &str| {
        let arguments = ["-sv", "-u", user, "--data-binary", &body, "-w", "%{http_code} %{size_upload}", &address];
        said(&run("curl", &arguments).await)
    };
    // More than a megabyte: curl asks first, and a wrong password sends none of it.
    let (out, talk) = upload(&format!("{USER}:wrong")).await;
    assert!(talk.contains("> Content-Type: application/x-www-form-urlencoded"), "{talk}");
    assert!(talk.contains("> Expect: 100-continue") && !talk.contains("< HTTP/1.1 100"), "{talk}");
    assert_eq!(out, "Unauthorized!\n401 0");
    let (out, talk) = upload(&user).await;
    assert!(talk.contains("< HTTP/1.1 100"), "{talk}");
    assert_eq!(out, format!("201 {}", told.encode().len()));
    let (out, _) = upload(&user).await;
    assert_eq!(out, format!("200 {}", told.encode().len()), "once more is no error");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn populate_local_copies_builds_from_one_instance_to_another_with_curl() {
    let (from, to) = (site().await, Site::new());
    from.upload(&Told::new(6).outcome(Outcome::Exited(1)).files(&[])).await;
    let (source, target) = (from.serve().await, to.serve().await);
    let folder = tempfile::tempdir().unwrap();
    let (file, user) = (folder.path().join("record"), format!("{USER}:{PASSWORD}"));
    let file = file.to_str().unwrap();
    let json = async |path: &str| {
        let address = format!("{}{path}", source.url());
        let ended = run("curl", &["-sf", "-H", "Accept: application/json", &address]).await;
        serde_json::from_slice::<Value>(&ended.stdout).unwrap()
    };
    let mut copied = 0;
    for job in list(&json("/all-builds").await, "jobs") {
        let job = text(job, "name");
        for build in list(&json(&format!("/job/{job}/failed")).await, "builds") {
            let record = format!("{}/job/{job}/build/{}/exec", source.url(), text(build, "uuid"));
            assert!(run("curl", &["-sf", "-o", file, &record]).await.status.success());
            let upload = format!("{}/upload", target.url());
            let body = format!("@{file}");
            let ended = run("curl", &["-sf", "-u", &user, "--data-binary", &body, "-w", "%{http_code}", &upload]).await;
            assert_eq!(said(&ended).0, "201");
            copied += 1;
        }
    }
    assert_eq!(copied, 5);
    let facts = "SELECT group_concat(fact, x'0a') FROM (SELECT b.uuid || j.name || b.platform || b.result_code ||
        coalesce(hex(b.input_id), '') || coalesce(hex(m.sha256), '') || (SELECT count(*) FROM build_artifact a WHERE a.build = b.id)
        AS fact FROM build b JOIN job j ON j.id = b.job LEFT JOIN build_artifact m ON m.id = b.main_binary ORDER BY b.uuid)";
    let facts = |site: &Site| site.connection().query_row(facts, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(facts(&from), facts(&to));
    source.stop().await;
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_scripts_read_the_database_with_sqlite3_beside_the_server() {
    let site = site().await;
    let served = site.serve().await;
    let database = site.data().join("builder.sqlite3");
    let ask = async |sql: &str| {
        let ended = run("sqlite3", &[database.to_str().unwrap(), sql]).await;
        assert!(ended.status.success(), "{}", said(&ended).1);
        said(&ended).0.trim_end().to_owned()
    };
    assert_eq!(ask("PRAGMA user_version").await, "18");
    assert_eq!(ask("PRAGMA application_id").await, "1234839235");
    // What visualizations.sh asks for.
    let build = uuid(2);
    let main = ask(&format!(
        "SELECT ba.filepath, lower(hex(ba.sha256)) FROM build AS b JOIN build_artifact AS ba ON ba.build = b.id \
         AND b.main_binary = ba.id WHERE b.uuid = '{build}'"
    ))
    .await;
    let (path, digest) = main.split_once('|').unwrap();
    assert_eq!(path, "bin/hello.hvt");
    let file = site.data().join("_artifacts").join(&digest[..2]).join(digest);
    assert!(std::fs::read(file).unwrap() == unikernel());
    let switch = ask(&format!(
        "SELECT lower(hex(ba.sha256)) FROM build AS b JOIN build_artifact AS ba ON ba.build = b.id \
         WHERE b.uuid = '{build}' AND ba.filepath = 'opam-switch'"
    ))
    .await;
    assert_eq!(switch, Digest::of(SWITCH.replace("LIB", "other.2").as_bytes()).to_string());
    assert_eq!(
        ask("SELECT console FROM build WHERE job = (SELECT id FROM job WHERE name = 'script')").await,
        format!("script/{}/console.txt", uuid(4))
    );
    // The server goes on writing while somebody reads.
    site.upload(&Told::new(9)).await;
    assert_eq!(ask("SELECT count(*) FROM build").await, "5");
    assert_eq!(ask("PRAGMA integrity_check").await, "ok");
    served.stop().await;
}
