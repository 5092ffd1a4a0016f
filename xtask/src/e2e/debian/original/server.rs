//! The original's server: its state and its records are taken over, and given back.

use super::{Machine, Package, expect, seen, step, write};
use crate::command::root;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// A state of the original's, in hexadecimal digits, that no day changes: a dropped platform; a daily job that is due in
/// the year 9999; its place in a queue that no worker asks for.
const STATE: &str = "3049a5030c0171a32a3028181339393939313233313233353935392e3939395aa1020500a00d300b0c016a0c017330000c0170\
                     a41630140c0170300fa00d300b0c016a0c017330000c0170";
/// The build whose record is in the original's data folder: the first one that our tests have from its encoder.
const RECORDS: &str = "crates/testkit/vectors/wire.jsonl";

pub(super) const PACKAGE: Package = Package {
    name: "builder",
    version: "0.3.0",
    unit: "[Unit]\nDescription=stands for the original\n[Service]\nUser=builder\n\
           ExecStart=/usr/bin/builder-server\n[Install]\nWantedBy=multi-user.target\n",
    data: "/var/lib/builder",
    programs: &[
        ("usr/bin/builder-server", SLEEPS),
        ("usr/bin/builder-client", SLEEPS),
        ("usr/bin/builder-worker", SLEEPS),
    ],
    conffiles: &[],
};
const SLEEPS: &str = "#!/bin/sh\nexec sleep infinity\n";

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits = |at| u8::from_str_radix(text.get(at..at + 2).unwrap_or_default(), 16);
    (0..text.len()).step_by(2).map(|at| digits(at).with_context(|| format!("bad digits at {at}"))).collect()
}

/// The record with its place below the data folder.
pub(super) struct Record {
    pub(super) path: String,
    bytes: Vec<u8>,
}

impl Record {
    fn first() -> Result<Self> {
        let text = std::fs::read_to_string(root().join(RECORDS)).with_context(|| format!("read {RECORDS}"))?;
        for line in text.lines() {
            let vector: serde_json::Value = serde_json::from_str(line).context("read a vector")?;
            if vector["type"] == "exec" && vector.get("accept").is_none() {
                let (value, hex) = (&vector["value"], vector["hex"].as_str().context("a vector has no octets")?);
                let name = unhex(value["job"]["name"].as_str().context("a vector has no job")?)?;
                let uuid = value["uuid"].as_str().context("a vector has no UUID")?;
                let path = format!("{}/{uuid}/full", String::from_utf8_lossy(&name));
                return Ok(Self { path, bytes: unhex(hex)? });
            }
        }
        anyhow::bail!("no record is in {RECORDS}")
    }
}

/// What the original leaves where it runs, and a package that stands for its own.
pub(super) fn lay_out(system: &Path) -> Result<Record> {
    let record = Record::first()?;
    PACKAGE.lay_out(system)?;
    write(system, "var/lib/builder/state", &unhex(STATE)?)?;
    write(system, &format!("var/lib/builder/{}", record.path), &record.bytes)?;
    write(system, "etc/builder/orb-build.template.debian-12", b"echo %%OPAM_PACKAGE%% on %%PLATFORM%%\n")?;
    Ok(record)
}

pub(super) fn is_taken_over(machine: &Machine) -> Result<()> {
    let units = "for unit in builder.service builder-server.service builder-web.service; do \
                 echo $unit: $(systemctl is-active $unit || true); done";
    let units =
        machine.wait("the server is active", &format!("systemctl -q is-active builder-server && {{ {units}; }}"))?;
    seen(&units);
    expect(&units, "builder.service: inactive")?;
    let info = machine.wait("the server answers", "builder-client info")?;
    seen(&info);
    seen(&machine.run("find /var/lib/builder /etc/builder -printf '%u:%g %m %p\\n'")?);
    let strangers = machine.run("find /var/lib/builder ! -user builder")?;
    ensure!(strangers.is_empty(), "these belong to somebody else: {strangers}");
    let template = machine.run("cat /etc/builder/orb-build.template.debian-12")?;
    expect(&template, "%%OPAM_PACKAGE%%")
}

pub(super) fn compare(machine: &Machine, record: &Record) -> Result<()> {
    step("the way back: export-state gives the state that the original wrote, and the record is as it was");
    machine.run("runuser -u builder -- builder-server export-state /var/lib/builder/state.new")?;
    let read = |name: &str| {
        std::fs::read(machine.root.join("var/lib/builder").join(name)).with_context(|| format!("read {name}"))
    };
    let (kept, exported) = (read("state")?, read("state.new")?);
    ensure!(kept == unhex(STATE)?, "the original's own file was changed");
    ensure!(exported == kept, "the state that was exported differs");
    seen(&format!("state: {} octets, untouched; export-state: {} octets, equal", kept.len(), exported.len()));
    ensure!(read(&record.path)? == record.bytes, "the record was changed");
    let said = machine.run(&format!("builder-inspect /var/lib/builder/{} --job", record.path))?;
    seen(&said);
    seen(&machine.run("md5sum /var/lib/builder/state /var/lib/builder/state.new")?);
    Ok(())
}
