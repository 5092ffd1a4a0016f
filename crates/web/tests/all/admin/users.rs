//! Users, rights and tokens.

use super::support::{Data, GOOD, program, run};
use builder_web::Digest;
use builder_web::accounts::password::StoredPassword;
use builder_web::accounts::token::TokenSecret;

fn stored(data: &Data, name: &str) -> StoredPassword {
    let sql = format!("SELECT {} FROM user WHERE username = ?1", StoredPassword::COLUMNS);
    data.connection().query_row(&sql, [name], |row| StoredPassword::from_row(row, 0)).unwrap()
}

#[test]
fn a_user_is_added_updated_disabled_and_removed() {
    let data = Data::new();
    let added = data.run_with(&["user-add", "ann", "--scrypt-n", "1024"], "first: secret \nnot this\n");
    assert_eq!((added.status, added.out.as_str()), (0, "added the restricted user ann\n"), "{added:?}");
    let first = stored(&data, "ann");
    assert!(first.verify(b"first: secret ") && (first.n, first.r, first.p) == (1024, 8, 1));
    assert_eq!((first.hash.len(), first.salt.len()), (32, 16));

    let again = data.run_with(&["user-add", "ann"], "x\n");
    assert!(again.status == 1 && again.err.contains("already\nhint:"), "{again:?}");

    // Only the flags change whether a user is restricted.
    for (flags, out) in [
        (&["--scrypt-n=16"][..], "updated the restricted user ann\n"),
        (&["--unrestricted", "--keep-password"], "updated the unrestricted user ann\n"),
        (&["--scrypt-n=16"], "updated the unrestricted user ann\n"),
        (&["--scrypt-n=16", "--restricted"], "updated the restricted user ann\n"),
    ] {
        let updated = data.run_with(&[&["user-update", "ann"], flags].concat(), "second\r\n");
        assert_eq!((updated.status, updated.out.as_str()), (0, out), "{updated:?}");
    }
    assert!(stored(&data, "ann").verify(b"second") && stored(&data, "ann").salt != first.salt);

    data.ok(&["user-disable", "ann"]);
    assert!(stored(&data, "ann").is_disabled());
    assert_eq!(data.ok(&["user-list"]), "ann\nfarm\n");
    assert_eq!(data.ok(&["user-remove", "ann"]), "removed the user ann\n");
    assert_eq!(data.ok(&["user-list"]), "farm\n");
}

#[test]
fn unknown_users_are_errors() {
    let data = Data::new();
    data.add(GOOD);
    for arguments in [
        &["user-update", "bob"][..],
        &["user-remove", "bob"],
        &["user-disable", "bob"],
        &["access-add", "bob", "hello"],
        &["access-remove", "bob", "hello"],
        &["token-add", "bob", "laptop"],
        &["token-list", "bob"],
        &["token-remove", "bob", "laptop"],
    ] {
        let says = data.fails(arguments);
        let expected = "builder-db: unknown user \"bob\"\nhint: `builder-db user-list` names all\n";
        assert_eq!(says, expected, "{arguments:?}");
    }
}

#[test]
fn bad_passwords_names_and_parameters_are_refused() {
    let data = Data::new();
    let long = "x".repeat(1025);
    for (arguments, stdin, expected) in [
        (&["user-add", "ann"][..], "\n", "the password is empty"),
        (&["user-add", "ann"], "", "the password is empty"),
        (&["user-add", "ann"], &long, "at most 1024 are allowed"),
        (&["user-add", "a:b"], "x\n", "without colons"),
        (&["user-add", ""], "x\n", "1 to 255 bytes"),
        (&["user-add", "ann", "--scrypt-n", "1000"], "x\n", "n must be a power of two"),
        (&["user-add", "ann", "--scrypt-n", "1073741824"], "x\n", "n must be a power of two"),
        (&["user-add", "ann", "--scrypt-p", "0"], "x\n", "p from 1"),
    ] {
        let ended = data.run_with(arguments, stdin);
        assert!(ended.status == 1 && ended.err.contains(expected), "{arguments:?}: {ended:?}");
    }
    assert_eq!(data.ok(&["user-list"]), "farm\n");
}

#[test]
fn a_user_who_uploaded_stays() {
    let data = Data::new();
    data.add(GOOD);
    data.ok(&["access-add", "farm", "hello"]);
    let says = data.fails(&["user-remove", "farm"]);
    assert!(says.contains("uploaded 1 build,") && says.contains("hint: `builder-db user-disable farm`"), "{says}");
    assert_eq!(data.count("SELECT count(*) FROM access_list"), 1, "all or nothing");
}

