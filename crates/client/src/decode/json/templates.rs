//! What is said about templates with parameters as JSON. The original has none of it: the keys are ours.

use super::Json;
use builder_model::Period;
use builder_wire::ParameterJob;
use builder_wire::message::{AskRender, AskTemplates, Reply, TemplateContent, TemplateRow};

impl Json<'_> {
    pub(super) fn ask_templates(&mut self, ask: &AskTemplates<'_>) -> &mut Self {
        self.command("Ask_templates").optional_bytes("name", ask.name).optional_bytes("platform", ask.platform);
        self.key("text").raw(if ask.with_text { "true" } else { "false" })
    }

    pub(super) fn ask_render(&mut self, ask: &AskRender<'_>) -> &mut Self {
        self.command("Ask_render").bytes("template", ask.template).bytes("platform", ask.platform).values(&ask.values)
    }

    pub(super) fn schedule_template(&mut self, period: Period, job: &ParameterJob<'_>) {
        self.command("Schedule_template").period(Some(period)).key("job").parameter_job(job);
    }

    pub(super) fn parameter_job(&mut self, job: &ParameterJob<'_>) {
        self.raw("{").bytes("name", job.name).bytes("template", job.template).values(&job.values);
        self.optional_bytes("platform", job.platform).raw("}");
    }

    fn values(&mut self, values: &[(&[u8], &[u8])]) -> &mut Self {
        self.key("values").list(values, |json, (name, value)| {
            json.raw("{").bytes("parameter", name).bytes("value", value).raw("}");
        });
        self
    }

    pub(super) fn reply(&mut self, reply: &Reply<'_>) {
        match reply {
            Reply::Templates(rows) => {
                self.command("Templates_reply").key("templates").list(rows, |json, row| json.template_row(row));
            }
            Reply::Script(script) => {
                self.command("Script_reply").bytes("script", script);
            }
        }
    }

    fn template_row(&mut self, row: &TemplateRow<'_>) {
        self.raw("{").bytes("name", row.name).bytes("platform", row.platform);
        match &row.content {
            TemplateContent::Unreadable(why) => self.bytes("error", why),
            TemplateContent::Readable { description, parameters, text } => {
                self.bytes("description", description).key("parameters").list(parameters, |json, parameter| {
                    json.raw("{").bytes("name", parameter.name).bytes("description", parameter.description);
                    json.bytes("allowed", &parameter.allowed).optional_bytes("default", parameter.default).raw("}");
                });
                self.optional_bytes("text", *text)
            }
        };
        self.raw("}");
    }
}
