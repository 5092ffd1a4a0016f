//! `template list`, `template show` and `template render`.

mod list;
mod render;
mod show;

use crate::cli::{Exit, Failure, Screen};
use crate::client::Client;
use crate::templates::{Content, ParameterTold};
use serde_json::{Value, json};
use std::str::FromStr;

/// Look at the templates with parameters that the server has.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Template {
    List(list::List),
    Show(show::Show),
    Render(render::Render),
}

impl Template {
    pub(crate) fn run(self, client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
        match self {
            Self::List(command) => command.run(client, screen),
            Self::Show(command) => command.run(client, screen),
            Self::Render(command) => command.run(client, screen),
        }
    }
}

/// `PARAMETER=VALUE`, as it stands on a command line.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    name: String,
    value: String,
}

impl Assignment {
    pub(crate) fn pair(&self) -> (&str, &str) {
        (&self.name, &self.value)
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            Some(_) | None => Err("expected PARAMETER=VALUE".to_owned()),
        }
    }
}

/// A template in JSON, without its names.
fn content_value(content: &Content) -> Value {
    match content {
        Content::Readable { description, parameters, text: _ } => json!({
            "description": description,
            "parameters": parameters.iter().map(parameter_value).collect::<Vec<_>>(),
            "error": null,
        }),
        Content::Unreadable(why) => json!({ "description": null, "parameters": null, "error": why }),
    }
}

fn parameter_value(parameter: &ParameterTold) -> Value {
    json!({
        "name": parameter.name,
        "description": parameter.description,
        "allowed": parameter.allowed,
        "required": parameter.default.is_none(),
        "default": parameter.default,
    })
}
