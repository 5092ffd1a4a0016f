//! The scripts that are shipped for FreeBSD: clean for shellcheck, and run by three shells with stubs of rc.subr and of
//! FreeBSD's programs, which write down how they were called. Nothing here runs FreeBSD.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DASH: &[&str] = &["dash"];
const BASH: &[&str] = &["bash", "--posix"];
const MKSH: &[&str] = &["mksh"];

/// What run_rc_command(8) does with scripts that have commands of their own.
const RC_SUBR: &str = r#"
load_rc_config() { . "$RC_CONF"; }
wait_for_pids() { echo "wait_for_pids $*" >> "$LOG"; }
run_rc_command() {
    case $1 in start | stop | status | restart) ;; *) echo "usage: $1" >&2; return 1 ;; esac
    eval "is_enabled=\$$rcvar"
    case $is_enabled in [Yy][Ee][Ss]) ;; *) [ "$1" = status ] || { echo "Set $rcvar to YES" >&2; return 1; } ;; esac
    for folder in ${required_dirs-}; do
        [ "$1" != start ] || [ -d "$folder" ] || { echo "$folder is not a directory" >&2; return 1; }
    done
    if [ "$1" = restart ]; then
        ( run_rc_command stop )
        run_rc_command start
        return
    fi
    eval "\${${1}_cmd}"
}
"#;

/// A folder that stands for a host.
struct Host {
    folder: tempfile::TempDir,
    shell: &'static [&'static str],
}

impl Host {
    fn new(shell: &'static [&'static str]) -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap(), shell };
        for folder in ["etc", "var/run", "var/db/builder", "bin", "usr/local/etc/builder", "answers"] {
            fs::create_dir_all(host.path(folder)).unwrap();
        }
        fs::write(host.path("etc/rc.subr"), RC_SUBR).unwrap();
        for name in ["jail", "jls", "logger", "mount", "pkill", "ps", "pwait", "su", "umount", "zfs"] {
            host.stub(&format!("bin/{name}"), name);
        }
        // As the real one does it: the number of the process that restarts, without a line's end.
        host.stub("usr/sbin/daemon", "daemon");
        host.answer("daemon", "while [ \"$1\" != -P ]; do shift; done\nprintf 4711 > \"$2\"");
        host.answer("ps", "case $4 in 4711) echo daemon ;; esac");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stub(&self, place: &str, name: &str) {
        let text = format!(
            "#!/bin/sh\n{{ printf '%s' '{name}'; printf ' %s' \"$@\"; echo; }} >> \"$LOG\"\n\
             answer={}/{name}\n[ ! -f \"$answer\" ] || . \"$answer\"\n",
            self.path("answers").display()
        );
        self.program(place, &text);
    }

    fn program(&self, place: &str, text: &str) {
        let path = self.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a stub does when it is called, as lines of a shell.
    fn answer(&self, program: &str, lines: &str) {
        fs::write(self.path("answers").join(program), format!("{lines}\n")).unwrap();
    }

    /// Runs a script of the packages, with the places of FreeBSD inside of this folder, and these lines as its settings.
    fn run(&self, script: &str, settings: &str, arguments: &[&str]) -> Output {
        self.command(script, settings, arguments).output().unwrap()
    }

    fn command(&self, script: &str, settings: &str, arguments: &[&str]) -> Command {
        let mut text = fs::read_to_string(packaging(script)).unwrap();
        for place in ["/etc/rc.subr", "/usr/sbin/daemon", "/var/run", "/var/db", "/usr/local/etc"] {
            text = text.replace(place, &self.path(&place[1..]).display().to_string());
        }
        let script = self.path("script");
        fs::write(&script, text).unwrap();
        let conf = self.path("rc.conf");
        fs::write(&conf, settings).unwrap();
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(&script).args(arguments).env("RC_CONF", &conf).env("SETTINGS", &conf);
        command.env("LOG", self.path("log")).env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command
    }

    /// What was called since it was asked last.
    fn calls(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        fs::write(self.path("log"), "").unwrap();
        log.replace(&self.folder.path().display().to_string(), "")
    }
}

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/freebsd").join(name)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn the_server_is_started_once_and_stopped(shell: &'static [&'static str]) {
    let host = Host::new(shell);
    let off = host.run("rc.d/builder", "", &["start"]);
    assert!(!off.status.success() && said(&off).contains("Set builder_enable to YES"), "{shell:?}: {}", said(&off));

    let settings = "builder_enable=YES builder_flags='--ip 127.0.2.1 --upload http://a:b@c/'";
    let status = host.run("rc.d/builder", settings, &["status"]);
    assert!(!status.status.success() && said(&status) == "builder is not running.\n", "{}", said(&status));
    let started = host.run("rc.d/builder", settings, &["start"]);
    assert!(started.status.success(), "{shell:?}: {}", said(&started));
    assert_eq!(
        host.calls(),
        "daemon -r -R 2 -P /var/run/builder.pid -S -T builder -t builder -u builder /usr/local/bin/builder-server --dir \
         /var/db/builder --config-dir /usr/local/etc/builder --ip 127.0.2.1 --upload http://a:b@c/\n"
    );
    let again = host.run("rc.d/builder", settings, &["start"]);
    assert!(!again.status.success() && !host.calls().contains("daemon"), "{}", said(&again));
    assert_eq!(said(&host.run("rc.d/builder", settings, &["status"])), "builder is running as pid 4711.\n");

    // A process that is really there ends, and is waited for.
    host.answer("ps", "kill -0 \"$4\" && echo daemon");
    host.answer("daemon", "while [ \"$1\" != -P ]; do shift; done\nsleep 600 >/dev/null 2>&1 & printf %s $! > \"$2\"");
    fs::remove_file(host.path("var/run/builder.pid")).unwrap();
    assert!(host.run("rc.d/builder", settings, &["start"]).status.success());
    let number = fs::read_to_string(host.path("var/run/builder.pid")).unwrap();
    host.calls();
    let stopped = host.run("rc.d/builder", settings, &["stop"]);
    assert!(stopped.status.success() && said(&stopped) == "Stopping builder.\n", "{}", said(&stopped));
    assert!(host.calls().ends_with(&format!("wait_for_pids {number}\n")));

    // The number is somebody else's by now.
    host.answer("ps", "echo sshd");
    let gone = host.run("rc.d/builder", settings, &["stop"]);
    assert!(gone.status.success() && said(&gone).contains("not running"), "{}", said(&gone));

    let lost = host.run("rc.d/builder", &format!("{settings} builder_dir=/nowhere"), &["start"]);
    assert!(!lost.status.success() && said(&lost).contains("/nowhere is not a directory"), "{}", said(&lost));
}

