//! A Chromium without a window that is told what to do through its DevTools pipe: JSON messages with an octet of zero
//! after each, on its descriptors 3 and 4.

use crate::farm::Program;
use anyhow::{Context, Result, bail};
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where packages put it.
const PLACES: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/local/bin/chrome"];
/// Gives the time of the first paint with content, in milliseconds after the navigation began.
const FIRST_PAINT: &str = "new Promise(done => {
    const look = () => {
        const paint = performance.getEntriesByName('first-contentful-paint')[0];
        paint ? done(paint.startTime) : setTimeout(look, 2);
    };
    look();
})";

/// A browser with one page open.
#[derive(Debug)]
pub(crate) struct Browser {
    _program: Program,
    to: File,
    from: BufReader<File>,
    session: String,
    last: u64,
}

/// Where a browser is, if there is one.
pub(crate) fn find() -> Option<PathBuf> {
    PLACES.map(PathBuf::from).into_iter().find(|path| path.exists())
}

impl Browser {
    /// Starts it; blocks.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let pipe = |name: &str| -> Result<PathBuf> {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).context("make a pipe")?;
            Ok(path)
        };
        let (to, from) = (pipe("to")?, pipe("from")?);
        let profile = folder.path().join("profile");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"to=$1; from=$2; shift 2; exec "$@" 3<"$to" 4>"$from""#, "sh"]);
        command.arg(&to).arg(&from).arg(program).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        let program = Program::start(&mut command, folder)?;
        let to = OpenOptions::new().write(true).open(&to).context("open a pipe")?;
        let from = BufReader::new(File::open(&from).context("open a pipe")?);
        let mut browser = Self { _program: program, to, from, session: String::new(), last: 0 };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &attach)?;
        browser.session = attached["sessionId"].as_str().context("the browser names no session")?.to_owned();
        browser.call("Page.enable", &json!({}))?;
        Ok(browser)
    }

    /// Opens an address; gives the time of the first paint with content, in milliseconds. Blocks.
    pub(crate) fn first_paint(&mut self, address: &str) -> Result<f64> {
        let navigated = self.call("Page.navigate", &json!({ "url": address }))?;
        if let Some(error) = navigated["errorText"].as_str() {
            bail!("the browser cannot open {address}: {error}");
        }
        while self.receive()?["method"] != "Page.loadEventFired" {}
        let evaluate = json!({ "expression": FIRST_PAINT, "awaitPromise": true, "returnByValue": true });
        let evaluated = self.call("Runtime.evaluate", &evaluate)?;
        evaluated["result"]["value"].as_f64().with_context(|| format!("no time of a paint in {evaluated}"))
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let bytes = [message.to_string().as_bytes(), &[0]].concat();
        self.to.write_all(&bytes).context("tell the browser")?;
        loop {
            let mut answer = self.receive()?;
            if answer["id"] == self.last {
                if !answer["error"].is_null() {
                    bail!("the browser refuses {method}: {}", answer["error"]);
                }
                return Ok(answer["result"].take());
            }
        }
    }

    fn receive(&mut self) -> Result<Value> {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).context("hear the browser")?;
        if bytes.pop().is_none() {
            bail!("the browser has ended");
        }
        serde_json::from_slice(&bytes).context("the browser sent no JSON")
    }
}
