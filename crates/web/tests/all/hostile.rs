//! Peers and machines that do their worst: a real server keeps answering, says what is wrong, and keeps nothing of it.

use crate::site::{PASSWORD, Site, Told, USER, basic, uuid};
use builder_model::Outcome;
use builder_web::Repository;
use builder_web::limits::{BODY_PAUSE_MAX, HEAD_DURATION_MAX, PASSWORDS_WRONG_MAX};
use http::StatusCode;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

async fn serve(site: &Site) -> (Repository, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let repository = Repository::start(site.app.settings().clone(), vec![listener]).await.unwrap();
    let address = repository.addresses()[0];
    (repository, address)
}

/// Connects, and sends these octets.
async fn begin(address: SocketAddr, octets: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(octets.as_ref()).await.unwrap();
    stream
}

/// The status line of what comes until the peer closes, or that it says nothing.
async fn end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Ok(_) => {}
        // What was read before the reset is what matters.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// What a page answers to one who closes.
async fn page(address: SocketAddr, path: &str) -> String {
    end(begin(address, format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await).await
}

fn head(length: usize) -> String {
    let authorization = basic(USER, PASSWORD);
    format!("POST /upload HTTP/1.1\r\nhost: a\r\nauthorization: {authorization}\r\ncontent-length: {length}\r\n\r\n")
}

fn stagings(site: &Site) -> usize {
    std::fs::read_dir(site.data().join("_staging")).unwrap().count()
}

#[tokio::test(start_paused = true)]
async fn whoever_never_ends_his_head_is_cut_off_while_others_are_answered() {
    let site = Site::new();
    let (repository, address) = serve(&site).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(begin(address, "GET / HTTP/1.1\r\nhost: a\r\nx: ").await);
    }
    assert!(page(address, "/").await.starts_with("HTTP/1.1 200"));
    let start = Instant::now();
    // A letter now and then does not make it longer.
    for stream in &mut slow {
        stream.write_all(b"y").await.unwrap();
    }
    for stream in slow {
        let answer = end(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert!(start.elapsed() <= HEAD_DURATION_MAX + Duration::from_secs(1), "{:?}", start.elapsed());
    repository.stop().await;
}

#[tokio::test(start_paused = true)]
async fn uploads_that_trickle_hold_nobody_up_and_end_when_nothing_comes() {
    let site = Site::new();
    let (repository, address) = serve(&site).await;
    let record = Told::new(1).files(&[("bin/hello", &[7; 50_000])]).encode();
    let mut trickling = Vec::new();
    for _ in 0..8 {
        trickling.push(begin(address, [head(record.len()).as_bytes(), &record[..20_000]].concat()).await);
    }
    for round in 0..3 {
        // Not so slow that it counts as gone.
        tokio::time::advance(BODY_PAUSE_MAX / 2).await;
        for stream in &mut trickling {
            stream.write_all(&record[20_000 + round..=20_000 + round]).await.unwrap();
        }
        for path in ["/", "/all-builds", "/search?q=hello"] {
            assert!(page(address, path).await.starts_with("HTTP/1.1 200"), "{path}");
        }
    }
    assert_eq!(stagings(&site), 8);
    // One of them gets to its end after all.
    let mut patient = trickling.pop().unwrap();
    patient.write_all(&record[20_003..]).await.unwrap();
    patient.shutdown().await.unwrap();
    let answer = end(patient).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    tokio::time::advance(BODY_PAUSE_MAX + Duration::from_secs(1)).await;
    for stream in trickling {
        let answer = end(stream).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.ends_with("the body stopped coming: nothing came for 60 seconds\n"), "{answer}");
    }
    assert_eq!((stagings(&site), site.count("SELECT count(*) FROM build")), (0, 1));
    repository.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_is_told_so_before_he_sends_more() {
    let site = Site::new();
    let (repository, address) = serve(&site).await;
    let start = Instant::now();
    let answer = end(begin(address, head(1 << 20) + "no record").await).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("the body is not a build record"), "{answer}");
    assert!(start.elapsed() < BODY_PAUSE_MAX, "{:?}", start.elapsed());
    repository.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_all_before_he_listens_hears_why_he_is_refused() {
    let site = Site::new();
    let (repository, address) = serve(&site).await;
    let body = vec![0; 32 << 20];
    for (user, status) in [(USER, "400"), ("nobody", "401")] {
        let authorization = basic(user, PASSWORD);
        let length = body.len();
        let head = format!(
            "POST /upload HTTP/1.1\r\nhost: a\r\nauthorization: {authorization}\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = begin(address, head).await;
        stream.write_all(&body).await.unwrap();
        let answer = end(stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    repository.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_his_half_still_gets_an_answer() {
    let site = Site::new();
    let (repository, address) = serve(&site).await;
    let mut asks = begin(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    asks.shutdown().await.unwrap();
    assert!(end(asks).await.starts_with("HTTP/1.1 200"));
    let record = Told::new(1).encode();
    let mut sends = begin(address, [head(record.len()).as_bytes(), &record].concat()).await;
    sends.shutdown().await.unwrap();
    let answer = end(sends).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let (half, _) = record.split_at(record.len() / 2);
    let mut breaks = begin(address, [head(record.len()).as_bytes(), half].concat()).await;
    breaks.shutdown().await.unwrap();
    let answer = end(breaks).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    repository.stop().await;
    assert_eq!((stagings(&site), site.count("SELECT count(*) FROM build")), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_are_no_http_end_the_connection_and_nothing_else() {
    let site = Site::new();
    let (repository, address) = serve(&site).await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "a".repeat(60_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    let double = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_owned();
    let chunked =
        "POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_owned();
    let octets = ["\x16\x03\x01\x02\0".to_owned(), "\0".repeat(100_000), long, many, double, chunked];
    for octets in octets {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be cut off while it still sends.
        if stream.write_all(octets.as_bytes()).await.is_ok() {
            stream.shutdown().await.unwrap_or_default();
        }
        let answer = end(stream).await;
        let shown: String = octets.chars().take(60).collect();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?}: {answer}");
    }
    assert!(page(address, "/").await.starts_with("HTTP/1.1 200"));
    repository.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_artifacts_are_a_build_like_any_other() {
    const COUNT: usize = 100_000;
    let site = Site::new();
    let mut told = Told::new(1);
    told.files = (0..COUNT)
        .map(|number| (format!("{}/{number}", number % 100), (number % 1000).to_le_bytes().to_vec()))
        .collect();
    site.upload(&told).await;
    assert_eq!(site.count("SELECT count(*) FROM build_artifact"), i64::try_from(COUNT).unwrap());
    assert_eq!(stagings(&site), 0);
    let answer = site.get(&told.page()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.len() < 1 << 20, "a page shows a part of them: {} bytes", answer.body.len());
    let comparison = site.get(&format!("/compare/{}/{}", told.build, told.build)).await;
    assert_eq!(comparison.status, StatusCode::OK);
    assert!(
        site.get(&format!("{}/exec", told.page())).await.body == told.encode(),
        "the record comes out as it went in"
    );
}

/// A small file system of its own at a folder; gone with the value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(kibibytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kibibytes}k");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()));
        Self(folder)
    }

    fn site(&self) -> Site {
        Site::at(tempfile::tempdir_in(self.0.path()).unwrap(), |_| {})
    }

    fn free_bytes(&self) -> u64 {
        let found = nix::sys::statvfs::statvfs(self.0.path()).unwrap();
        found.blocks_available() * found.fragment_size()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.0.path()));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tmpfs_that_is_full_refuses_an_upload_says_so_and_keeps_nothing_of_it() {
    let disk = SmallDisk::new(8 << 10);
    let site = disk.site();
    site.upload(&Told::new(1)).await;
    let before = site.files();
    let large = vec![9; 9 << 20];
    let answer = site.post(USER, "/upload", Told::new(2).files(&[("bin/hello", &large)]).encode()).await;
    assert_eq!(answer.status, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(answer.text(), "There is no room left on this server.\n");
    assert_eq!((site.files(), stagings(&site)), (before, 0));
    assert_eq!(site.get("/").await.status, StatusCode::OK);
    site.upload(&Told::new(3)).await;
}

/// Wherever between the first file and the last row the room ends, the build is there or it is not.
#[tokio::test(flavor = "multi_thread")]
async fn tmpfs_that_fills_up_at_any_step_leaves_all_of_an_upload_or_nothing() {
    let disk = SmallDisk::new(4 << 10);
    let site = disk.site();
    site.upload(&Told::new(1)).await;
    let filler = disk.0.path().join("filler");
    let mut seen = Vec::new();
    for pages in (0..60).step_by(2) {
        let before = (site.files(), site.count("SELECT count(*) FROM build"));
        fill(&filler, disk.free_bytes().saturating_sub(pages * 4096));
        let content: Vec<u8> = format!("{pages}").into_bytes();
        let told =
            Told { build: uuid(u8::try_from(100 + pages).unwrap()), ..Told::new(1).files(&[("bin/hello", &content)]) };
        let answer = site.post(USER, "/upload", told.encode()).await;
        let page = site.get(&told.page()).await.status;
        std::fs::remove_file(&filler).unwrap();
        assert_eq!(stagings(&site), 0, "{pages} pages free");
        let after = (site.files(), site.count("SELECT count(*) FROM build"));
        match answer.status {
            StatusCode::CREATED => assert_eq!((after.1, page), (before.1 + 1, StatusCode::OK)),
            StatusCode::INSUFFICIENT_STORAGE => {
                assert_eq!((after, page), (before, StatusCode::NOT_FOUND), "{pages} pages")
            }
            other => panic!("{other} with {pages} pages free: {}", answer.text()),
        }
        seen.push(answer.status);
    }
    assert!(seen.contains(&StatusCode::CREATED) && seen.contains(&StatusCode::INSUFFICIENT_STORAGE), "{seen:?}");
}

fn fill(path: &Path, bytes: u64) {
    std::fs::write(path, vec![0; usize::try_from(bytes).unwrap()]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_somebody_holds_is_waited_for_and_then_the_sender_may_come_again() {
    let site = Site::new();
    let other = site.connection();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let told = Told::new(1);
    let (answer, page) = tokio::join!(site.post(USER, "/upload", told.encode()), site.get("/all-builds"));
    assert_eq!(page.status, StatusCode::OK, "who reads does not wait");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(stagings(&site), 0);
    assert!(site.files().is_empty(), "{:?}", site.files());
    let waiting = async {
        // Not before the upload waits; and if it did not yet, it waits less.
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (answer, ()) = tokio::join!(site.post(USER, "/upload", told.encode()), waiting);
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_by_the_thousand_gets_few_tries_and_holds_nobody_up() {
    let site = Site::new();
    let (repository, address) = serve(&site).await;
    let guess = |user: String| async move {
        let authorization = basic(&user, "guess");
        let request = format!(
            "POST /upload HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: {authorization}\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = end(begin(address, request).await).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    // All at once at one user, so that nobody was counted when they come.
    let guesses: Vec<_> = (0..1000).map(|_| tokio::spawn(guess(USER.into()))).collect();
    assert!(page(address, "/").await.starts_with("HTTP/1.1 200"));
    let mut tried = 0;
    for guess in guesses {
        let status = guess.await.unwrap();
        assert!(["401", "429", "503"].contains(&status.as_str()), "{status}");
        tried += u32::from(status == "401");
    }
    assert!(tried <= PASSWORDS_WRONG_MAX + 2, "{tried} passwords were tried");
    // And a thousand users that there are not: checks are as dear, but few at once, and few from one address.
    let guesses: Vec<_> = (0..1000).map(|number| tokio::spawn(guess(format!("user{number}")))).collect();
    assert!(page(address, "/").await.starts_with("HTTP/1.1 200"));
    for guess in guesses {
        let status = guess.await.unwrap();
        assert!(["401", "429", "503"].contains(&status.as_str()), "{status}");
    }
    repository.stop().await;
}

#[tokio::test]
async fn names_that_look_like_others_are_refused_and_old_ones_turn_no_page() {
    let site = Site::new();
    for bad in [" ", "a ", "\u{202e}abc", "a\u{200b}"] {
        for told in [Told::new(1).job(bad), Told::new(1).platform(bad)] {
            let answer = site.post(USER, "/upload", told.encode()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad:?}");
            assert!(answer.text().contains("may not begin or end with a space"), "{}", answer.text());
        }
    }
    let by_hand = site.post(USER, "/job/a%20/platform/p/upload", "x").await;
    assert_eq!(by_hand.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.count("SELECT count(*) FROM job"), 0);
    // What a folder holds already is shown.
    site.upload(&Told::new(1)).await;
    site.connection().execute("UPDATE job SET name = ?1", ["\u{202e}abc "]).unwrap();
    let page = format!("/job/%E2%80%AEabc%20/build/{}", Told::new(1).build);
    for target in ["/all-builds", "/job/%E2%80%AEabc%20", &page, "/search?q=abc"] {
        let answer = site.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}");
        let text = answer.text();
        assert!(text.contains("\\u{202e}abc") && !text.contains('\u{202e}'), "{target}: {text}");
    }
}

#[tokio::test]
async fn what_is_as_long_as_it_may_be_does_not_fill_lists() {
    let site = Site::with(|settings| settings.expired_days = 0);
    let reason = format!("no {}", "reason ".repeat(8000));
    let synopsis = "greets ".repeat(500);
    let switch = format!(
        "roots: [\"hello.1\"]\ninstalled: [\"hello.1\"]\npackage \"hello\" {{\n  synopsis: \"{synopsis}\"\n}}\n"
    );
    site.upload(&Told::new(1).files(&[("bin/hello", b"x"), ("opam-switch", switch.as_bytes())])).await;
    let failed = Told::new(2).outcome(Outcome::aborted(reason.clone()));
    site.upload(&failed).await;
    let good = Told::new(1).build;
    for list in ["/", "/all-builds", "/builds", "/failed-builds", "/job/hello/failed", "/search?q=hello"] {
        let page = site.get(list).await.text();
        assert!(page.len() < 30_000, "{list} has {} bytes", page.len());
    }
    assert!(site.get("/failed-builds/feed.atom").await.body.len() < 2000);
    let compared = site.get(&format!("/compare/{good}/{}", failed.build)).await.text();
    assert!(compared.contains("execution aborted: no reason") && compared.len() < 20_000, "{}", compared.len());
    // Where the build alone is spoken of, all of it stands.
    assert!(site.get(&failed.page()).await.text().contains(reason.trim_end()));
    assert_eq!(site.get_json("/failed-builds").await["builds"][0]["result"], format!("execution aborted: {reason}"));
    assert_eq!(site.get_json("/").await["jobs"][0]["synopsis"], synopsis.trim_end());
    assert!(site.get("/job/hello").await.text().contains(synopsis.trim_end()));
}
