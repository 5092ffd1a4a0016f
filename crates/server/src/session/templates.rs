//! What a client asks about templates with parameters. They are read off the asynchronous threads, a few lists at a
//! time, and every reply is bounded.

use super::ask::{fitting, reply};
use super::client::fail;
use crate::Shared;
use crate::connection::{Connection, ConnectionError};
use crate::templates::{self, Content, Listed};
use builder_model::{ParameterJob, Platform, TemplateName};
use builder_wire::Message;
use builder_wire::message::{AskTemplates, ParameterRow, Reply, TemplateContent, TemplateRow};
use std::path::Path;
use tokio::sync::Semaphore;

/// How many clients have templates read at once; who asks as one more waits.
const READERS_MAX: usize = 2;
static READERS: Semaphore = Semaphore::const_new(READERS_MAX);

/// Which templates are asked for, owned.
pub(super) struct AskedTemplates {
    name: Option<TemplateName>,
    platform: Option<Platform>,
    with_text: bool,
}

impl AskedTemplates {
    pub(super) fn of(ask: &AskTemplates<'_>) -> Result<Self, String> {
        Ok(Self {
            name: ask.name.map(TemplateName::parse).transpose().map_err(|error| error.to_string())?,
            platform: ask.platform.map(Platform::parse).transpose().map_err(|error| error.to_string())?,
            with_text: ask.with_text,
        })
    }
}

/// Asks the configuration folder, on a thread that may block.
async fn read<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&Path) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    // Nobody closes the semaphore.
    let turn = READERS.acquire().await.map_err(|closed| closed.to_string())?;
    let config = shared.settings.config_dir.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let answer = question(&config);
        drop(turn);
        answer
    });
    asked.await.unwrap_or_else(|error| Err(error.to_string()))
}

pub(super) async fn list(
    connection: &mut Connection,
    asked: AskedTemplates,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    let AskedTemplates { name, platform, with_text } = asked;
    match read(shared, move |config| templates::list(config, name.as_ref(), platform.as_ref())).await {
        Ok(listed) => {
            let rows = fitting(listed.iter().map(|listed| row(listed, with_text)), TemplateRow::size);
            reply(connection, &Message::Reply(Reply::Templates(rows))).await
        }
        Err(reason) => fail(connection, &reason).await,
    }
}

fn row(listed: &Listed, with_text: bool) -> TemplateRow<'_> {
    let content = match &listed.content {
        Content::Missing => TemplateContent::Unreadable(b"it is gone".as_slice().into()),
        Content::Unreadable(why) => TemplateContent::Unreadable(why.as_bytes().into()),
        Content::Template(template) => TemplateContent::Readable {
            description: template.description().as_bytes(),
            parameters: template.parameters().iter().map(parameter).collect(),
            text: with_text.then(|| template.text()),
        },
    };
    TemplateRow { name: listed.name.as_bytes(), platform: listed.platform.as_bytes(), content }
}

fn parameter(parameter: &builder_template::Parameter) -> ParameterRow<'_> {
    ParameterRow {
        name: parameter.name().as_str().as_bytes(),
        description: parameter.description().as_bytes(),
        allowed: parameter.allowed().into_bytes().into(),
        default: parameter.default().map(|default| default.as_str().as_bytes()),
    }
}

pub(super) async fn render(
    connection: &mut Connection,
    job: ParameterJob,
    platform: Platform,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    match read(shared, move |config| templates::render(config, &job, &platform)).await {
        Ok(script) => reply(connection, &Message::Reply(Reply::Script((&script.script[..]).into()))).await,
        Err(reason) => fail(connection, &reason).await,
    }
}

/// Whether a new job can run where it is to run; if not, why.
pub(super) async fn check(job: &ParameterJob, shared: &Shared) -> Result<(), String> {
    let job = job.clone();
    read(shared, move |config| templates::check(config, &job)).await
}
