//! What jails are made of, as commands; and the script between them, run by three shells with programs of FreeBSD that
//! only write down how they were called.

use super::*;
use crate::policy::Table;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

const SNAPSHOT: &str = "sandbox = 'jail'\nroot = 'zroot/poudriere/jails/14-amd64@clean'\n";

fn policy(text: &str) -> Policy {
    Table::parse(text).unwrap().for_platform("freebsd-14").resolve().unwrap()
}

/// A host of FreeBSD on which all is well.
fn host() -> Host {
    let mut host = Host::gather(&Policy::default(), Some(Path::new("/usr/local/bin/builder-worker")), 0);
    host.programs = BTreeMap::from([("jail", PathBuf::from("/usr/sbin/jail"))]);
    host.present = [PathBuf::from("/usr/ports")].into();
    host.environment = vec![("SECRET".into(), "x".into()), ("PKG".into(), "y".into())];
    host.jail =
        JailFacts { counts_resources: true, has_device_rules: true, has_clones_dataset: true, has_folder: true };
    host
}

fn enclosure(text: &str) -> Enclosure {
    let place = Place { folder: "/var/tmp/builder-0a1b2c".into(), name: "builder-0a1b2c".into(), layer: None, slot: 0 };
    match super::super::plan(&policy(text), &host(), &place).unwrap() {
        Plan::Enclosed(enclosure) => *enclosure,
        Plan::Bare(_) => panic!("no jail"),
    }
}

/// The commands, one a line, with the script left out.
fn shown(steps: &[Step]) -> Vec<String> {
    let word = |word: &OsString| if word == SCRIPT { "SCRIPT".to_owned() } else { word.display().to_string() };
    steps.iter().map(|step| step.command.iter().map(word).collect::<Vec<_>>().join(" ")).collect()
}

fn command(enclosure: &Enclosure) -> Vec<String> {
    let text = |argument: &Argument| match argument {
        Argument::Text(text) => text.display().to_string(),
        Argument::Descriptor(_) | Argument::OwnProgram => panic!("jails have no descriptors"),
    };
    enclosure.command.iter().map(text).collect()
}

#[test]
fn a_clone_is_made_furnished_and_taken_away() {
    let text = format!(
        "{SNAPSHOT}read-only = ['/usr/ports']\ntmp = '1G'\n\
         limits = {{ memory = '2G', disk = '20G', processors = 2 }}\n"
    );
    let enclosure = enclosure(&text);
    let root = "/var/db/builder-worker/jails/builder-0a1b2c/root";
    let dataset = "zroot/builder/jobs/builder-0a1b2c";
    let expected = [
        format!("/bin/sh -c SCRIPT jail.sh begin /var/db/builder-worker/jails builder-0a1b2c {dataset} -"),
        format!(
            "/sbin/zfs clone -o mountpoint={root} -o atime=off -o setuid=off -o quota=21474836480 \
             zroot/poudriere/jails/14-amd64@clean {dataset}"
        ),
        format!("/bin/mkdir -p {root}/build {root}/dev {root}/mnt {root}/tmp {root}/var/tmp {root}/usr/ports"),
        format!("/bin/sh -c SCRIPT jail.sh furnish {root} builder off"),
        format!("/sbin/mount -t devfs -o ruleset=4 devfs {root}/dev"),
        format!("/sbin/mount -t tmpfs -o size=1073741824,mode=1777,nosuid tmpfs {root}/tmp"),
        format!("/sbin/mount -t tmpfs -o size=1073741824,mode=1777,nosuid tmpfs {root}/var/tmp"),
        format!("/sbin/mount -t nullfs -o ro,nosuid /usr/ports {root}/usr/ports"),
        format!("/sbin/mount -t nullfs -o rw,nosuid /var/tmp/builder-0a1b2c {root}/build"),
        format!("/sbin/mount -t tmpfs -o size=268435456,mode=755,nosuid tmpfs {root}/mnt"),
        format!("/bin/cp /usr/local/bin/builder-worker {root}/mnt/builder-worker"),
        format!("/sbin/mount -u -o ro,nosuid {root}/mnt"),
        format!("/sbin/zfs set readonly=on {dataset}"),
        "/usr/bin/rctl -a jail:builder-0a1b2c:memoryuse:log=2147483648".to_owned(),
        "/usr/bin/rctl -a jail:builder-0a1b2c:memoryuse:sigkill=2147483648".to_owned(),
        "/usr/bin/rctl -a jail:builder-0a1b2c:pcpu:deny=200".to_owned(),
    ];
    assert_eq!(shown(&enclosure.prepare), expected);
    let end = format!("/bin/sh -c SCRIPT jail.sh end /var/db/builder-worker/jails builder-0a1b2c {dataset}");
    assert_eq!(shown(&enclosure.cleanup), [end]);
    assert!(matches!(enclosure.inside, Inside::Supervisor { file_bytes: Some(21_474_836_480), .. }));
}

