//! A data folder that the original filled, opened in place: everything shows, its users may upload, and the original
//! still understands it. The folder is made in a file of its own, also for those who want one.

mod folder;

use crate::site::basic;
use axum::body::Body;
use builder_web::{App, Digest, Settings};
use folder::{JOBS, RESTRICTED, UPLOADER, encoded, fill, uuid};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use rusqlite::Connection;
use tower::ServiceExt as _;

/// All rows of the original's tables, and how the tables are made.
fn dump(connection: &Connection) -> String {
    let mut text = String::new();
    for pragma in ["user_version", "application_id"] {
        let value: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
        text.push_str(&format!("{pragma} {value}\n"));
    }
    for table in ["job", "build", "build_artifact", "user", "access_list", "tag", "job_tag"] {
        let made = "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 AND name NOT LIKE 'repository_%' ORDER BY name";
        let mut statement = connection.prepare(made).unwrap();
        let made = statement.query_map([table], |row| row.get::<_, Option<String>>(0)).unwrap();
        made.for_each(|made| text.push_str(&format!("{:?}\n", made.unwrap())));
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY id")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            (0..columns).for_each(|column| text.push_str(&format!("{:?} ", row.get_ref(column).unwrap())));
            text.push('\n');
        }
    }
    text
}

#[tokio::test]
async fn everything_of_it_shows_and_the_original_still_understands_it() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path();
    fill(data);
    let app = App::open(Settings::new(data.to_owned(), data.to_owned())).unwrap();
    let router = builder_web::http::router(app.clone());
    let ask = async |target: &str, accept: &str| {
        let request = Request::builder().uri(target).header("accept", accept).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let mut targets = folder::targets();
    // The main binary whose path is no text.
    targets.push(format!("/search?q={}", &Digest::of(b"binary 9").to_string()[..16]));
    // The original keeps whatever bytes came.
    let odd = Connection::open(data.join("builder.sqlite3")).unwrap();
    odd.execute("UPDATE build_artifact SET filepath = CAST(x'62696e2fff' AS TEXT) WHERE id = (SELECT main_binary FROM build WHERE id = 96)", []).unwrap();
    odd.execute(
        "UPDATE build SET platform = CAST(x'64ff' AS TEXT), result_msg = CAST(x'ff' AS TEXT) WHERE id = 95",
        [],
    )
    .unwrap();
    let before = dump(&odd);
    // Once as the original left it, and once with all that is derived from it.
    for round in ["before", "after"] {
        for target in &targets {
            for (accept, begin) in [("text/html", "<!"), ("application/json", "{")] {
                let (status, body) = ask(target, accept).await;
                assert_eq!(status, StatusCode::OK, "{round}: {accept} {target}: {body}");
                assert!(body.trim_start().to_lowercase().starts_with(begin), "{round}: {accept} {target}");
                let is_page = accept == "text/html";
                assert!(!is_page || !body.contains("<script>alert"), "{target}");
            }
        }
        for rest in ["script", "console", "exec", "all.tar.gz", "log", "f/bin/a%20b", "f/opam-switch"] {
            let target = format!("/job/with%20space/build/{}/{rest}", uuid(1));
            assert_eq!(ask(&target, "*/*").await.0, StatusCode::OK, "{round}: {target}");
        }
        // The one whose platform and message are no text, row 95.
        let odd = format!("/job/{}/build/{}/exec", encoded(JOBS[94 % JOBS.len()]), uuid(94));
        assert_eq!(ask(&odd, "*/*").await.0, StatusCode::OK, "{round}: {odd}");
        builder_web::start::derive_facts(&app).unwrap();
    }
    let connection = Connection::open(data.join("builder.sqlite3")).unwrap();
    assert_eq!(dump(&connection), before, "nothing of the original's tables changed");
    let checks: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(checks, "ok");
    // The original's administration deletes rows of a build with foreign keys enforced; ours go with them.
    connection.execute_batch("PRAGMA foreign_keys = on").unwrap();
    connection.execute("UPDATE build SET main_binary = NULL WHERE id = 1", []).unwrap();
    connection.execute("DELETE FROM build_artifact WHERE build = 1", []).unwrap();
    assert_eq!(connection.execute("DELETE FROM build WHERE id = 1", []).unwrap(), 1);
    let left: i64 =
        connection.query_row("SELECT count(*) FROM repository_build WHERE build = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    for (name, password, status) in [
        ("nologin", "", StatusCode::UNAUTHORIZED),
        (UPLOADER.name, RESTRICTED.password, StatusCode::UNAUTHORIZED),
        // Whoever may upload is told that an empty body is no record.
        (UPLOADER.name, UPLOADER.password, StatusCode::BAD_REQUEST),
        (RESTRICTED.name, RESTRICTED.password, StatusCode::BAD_REQUEST),
    ] {
        let request = Request::builder().method("POST").uri("/upload").header("authorization", basic(name, password));
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {password}");
    }
}
