//! A repository with a bit of everything, made up and always the same: jobs that are reproducible and some that are not,
//! good and failed builds, consoles in colours, names that are long, and a stranger who tries markup and scripts.

use crate::site::{Site, Told, time};
use builder_model::{BuildId, Outcome, Timestamp};
use builder_web::Digest;
use std::fmt::Write as _;

/// Opam exports that differ in packages, versions and opam files.
const LEFT: &[u8] = include_bytes!("../../../../facts/tests/data/unikernel-left.opam-switch");
const RIGHT: &[u8] = include_bytes!("../../../../facts/tests/data/unikernel-right.opam-switch");
const HELLO_ONE: &[u8] = include_bytes!("../../../../facts/tests/data/hello-one.opam-switch");
const HELLO_TWO: &[u8] = include_bytes!("../../../../facts/tests/data/hello-two.opam-switch");
const README: &[u8] = include_bytes!("readme.md");
const WEEK_MILLISECONDS: i64 = 7 * 86_400_000;
/// Lines of the longest console: more than one page of it shows.
const LINES: usize = 2500;

/// What stands where.
#[derive(Debug)]
pub(crate) struct Town {
    pub(crate) site: Site,
    /// The newest build of `dns-primary`, and the last one before its packages changed.
    pub(crate) newest: Told,
    pub(crate) before: Told,
    /// A build that failed, with a long console.
    pub(crate) failed: Told,
    /// A build by a stranger.
    pub(crate) strange: Told,
    /// A build in which everything is as long as it may be.
    pub(crate) long: Told,
}

impl Town {
    /// All of it.
    pub(crate) async fn build() -> Self {
        let town = Self::for_pictures().await;
        for told in
            (0..4).map(|number| package("tlstunnel-with-a-name-that-is-longer-than-a-telephone-is-wide", number))
        {
            town.site.upload(&told).await;
        }
        for told in
            [&town.strange, &town.long, &aborted(&town.long.job, &town.long.platform), &aborted("hello", "debian-12")]
        {
            town.site.upload(told).await;
        }
        town.run_hooks();
        town
    }

    /// Lets hooks have run for the newest build, one of which printed a line without an end.
    fn run_hooks(&self) {
        let text =
            "INSERT INTO repository_hook_run(build, kind, event, target, state, tries, next_try, finished, status, log)
                    SELECT id, 'hook', 'upload', ?2, ?3, 1, 0, 1767225600000, ?4, ?5 FROM build WHERE uuid = ?1";
        let build = self.newest.build.to_string();
        let connection = self.site.connection();
        for (target, state, status, log) in
            [("publish.sh", "done", 0, "done".to_owned()), ("tell.sh", "failed", 3, "word".repeat(200))]
        {
            connection.execute(text, rusqlite::params![build, target, state, status, log]).unwrap();
        }
    }

    /// What a picture may show: no stranger, and names as people choose them.
    pub(crate) async fn for_pictures() -> Self {
        let site = Site::with(|settings| {
            settings.expired_days = 0;
            settings.site.name = "Builds of Exampleville".into();
        });
        let dns: Vec<Told> = (0..12).map(dns_primary).collect();
        let mut others: Vec<Told> = (0..10).map(hello).collect();
        others.extend((0..6).map(|number| package("albatross", number)));
        others.extend((0..5).map(|number| package("solo5-hvt", number)));
        others.extend((0..7).map(|number| package("tlstunnel", number)));
        let failed = failing();
        for told in dns.iter().chain(&others).chain([&failed]) {
            site.upload(told).await;
        }
        let [.., before, _, _, newest] = &dns[..] else { panic!("there are twelve") };
        Self { newest: newest.clone(), before: before.clone(), failed, strange: stranger(), long: long(), site }
    }
}

/// A number of a build, as a UUID that looks like one.
fn build_id(job: &str, number: i64) -> BuildId {
    let digest = Digest::of(format!("{job} {number}").as_bytes()).to_string();
    let (digits, _) = digest.split_at(32);
    BuildId::from_random(u128::from_str_radix(digits, 16).unwrap().to_be_bytes())
}

fn week(number: i64) -> Timestamp {
    time("2026-08-03T04:05:06Z").plus_milliseconds(number * WEEK_MILLISECONDS)
}

fn told(job: &str, platform: &str, number: i64, seconds: i64) -> Told {
    let started = week(number);
    let mut told = Told::new(1).job(job).platform(platform);
    told.build = build_id(job, number);
    told.started = started;
    told.finished = started.plus_milliseconds(seconds * 1000 + 250);
    told.script = format!("#!/bin/sh\nset -e\nopam switch import opam-switch\nopam install {job}\n");
    told.console = console(job, 40);
    told
}

/// A binary that looks like one from outside: its size and content depend on the seed.
fn binary(seed: &str, kibibytes: usize) -> Vec<u8> {
    let block = Digest::of(seed.as_bytes()).to_string();
    block.bytes().cycle().take(kibibytes * 1024).collect()
}

/// A unikernel on two platforms. Its packages change before the tenth week; the seventh is not reproducible.
fn dns_primary(number: i64) -> Told {
    let platform = if number % 4 == 2 { "freebsd-14" } else { "debian-12" };
    let is_new = number > 8;
    let seed = if number == 7 {
        "odd"
    } else if is_new {
        "new"
    } else {
        "old"
    };
    let environment = format!("HOME=/var/lib/builder\nOPAMJOBS=2\nPATH=/usr/bin:/bin\nSWITCH_PATH=/opt/{seed}\n");
    let packages =
        format!("gcc=12.2.0-14\nlibgmp-dev=2:6.2.1+dfsg1-1.1\nopam={}\n", if is_new { "2.2.0" } else { "2.1.2" });
    let main = binary(seed, if is_new { 311 } else { 304 });
    told("dns-primary", platform, number, 95 + number % 3).files(&[
        ("README.md", README),
        ("bin/dns-primary.hvt", &main),
        ("build-environment", environment.as_bytes()),
        ("lib/dns-primary/META", b"version = \"1\"\n"),
        ("lib/dns-primary/dns_primary.cmxa", &binary("library", 12)),
        ("opam-switch", if is_new { RIGHT } else { LEFT }),
        ("system-packages", packages.as_bytes()),
    ])
}

