//! The task that runs what is due: a bounded number at once, those of one target one after the other, each on a thread
//! that may block.

use super::queue::{self, Taken, Tried};
use super::{Kind, script, subject, webhook};
use crate::app::App;
use crate::error::WebError;
use crate::limits::{HOOK_TRIES_MAX, HOOKS_AT_ONCE_MAX, HOOKS_LOOK_INTERVAL};
use crate::start::stopped;
use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

/// How often runs that ended long ago are looked for.
const FORGET_INTERVAL: Duration = Duration::from_secs(3600);
/// The pause after the database failed: it fails for a while.
const DATABASE_PAUSE: Duration = Duration::from_secs(10);

/// Runs hooks until the repository stops. A script that runs then is ended, and runs again after the next start.
pub(crate) async fn run(app: App, stopping: watch::Receiver<bool>) {
    let (stop, stop_writer) = match std::io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return tracing::error!("no hook runs: cannot make a pipe: {error}"),
    };
    let mut runner =
        Runner { app, stop: Arc::new(stop), running: JoinSet::new(), targets: HashMap::new(), forgot: None };
    runner.recover().await;
    let stopped = stopped(stopping);
    tokio::pin!(stopped);
    loop {
        let pause = runner.fill().await;
        tokio::select! {
            () = &mut stopped => break,
            () = runner.app.uploads().notified() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = runner.running.join_next_with_id() => runner.ended(&ended),
        }
    }
    runner.end(stop_writer).await;
}

struct Runner {
    app: App,
    /// Closed when scripts have to end.
    stop: Arc<PipeReader>,
    running: JoinSet<()>,
    /// The target that each task is busy with.
    targets: HashMap<Id, String>,
    /// When runs that ended long ago were last looked for.
    forgot: Option<Instant>,
}

impl Runner {
    async fn recover(&self) {
        match self.blocking(queue::recover).await {
            Some(0) | None => {}
            Some(count) => tracing::info!("{count} hooks ran when the server ended, and run again"),
        }
    }

    /// Starts what is due, as much as may run at once; gives how long to wait before the next look.
    async fn fill(&mut self) -> Duration {
        if self.forgot.is_none_or(|at| at.elapsed() >= FORGET_INTERVAL) {
            match self.blocking(queue::forget).await {
                // There are more, for the next look.
                Some(true) => {}
                Some(false) => self.forgot = Some(Instant::now()),
                None => return DATABASE_PAUSE,
            }
        }
        while self.running.len() < HOOKS_AT_ONCE_MAX {
            let busy: Vec<String> = self.targets.values().cloned().collect();
            let take = move |app: &App| {
                let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
                queue::take(app, &busy)
            };
            match self.blocking(take).await {
                Some(Some(run)) => self.start(run),
                Some(None) => break,
                None => return DATABASE_PAUSE,
            }
        }
        HOOKS_LOOK_INTERVAL
    }

    fn start(&mut self, run: Taken) {
        let (app, stop, target) = (self.app.clone(), self.stop.clone(), run.target.clone());
        let task = self.running.spawn_blocking(move || perform(&app, &run, &stop));
        self.targets.insert(task.id(), target);
    }

    fn ended(&mut self, ended: &Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!("a hook ended in a panic: {error}");
                error.id()
            }
        };
        self.targets.remove(&id);
    }

    async fn end(mut self, stop: PipeWriter) {
        drop(stop);
        while let Some(ended) = self.running.join_next_with_id().await {
            self.ended(&ended);
        }
    }

    /// Work on rows, on a thread that may block; none when it failed, which is said.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&App) -> Result<T, WebError> + Send + 'static,
    ) -> Option<T> {
        let app = self.app.clone();
        match tokio::task::spawn_blocking(move || work(&app)).await {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                tracing::error!("hooks are held up: {error}");
                None
            }
            Err(error) => {
                tracing::error!("looking after hooks ended in a panic: {error}");
                None
            }
        }
    }
}

/// Tries a run, and writes down how it went.
fn perform(app: &App, run: &Taken, stop: &PipeReader) {
    let tried = attempt(app, run, stop);
    let pause = match queue::end(app, run, &tried) {
        Ok(pause) => pause,
        // It stands there as running, and so is taken again.
        Err(error) => return tracing::error!("the end of hook run {} is not written down: {error}", run.id),
    };
    let (id, target) = (run.id, &run.target);
    match (&tried, pause) {
        (Tried::Done { .. }, _) => tracing::info!("hook run {id} of {target} went well"),
        (Tried::Interrupted, _) => tracing::info!("hook run {id} of {target} was ended, and runs again"),
        (Tried::Failed { log, .. }, Some(pause)) => {
            tracing::warn!("hook run {id} of {target} failed: {}; trying again in {} s", last(log), pause.as_secs());
        }
        (Tried::Failed { log, .. }, None) => {
            tracing::error!("hook run {id} of {target} failed {} times: {}", run.tries, last(log));
        }
    }
}

fn attempt(app: &App, run: &Taken, stop: &PipeReader) -> Tried {
    let failed = |log: String| Tried::Failed { status: None, log };
    // Only one whose ends were never written down comes here again.
    if run.tries > HOOK_TRIES_MAX {
        return failed("it was tried too often, and how that ended is not known\n".into());
    }
    let Some((kind, event)) = run.what else { return failed("this version knows no such hook\n".into()) };
    match (app.read(|connection| subject::read(connection, run.build)), kind) {
        (Err(error), _) => failed(format!("{error}\n")),
        (Ok(None), _) => failed("the build is gone\n".into()),
        (Ok(Some(subject)), Kind::Hook) => script::run(app, &run.target, &subject, stop),
        (Ok(Some(subject)), Kind::Webhook) => webhook::send(app, run.id, event, &run.target, &subject),
    }
}

/// The last line that says something.
fn last(log: &str) -> builder_model::Shown<'_> {
    let mut lines = log.lines().rev();
    builder_model::Shown(lines.find(|line| !line.trim().is_empty()).unwrap_or_default().as_bytes())
}
