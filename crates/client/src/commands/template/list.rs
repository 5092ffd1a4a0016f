//! `template list`.

use super::content_value;
use crate::cli::{Exit, Failure, Format, Screen, Table, text_of};
use crate::client::Client;
use crate::templates::{Content, ParameterTold, TemplateTold};
use serde_json::json;
use std::io::{self, Write};

/// List the templates with parameters, each with what must be given and how much may be.
///
/// In JSON: `templates`, a list of `name`, `platform`, `description`, `parameters` and `error` (why it cannot be read,
/// else null). A parameter has `name`, `description`, `allowed` (in words), `required` and `default`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  builder-client template list
  builder-client template list --platform debian-12 --format json")]
pub(crate) struct List {
    /// Only those of this platform.
    #[arg(long)]
    platform: Option<String>,
}

impl List {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let templates = client.templates(None, self.platform.as_deref())?;
        let written = match screen.format() {
            Format::Text => write_text(screen, &templates),
            Format::Json => {
                let value = |template: &TemplateTold| {
                    let mut value = content_value(&template.content);
                    value["name"] = text_of(template.name.as_bytes()).into();
                    value["platform"] = text_of(template.platform.as_bytes()).into();
                    value
                };
                screen.write_json(&json!({ "templates": templates.iter().map(value).collect::<Vec<_>>() }))
            }
        };
        written.map_err(Failure::Output)?;
        Ok(Exit::Success)
    }
}

/// The parameters that must be given, and how many may be.
fn summary(parameters: &[ParameterTold]) -> String {
    let (required, optional): (Vec<_>, Vec<_>) = parameters.iter().partition(|parameter| parameter.default.is_none());
    let mut words: Vec<String> = required.iter().map(|parameter| parameter.name.clone()).collect();
    words.extend((!optional.is_empty()).then(|| format!("[+{}]", optional.len())));
    words.join(" ")
}

fn write_text(screen: &mut Screen, templates: &[TemplateTold]) -> io::Result<()> {
    if templates.is_empty() {
        return writeln!(screen, "no such template");
    }
    let mut table = Table::new(&["NAME", "PLATFORM", "PARAMETERS", "DESCRIPTION"]);
    for TemplateTold { name, platform, content } in templates {
        let (parameters, description) = match content {
            Content::Readable { description, parameters, text: _ } => {
                (summary(parameters), description.lines().next().unwrap_or_default().to_owned())
            }
            Content::Unreadable(why) => (String::new(), format!("cannot be read: {why}")),
        };
        table.row(vec![name.to_string(), platform.to_string(), parameters, description]);
    }
    screen.write_table(&table)
}
