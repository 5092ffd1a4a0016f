//! Uploads: what is stored, what is refused and why, and what is never half there.

use crate::consumers::unikernel;
use crate::site::{PASSWORD, RESTRICTED, Site, Told, USER, basic, uuid};
use axum::body::Body;
use builder_model::Outcome;
use builder_web::Digest;
use http::{Method, StatusCode};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// The record of the protocol page: job `j` on `p`, two lines, `bin/a` with "x".
const VECTOR: &str = "a071306f300b0c016a0c017330000c01700c1000112233445566778899aabbccddeeff30133009020459682f000c01623006\
    0201000c01613026180f32303234303930353132333435365a181332303234303930353132333535372e3235305aa003020100300c300a0c\
    0562696e2f610c0178";
const VECTOR_PAGE: &str = "/job/j/build/00112233-4455-6677-8899-aabbccddeeff";
const X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

fn vector() -> Vec<u8> {
    let digits: Vec<u8> = VECTOR.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[tokio::test]
async fn the_vector_becomes_the_files_and_rows_of_the_original() {
    let site = Site::new();
    let answer = site.post(USER, "/upload", vector()).await;
    assert_eq!((answer.status, answer.header("content-length")), (StatusCode::CREATED, Some("0")));
    let folder = "j/00112233-4455-6677-8899-aabbccddeeff";
    let outline = format!("{folder}/outline.gz");
    let files =
        [format!("_artifacts/2d/{X}"), format!("{folder}/console.txt"), outline, format!("{folder}/script.txt")];
    assert_eq!(site.files(), files);
    let read = |name: &str| std::fs::read_to_string(site.data().join(folder).join(name)).unwrap();
    assert_eq!((read("console.txt").as_str(), read("script.txt").as_str()), ("0.000s:a\n1.500s:b\n", "s"));
    let row = "SELECT b.uuid || ' ' || start_d || ' ' || start_ps || ' ' || finish_d || ' ' || finish_ps || ' ' || result_code
        || ' ' || console || ' ' || script || ' ' || platform || ' ' || a.filepath || ' ' || lower(hex(a.sha256)) || ' ' || a.size
        || ' ' || u.username || ' ' || j.name || ' ' || (input_id IS NULL)
        FROM build b JOIN build_artifact a ON a.id = b.main_binary JOIN user u ON u.id = b.user JOIN job j ON j.id = b.job";
    let row: String = site.connection().query_row(row, [], |row| row.get(0)).unwrap();
    assert_eq!(
        row,
        format!(
            "00112233-4455-6677-8899-aabbccddeeff 19971 45296000000000000 19971 45357250000000000 0 {folder}/console.txt \
             {folder}/script.txt p bin/a {X} 1 farm j 1"
        )
    );
}

#[tokio::test]
async fn the_same_again_is_no_error_and_another_one_is() {
    let site = Site::new();
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let answer = site.post(USER, "/upload", vector()).await;
        assert_eq!((answer.status, answer.location()), (status, VECTOR_PAGE));
    }
    let mut other = vector();
    *other.last_mut().unwrap() = b'y';
    let answer = site.post(USER, "/upload", other).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.text(), "Build with same uuid exists: j(00112233-4455-6677-8899-aabbccddeeff)\n");
    assert_eq!(site.count("SELECT count(*) FROM build"), 1);
    assert_eq!(site.files().len(), 4, "nothing of the refused one stays");
    // What the original stored has no outline; its artifacts tell.
    site.connection().execute("DELETE FROM repository_build", []).unwrap();
    assert_eq!(site.post(USER, "/upload", vector()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_may_not_is_told_so_before_the_body_is_read() {
    let site = Site::new();
    let upload = |authorization: Option<String>| {
        let headers: Vec<(&str, String)> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let site = &site;
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            site.send(Method::POST, "/upload", &headers, Body::from(vector())).await
        }
    };
    for wrong in [None, Some(basic(USER, "wrong")), Some(basic("nobody", PASSWORD)), Some("Basic !".into())] {
        let answer = upload(wrong).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::UNAUTHORIZED, "Unauthorized!\n"));
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"builder-web\""));
    }
    let answer = site.post(RESTRICTED, "/upload", vector()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.text(), "guest may not upload for the job j\n");
    assert_eq!(site.count("SELECT count(*) FROM job"), 0, "a restricted user makes no job");
    site.post(USER, "/upload", Told::new(1).job("j").encode()).await;
    let list = "INSERT INTO access_list(user, job) SELECT u.id, j.id FROM user u, job j WHERE u.username = 'guest'";
    site.connection().execute(list, []).unwrap();
    assert_eq!(site.post(RESTRICTED, "/upload", vector()).await.status, StatusCode::CREATED);
}