#[test]
fn access_is_given_once_and_taken_back() {
    let data = Data::new();
    data.add(GOOD);
    assert_eq!(data.ok(&["access-add", "farm", "hello"]), "farm may upload for hello\n");
    assert!(data.fails(&["access-add", "farm", "hello"]).contains("may upload for \"hello\" already"));
    assert!(data.fails(&["access-add", "farm", "nothing"]).contains("job not found: \"nothing\""));
    let users = data.json(&["user-list"]);
    let expected = serde_json::json!({ "users": [{
        "name": "farm", "restricted": true, "disabled": false, "builds": 1, "tokens": 0, "jobs": ["hello"],
    }] });
    assert_eq!(users, expected);
    let table = data.ok(&["user-list", "--long"]);
    assert_eq!(table, "NAME  STATE       BUILDS  TOKENS  JOBS\nfarm  restricted  1       0       hello\n");
    for _ in 0..2 {
        assert_eq!(data.ok(&["access-remove", "farm", "hello"]), "farm may no longer upload for hello\n");
    }
    assert_eq!(data.count("SELECT count(*) FROM access_list"), 0);
    // What it says is what the user may.
    data.ok(&["user-update", "farm", "--keep-password", "--unrestricted"]);
    let ended = data.run(&["access-remove", "farm", "hello"]);
    assert_eq!((ended.status, ended.out.as_str()), (0, "farm may still upload for hello\n"));
    assert!(ended.err.contains("`builder-db user-update farm --restricted --keep-password`"), "{ended:?}");
    assert_eq!(data.json(&["access-remove", "farm", "hello"])["access"], true);
    data.ok(&["user-disable", "farm"]);
    let ended = data.run(&["access-add", "farm", "hello"]);
    assert!(ended.status == 0 && ended.err.contains("farm is disabled"), "{ended:?}");
}

#[test]
fn a_token_is_shown_once_and_kept_as_its_digest() {
    let data = Data::new();
    data.add(GOOD);
    let secret = data.ok(&["token-add", "farm", "laptop", "--expires-in", "90d"]);
    let secret = TokenSecret::parse(secret.trim_end()).unwrap();
    let sql = "SELECT sha256 FROM repository_token WHERE name = 'laptop'";
    let kept: Digest = data.connection().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, secret.digest());
    let days = data.count("SELECT (expires - created) / 86400000 FROM repository_token");
    assert_eq!(days, 90);
    assert!(data.fails(&["token-add", "farm", "laptop"]).contains("has a token \"laptop\" already\nhint:"));

    // A token that could do nothing is not made.
    let says = data.fails(&["token-add", "farm", "ci", "--job", "hello"]);
    assert!(says.contains("hint: `builder-db access-add farm hello` first"), "{says}");
    data.ok(&["access-add", "farm", "hello"]);
    data.ok(&["token-add", "farm", "ci", "--job", "hello"]);
    let tokens = data.json(&["token-list", "farm"]);
    assert_eq!(
        (&tokens["tokens"][0]["name"], &tokens["tokens"][0]["jobs"]),
        (&"ci".into(), &serde_json::json!(["hello"]))
    );
    assert_eq!(tokens["tokens"][0]["expires"], serde_json::Value::Null);
    assert_eq!(tokens["tokens"][1]["expired"], false);
    data.connection().execute("UPDATE repository_token SET expires = 1", []).unwrap();
    assert_eq!(data.ok(&["token-list"]).matches("(expired)").count(), 2);

    // Several jobs and platforms, which may come later; a slip of the pen is told of.
    data.ok(&["user-update", "farm", "--keep-password", "--unrestricted"]);
    let names = ["--job", "hello", "--job", "helo", "--platform", "debian-12", "--platform", "plan-9"];
    let ended = data.run(&[&["token-add", "farm", "both"][..], &names].concat());
    assert_eq!(ended.status, 0, "{ended:?}");
    let notes = "builder-db: there is no job \"helo\" yet\nbuilder-db: there is no platform \"plan-9\" yet\n";
    assert_eq!(ended.err, notes);
    let table = data.ok(&["token-list"]);
    assert!(table.contains("hello, helo  debian-12, plan-9"), "{table}");
    data.ok(&["job-remove", "hello"]);
    let table = data.ok(&["token-list"]);
    assert!(!table.contains("  ci  ") && table.contains("  helo  ") && table.contains("laptop"), "{table}");

    data.ok(&["token-remove", "farm", "laptop"]);
    assert!(data.fails(&["token-remove", "farm", "laptop"]).contains("has no token \"laptop\""));
    data.ok(&["user-disable", "farm"]);
    assert_eq!(data.count("SELECT count(*) FROM repository_token"), 0, "tokens go with the rights");
    assert!(data.fails(&["token-add", "farm", "laptop"]).contains("hint: `builder-db user-update farm`"));
    assert_eq!(data.count("SELECT count(*) FROM repository_token"), 0);
}

#[test]
fn usage_errors_are_2_and_help_tells_of_exit_statuses() {
    for arguments in [&[][..], &["nonsense"], &["vacuum", "except-latest", "0"], &["pin", "no-uuid", "tag"]] {
        assert_eq!(run(program().args(arguments)).status, 2, "{arguments:?}");
    }
    let help = run(program().arg("--help"));
    assert!(help.status == 0 && help.out.contains("Exit status: 0") && help.out.contains("Examples:"), "{help:?}");
    let completions = run(program().args(["completions", "bash"]));
    assert!(completions.out.contains("except-latest-successful"), "{completions:?}");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(program().arg("man").arg(folder.path())).status, 0);
    assert!(folder.path().join("builder-db-vacuum.1").exists());
}
