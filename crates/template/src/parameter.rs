//! One parameter of a template: what is declared of it, and whether it takes a value.

use crate::kind::Kind;
use crate::{CHOICES_MAX, PATTERN_BYTES_MAX};
use builder_model::{ParameterName, ParameterValue};
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;

/// Largest compiled pattern, in bytes, and how deep its groups may lie.
const PATTERN_COMPILED_BYTES_MAX: usize = 256 << 10;
const PATTERN_NESTING_MAX: u32 = 16;

/// A parameter as the head of a template declares it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    name: String,
    description: String,
    #[serde(default)]
    kind: Kind,
    pattern: Option<String>,
    choices: Option<Vec<String>>,
    default: Option<String>,
}

/// A parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    name: ParameterName,
    description: String,
    kind: Kind,
    pattern: Option<(String, Regex)>,
    choices: Vec<String>,
    default: Option<ParameterValue>,
}

impl Parameter {
    /// Checks a declaration; on failure says what is wrong with it.
    pub(crate) fn new(declared: Declared) -> Result<Self, String> {
        let Declared { name, description, kind, pattern, choices, default } = declared;
        let name = ParameterName::parse(name.as_bytes()).map_err(|error| error.to_string())?;
        let what = |why: String| format!("parameter {name}: {why}");
        if description.trim().is_empty() || description.contains('\n') {
            return Err(what("its description has to be one line".to_owned()));
        }
        let choices = choices.unwrap_or_default();
        if choices.len() > CHOICES_MAX {
            return Err(what(format!("it has more than {CHOICES_MAX} choices")));
        }
        let pattern = pattern.map(|text| compiled(&text).map(|regex| (text, regex))).transpose().map_err(what)?;
        let default = default.map(|text| ParameterValue::parse(&name, text.as_bytes())).transpose();
        let default = default.map_err(|error| what(format!("its default cannot be used: {error}")))?;
        let parameter = Self { name: name.clone(), description, kind, pattern, choices, default };
        match &parameter.default {
            Some(default) if !parameter.takes(default.as_str()) => {
                Err(what(format!("its default {:?} is not {}", default.as_str(), parameter.allowed())))
            }
            Some(_) | None => Ok(parameter),
        }
    }

    /// Its name, which is that of the variable.
    pub fn name(&self) -> &ParameterName {
        &self.name
    }

    /// What it is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The value where none is given; a parameter without one is required.
    pub fn default(&self) -> Option<&ParameterValue> {
        self.default.as_ref()
    }

    /// What values it takes, for people.
    pub fn allowed(&self) -> String {
        let mut text = match self.choices.as_slice() {
            [] => self.kind.allowed().to_owned(),
            choices => format!("one of {}", choices.join(", ")),
        };
        if let Some((pattern, _)) = &self.pattern {
            text.push_str(&format!(", matching {pattern}"));
        }
        text
    }

    /// Whether it takes a value. An empty one says "none", where that is the default.
    pub fn takes(&self, value: &str) -> bool {
        if value.is_empty() && self.default.as_ref().is_some_and(|default| default.as_str().is_empty()) {
            return true;
        }
        let chosen = self.choices.is_empty() || self.choices.iter().any(|choice| choice == value);
        let matches = self.pattern.as_ref().is_none_or(|(_, regex)| regex.is_match(value));
        chosen && matches && self.kind.takes(value)
    }
}

/// A pattern for whole values.
fn compiled(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("its pattern has more than {PATTERN_BYTES_MAX} bytes"));
    }
    // Checked alone first: `a)(b` would become one inside of a group.
    let build = |text: &str| {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(PATTERN_COMPILED_BYTES_MAX).nest_limit(PATTERN_NESTING_MAX).build()
    };
    let built = build(pattern).and_then(|_| build(&format!("^(?:{pattern})$")));
    built.map_err(|error| format!("its pattern {pattern} cannot be read: {error}"))
}