#[test]
fn a_jail_allows_nothing_and_ends_with_its_last_process() {
    let enclosure = enclosure(SNAPSHOT);
    let words = command(&enclosure);
    assert_eq!(
        words.join(" "),
        "/usr/bin/env TERM=dumb /usr/sbin/jail -q -c name=builder-0a1b2c path=/var/db/builder-worker/jails/builder-0a1b2c/root \
         host.hostname=builder ip4=disable ip6=disable children.max=0 enforce_statfs=2 devfs_ruleset=4 sysvmsg=new \
         sysvsem=new sysvshm=new allow.nochflags allow.nomlock allow.nomount allow.noquotas allow.noraw_sockets \
         allow.noread_msgbuf allow.noreserved_ports allow.noset_hostname allow.nosocket_af exec.clean \
         exec.jail_user=build command=/mnt/builder-worker"
    );
    let Inside::Supervisor { folder, environment, writable: None, file_bytes: None } = &enclosure.inside else {
        panic!("no supervisor inside")
    };
    assert_eq!(folder, "/build");
    assert!(!environment.inherits && environment.set.iter().all(|(name, _)| name != "SECRET"));
    assert_eq!(enclosure.owner, Some(HostUser { uid: 1000, gid: 1000 }));
    assert!(enclosure.host_user.is_none() && enclosure.stage.is_none());
}

#[test]
fn the_network_is_the_hosts_one_address_of_it_or_none() {
    for (text, expected) in [
        ("network = true", "ip4=inherit ip6=inherit"),
        ("network = true\naddress = 'lo1|127.0.2.2'", "ip4.addr=lo1|127.0.2.2 ip6=disable"),
        ("network = true\naddress = '2001:db8::2'", "ip4=disable ip6.addr=2001:db8::2"),
        ("network = false", "ip4=disable ip6=disable"),
    ] {
        let enclosure = enclosure(&format!("{SNAPSHOT}{text}\nuser = 'root'"));
        let added = if text.contains("lo1") { " lo1/127.0.2.2" } else { " -" };
        assert!(shown(&enclosure.prepare)[0].ends_with(added), "{text}");
        let words = command(&enclosure).join(" ");
        assert!(words.contains(expected) && words.contains("exec.jail_user=root"), "{text}: {words}");
    }
}

#[test]
fn a_folder_is_seen_read_only_and_has_to_have_what_a_clone_is_given() {
    let text = "sandbox = 'jail'\nroot = '/jails/14'\nread-only = ['/usr/ports']";
    let (policy, mut host) = (policy(text), host());
    host.root = Some(Ok(crate::Root::of_snapshot(Path::new("/jails/14"), None)));
    let mends = |host: &Host| -> Vec<String> {
        let findings = crate::check(&policy, host);
        findings.into_iter().filter(|finding| !finding.is_fulfilled()).filter_map(|finding| finding.mend).collect()
    };
    assert_eq!(
        mends(&host),
        [
            "mkdir -p /jails/14/build",
            "mkdir -p /jails/14/dev",
            "mkdir -p /jails/14/mnt",
            "mkdir -p /jails/14/tmp",
            "mkdir -p /jails/14/var/tmp",
            "mkdir -p /jails/14/usr/ports",
            "pw -R /jails/14 useradd -n build -u 1000 -d /build",
        ]
    );
    host.present = super::super::paths_shown(&policy).into_iter().collect();
    host.accounts.passwd = Some("root:*:0:0::/root:/bin/sh\nbuild:*:1000:1000:build:/build:/bin/sh\n".into());
    assert_eq!(mends(&host), Vec::<String>::new());
    let place = Place { folder: "/w/builder-1".into(), name: "builder-1".into(), layer: None, slot: 0 };
    let Plan::Enclosed(enclosure) = plan(&policy, &host, &place) else { panic!("no jail") };
    let steps = shown(&enclosure.prepare);
    assert_eq!(steps[1], "/sbin/mount -t nullfs -o ro,nosuid /jails/14 /var/db/builder-worker/jails/builder-1/root");
    assert!(steps.iter().all(|step| !step.contains("zfs") && !step.contains("furnish")), "{steps:#?}");
}

