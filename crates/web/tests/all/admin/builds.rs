//! Builds that go, and those that stay.

use super::support::{Build, Data, GOOD, add_build};
use builder_web::removal::remove_builds;
use builder_web::{Database, Depot};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

const DAYS: [&str; 4] =
    ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"];

/// Four builds of a job, the third of which failed; each has a file of its own and one that all have.
fn four(data: &Data, job: &str, platform: &str) -> Vec<String> {
    let add = |(index, start): (usize, &&str)| {
        let own = format!("{job} {platform} {index}");
        let artifacts = [("bin/hello", own.as_str()), ("doc/licence", "shared")];
        data.add(Build { job, platform, start, result: i64::from(index == 2), artifacts: &artifacts })
    };
    DAYS.iter().enumerate().map(add).collect()
}

fn uuids(data: &Data) -> Vec<String> {
    let connection = data.connection();
    let mut statement = connection.prepare("SELECT uuid FROM build ORDER BY id").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn vacuum_keeps_exactly_what_it_is_told() {
    // Which of the four builds of each job and platform are left, the oldest first.
    let table: [(&[&str], &[usize], &[usize]); 8] = [
        (&["older-than", "2026-01-02T00:01:00Z"], &[2, 3], &[2, 3]),
        (&["older-than", "2026-01-02T00:00:59Z"], &[1, 2, 3], &[1, 2, 3]),
        (&["older-than", "2026-01-02T02:01:00+02:00", "--platform", "freebsd-14"], &[0, 1, 2, 3], &[2, 3]),
        (&["except-latest", "1"], &[3], &[3]),
        (&["except-latest", "3", "--platform", "debian-12"], &[1, 2, 3], &[0, 1, 2, 3]),
        (&["except-latest-successful", "1"], &[3], &[3]),
        (&["except-latest-successful", "2", "--job", "hello"], &[1, 2, 3], &[1, 2, 3]),
        (&["except-latest-successful", "4"], &[0, 1, 2, 3], &[0, 1, 2, 3]),
    ];
    for (arguments, debian, freebsd) in table {
        let data = Data::new();
        let builds = [four(&data, "hello", "debian-12"), four(&data, "hello", "freebsd-14")];
        let left: Vec<String> = [debian, freebsd]
            .iter()
            .zip(&builds)
            .flat_map(|(left, builds)| left.iter().map(|&index| builds[index].clone()))
            .collect();
        let gone = 8 - left.len() as u64;
        let arguments = [&["vacuum"], arguments].concat();
        let dry = data.json(&[&arguments[..], &["--dry-run"]].concat());
        assert_eq!(dry["builds"], gone, "{arguments:?}");
        assert_eq!(dry["list"].as_array().unwrap().len() as u64, gone);
        assert_eq!(uuids(&data).len(), 8, "nothing goes in a dry run");
        let done = data.json(&arguments);
        for key in ["builds", "artifacts", "bytes", "pinned"] {
            assert_eq!(done[key], dry[key], "{arguments:?}: {key} as foretold");
        }
        assert_eq!(uuids(&data), left, "{arguments:?}");
        for uuid in builds.iter().flatten() {
            assert_eq!(data.file("hello").join(uuid).exists(), left.contains(uuid), "{arguments:?}");
        }
        assert!(data.artifact("shared").exists());
        assert_eq!(data.count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    }
}

#[test]
fn artifacts_go_with_their_last_build() {
    let data = Data::new();
    let first = data.add(GOOD);
    let second = data.add(Build { start: DAYS[1], ..GOOD });
    let path = data.artifact("binary");
    let cached = data.file("_cache/treemap_1").join(path.file_name().unwrap()).with_extension("html");
    fs::create_dir_all(cached.parent().unwrap()).unwrap();
    fs::write(&cached, "<svg>").unwrap();
    let says = data.ok(&["vacuum", "except-latest", "1"]);
    assert!(says.starts_with("removed 1 build and 0 artifacts, "), "{says}");
    assert!(path.exists() && cached.exists() && !data.file("hello").join(first).exists());
    let says = data.ok(&["vacuum", "older-than", "2027-01-01T00:00:00Z"]);
    assert!(says.starts_with("removed 1 build and 1 artifact, "), "{says}");
    assert!(!path.exists() && !cached.exists() && !data.file("hello").join(second).exists());
    assert_eq!(data.count("SELECT count(*) FROM job"), 1, "the job stays");
}

#[test]
fn unknown_names_are_all_reported_and_nothing_goes() {
    let data = Data::new();
    data.add(GOOD);
    let says = data.fails(&[
        "vacuum",
        "except-latest",
        "1",
        "--job",
        "hello",
        "--job",
        "a",
        "--job",
        "b",
        "--platform",
        "amiga",
    ]);
    assert!(
        says.contains("job not found: \"a\", job not found: \"b\", no build is of the platform \"amiga\""),
        "{says}"
    );
    assert_eq!(uuids(&data).len(), 1);
}

#[test]
fn a_job_goes_with_all_that_is_its_own() {
    let data = Data::new();
    four(&data, "hello", "debian-12");
    let kept = data.add(Build { job: "other", artifacts: &[("x", "shared")], ..GOOD });
    let connection = data.connection();
    connection.execute("INSERT INTO tag(tag) VALUES ('section')", []).unwrap();
    connection.execute("INSERT INTO job_tag(tag, value, job) VALUES (1, 'Packages', 1)", []).unwrap();
    data.ok(&["access-add", "farm", "hello"]);
    data.ok(&["token-add", "farm", "ci", "--job", "hello"]);
    let pinned = uuids(&data)[0].clone();
    data.ok(&["pin", &pinned, "release-1"]);
    assert!(data.fails(&["job-remove", "hello"]).contains("1 build of \"hello\" cannot go, being pinned"));
    assert!(data.fails(&["job-remove", "hello", "--dry-run"]).contains("cannot go, being pinned"));
    data.ok(&["unpin", &pinned, "release-1"]);
    let dry = data.ok(&["job-remove", "hello", "--dry-run"]);
    assert!(dry.contains(&pinned) && dry.contains("\nwould remove 4 builds and 4 artifacts, "), "{dry}");
    assert_eq!(data.json(&["job-remove", "hello", "--dry-run"])["list"].as_array().unwrap().len(), 4);
    assert!(data.ok(&["job-remove", "hello"]).starts_with("removed 4 builds and 4 artifacts, "));
    assert_eq!(uuids(&data), [kept]);
    for table in ["access_list", "job_tag", "repository_token"] {
        assert_eq!(data.count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert!(!data.file("hello").exists() && data.artifact("shared").exists());
    let again = data.run(&["job-remove", "hello"]);
    assert!(again.status == 0 && again.err == "builder-db: there is no job \"hello\"\n", "{again:?}");
}

#[test]
fn gc_follows_the_configuration_and_spares_pins_and_the_latest() {
    let data = Data::new();
    let builds = four(&data, "hello", "debian-12");
    data.add(Build { job: "broken", result: 1, ..GOOD });
    let none = data.run(&["gc"]);
    assert!(none.status == 0 && none.err.contains("no retention policy"), "{none:?}");
    fs::write(data.file("builder-web.toml"), "[site]\nname = \"x\"\n[retention]\nkeep-days = 30\n").unwrap();
    data.ok(&["pin", &builds[0], "release-1.2"]);
    data.ok(&["pin", &builds[0], "release-1.2"]);
    let pins = data.json(&["pins"]);
    assert_eq!((&pins["pins"][0]["tag"], &pins["pins"][0]["uuid"]), (&"release-1.2".into(), &builds[0].clone().into()));
    let dry = data.ok(&["gc", "--dry-run"]);
    assert!(dry.contains("BUILD") && dry.contains("would remove 3 builds"), "{dry}");
    let says = data.ok(&["gc"]);
    assert!(says.contains("removed 3 builds and") && says.ends_with("1 build stays, being pinned\n"), "{says}");
    assert_eq!(uuids(&data), [builds[0].as_str(), &builds[3]]);
    data.ok(&["unpin", &builds[0], "release-1.2"]);
    assert!(data.fails(&["unpin", &builds[0], "release-1.2"]).contains("is not pinned as"));
    assert_eq!(data.json(&["gc", "--keep-last", "1"])["builds"], 1);
    assert_eq!(uuids(&data), [builds[3].as_str()]);
    fs::write(data.file("builder-web.toml"), "[retention]\nkeep_days = 30\n").unwrap();
    assert!(data.fails(&["gc"]).contains("builder-web.toml"));
}

#[test]
fn a_folder_that_cannot_be_removed_keeps_no_other() {
    let data = Data::new();
    let first = data.add(Build { job: "aaa", artifacts: &[("bin/a", "one")], ..GOOD });
    let second = data.add(Build { job: "bbb", artifacts: &[("bin/b", "two")], ..GOOD });
    // As if it were somebody else's, also for root: nothing can be removed below a file.
    fs::remove_dir_all(data.file("aaa")).unwrap();
    fs::write(data.file("aaa"), "").unwrap();
    let says = data.fails(&["vacuum", "older-than", "2027-01-01T00:00:00Z"]);
    assert!(says.contains("cannot remove") && says.contains(&first), "{says}");
    assert!(!data.artifact("one").exists() && !data.artifact("two").exists());
    assert!(!data.file("bbb").join(&second).exists());
}

#[test]
fn a_pin_that_comes_late_is_heeded() {
    let data = Data::new();
    let uuid = data.add(GOOD);
    data.ok(&["pin", &uuid, "late"]);
    let (depot, database) = (Depot::open(data.path()).unwrap(), Database::open(data.path()).unwrap());
    let removal = remove_builds(&depot, &database, &[1, 99], |_| {}).unwrap();
    assert_eq!((removal.builds, removal.pinned), (0, 1));
    assert_eq!(uuids(&data), [uuid]);
}

#[test]
fn nothing_that_an_upload_counts_on_is_removed() {
    let data = Data::new();
    let uploads = 60_u64;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let path = data.path();
        scope.spawn(|| {
            for number in 0..uploads {
                let start = format!("2026-01-01T00:{:02}:00Z", number % 60);
                let own = format!("own {number}");
                let artifacts = [("bin/hello", "shared by all"), ("own", own.as_str())];
                let uuid = format!("00000000-0000-4000-8000-{number:012}");
                add_build(path, &uuid, Build { start: &start, artifacts: &artifacts, ..GOOD });
            }
            ended.store(true, Ordering::Release);
        });
        let (depot, database) = (Depot::open(path).unwrap(), Database::open(path).unwrap());
        loop {
            let last = ended.load(Ordering::Acquire);
            let read = |connection: &rusqlite::Connection| {
                connection.prepare("SELECT id FROM build")?.query_map([], |row| row.get(0))?.collect()
            };
            let builds: Vec<i64> = database.read(read).unwrap();
            // The last round leaves what there is, to be looked at.
            if last {
                break;
            }
            remove_builds(&depot, &database, &builds, |_| {}).unwrap();
        }
    });
    let connection = data.connection();
    let mut statement = connection.prepare("SELECT DISTINCT sha256 FROM build_artifact").unwrap();
    let depot = Depot::open(data.path()).unwrap();
    for digest in statement.query_map([], |row| row.get(0)).unwrap() {
        assert!(depot.artifact(&digest.unwrap()).exists(), "a row has its file");
    }
    data.ok(&["vacuum", "older-than", "2027-01-01T00:00:00Z"]);
    assert_eq!(uuids(&data), [""; 0]);
}
