//! A template: its declaration read, values held against it, and the script that they make.

use crate::parameter::{Declared, Parameter};
use crate::{HEAD_BYTES_MAX, PLATFORM_VARIABLE};
use builder_model::limits::PARAMETERS_MAX;
use builder_model::{ParameterJob, ParameterName, Platform, ScriptJob, Shown, TemplateName, Values};
use serde::Deserialize;
use std::ops::Range;
use std::sync::Arc;

/// How a line of the declaration begins.
const HEAD_LINE: &[u8] = b"#:";
/// The programs that read a template. All of them take `name='value'` as it is meant.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "busybox"];
/// Most bytes of a foreign value that an error shows.
const VALUE_SHOWN_BYTES_MAX: usize = 200;

/// A template with parameters.
#[derive(Debug, Clone)]
pub struct Template {
    text: Arc<[u8]>,
    description: String,
    parameters: Vec<Parameter>,
    /// The first line, if it names the shell.
    shebang: Range<usize>,
    /// What follows the declaration.
    body: Range<usize>,
}

/// Two templates are the same when their texts are: all else follows from it.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Template {}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Some other program is to read it.
    #[error("line 1 names {0}, which is no shell: values are filled in as variables of one")]
    Interpreter(String),
    /// The declaration is too long.
    #[error("the lines that begin with #: have more than {HEAD_BYTES_MAX} bytes")]
    HeadLong,
    /// The declaration is not UTF-8.
    #[error("the lines that begin with #: are not UTF-8")]
    HeadText,
    /// The declaration is not the TOML that it should be.
    #[error("line {line}: {message}")]
    Head {
        /// The line of the template.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A declaration that has no head line in front of it: it would be a comment that nobody reads.
    #[error("line {line} begins with #: but stands behind the declaration, which ends at the first other line")]
    Stray {
        /// The line of the template.
        line: usize,
    },
    /// A parameter is declared wrongly.
    #[error("{0}")]
    Parameter(String),
    /// Two parameters have one name.
    #[error("parameter {0} is declared twice")]
    Twice(ParameterName),
    /// Too many parameters.
    #[error("it declares more than {PARAMETERS_MAX} parameters")]
    Many,
}

/// Why values do not fit a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A value for what is no parameter.
    #[error("it has no parameter {name}; {}", known_text(.known))]
    Unknown {
        /// The value's name.
        name: ParameterName,
        /// What there is.
        known: Vec<ParameterName>,
    },
    /// No value for a parameter that must have one.
    #[error("parameter {name} is required ({description}): {allowed}")]
    Missing {
        /// The parameter.
        name: ParameterName,
        /// What it is for.
        description: String,
        /// What it takes.
        allowed: String,
    },
    /// A value that its parameter does not take.
    #[error("parameter {name} cannot be {value}: it has to be {allowed}")]
    Value {
        /// The parameter.
        name: ParameterName,
        /// The value, perhaps cut.
        value: String,
        /// What it takes.
        allowed: String,
    },
}

