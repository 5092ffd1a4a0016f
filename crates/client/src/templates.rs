//! What a server says of its templates with parameters, owned; and a job of one that is to be scheduled.

use builder_model::{Platform, Shown, TemplateName};
use builder_wire::message::{ParameterRow, TemplateContent, TemplateRow};

/// A job of a template, as it is asked for.
#[derive(Debug, Clone)]
pub struct NewParameterJob<'a> {
    /// Its name.
    pub name: &'a str,
    /// The template.
    pub template: &'a str,
    /// Where it runs; on every platform that has the template if there is none.
    pub platform: Option<&'a str>,
    /// Parameters and their values.
    pub values: Vec<(&'a str, &'a str)>,
}

/// A template of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateTold {
    /// Its name.
    pub name: TemplateName,
    /// Its platform.
    pub platform: Platform,
    /// What it is.
    pub content: Content,
}

/// What a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One that can be filled in.
    Readable {
        /// What it is for.
        description: String,
        /// Its parameters.
        parameters: Vec<ParameterTold>,
        /// The whole of it, where that was asked for.
        text: Option<Vec<u8>>,
    },
    /// Why it cannot be read.
    Unreadable(String),
}

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterTold {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What values it takes, in words.
    pub allowed: String,
    /// The value where none is given; it is required when there is none.
    pub default: Option<String>,
}

impl From<&TemplateRow<'_>> for TemplateTold {
    fn from(row: &TemplateRow<'_>) -> Self {
        let content = match &row.content {
            TemplateContent::Readable { description, parameters, text } => Content::Readable {
                description: lines(description),
                parameters: parameters.iter().map(ParameterTold::from).collect(),
                text: text.map(<[u8]>::to_vec),
            },
            TemplateContent::Unreadable(why) => Content::Unreadable(Shown(why).to_string()),
        };
        let (name, platform) = (TemplateName::from_history(row.name), Platform::from_history(row.platform));
        Self { name, platform, content }
    }
}

impl From<&ParameterRow<'_>> for ParameterTold {
    fn from(row: &ParameterRow<'_>) -> Self {
        let text = |bytes: &[u8]| Shown(bytes).to_string();
        Self {
            name: text(row.name),
            description: text(row.description),
            allowed: text(&row.allowed),
            default: row.default.map(text),
        }
    }
}

/// A text of several lines, each escaped.
fn lines(text: &[u8]) -> String {
    let lines: Vec<String> = text.split(|byte| *byte == b'\n').map(|line| Shown(line).to_string()).collect();
    lines.join("\n")
}