#[test]
fn what_a_host_lacks_is_said_with_the_command_that_mends_it() {
    let policy = policy(&format!("{SNAPSHOT}limits.memory = '1G'"));
    let mut host = host();
    host.is_root = false;
    host.jail = JailFacts::default();
    let missing = needs(&policy, &host);
    let mends: Vec<_> = missing.iter().filter_map(|finding| finding.mend.as_deref()).collect();
    assert_eq!(
        mends,
        [
            "sysrc builder_worker_user=root",
            "sysrc devfs_load_rulesets=YES && service devfs restart",
            "see to its rights",
            "zfs create -p -o mountpoint=none zroot/builder/jobs",
            "echo kern.racct.enable=1 >> /boot/loader.conf && reboot",
        ]
    );
    host.programs.clear();
    assert_eq!(needs(&policy, &host).len(), 1);
}

#[test]
fn snapshots_have_names_that_no_command_takes_for_something_else() {
    assert_eq!(Snapshot::parse("zroot/a/b@clean").unwrap().clones_dataset(), "zroot/builder/jobs");
    for bad in ["zroot@clean", "zroot/a", "zroot/@clean", "zroot/a@", "zroot/-o@x", "zroot/a b@c", "-o/a@b", "z/a@b@c"]
    {
        assert_eq!(Snapshot::parse(bad), None, "{bad}");
    }
}

/// A folder with the programs of FreeBSD that the script calls; each writes down its words, and answers as a file says.
struct Stubs(tempfile::TempDir);