fn known_text(known: &[ParameterName]) -> String {
    let names: Vec<&str> = known.iter().map(ParameterName::as_str).collect();
    if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default)]
    description: String,
    #[serde(default, rename = "parameter")]
    parameters: Vec<Declared>,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: Arc<[u8]>) -> Result<Self, TemplateError> {
        let shebang = 0..if text.starts_with(b"#!") { line_end(&text, 0) } else { 0 };
        check_interpreter(text.get(shebang.clone()).unwrap_or_default())?;
        let first_line = 1 + usize::from(!shebang.is_empty());
        let (head, body_start) = head(&text, shebang.end)?;
        let head_lines = head.lines().count();
        let body = body_start..text.len();
        let rest = text.get(body.clone()).unwrap_or_default();
        if let Some(stray) = rest.split(|byte| *byte == b'\n').position(|line| line.starts_with(HEAD_LINE)) {
            return Err(TemplateError::Stray { line: first_line + head_lines + stray });
        }
        let Head { description, parameters } = toml::from_str(&head).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start);
            let lines = head.bytes().take(before).filter(|byte| *byte == b'\n').count();
            TemplateError::Head { line: first_line + lines, message: error.message().trim().replace('\n', " ") }
        })?;
        if parameters.len() > PARAMETERS_MAX {
            return Err(TemplateError::Many);
        }
        let parameters = parameters.into_iter().map(Parameter::new).collect::<Result<Vec<_>, _>>();
        let parameters = parameters.map_err(TemplateError::Parameter)?;
        for (index, parameter) in parameters.iter().enumerate() {
            if parameters.iter().take(index).any(|earlier| earlier.name() == parameter.name()) {
                return Err(TemplateError::Twice(parameter.name().clone()));
            }
        }
        Ok(Self { text, description, parameters, shebang, body })
    }

    /// The whole text, declaration included.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What it is for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its parameters, in the order of their declaration.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Whether these values can be filled in; if not, the first reason.
    pub fn check(&self, values: &Values) -> Result<(), Misfit> {
        let known = |name: &ParameterName| self.parameters.iter().any(|parameter| parameter.name() == name);
        if let Some((name, _)) = values.iter().find(|(name, _)| !known(name)) {
            let known = self.parameters.iter().map(|parameter| parameter.name().clone()).collect();
            return Err(Misfit::Unknown { name: name.clone(), known });
        }
        for parameter in &self.parameters {
            let (name, allowed) = (parameter.name().clone(), || parameter.allowed());
            match values.find(parameter.name()) {
                Some(value) if !parameter.takes(value.as_str()) => {
                    let value = shown(value.as_str());
                    return Err(Misfit::Value { name, value, allowed: allowed() });
                }
                None if parameter.default().is_none() => {
                    let description = parameter.description().to_owned();
                    return Err(Misfit::Missing { name, description, allowed: allowed() });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// The script for one platform: values as variables in front of the text, which stays as it is.
    pub fn fill(&self, template: &TemplateName, values: &Values, platform: &Platform) -> Result<Vec<u8>, Misfit> {
        self.check(values)?;
        let mut script = self.text.get(self.shebang.clone()).unwrap_or_default().to_vec();
        script.extend_from_slice(format!("# template {template}, filled in for {platform}\n").as_bytes());
        let body = self.text.get(self.body.clone()).unwrap_or_default();
        // A variable that nobody reads is what checkers of scripts warn of.
        if body.windows(PLATFORM_VARIABLE.len()).any(|window| window == PLATFORM_VARIABLE.as_bytes()) {
            assign(&mut script, PLATFORM_VARIABLE, &platform.to_string());
        }
        for parameter in &self.parameters {
            let value = values.find(parameter.name()).or(parameter.default());
            // `check` has seen that each has one of them.
            assign(&mut script, parameter.name().as_str(), value.map_or("", |value| value.as_str()));
        }
        script.extend_from_slice(body);
        Ok(script)
    }

    /// The script of a job for one platform.
    pub fn render(&self, job: &ParameterJob, platform: &Platform) -> Result<ScriptJob, Misfit> {
        let script = self.fill(&job.template, &job.values, platform)?;
        Ok(ScriptJob { name: job.name.clone(), platform: platform.clone(), script: script.into() })
    }
}

/// A value for an error.
fn shown(value: &str) -> String {
    let bytes = value.as_bytes();
    match bytes.get(..VALUE_SHOWN_BYTES_MAX) {
        Some(start) if bytes.len() > VALUE_SHOWN_BYTES_MAX => format!("{:?}…", Shown(start).to_string()),
        Some(_) | None => format!("{value:?}"),
    }
}

/// `name='value'`: between single quotes a shell reads nothing but the next single quote.
fn assign(script: &mut Vec<u8>, name: &str, value: &str) {
    let quoted = value.replace('\'', "'\\''");
    script.extend_from_slice(format!("{name}='{quoted}'\n").as_bytes());
}

/// Where the line that begins at `start` ends, its newline included.
fn line_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |newline| start + newline + 1)
}

/// The declaration, line for line without what marks it, and where it ends.
fn head(text: &[u8], start: usize) -> Result<(String, usize), TemplateError> {
    let (mut head, mut at) = (Vec::new(), start);
    while let Some(line) = text.get(at..line_end(text, at)).filter(|line| line.starts_with(HEAD_LINE)) {
        at += line.len();
        head.extend_from_slice(line.get(HEAD_LINE.len()..).unwrap_or_default());
        if at - start > HEAD_BYTES_MAX {
            return Err(TemplateError::HeadLong);
        }
    }
    let head = String::from_utf8(head).map_err(|_| TemplateError::HeadText)?;
    Ok((head, at))
}

fn check_interpreter(shebang: &[u8]) -> Result<(), TemplateError> {
    let Some(line) = shebang.strip_prefix(b"#!") else { return Ok(()) };
    let line = String::from_utf8_lossy(line);
    let base = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let mut words = line.split_ascii_whitespace().map(base).filter(|word| !word.starts_with('-'));
    let program = match words.next() {
        Some(env) if env == "env" => words.next().unwrap_or_default(),
        program => program.unwrap_or_default(),
    };
    if SHELLS.contains(&program.as_str()) {
        return Ok(());
    }
    Err(TemplateError::Interpreter(if program.is_empty() { "nothing".to_owned() } else { program }))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
