//! `template show NAME --platform P`.

use super::content_value;
use crate::cli::{Exit, Failure, Format, Screen, text_of};
use crate::client::Client;
use crate::templates::{Content, ParameterTold, TemplateTold};
use owo_colors::Style;
use serde_json::json;
use std::io::{self, Write};

/// Show a template: what it is for, its parameters, and its text.
///
/// In JSON: `name`, `platform`, `description`, `parameters` (as `template list` has them), `error` and `text`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  builder-client template show cargo --platform debian-12
  builder-client template show cargo --platform debian-12 --format json | jq -r .text")]
pub(crate) struct Show {
    /// The name of the template.
    name: String,
    /// Of this platform.
    #[arg(long)]
    platform: String,
    /// Without the text of the template.
    #[arg(long)]
    brief: bool,
}

impl Show {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        let template = client.template(&self.name, &self.platform)?;
        let written = match screen.format() {
            Format::Text => write_text(screen, &template, self.brief),
            Format::Json => {
                let mut value = content_value(&template.content);
                value["name"] = text_of(template.name.as_bytes()).into();
                value["platform"] = text_of(template.platform.as_bytes()).into();
                if let (Content::Readable { text: Some(text), .. }, false) = (&template.content, self.brief) {
                    value["text"] = json!(text_of(text));
                }
                screen.write_json(&value)
            }
        };
        written.map_err(Failure::Output)?;
        match template.content {
            Content::Readable { .. } => Ok(Exit::Success),
            Content::Unreadable(why) => {
                let (name, platform) = (self.name, self.platform);
                Err(Failure::TemplateUnreadable { name, platform, why })
            }
        }
    }
}

fn write_text(screen: &mut Screen, template: &TemplateTold, brief: bool) -> io::Result<()> {
    let Content::Readable { description, parameters, text } = &template.content else { return Ok(()) };
    let bold = Style::new().bold();
    writeln!(screen, "{} on {}", screen.styled(&template.name, bold), template.platform)?;
    if !description.is_empty() {
        writeln!(screen, "{}", description.trim_end())?;
    }
    writeln!(screen, "\n{}", screen.styled("parameters:", bold))?;
    if parameters.is_empty() {
        writeln!(screen, "  none")?;
    }
    for ParameterTold { name, description, allowed, default } in parameters {
        let default = match default.as_deref() {
            None => "required".to_owned(),
            Some("") => "empty by default".to_owned(),
            Some(default) => format!("default: {default}"),
        };
        writeln!(screen, "  {}  {description}", screen.styled(name, bold))?;
        writeln!(screen, "      {allowed}; {default}")?;
    }
    if let (Some(text), false) = (text, brief) {
        writeln!(screen, "\n{}", screen.styled("text:", bold))?;
        screen.write_text(text)?;
    }
    Ok(())
}