fn the_repository_has_folders_of_its_own(shell: &'static [&'static str]) {
    let host = Host::new(shell);
    let settings = "builder_web_enable=YES";
    let lost = host.run("rc.d/builder_web", settings, &["start"]);
    assert!(!lost.status.success() && said(&lost).contains("builder-web is not a directory"), "{}", said(&lost));
    for folder in ["var/db/builder-web", "usr/local/etc/builder-web"] {
        fs::create_dir_all(host.path(folder)).unwrap();
    }
    // daemon(8) would start again for ever what cannot go well.
    let empty = host.run("rc.d/builder_web", settings, &["start"]);
    assert!(
        !empty.status.success() && said(&empty).contains("su -m builder -c 'builder-db migrate"),
        "{}",
        said(&empty)
    );
    assert_eq!(host.calls(), "");
    fs::write(host.path("var/db/builder-web/builder.sqlite3"), "").unwrap();
    let started = host.run("rc.d/builder_web", settings, &["start"]);
    assert!(started.status.success(), "{shell:?}: {}", said(&started));
    assert_eq!(
        host.calls(),
        "daemon -r -R 2 -P /var/run/builder_web.pid -S -T builder_web -t builder_web -u builder \
         /usr/local/bin/builder-web --datadir /var/db/builder-web --configdir /usr/local/etc/builder-web\n"
    );
}

fn each_worker_has_settings_of_its_own(shell: &'static [&'static str]) {
    let host = Host::new(shell);
    let settings = "builder_worker_enable=YES\nbuilder_worker_instances='freebsd-14 b.2 orba'\n\
                    builder_worker_flags='--sandbox jail'\nbuilder_worker_remote=10.0.0.1:1234\n\
                    builder_worker_b_2_platform=freebsd-13\nbuilder_worker_b_2_flags=\n\
                    builder_worker_b_2_user=nobody\nbuilder_worker_orba_jail=builder_a\n";
    let started = host.run("rc.d/builder_worker", settings, &["start"]);
    assert!(started.status.success(), "{shell:?}: {}", said(&started));
    let daemon = |name: &str| {
        format!("daemon -r -R 1 -P /var/run/builder_worker.{name}.pid -S -T builder_worker -t builder_worker {name}")
    };
    let (first, second, third) = (daemon("freebsd-14"), daemon("b.2"), daemon("orba"));
    assert_eq!(
        host.calls(),
        format!(
            "{first} -u builder-worker /usr/local/bin/builder-worker freebsd-14 --remote 10.0.0.1:1234 --sandbox jail\n\
             {second} -u nobody /usr/local/bin/builder-worker freebsd-13 --remote 10.0.0.1:1234\n\
             {third} -u root /usr/local/libexec/builder-worker-jail builder_a\n"
        )
    );
    // One of them alone.
    fs::remove_file(host.path("var/run/builder_worker.b.2.pid")).unwrap();
    assert!(host.run("rc.d/builder_worker", settings, &["start", "b.2"]).status.success());
    assert_eq!(host.calls().lines().filter(|line| line.starts_with("daemon")).count(), 1);
    let all = host.run("rc.d/builder_worker", settings, &["status"]);
    assert!(all.status.success() && said(&all).lines().count() == 3, "{}", said(&all));

    let nobody = host.run("rc.d/builder_worker", "builder_worker_enable=YES", &["start"]);
    assert!(!nobody.status.success() && said(&nobody).contains("names nobody"), "{}", said(&nobody));
    let bad = host.run("rc.d/builder_worker", settings, &["start", "$(reboot)"]);
    assert!(!bad.status.success() && said(&bad).contains("is no name of an instance"), "{}", said(&bad));
    let bad = host.run("rc.d/builder_worker", settings, &["start", "../x"]);
    assert!(!bad.status.success() && !host.calls().contains("daemon"), "{}", said(&bad));
}