impl Stubs {
    fn new() -> Self {
        let stubs = Self(tempfile::tempdir().unwrap());
        for name in ["ifconfig", "jail", "jls", "logger", "mount", "ps", "pw", "rctl", "umount", "zfs"] {
            let answers = stubs.path("answers");
            fs::create_dir_all(&answers).unwrap();
            let text = format!(
                "#!/bin/sh\nprintf '%s' '{name}' >> {log}\nprintf ' %s' \"$@\" >> {log}\necho >> {log}\n\
                 [ -f {answers}/{name} ] || exit 0\n. {answers}/{name}\n",
                log = stubs.path("log").display(),
                answers = answers.display(),
            );
            let program = stubs.path(&format!("bin/{name}"));
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::write(&program, text).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        stubs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What a program does when it is called, as lines of a shell.
    fn answer(&self, program: &str, lines: &str) {
        fs::write(self.path("answers").join(program), lines).unwrap();
    }

    fn run(&self, shell: &[&str], arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let script = [&shell[1..], &["-c", SCRIPT, "jail.sh"], arguments].concat();
        Command::new(shell[0]).args(script).env("PATH", path).output().unwrap()
    }

    /// What was called since it was asked last.
    fn calls(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        fs::write(self.path("log"), "").unwrap();
        log.replace(&self.0.path().display().to_string(), "")
    }
}

/// One job with a clone, from begin to end; then what a killed worker left.
fn life_of_a_jail(shell: &[&str]) {
    let stubs = Stubs::new();
    let jails = stubs.path("jails").display().to_string();
    let job = ["builder-1", "zroot/builder/jobs/builder-1"];
    let ran = |arguments: &[&str]| {
        let output = stubs.run(shell, arguments);
        assert!(output.status.success(), "{shell:?} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        stubs.calls()
    };

    assert_eq!(ran(&["begin", &jails, job[0], job[1], "-"]), "");
    let owner = fs::read_to_string(stubs.path("jails/builder-1/owner")).unwrap();
    assert_eq!(owner, format!("{} {} -\n", std::process::id(), job[1]));

    let root = stubs.path("jails/builder-1/root");
    fs::create_dir(root.join("etc")).unwrap();
    stubs.answer("pw", "case $3 in usershow|groupshow) exit 67;; esac");
    assert_eq!(
        ran(&["furnish", root.to_str().unwrap(), "builder", "off"]),
        "pw -R /jails/builder-1/root groupshow build\n\
         pw -R /jails/builder-1/root groupadd -n build -g 1000\n\
         pw -R /jails/builder-1/root usershow build\n\
         pw -R /jails/builder-1/root useradd -n build -u 1000 -g build -c build -d /build -s /bin/sh\n"
    );
    assert_eq!(
        fs::read_to_string(root.join("etc/hosts")).unwrap(),
        "::1 localhost builder\n127.0.0.1 localhost builder\n"
    );
    // The clone goes with its dataset; here its folder is a plain one.
    fs::remove_dir_all(root.join("etc")).unwrap();

    // Mounts go deepest first, and those of others stay.
    let mounted = stubs.path("mounted");
    let lines = ["", "/dev", "/tmp"].map(|place| format!("x {jails}/builder-1/root{place} y rw 0 0\n")).concat();
    fs::write(&mounted, format!("{lines}x {jails}/builder-12/root y rw 0 0\n")).unwrap();
    let mounted = mounted.display();
    stubs.answer("mount", &format!("cat {mounted}"));
    stubs.answer("umount", &format!("grep -v \"^x $2 \" {mounted} > {mounted}.new; mv {mounted}.new {mounted}"));
    assert_eq!(
        ran(&["end", &jails, job[0], job[1]]),
        "jls -j builder-1 jid\njail -q -R builder-1\nrctl -r jail:builder-1\nmount -p\n\
         umount -f /jails/builder-1/root/tmp\numount -f /jails/builder-1/root/dev\n\
         umount -f /jails/builder-1/root\nmount -p\nzfs list -H -o name zroot/builder/jobs/builder-1\n\
         zfs destroy -f zroot/builder/jobs/builder-1\n"
    );
    assert!(!stubs.path("jails/builder-1").exists());
    // Once more does no harm.
    stubs.answer("jls", "exit 1");
    stubs.answer("zfs", "exit 1");
    assert!(!ran(&["end", &jails, job[0], job[1]]).contains("destroy"));

    // The one of a dead worker goes, also one that says nonsense; the one of a worker that lives stays.
    for (name, owner) in [("builder-2", "77 -"), ("builder-3", "88 z/x"), ("builder-4", "$(reboot) -")] {
        fs::create_dir_all(stubs.path("jails").join(name).join("root")).unwrap();
        fs::write(stubs.path("jails").join(name).join("owner"), format!("{owner}\n")).unwrap();
    }
    stubs.answer("ps", "case $4 in 88) echo builder-worker;; 77) echo sh;; esac");
    ran(&["begin", &jails, "builder-5", "-", "-"]);
    let mut left: Vec<_> = fs::read_dir(stubs.path("jails")).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["builder-3", "builder-5"]);
}

/// What is still mounted, or cannot be destroyed, is never removed by walking down, and is told of.
fn a_jail_that_will_not_go(shell: &[&str]) {
    let stubs = Stubs::new();
    let jails = stubs.path("jails").display().to_string();
    let precious = stubs.path("jails/builder-1/root/build/precious");
    fs::create_dir_all(precious.parent().unwrap()).unwrap();
    fs::write(&precious, "x").unwrap();
    fs::write(stubs.path("jails/builder-1/owner"), "1 -\n").unwrap();
    stubs.answer("mount", &format!("echo 'x {jails}/builder-1/root/build y rw 0 0'"));
    stubs.answer("umount", "exit 1");
    let output = stubs.run(shell, &["end", &jails, "builder-1", "-"]);
    assert!(!output.status.success(), "{shell:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot unmount"), "{said}");
    // Without the mount, the file is one of the folder itself.
    stubs.answer("mount", "");
    assert!(!stubs.run(shell, &["end", &jails, "builder-1", "-"]).status.success());
    assert_eq!(fs::read_to_string(precious).unwrap(), "x");
    // For the jobs that come after, that is no obstacle.
    assert!(stubs.run(shell, &["begin", &jails, "builder-2", "-", "-"]).status.success());
    assert!(stubs.calls().contains("logger -t builder_worker cannot take away all of the jail builder-1"));
}

/// An address that jail(8) added goes with the last jail that has it, or with the sweep after a killed worker; one that was
/// there before stays.
fn an_address_of_jails(shell: &[&str]) {
    let stubs = Stubs::new();
    let jails = stubs.path("jails").display().to_string();
    let added = stubs.path("added").display().to_string();
    // As jail(8) and ifconfig(8) have it: what is added is shown.
    stubs.answer(
        "ifconfig",
        &format!(
            "case $# in\n1) echo 'lo1: flags=8049<UP> mtu 16384'; echo '\tinet 127.0.2.1 netmask 0xff000000'\n\
             echo '\tinet6 fe80::2%lo1 prefixlen 64'\n[ ! -f {added} ] || echo '\tinet 127.0.2.2 netmask 0xffffffff' ;;\n\
             4) rm {added} ;;\nesac"
        ),
    );
    stubs.answer("jls", "exit 1");
    let ran = |arguments: &[&str]| {
        let output = stubs.run(shell, arguments);
        assert!(output.status.success(), "{shell:?} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let calls = stubs.calls();
        calls
            .lines()
            .filter(|line| line.starts_with("ifconfig") && line.contains("alias"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let begin = |name: &str, address: &str| {
        ran(&["begin", &jails, name, "-", address]);
        fs::read_to_string(stubs.path("jails").join(name).join("owner")).unwrap().split(' ').nth(2).unwrap().to_owned()
    };
    assert_eq!(begin("builder-1", "lo1/127.0.2.2"), "lo1/127.0.2.2\n", "{shell:?}");
    fs::write(&added, "").unwrap();
    stubs.answer("ps", "echo builder-worker");
    assert_eq!(begin("builder-2", "lo1/127.0.2.2"), "lo1/127.0.2.2\n");
    assert_eq!(ran(&["end", &jails, "builder-1", "-"]), "");
    let gone = "ifconfig lo1 inet 127.0.2.2 -alias";
    assert_eq!(ran(&["end", &jails, "builder-2", "-"]), gone);
    // It is not there any more, and not taken away again.
    assert_eq!(ran(&["end", &jails, "builder-2", "-"]), "");

    for own in ["lo1/127.0.2.1", "lo1/fe80::2"] {
        assert_eq!(begin("builder-3", own), "-\n", "{own}");
        assert_eq!(ran(&["end", &jails, "builder-3", "-"]), "");
    }

    assert_eq!(begin("builder-4", "lo1/127.0.2.2"), "lo1/127.0.2.2\n");
    fs::write(&added, "").unwrap();
    stubs.answer("ps", "exit 1");
    assert_eq!(ran(&["begin", &jails, "builder-5", "-", "lo1/127.0.2.2"]), gone);
    fs::write(&added, "").unwrap();
    // One that comes while this one is taken away finds it again.
    let comes = format!("mkdir -p {jails}/builder-6; echo '1 - lo1/127.0.2.2' > {jails}/builder-6/owner");
    stubs.answer(
        "ifconfig",
        &format!("case $# in\n1) echo '\tinet 127.0.2.2 netmask 0xffffffff' ;;\n4) {comes} ;;\nesac"),
    );
    let again = "ifconfig lo1 inet 127.0.2.2/32 alias";
    assert_eq!(ran(&["end", &jails, "builder-5", "-"]), format!("{gone}\n{again}"));
}

#[test]
fn jails_live_and_end_under_dash() {
    life_of_a_jail(&["dash"]);
    a_jail_that_will_not_go(&["dash"]);
    an_address_of_jails(&["dash"]);
}

#[test]
fn jails_live_and_end_under_bash_as_posix() {
    life_of_a_jail(&["bash", "--posix"]);
    a_jail_that_will_not_go(&["bash", "--posix"]);
    an_address_of_jails(&["bash", "--posix"]);
}

#[test]
fn jails_live_and_end_under_mksh() {
    life_of_a_jail(&["mksh"]);
    a_jail_that_will_not_go(&["mksh"]);
    an_address_of_jails(&["mksh"]);
}

#[test]
fn the_script_is_clean_for_shellcheck() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("jail.sh");
    fs::write(&script, SCRIPT).unwrap();
    let output = Command::new("shellcheck").args(["-s", "sh"]).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
