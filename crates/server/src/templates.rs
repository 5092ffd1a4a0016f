//! The templates of the configuration folder, as the rest of the server asks for them: understood, listed, held against
//! values, filled in. Everything here blocks.

use builder_model::limits::SCRIPT_BYTES_MAX;
use builder_model::{ParameterJob, Platform, ScriptJob, TemplateId, TemplateName, Timestamp};
use builder_sched::{Template, TemplateText};
use builder_store::state_file::Rendering;
use builder_store::templates::{self, Found, Reading, TEMPLATES_LISTED_MAX};
use std::path::Path;
use std::sync::Arc;

/// What was found where a template is looked for, as the scheduler wants it.
pub(crate) fn understood(found: &Found, id: &TemplateId, platform: &Platform, config: &Path) -> Template {
    let text = match found {
        Found::Missing => return Template::Missing,
        Found::Unreadable(why) => return Template::Unreadable(why.clone()),
        Found::Present(text) => text,
    };
    match id {
        TemplateId::Package => Template::Present(TemplateText::Package(text.clone())),
        TemplateId::Named(_) => match builder_template::Template::parse(text.clone()) {
            Ok(template) => Template::Present(TemplateText::Named(Arc::new(template))),
            Err(error) => Template::Unreadable(format!("{}: {error}", templates::path(config, id, platform).display())),
        },
    }
}

/// What lies where the template of a platform is looked for.
#[derive(Debug)]
pub(crate) enum Content {
    /// Nothing.
    Missing,
    /// Something else than a template, and why it is none.
    Unreadable(String),
    /// A template.
    Template(Arc<builder_template::Template>),
}

/// A template of a platform, for people to look at.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: TemplateName,
    pub(crate) platform: Platform,
    pub(crate) content: Content,
}

/// Reads the template of a platform.
pub(crate) fn read(config: &Path, name: &TemplateName, platform: &Platform) -> Content {
    let id = TemplateId::Named(name.clone());
    // Nobody asks whether this reading is fresh, so the time of it does not matter.
    let reading = Reading::of(config, &id, platform, Timestamp::MIN);
    match understood(&reading.found, &id, platform, config) {
        Template::Missing | Template::Present(TemplateText::Package(_)) => Content::Missing,
        Template::Unreadable(why) => Content::Unreadable(why),
        Template::Present(TemplateText::Named(template)) => Content::Template(template),
    }
}

/// The templates of a name and of a platform, as far as these are given.
pub(crate) fn list(
    config: &Path,
    name: Option<&TemplateName>,
    platform: Option<&Platform>,
) -> Result<Vec<Listed>, String> {
    let names = match name {
        Some(name) => vec![name.clone()],
        None => templates::names(config).map_err(|error| error.to_string())?,
    };
    let mut listed = Vec::new();
    for name in names {
        let platforms = templates::platforms(config, &name).map_err(|error| error.to_string())?;
        for on in platforms {
            if platform.is_some_and(|platform| *platform != on) {
                continue;
            }
            if listed.len() >= TEMPLATES_LISTED_MAX {
                return Ok(listed);
            }
            let content = read(config, &name, &on);
            if !matches!(content, Content::Missing) {
                listed.push(Listed { name: name.clone(), platform: on, content });
            }
        }
    }
    Ok(listed)
}

/// The script that a template makes now.
pub(crate) fn render(config: &Path, job: &ParameterJob, platform: &Platform) -> Result<ScriptJob, String> {
    let name = &job.template;
    match read(config, name, platform) {
        Content::Missing => Err(format!("platform {platform} has no template {name}")),
        Content::Unreadable(why) => Err(format!("the template {name} of platform {platform} cannot be read: {why}")),
        Content::Template(template) => {
            let does_not_take =
                |why| format!("the template {name} of platform {platform} does not take the values: {why}");
            let script = template.render(job, platform).map_err(does_not_take)?;
            let bytes = script.script.len();
            if bytes > SCRIPT_BYTES_MAX {
                return Err(format!("the script would have {bytes} bytes, at most {SCRIPT_BYTES_MAX} are allowed"));
            }
            Ok(script)
        }
    }
}

/// Whether a new job can run: on its platform, or on each that has its template; if not, why.
pub(crate) fn check(config: &Path, job: &ParameterJob) -> Result<(), String> {
    let platforms = match &job.platform {
        Some(platform) => vec![platform.clone()],
        None => templates::platforms(config, &job.template).map_err(|error| error.to_string())?,
    };
    if platforms.is_empty() {
        return Err(format!("no platform has the template {}", job.template));
    }
    platforms.iter().try_for_each(|platform| render(config, job, platform).map(drop))
}

/// The state as the original understands it, with jobs of templates as scripts; beside it, what was left out.
pub(crate) fn render_state(
    config: &Path,
    state: &builder_model::state::State,
) -> (builder_model::state::State, Vec<String>) {
    let platforms = |job: &ParameterJob| templates::platforms(config, &job.template).unwrap_or_default();
    let script = |job: &ParameterJob, platform: &Platform| render(config, job, platform);
    builder_store::state_file::render(state, &Rendering { platforms: &platforms, script: &script })
}