fn a_worker_gets_a_jail_for_one_job(shell: &'static [&'static str]) {
    let host = Host::new(shell);
    fs::write(host.path("usr/local/etc/builder/jail.conf"), "").unwrap();
    fs::write(host.path("etc/resolv.conf"), "nameserver 127.0.2.1\n").unwrap();
    host.program("worker", "#!/bin/sh\n");
    let jails = host.path("jails").display().to_string();
    let settings =
        format!("SNAPSHOT=zroot/poudriere/jails/14@clean FOLDER={jails} PROGRAM={}", host.path("worker").display());
    // A clone that is there comes with its files, and goes with them.
    host.answer(
        "zfs",
        &format!(
            "case $1 in\nlist) [ -d {jails}/a ] ;;\nget) echo 8436572847108723394 ;;\n\
             clone) mkdir -p {jails}/a/etc ;;\ndestroy) rm -r {jails}/a ;;\nesac"
        ),
    );
    host.answer("jls", "exit 1");
    host.answer(
        "jail",
        &format!(
            "[ $2 != -R ] || exit 0\ncd {jails}/a/usr/local && ls ../../etc > {jails}/seen\ncat bin/* >> {jails}/seen\n\
             cmp {} libexec/builder-worker && [ -x bin/builder-worker ] && exit 3",
            host.path("worker").display()
        ),
    );
    let ran = host.run("builder-worker-jail", &settings, &["a"]);
    assert_eq!(ran.status.code(), Some(3), "{shell:?}: {}", said(&ran));
    assert_eq!(
        host.calls(),
        "jls -j a jid\nmount -p\nzfs list -H -o name zroot/jails/a\n\
         zfs clone -o mountpoint=/jails/a -o atime=off zroot/poudriere/jails/14@clean zroot/jails/a\n\
         zfs get -H -p -o value guid zroot/poudriere/jails/14@clean\n\
         jail -q -f /usr/local/etc/builder/jail.conf -c a\n\
         jls -j a jid\nmount -p\nzfs list -H -o name zroot/jails/a\nzfs destroy -f zroot/jails/a\n"
    );
    let seen = fs::read_to_string(host.path("jails/seen")).unwrap();
    assert_eq!(
        seen,
        "resolv.conf\n#!/bin/sh\n\
         exec /usr/local/libexec/builder-worker --rootfs-digest zfs-guid:8436572847108723394 \"$@\"\n"
    );

    // What a worker left that was killed goes first; when that cannot be, there is no job.
    fs::create_dir_all(host.path("jails/a/etc")).unwrap();
    host.answer("jls", "echo 7");
    host.answer("mount", &format!("echo 'devfs {jails}/a/dev devfs rw 0 0'; echo 'x {jails}/ab/dev devfs rw 0 0'"));
    host.run("builder-worker-jail", &settings, &["a"]);
    let calls = host.calls();
    let first = "jls -j a jid\njail -q -R a\nmount -p\numount -f /jails/a/dev\nzfs list -H -o name zroot/jails/a\n\
                 zfs destroy -f zroot/jails/a\nzfs clone";
    assert!(calls.starts_with(first) && !calls.contains("umount -f /jails/ab"), "{calls}");
    host.answer("umount", "exit 1");
    let stuck = host.run("builder-worker-jail", &settings, &["a"]);
    assert!(!stuck.status.success() && said(&stuck).contains("cannot take away"), "{}", said(&stuck));
    assert!(!host.calls().contains("zfs clone"));

    for (settings, name, why) in
        [("", "a", "no SNAPSHOT"), (&settings, "../a", "no name of a jail"), (&settings, "", "no name")]
    {
        let refused = host.run("builder-worker-jail", settings, &[name]);
        assert!(!refused.status.success() && said(&refused).contains(why), "{name:?}: {}", said(&refused));
    }
}