fn hello(number: i64) -> Told {
    let switch = if number < 4 { HELLO_ONE } else { HELLO_TWO };
    let main = binary(if number < 4 { "hello one" } else { "hello two" }, 77);
    told("hello", "debian-12", number, 31 + number * 2).files(&[("bin/hello", &main), ("opam-switch", switch)])
}

fn package(job: &str, number: i64) -> Told {
    let content = binary(&format!("{job} {}", number / 3), 205);
    let file = format!("{job}-2.4.{}_amd64.deb", number / 3);
    let platform = if job == "albatross" { "ubuntu-24.04" } else { "debian-12" };
    told(job, platform, number, 200 - number * 9).files(&[(&file, &content)])
}

/// The newest build on this platform, and a long story.
fn failing() -> Told {
    let mut failing = told("hello", "debian-12", 10, 612).outcome(Outcome::Exited(2)).files(&[]);
    failing.console = console("hello", LINES);
    let error = b"\x1b[1;31mError:\x1b[0m Library \x1b[1m\"lwt.unix\"\x1b[0m not found.".to_vec();
    failing.console.push((600_000_000_000, error));
    failing
}

/// Markup, scripts, escapes, directions and names that try to be something else.
fn stranger() -> Told {
    let markup = "<script>globalThis.stranger = 1</script><img src=x onerror=\"globalThis.stranger = 2\">";
    let readme = format!(
        "# {markup}\n\n{markup}\n\n[click](javascript:globalThis.stranger=3) ![p](https://example.org/x.png)\n"
    );
    let mut stranger = told("\"><b>&amp; stranger", "<i>platform", 10, 3).files(&[
        ("README.md", readme.as_bytes()),
        ("bin/<script>globalThis.stranger = 4</script>", b"x"),
        ("bin/%2e%2e%2f?#&", b"y"),
        ("a b/\u{202e}txt.exe", b"z"),
        (&format!("{}end", "long/".repeat(40)), b"w"),
    ]);
    let lines = [
        markup,
        "</div></main></body>",
        "\x1b]8;;javascript:globalThis.stranger=5\x07link\x1b]8;;\x07",
        "\x1b[2J\x1b[31mred",
    ];
    stranger.console = (0_i64..).zip(lines).map(|(at, line)| (at * 1_000_000_000, line.as_bytes().to_vec())).collect();
    stranger
}

/// Names that go on and on without a space in them.
fn long() -> Told {
    let name = |letter: &str| letter.repeat(255);
    let switch = format!(
        "roots: [\"long.1\"]\ninstalled: [\"long.1\" \"{}.1\" \"short.{}\"]\n",
        "package".repeat(30),
        "9".repeat(200)
    );
    let environment = format!("LONG={}\n{}=short\n", name("v"), name("K"));
    told(&name("j"), &name("p"), 10, 3).files(&[
        ("bin/long", b"long"),
        ("build-environment", environment.as_bytes()),
        ("opam-switch", switch.as_bytes()),
        ("system-packages", format!("{}=1\nshort={}\n", name("s"), name("2")).as_bytes()),
        (&format!("{}/{}", name("d"), name("f")), b"file"),
    ])
}

/// A build whose end has a reason: a sentence, and then a word without end.
fn aborted(job: &str, platform: &str) -> Told {
    let reason = format!("memory limit 2 GiB reached by {}", "program".repeat(500));
    told(job, platform, 11, 3).outcome(Outcome::aborted(reason)).files(&[])
}

/// What opam and dune print, in so many lines.
fn console(job: &str, lines: usize) -> Vec<(i64, Vec<u8>)> {
    let names = [
        "ocaml-config",
        "dune",
        "cstruct",
        "lwt",
        "mirage-crypto",
        "domain-name",
        "ipaddr",
        "logs",
        "metrics",
        "tcpip",
    ];
    let line = |at: usize| {
        let name = names[at % names.len()];
        let mut line = String::new();
        let written = match at % 20 {
            0 => write!(line, "\x1b[1;34m<><>\x1b[0m \x1b[1mProcessing actions for {job}\x1b[0m \x1b[1;34m<><>\x1b[0m"),
            1..=8 => write!(line, "\x1b[32m⬇\x1b[0m  retrieved \x1b[1m{name}.1.{}.{}\x1b[0m  (cached)", at % 7, at % 3),
            9 => write!(line, "\x1b[33m[WARNING]\x1b[0m {name} is deprecated, use {name}-ng"),
            10 => write!(line, "File \"lib/{name}.ml\", line {at}, characters 8-24:"),
            11 => write!(line, "{at} |   let open \x1b[1;35mLwt.Infix\x1b[0m in"),
            _ => write!(line, "\x1b[36m∗\x1b[0m installed \x1b[1m{name}.1.{}.{}\x1b[0m", at % 7, at % 3),
        };
        written.unwrap();
        line.into_bytes()
    };
    (0..lines).map(|at| (i64::try_from(at).unwrap() * 210_000_000, line(at))).collect()
}
