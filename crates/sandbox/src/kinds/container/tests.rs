//! What is asked of an engine, and what of a host, as one picture each.

use super::*;
use crate::limits::{Limits, Processors};
use crate::policy::Kind;
use std::path::PathBuf;
use std::process::Command;

fn policy() -> Policy {
    Policy {
        kind: Kind::Container,
        image: Some("debian:12".to_owned()),
        has_network: false,
        pass: Some(Vec::new()),
        read_only: vec![PathBuf::from("/srv/a, \"b\"")],
        tmp_bytes: 1 << 20,
        limits: Limits {
            memory_bytes: Some(2 << 30),
            processors: Some(Processors { hundredths: 150 }),
            processes: Some(512),
            disk_bytes: Some(1 << 30),
            time: None,
            open_files: Some(1024),
        },
        ..Policy::default()
    }
}

fn facts(engine: Engine, is_rootless: bool) -> ContainerFacts {
    let limits = EngineLimits { memory: true, swap: true, processors: true, processes: true };
    ContainerFacts {
        engine,
        program: PathBuf::from("/usr/bin").join(engine.name()),
        environment: vec![("HOME".into(), "/root".into())],
        answer: Ok(EngineAnswer { version: "1.2".to_owned(), storage: "overlay2".to_owned(), is_rootless, limits }),
        own_limits: Vec::new(),
        image: Some(Ok(Image { identity: "sha256:0a1b".to_owned(), volumes: 0 })),
    }
}

fn host(policy: &Policy, facts: ContainerFacts, uid: u32) -> Host {
    let mut host = Host::gather(&Policy { kind: Kind::None, ..policy.clone() }, None, uid);
    host.container = Some(facts);
    host
}

fn command(policy: &Policy, host: &Host) -> Vec<String> {
    let place =
        Place { folder: "/var/tmp/builder-0a1b2c".into(), name: "builder-1-2-3-0a1b2c".into(), layer: None, slot: 0 };
    let Some(Plan::Enclosed(enclosure)) = plan(policy, host, &place) else { return Vec::new() };
    let text = |argument| match argument {
        Argument::Text(text) => text.into_string().unwrap(),
        Argument::Descriptor(_) | Argument::OwnProgram => String::new(),
    };
    enclosure.command.into_iter().map(text).collect()
}

/// The words after an option, each time that it is there.
fn values<'a>(command: &'a [String], option: &str) -> Vec<&'a str> {
    command.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].as_str()).collect()
}

#[test]
fn an_engine_is_asked_for_all_that_the_policy_says() {
    let policy = policy();
    let command = command(&policy, &host(&policy, facts(Engine::Docker, false), 0));
    let until_image = command.iter().position(|word| word == "sha256:0a1b").unwrap();
    let options = command[..until_image].join(" ").replace(" --env", "");
    assert_eq!(
        options,
        "/usr/bin/env -i HOME=/root /usr/bin/docker run --interactive --pull never --name builder-1-2-3-0a1b2c \
         --label builder.worker --log-driver none --security-opt no-new-privileges --cap-drop ALL --user 1000:1000 \
         --hostname builder --network none --read-only --tmpfs /tmp:rw,exec,nosuid,nodev,size=1048576,mode=1777 \
         --tmpfs /var/tmp:rw,exec,nosuid,nodev,size=1048576,mode=1777 --shm-size 1048576 --ulimit core=0:0 \
         --memory 2147483648 --memory-swap 2147483648 --cpus 1.50 --pids-limit 516 --ulimit nofile=1024:1024 \
         --ulimit fsize=1073741824:1073741824 --mount type=bind,\"src=/var/tmp/builder-0a1b2c\",\"dst=/build\" \
         --mount type=bind,\"src=/srv/a, \"\"b\"\"\",\"dst=/srv/a, \"\"b\"\"\",readonly --workdir /build HOME=/build \
         LANG=C.UTF-8 LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SHELL=/bin/sh TMPDIR=/tmp \
         TZ=UTC USER=build LOGNAME=build --entrypoint /bin/sh"
    );
    assert_eq!(command[until_image + 1..], ["-c", INIT, "builder", "/build/script.sh", "/build/.builder-counts"]);
}

#[test]
fn the_record_says_in_which_image_a_job_ran() {
    let policy = policy();
    let host = host(&policy, facts(Engine::Docker, false), 0);
    assert_eq!(crate::root_digest(&host, "sha256:own".parse().ok().as_ref()), Some("sha256:0a1b"));
    assert_eq!(
        crate::description(&policy, &host, None).as_deref(),
        Some("sandbox container, image debian:12 (sha256:0a1b), network off")
    );
}