/// What happens when the service is stopped while a worker runs in its jail: what is called, until it has ended.
fn a_worker_in_a_jail_is_asked_to_end(shell: &'static [&'static str]) {
    let host = Host::new(shell);
    fs::write(host.path("usr/local/etc/builder/jail.conf"), "").unwrap();
    host.program("worker", "#!/bin/sh\n");
    for pipe in ["begun", "asked"] {
        assert!(Command::new("mkfifo").arg(host.path(pipe)).status().unwrap().success());
    }
    let (begun, asked) = (host.path("begun").display().to_string(), host.path("asked").display().to_string());
    let jails = host.path("jails").display().to_string();
    let settings =
        format!("SNAPSHOT=zroot/poudriere/jails/14@clean FOLDER={jails} PROGRAM={}", host.path("worker").display());
    host.answer("zfs", &format!("case $1 in\nlist) exit 1 ;;\nget) echo 8 ;;\nclone) mkdir -p {jails}/a/etc ;;\nesac"));
    host.answer("jls", "echo 7");
    // What jail(8) has started ends when it is asked, and jail(8) with it.
    host.answer("jail", &format!("[ $2 != -R ] || exit 0\necho > {begun}\nread -r _ < {asked}"));
    host.answer("pkill", &format!("echo > {asked}"));
    host.answer("pwait", "tail --sleep-interval=0.05 --pid=\"$3\" -f /dev/null");
    let stopped = |settings: &str| {
        let mut script = host.command("builder-worker-jail", settings, &["a"]).spawn().unwrap();
        fs::read(&begun).unwrap();
        host.calls();
        assert!(Command::new("kill").arg(script.id().to_string()).status().unwrap().success());
        assert_eq!(script.wait().unwrap().code(), Some(143), "{shell:?}");
        let calls = host.calls();
        let number =
            calls.split_once("pwait -t ").and_then(|(_, rest)| rest.split([' ', '\n']).nth(1)).unwrap_or_default();
        calls.replace(&format!(" {number}\n"), " JAIL\n")
    };
    let asks = "jls -j a jid\npkill -TERM -o -x -j 7 builder-worker\n";
    let takes_away = "jls -j a jid\njail -q -R a\nmount -p\nzfs list -H -o name zroot/jails/a\n";
    assert_eq!(stopped(&settings), format!("{asks}pwait -t 30 JAIL\n{takes_away}"), "{shell:?}");

    // One that does not listen ends with its jail when its time is over; one that is not there need not be waited for.
    host.answer("pkill", "");
    host.answer("pwait", "exit 124");
    assert_eq!(stopped(&format!("{settings} PATIENCE=1")), format!("{asks}pwait -t 1 JAIL\n{takes_away}"), "{shell:?}");
    host.answer("pkill", "exit 1");
    assert_eq!(stopped(&settings), format!("{asks}{takes_away}"), "{shell:?}");
}

fn builds_are_removed_where_that_is_wanted(shell: &'static [&'static str]) {
    let host = Host::new(shell);
    let off = host.run("480.builder-web", "", &[]);
    assert!(off.status.success() && host.calls().is_empty() && said(&off).is_empty(), "{}", said(&off));
}

/// All stories under one shell.
fn all(shell: &'static [&'static str]) {
    the_server_is_started_once_and_stopped(shell);
    the_repository_has_folders_of_its_own(shell);
    each_worker_has_settings_of_its_own(shell);
    a_worker_gets_a_jail_for_one_job(shell);
    a_worker_in_a_jail_is_asked_to_end(shell);
    builds_are_removed_where_that_is_wanted(shell);
}

#[test]
fn services_of_freebsd_under_dash() {
    all(DASH);
}

#[test]
fn services_of_freebsd_under_bash_as_posix() {
    all(BASH);
}

#[test]
fn services_of_freebsd_under_mksh() {
    all(MKSH);
}

#[test]
fn scripts_for_freebsd_are_clean_for_shellcheck() {
    let names = ["rc.d/builder", "rc.d/builder_web", "rc.d/builder_worker", "builder-worker-jail", "480.builder-web"];
    let tools = ["no-cc.sh", "zig-cc.sh"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("freebsd").join(name));
    let mut command = Command::new("shellcheck");
    command.args(["-s", "sh"]).args(names.map(packaging)).args(tools.iter().filter(|tool| tool.exists()));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}
