//! What a client of version 14 may ask about templates with parameters, and the replies.

use crate::der::{DecodeError, Reader};
use crate::element::Element;
use crate::message::job::{ValuePair, values_element};
use std::borrow::Cow;

/// Which templates are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskTemplates<'a> {
    /// Only those of this name.
    pub name: Option<&'a [u8]>,
    /// Only those of this platform.
    pub platform: Option<&'a [u8]>,
    /// With their texts.
    pub with_text: bool,
}

/// What is to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRender<'a> {
    /// The template.
    pub template: &'a [u8],
    /// The platform.
    pub platform: &'a [u8],
    /// What is filled in, each with the name of its parameter.
    pub values: Vec<ValuePair<'a>>,
}

/// The reply to a question about templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `[0]`: templates, by name and platform.
    Templates(Vec<TemplateRow<'a>>),
    /// `[1]`: the script that would run.
    Script(Cow<'a, [u8]>),
}

/// A template of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRow<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its platform.
    pub platform: &'a [u8],
    /// What it is.
    pub content: TemplateContent<'a>,
}

/// What a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateContent<'a> {
    /// `[0]`: one that can be filled in.
    Readable {
        /// What it is for.
        description: &'a [u8],
        /// Its parameters, in the order of their declaration.
        parameters: Vec<ParameterRow<'a>>,
        /// The whole of it, where that was asked for.
        text: Option<&'a [u8]>,
    },
    /// `[1]`: why it cannot be read.
    Unreadable(Cow<'a, [u8]>),
}

/// A parameter of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterRow<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// What it is for.
    pub description: &'a [u8],
    /// What values it takes, in words.
    pub allowed: Cow<'a, [u8]>,
    /// The value where none is given; it is required when absent.
    pub default: Option<&'a [u8]>,
}

impl AskTemplates<'_> {
    pub(super) fn element(&self) -> Element<'_> {
        let mut parts = Vec::new();
        parts.extend(self.name.map(|name| Element::explicit(0, Element::octets(name))));
        parts.extend(self.platform.map(|platform| Element::explicit(1, Element::octets(platform))));
        parts.extend(self.with_text.then(|| Element::explicit(2, Element::null())));
        Element::sequence(parts)
    }
}

impl AskRender<'_> {
    pub(super) fn element(&self) -> Element<'_> {
        let names = [self.template, self.platform].map(Element::octets);
        Element::sequence(names.into_iter().chain([values_element(&self.values)]).collect())
    }
}

impl Reply<'_> {
    pub(super) fn element(&self) -> Element<'_> {
        let what = match self {
            Self::Templates(rows) => {
                Element::explicit(0, Element::sequence(rows.iter().map(TemplateRow::element).collect()))
            }
            Self::Script(script) => Element::explicit(1, Element::octets(&script[..])),
        };
        Element::sequence(vec![what])
    }
}

impl TemplateRow<'_> {
    /// How many bytes of a reply it takes.
    pub fn size(&self) -> u64 {
        self.element().size()
    }

    fn element(&self) -> Element<'_> {
        let content = match &self.content {
            TemplateContent::Readable { description, parameters, text } => {
                let rows = parameters.iter().map(ParameterRow::element).collect();
                let mut parts = vec![Element::octets(*description), Element::sequence(rows)];
                parts.extend(text.map(|text| Element::explicit(0, Element::octets(text))));
                Element::explicit(0, Element::sequence(parts))
            }
            TemplateContent::Unreadable(why) => Element::explicit(1, Element::octets(&why[..])),
        };
        Element::sequence(vec![Element::octets(self.name), Element::octets(self.platform), content])
    }
}

impl ParameterRow<'_> {
    fn element(&self) -> Element<'_> {
        let texts = [self.name, self.description, &self.allowed[..]];
        let mut parts: Vec<Element<'_>> = texts.map(Element::octets).into();
        parts.extend(self.default.map(|default| Element::explicit(0, Element::octets(default))));
        Element::sequence(parts)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn ask_templates(&mut self) -> Result<AskTemplates<'a>, DecodeError> {
        self.sequence(|reader| {
            Ok(AskTemplates {
                name: reader.optional(0, Reader::octets)?,
                platform: reader.optional(1, Reader::octets)?,
                with_text: reader.optional(2, Reader::null)?.is_some(),
            })
        })
    }

    pub(super) fn ask_render(&mut self) -> Result<AskRender<'a>, DecodeError> {
        self.sequence(|reader| {
            let (template, platform) = (reader.octets()?, reader.octets()?);
            Ok(AskRender { template, platform, values: reader.values()? })
        })
    }

    pub(super) fn reply(&mut self) -> Result<Reply<'a>, DecodeError> {
        self.sequence(|reader| match reader.choice("a reply")? {
            0 => reader.explicit(0, |reader| Ok(Reply::Templates(reader.sequence_of(Reader::template_row)?))),
            1 => reader.explicit(1, |reader| Ok(Reply::Script(Cow::Borrowed(reader.octets()?)))),
            _ => reader.no_such_choice("a reply"),
        })
    }

    fn template_row(&mut self) -> Result<TemplateRow<'a>, DecodeError> {
        self.sequence(|reader| {
            let (name, platform) = (reader.octets()?, reader.octets()?);
            let content = match reader.choice("a template")? {
                0 => reader.explicit(0, |reader| reader.sequence(Reader::readable))?,
                1 => reader.explicit(1, |r| Ok(TemplateContent::Unreadable(Cow::Borrowed(r.octets()?))))?,
                _ => return reader.no_such_choice("a template"),
            };
            Ok(TemplateRow { name, platform, content })
        })
    }

    fn readable(&mut self) -> Result<TemplateContent<'a>, DecodeError> {
        let (description, parameters) = (self.octets()?, self.sequence_of(Reader::parameter_row)?);
        Ok(TemplateContent::Readable { description, parameters, text: self.optional(0, Reader::octets)? })
    }

    fn parameter_row(&mut self) -> Result<ParameterRow<'a>, DecodeError> {
        self.sequence(|reader| {
            let (name, description) = (reader.octets()?, reader.octets()?);
            let allowed = Cow::Borrowed(reader.octets()?);
            Ok(ParameterRow { name, description, allowed, default: reader.optional(0, Reader::octets)? })
        })
    }
}
