//! Uploads: whatever the body is, it is stored whole or refused, and of a refused one nothing stays. What is stored can
//! be looked at, and comes out as it went in.
#![no_main]

use axum::Router;
use axum::body::{Body, Bytes};
use builder_web::accounts::password::{Password, ScryptParams};
use builder_web::{App, Database, Settings};
use http::{Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use rusqlite::params;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// `farm` with the password `p`.
const AUTHORIZATION: &str = "Basic ZmFybTpw";
/// The data folder is emptied after so many builds, so that it stays quick.
const BUILDS_MAX: i64 = 500;

struct Site {
    _folder: TempDir,
    data: PathBuf,
    app: App,
    router: Router,
    runtime: Runtime,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().to_owned();
        drop(Database::create(&data).expect("a database"));
        let cheap = ScryptParams::new(2, 1, 1).expect("parameters");
        let stored = Password::new("p").expect("a password").hash(cheap).expect("a hash");
        let connection = rusqlite::Connection::open(Database::path_of(&data)).expect("the database");
        let row = "INSERT INTO user(username, password_hash, password_salt, scrypt_n, scrypt_r, scrypt_p, restricted)
            VALUES ('farm', ?1, ?2, ?3, ?4, ?5, 0)";
        connection.execute(row, params![stored.hash, stored.salt, stored.n, stored.r, stored.p]).expect("a user");
        let app = App::open(Settings::new(data.clone(), data.clone())).expect("a data folder");
        let router = builder_web::http::router(app.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { _folder: folder, data, app, router, runtime }
    }

    fn send(&self, method: Method, path: &str, body: Body) -> (StatusCode, Bytes) {
        let request = Request::builder().method(method).uri(path).header("authorization", AUTHORIZATION);
        let request = request.body(body).expect("a request");
        self.runtime.block_on(async {
            let response = match self.router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let status = response.status();
            (status, response.into_body().collect().await.expect("a whole answer").to_bytes())
        })
    }

    fn builds(&self) -> i64 {
        self.app.read(|rows| rows.query_row("SELECT count(*) FROM build", [], |row| row.get(0))).expect("rows")
    }

    /// The newest build's page.
    fn newest(&self) -> String {
        let text = "SELECT b.uuid, j.name FROM build b JOIN job j ON j.id = b.job ORDER BY b.id DESC LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let (uuid, job) = self.app.read(|rows| rows.query_row(text, [], row)).expect("a build");
        let job = percent_encoding::utf8_percent_encode(&job, percent_encoding::NON_ALPHANUMERIC);
        format!("/job/{job}/build/{uuid}")
    }
}

/// A body that arrives in these pieces.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

fn with_site(work: impl FnOnce(&Site)) {
    static SITE: OnceLock<std::sync::Mutex<Option<Site>>> = OnceLock::new();
    let mut site = SITE.get_or_init(Default::default).lock().expect("one thread");
    work(site.get_or_insert_with(Site::new));
    if site.as_ref().is_some_and(|site| site.builds() >= BUILDS_MAX) {
        *site = None;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    with_site(|site| {
        let before = site.builds();
        let pieces: Vec<_> = bytes.chunks(usize::from(*piece).max(1) * 8).map(Bytes::copy_from_slice).collect();
        let body = Body::new(Pieces(pieces.into()));
        let (status, text) = site.send(Method::POST, "/upload", body);
        let kept = i64::from(status == StatusCode::CREATED);
        assert_eq!(site.builds(), before + kept, "{status}");
        let stagings = std::fs::read_dir(site.data.join("_staging")).expect("the stagings").count();
        assert_eq!(stagings, 0, "{status}");
        match status {
            StatusCode::CREATED => {
                let page = site.newest();
                for path in ["", "/log", "/all.tar.gz", "/script"] {
                    let (status, text) = site.send(Method::GET, &format!("{page}{path}"), Body::empty());
                    assert_eq!(status, StatusCode::OK, "{page}{path} {text:?}");
                }
                let (status, record) = site.send(Method::GET, &format!("{page}/exec"), Body::empty());
                assert_eq!((status, &record[..]), (StatusCode::OK, bytes));
            }
            StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::PAYLOAD_TOO_LARGE => {}
            other => panic!("{other}: {text:?}"),
        }
    });
});