#[test]
fn who_a_job_is_depends_on_who_asks_whom() {
    let (build, root) = (policy(), Policy { user: User::Root, ..policy() });
    for (policy, engine, is_rootless, uid, user, mapping) in [
        (&build, Engine::Podman, true, 1001, vec!["1000:1000"], vec!["keep-id:uid=1000,gid=1000"]),
        (&build, Engine::Podman, false, 0, vec!["1000:1000"], vec![]),
        (&build, Engine::Docker, false, 1001, vec!["1001:1001"], vec![]),
        (&root, Engine::Docker, false, 0, vec!["0:0"], vec![]),
        (&root, Engine::Podman, true, 1001, vec!["0:0"], vec![]),
        (&build, Engine::Docker, true, 1001, vec![], vec![]),
        (&root, Engine::Docker, false, 1001, vec![], vec![]),
    ] {
        let host = host(policy, facts(engine, is_rootless), uid);
        let command = command(policy, &host);
        assert_eq!((values(&command, "--user"), values(&command, "--userns")), (user, mapping), "{engine} {uid}");
        // Where there is no way, it is said.
        let has_way = !command.is_empty();
        assert_eq!(needs(policy, &host).iter().all(Finding::is_fulfilled), has_way, "{engine} {uid}");
    }
}

#[test]
fn what_an_engine_lacks_is_said() {
    let lacking = |change: &dyn Fn(&mut ContainerFacts)| {
        let (policy, mut facts) = (policy(), facts(Engine::Docker, false));
        change(&mut facts);
        let findings = needs(&policy, &host(&policy, facts, 0));
        findings
            .into_iter()
            .filter(|finding| !finding.is_fulfilled())
            .map(|finding| finding.subject)
            .collect::<Vec<_>>()
    };
    assert_eq!(lacking(&|_| {}), Vec::<String>::new());
    assert_eq!(lacking(&|facts| facts.answer = Err("cannot connect".to_owned())), ["engine"]);
    assert_eq!(lacking(&|facts| facts.image = Some(Err("no such image".to_owned()))), ["image"]);
    let limits = EngineLimits { memory: true, swap: false, processors: false, processes: false };
    let weak = |facts: &mut ContainerFacts| {
        facts.answer = Ok(EngineAnswer { version: "1".to_owned(), storage: String::new(), is_rootless: false, limits });
    };
    assert_eq!(lacking(&weak), ["memory limit", "processor limit", "process limit"]);
    let none = Policy { engine: Some(Engine::Podman), ..policy() };
    let mut host = host(&none, facts(Engine::Podman, false), 0);
    host.container = None;
    let findings = needs(&none, &host);
    assert_eq!(findings[0].detail, "podman is not in PATH");
}

#[test]
fn room_on_the_disk_that_nobody_counts_is_refused() {
    let writable = Policy { is_root_writable: true, ..policy() };
    let detail = |policy: &Policy, facts: ContainerFacts, uid| {
        let findings = needs(policy, &host(policy, facts, uid));
        findings.into_iter().find(|finding| finding.subject == "disk limit").map(|finding| finding.detail)
    };
    let docker = || facts(Engine::Docker, false);
    assert_eq!(detail(&policy(), docker(), 1001), None);
    assert_eq!(detail(&writable, docker(), 0), None);
    for (facts, uid) in [(docker(), 1001), (facts(Engine::Podman, true), 1001), (facts(Engine::Docker, true), 0)] {
        let said = detail(&writable, facts, uid).unwrap();
        assert!(said.contains("by a worker that is root"), "{said}");
    }
    let mut other = docker();
    other.answer = other.answer.map(|answer| EngineAnswer { storage: "btrfs".to_owned(), ..answer });
    assert!(detail(&writable, other, 0).unwrap().ends_with("it lies in btrfs"));
    let mut volumes = docker();
    volumes.image = volumes.image.map(|image| image.map(|image| Image { volumes: 1, ..image }));
    assert!(detail(&policy(), volumes.clone(), 0).unwrap().contains("volumes"));
    let unlimited = Policy { limits: Limits::default(), ..writable };
    assert_eq!(detail(&unlimited, volumes, 1001), None);
}

#[test]
fn the_first_process_is_clean_for_shellcheck() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds/container/init.sh");
    let output = Command::new("shellcheck").args(["--shell", "sh"]).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