/// A body that notes that it was asked for.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicBool>);

impl http_body::Body for Asked {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        self.0.store(true, Ordering::SeqCst);
        Poll::Ready(None)
    }
}

#[tokio::test]
async fn who_may_not_upload_a_binary_is_told_so_before_it_is_read() {
    let site = Site::new();
    let asked = Asked::default();
    let authorization = basic(RESTRICTED, PASSWORD);
    let headers = [("authorization", authorization.as_str()), ("expect", "100-continue")];
    let target = "/job/j/platform/p/upload";
    let answer = site.send(Method::POST, target, &headers, Body::new(asked.clone())).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.text(), "guest may not upload for the job j\n");
    assert!(!asked.0.load(Ordering::SeqCst), "to read it would send 100 Continue, and the binary would come");
}

#[tokio::test]
async fn a_page_of_another_site_uploads_nothing_with_the_password_that_a_browser_knows() {
    let site = Site::new();
    let authorization = basic(USER, PASSWORD);
    let by_hand = async |header: (&'static str, &'static str)| {
        let headers = [("authorization", authorization.as_str()), header];
        site.send(Method::POST, "/job/j/platform/p/upload", &headers, Body::from("binary")).await
    };
    for foreign in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let answer = by_hand(foreign).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (StatusCode::FORBIDDEN, "nothing is taken from pages of other sites\n")
        );
    }
    let headers = [("authorization", authorization.as_str()), ("origin", "https://evil.example")];
    let record = site.send(Method::POST, "/upload", &headers, Body::from(vector())).await;
    assert_eq!(record.status, StatusCode::FORBIDDEN);
    assert_eq!(site.count("SELECT count(*) FROM build"), 0);
    assert_eq!(by_hand(("sec-fetch-site", "same-origin")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn tokens_stand_beside_passwords() {
    use builder_web::accounts::token::TokenSecret;
    let site = Site::new();
    let secret = TokenSecret::generate().unwrap();
    let row = "INSERT INTO repository_token(id, user, name, sha256, created) VALUES (1, 1, 'ci', ?1, 0)";
    site.connection().execute(row, [secret.digest()]).unwrap();
    let narrow = |kind: &str, name: &str| {
        let row = "INSERT INTO repository_token_scope(token, kind, name) VALUES (1, ?1, ?2)";
        site.connection().execute(row, [kind, name]).unwrap();
    };
    narrow("job", "j");
    narrow("job", "other");
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str())];
    let upload = |body: Vec<u8>| site.send(Method::POST, "/upload", &headers, Body::from(body));
    assert_eq!(upload(vector()).await.status, StatusCode::CREATED);
    let answer = upload(Told::new(1).encode()).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::FORBIDDEN, "this token is not for the job hello\n")
    );
    assert_eq!(upload(Told::new(2).job("other").encode()).await.status, StatusCode::CREATED);
    narrow("platform", "freebsd-14");
    let answer = upload(Told::new(3).job("other").encode()).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::FORBIDDEN, "this token is not for the platform debian-12\n")
    );
    let by_hand = async |platform: &str| {
        let target = format!("/job/other/platform/{platform}/upload");
        site.send(Method::POST, &target, &headers, Body::from("binary")).await.status
    };
    assert_eq!(by_hand("debian-12").await, StatusCode::FORBIDDEN);
    assert_eq!(by_hand("freebsd-14").await, StatusCode::CREATED);
    // What another version wrote and this one does not know narrows to nothing.
    site.connection().execute("UPDATE repository_token_scope SET kind = 'moon' WHERE kind = 'job'", []).unwrap();
    assert_eq!(by_hand("freebsd-14").await, StatusCode::FORBIDDEN);
    site.connection().execute("UPDATE repository_token SET expires = 1", []).unwrap();
    assert_eq!(upload(vector()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_passwords_have_to_wait() {
    let site = Site::new();
    let wrong = basic(USER, "wrong");
    let mut last = None;
    for _ in 0..=builder_web::limits::PASSWORDS_WRONG_MAX {
        last = Some(site.send(Method::POST, "/upload", &[("authorization", &wrong)], Body::empty()).await);
    }
    let last = last.unwrap();
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.header("retry-after").is_some());
    // Nobody knows yet that this is the right password, so it waits, too.
    assert_eq!(site.post(USER, "/upload", vector()).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn whoever_had_the_right_password_does_not_wait_for_guessers() {
    let site = Site::new();
    assert_eq!(site.post(USER, "/upload", vector()).await.status, StatusCode::CREATED);
    let wrong = basic(USER, "wrong");
    for _ in 0..=builder_web::limits::PASSWORDS_WRONG_MAX {
        site.send(Method::POST, "/upload", &[("authorization", &wrong)], Body::empty()).await;
    }
    assert_eq!(site.post(USER, "/upload", Told::new(1).encode()).await.status, StatusCode::CREATED);
    // Another password in the row makes it a wrong one.
    site.connection().execute("UPDATE user SET password_hash = randomblob(32)", []).unwrap();
    assert_eq!(site.post(USER, "/upload", Told::new(2).encode()).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_is_no_record_is_refused_with_the_reason() {
    let site = Site::new();
    let twice = Told::new(1).files(&[("a", b"1"), ("a", b"2")]);
    let named = |job: &str| Told::new(2).job(job).encode();
    let mut trailing = vector();
    trailing.push(0);
    for (body, reason) in [
        (b"hello".to_vec(), "not a build record"),
        (Vec::new(), "cut off: it ends at byte 0"),
        (vector().split_at(60).0.to_vec(), "cut off: it ends at byte 60"),
        (trailing, "not a build record"),
        (b"\xa1\x02\x05\x00".to_vec(), "not a build record"),
        (twice.encode(), "two artifacts with the path a"),
        (named(".."), "the job name"),
        (named("_artifacts"), "the job name"),
        (named("a/b"), "the job name"),
        (named(""), "the job name is empty"),
        (Told::new(2).platform("../x").encode(), "the platform"),
    ] {
        let answer = site.post(USER, "/upload", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{reason}");
        assert!(answer.text().contains(reason), "{reason:?}: {}", answer.text());
    }
    assert_eq!(site.files(), [""; 0]);
    assert_eq!(site.count("SELECT count(*) FROM job"), 0);
    let small = Site::with(|settings| settings.upload_bytes_max = 50);
    let answer = small.post(USER, "/upload", vector()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().contains("larger than 50 bytes"), "{}", answer.text());
}

#[tokio::test]
async fn equal_contents_are_one_file_however_often_they_come() {
    let site = Site::new();
    let files: [(&str, &[u8]); 4] = [("bin/hello", b"binary"), ("a/empty", b""), ("b/empty", b""), ("copy", b"binary")];
    site.upload(&Told::new(1).files(&files)).await;
    site.upload(&Told::new(2).files(&files)).await;
    let artifacts = || site.files().into_iter().filter(|file| file.starts_with("_artifacts")).collect::<Vec<_>>();
    assert_eq!(artifacts().len(), 2);
    // A file that was lost comes back with the next upload.
    std::fs::remove_file(site.app.depot().artifact(&Digest::of(b"binary"))).unwrap();
    site.upload(&Told::new(3).files(&files)).await;
    assert_eq!(artifacts().len(), 2);
    // So do all files of a build, when the same build is sent again.
    let told = Told::new(3).files(&files);
    std::fs::remove_file(site.app.depot().artifact(&Digest::of(b""))).unwrap();
    std::fs::remove_dir_all(site.data().join(format!("hello/{}", told.build))).unwrap();
    assert_eq!(site.post(USER, "/upload", told.encode()).await.status, StatusCode::OK);
    assert_eq!(artifacts().len(), 2);
    assert!(site.get(&format!("{}/exec", told.page())).await.body == told.encode());
}

#[tokio::test]
async fn an_upload_whose_rows_are_refused_leaves_nothing_and_holds_nobody_up() {
    let site = Site::new();
    site.upload(&Told::new(1)).await;
    let before = site.files();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON build_artifact BEGIN SELECT RAISE(ABORT, 'no'); END";
    site.connection().execute(refuse, []).unwrap();
    let told = Told::new(2).files(&[("bin/hello", b"another")]);
    assert_eq!(site.post(USER, "/upload", told.encode()).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(site.files(), before);
    // While a backup holds the artifacts, what is left stays for the next start, and uploads go on.
    let backup = site.app.depot().lock_sharing().unwrap();
    assert_eq!(site.post(USER, "/upload", told.encode()).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(site.files().iter().any(|file| file.ends_with("/intent")));
    site.connection().execute("DROP TRIGGER refuse", []).unwrap();
    site.upload(&Told::new(3)).await;
    drop(backup);
}

#[tokio::test]
async fn the_record_comes_back_byte_for_byte() {
    let site = Site::new();
    let files: [(&str, &[u8]); 5] = [
        ("README.md", b"# hello"),
        ("bin/hello", b"binary"),
        ("hello.build-hashes", b"hashes"),
        ("empty", b""),
        ("ünï/a b", &[7; 300_000]),
    ];
    let mut told = Told::new(1).files(&files);
    told.console.push((2_000_000_001, b"odd\xff\nline".to_vec()));
    site.upload(&told).await;
    let record = told.encode();
    let answer = site.get(&format!("{}/exec", told.page())).await;
    assert_eq!(answer.header("content-length"), Some(record.len().to_string().as_str()));
    assert!(answer.body == record);
    let rows = "SELECT group_concat(filepath, ' ') FROM (SELECT filepath FROM build_artifact ORDER BY filepath)";
    let paths: String = site.connection().query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(paths, "bin/hello empty ünï/a b", "readme and hashes are no artifacts");
    // Without its outline it is put together from rows, as the original does; the other repository sees the same build.
    std::fs::remove_file(site.data().join(format!("hello/{}/outline.gz", told.build))).unwrap();
    let rebuilt = site.get(&format!("{}/exec", told.page())).await.body;
    let other = Site::new();
    assert_eq!(other.post(USER, "/upload", rebuilt).await.status, StatusCode::CREATED);
    let console = |site: &Site| std::fs::read(site.data().join(format!("hello/{}/console.txt", told.build))).unwrap();
    assert_eq!(console(&site), console(&other));
    let digests = "SELECT group_concat(hex(sha256)) FROM (SELECT sha256 FROM build_artifact ORDER BY filepath)";
    let digests = |site: &Site| site.connection().query_row(digests, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(digests(&site), digests(&other));
    let readme = "SELECT value FROM job_tag t JOIN tag n ON n.id = t.tag WHERE n.tag = 'readme.md'";
    let readme = |site: &Site| site.connection().query_row(readme, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!((readme(&site), readme(&other)), ("# hello".into(), "# hello".into()));
}

#[tokio::test]
async fn the_input_is_that_of_the_three_files() {
    let site = Site::new();
    let switch: &[u8] =
        b"opam-version: \"2.0\"\nroots: [\"hello.1\"]\ninstalled: [\"hello.1\" \"lib.2\"]\npackage \"hello\" {\n  \
        synopsis: \"Says hello\"\n}\n";
    let files: [(&str, &[u8]); 4] =
        [("opam-switch", switch), ("build-environment", b"A=1"), ("system-packages", b"gcc=12\n"), ("bin/hello", b"b")];
    site.upload(&Told::new(1).files(&files)).await;
    let digests: Vec<u8> = files.iter().take(3).flat_map(|(_, data)| Digest::of(data).0).collect();
    let input: Digest = site.connection().query_row("SELECT input_id FROM build", [], |row| row.get(0)).unwrap();
    assert_eq!(input, Digest::of(&digests));
    site.upload(&Told::new(2).files(files.split_last().unwrap().1.split_at(2).0)).await;
    assert_eq!(site.count("SELECT count(*) FROM build WHERE input_id IS NULL"), 1);
    assert_eq!(
        site.count("SELECT count(*) FROM repository_build WHERE input IS NOT NULL"),
        2,
        "we know one for every build"
    );
    let tag = |tag: &str| {
        let text = "SELECT value FROM job_tag t JOIN tag n ON n.id = t.tag WHERE n.tag = ?1";
        site.connection().query_row(text, [tag], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!((tag("section").as_str(), tag("synopsis").as_str()), ("Packages", "Says hello"));
    assert_eq!(site.count("SELECT count(*) FROM repository_package WHERE name = 'lib' AND version = '2'"), 1);
}

#[tokio::test]
async fn only_the_newest_good_build_describes_its_job() {
    let site = Site::new();
    let readme = |number, text: &[u8]| Told::new(number).files(&[("README.md", text)]);
    let tag = |tag: &str| {
        let text = "SELECT group_concat(value) FROM job_tag t JOIN tag n ON n.id = t.tag WHERE n.tag = ?1";
        site.connection().query_row(text, [tag], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
    };
    let current = || tag("readme.md");
    site.upload(&readme(5, b"new")).await;
    site.upload(&readme(4, b"late")).await;
    assert_eq!(current(), "new");
    site.upload(&readme(6, b"failed").outcome(Outcome::Exited(1))).await;
    assert_eq!(current(), "new");
    site.upload(&readme(7, b"newer")).await;
    assert_eq!(current(), "newer");
    let switch = |number, roots: &str, overlay: &str| {
        let text = format!("roots: [{roots}]\ninstalled: [\"a.1\" \"b.1\"]\n{overlay}");
        Told::new(number).files(&[("opam-switch", text.as_bytes())])
    };
    let overlay = |fields: &str| format!("package \"a\" {{\n{fields}}}\n");
    let first = overlay("  synopsis: \"First\"\n  description: \"Long\"\n  x-mirage-opam-lock-location: \"l\"\n");
    site.upload(&switch(10, "\"a.1\"", &first)).await;
    site.upload(&switch(9, "\"a.1\"", &overlay("  synopsis: \"Late\"\n"))).await;
    let failed = switch(11, "\"a.1\"", &overlay("  synopsis: \"Failed\"\n"));
    site.upload(&failed.outcome(Outcome::Exited(1))).await;
    // Of two roots nobody knows which one is meant.
    site.upload(&switch(12, "\"a.1\" \"b.1\"", &overlay("  synopsis: \"Two\"\n"))).await;
    let told = || [tag("section"), tag("synopsis"), tag("description")];
    assert_eq!(told(), ["Unikernels", "First", "Long"]);
    site.upload(&switch(13, "\"a.1\"", &overlay("  synopsis: \"Second\"\n"))).await;
    assert_eq!(told(), ["Packages", "Second", ""]);
}

#[tokio::test]
async fn a_switch_that_does_not_parse_is_a_note_and_no_refusal() {
    let site = Site::new();
    site.upload(&Told::new(1).files(&[("opam-switch", b"roots: [\"unclosed"), ("bin/hello", b"b")])).await;
    let notes: String =
        site.connection().query_row("SELECT notes FROM repository_build", [], |row| row.get(0)).unwrap();
    assert!(notes.contains("opam-switch is no export"), "{notes}");
}

#[tokio::test]
async fn a_unikernel_with_broken_notes_says_so() {
    let site = Site::new();
    let mut binary = unikernel();
    // The name in the note of the manifest, which is the second.
    let place = binary.windows(5).enumerate().filter(|(_, window)| window == b"Solo5").nth(1).unwrap().0;
    binary[place] = b'X';
    site.upload(&Told::new(1).files(&[("bin/hello.hvt", &binary)])).await;
    let text = "SELECT notes FROM repository_build";
    let notes: String = site.connection().query_row(text, [], |row| row.get(0)).unwrap();
    assert!(notes.starts_with("bin/hello.hvt has notes of Solo5 that cannot be read: section .note.solo5."), "{notes}");
    let page = site.get(&Told::new(1).page()).await.text();
    assert!(page.contains("What could not be read") && page.contains("has notes of Solo5"), "{page}");
    for (number, binary) in [(2, unikernel()), (3, b"#!/bin/sh".to_vec())] {
        site.upload(&Told::new(number).files(&[("bin/hello.hvt", &binary)])).await;
    }
    assert_eq!(site.count("SELECT count(*) FROM repository_build WHERE notes IS NULL"), 2);
}

#[tokio::test]
async fn a_binary_made_by_hand_is_a_build() {
    let site = Site::new();
    let answer = site.post(USER, "/job/hello/platform/debian-12/upload?binary_name=hello.hvt", "binary").await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::CREATED, ""));
    let json = site.get_json(answer.location()).await;
    assert_eq!(answer.location(), format!("/job/hello/build/{}", json["uuid"].as_str().unwrap()));
    let latest = site.get("/job/hello/build/latest/main-binary").await;
    let to_file = site.get(latest.location()).await;
    assert!(to_file.location().ends_with("/f/bin/hello.hvt"), "{}", to_file.location());
    assert_eq!(site.get(to_file.location()).await.body, b"binary");
    let script = latest.location().replace("/main-binary", "/script");
    assert_eq!(site.get(&script).await.text(), "# This artifact was manually built\n");
    for bad in ["a/b", "..", "", "a/"] {
        let answer = site.post(USER, &format!("/job/hello/platform/p/upload?binary_name={bad}"), "x").await;
        let seen = (answer.status, answer.text());
        assert_eq!(seen, (StatusCode::BAD_REQUEST, "Bad binary name provided.\n".into()), "{bad:?}");
    }
    let answer = site.post(RESTRICTED, "/job/other/platform/p/upload", "x").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn two_uploads_of_one_build_at_once_are_one_build() {
    let site = Site::new();
    let (one, other) = (Told::new(1), Told::new(1).files(&[("bin/hello", b"another")]));
    let (first, second, third) = tokio::join!(
        site.post(USER, "/upload", one.encode()),
        site.post(USER, "/upload", one.encode()),
        site.post(USER, "/upload", other.encode()),
    );
    let mut statuses = [first.status, second.status, third.status].map(|status| status.as_u16());
    statuses.sort_unstable();
    assert!(statuses == [200, 201, 409] || statuses == [201, 409, 409], "{statuses:?}");
    assert_eq!(site.count("SELECT count(*) FROM build"), 1);
    let kept = if third.status == StatusCode::CREATED { &other } else { &one };
    assert!(site.get(&format!("/job/hello/build/{}/exec", uuid(1))).await.body == kept.encode());
}

#[tokio::test]
async fn the_address_of_the_vector_is_what_albatross_expects() {
    let site = Site::new();
    site.post(USER, "/upload", vector()).await;
    for target in [format!("/hash?sha256={X}"), "/job/j/build/latest".into(), "/job/j/build/latest/".into()] {
        let answer = site.get(&target).await;
        assert!(answer.status.is_redirection());
        let parts: Vec<&str> = answer.location().split('/').collect();
        assert_eq!(parts, ["", "job", "j", "build", "00112233-4455-6677-8899-aabbccddeeff"], "{target}");
        assert!(answer.body.is_empty());
    }
    for unknown in
        ["/hash", "/hash?sha256=", "/hash?sha256=2d71", "/job/k/build/latest", &format!("{VECTOR_PAGE}x/exec")]
    {
        assert_eq!(site.get(unknown).await.status, StatusCode::NOT_FOUND, "{unknown}");
    }
}
