//! The messages of version 14 as JSON. The original has none of them: the keys are ours.

use super::Json;
use builder_model::Timestamp;
use builder_wire::message::{ArtifactRow, Ask, BuildRow, BuildsReply, UploadRow, WaitRow};

impl Json<'_> {
    pub(super) fn ask(&mut self, ask: &Ask<'_>) {
        match ask {
            Ask::Waits => self.command("Ask_waits"),
            Ask::Uploads => self.command("Ask_uploads"),
            Ask::Artifacts(build) => self.command("Ask_artifacts").uuid("uuid", build),
            Ask::Templates(ask) => self.ask_templates(ask),
            Ask::Render(ask) => self.ask_render(ask),
            Ask::Builds(builds) => {
                self.command("Ask_builds").number("count", i64::from(builds.count));
                self.optional_number("before", builds.before);
                self.optional_bytes("job", builds.job).optional_bytes("platform", builds.platform);
                self.key("failed").raw(if builds.failed { "true" } else { "false" })
            }
        };
    }

    pub(super) fn waits_reply(&mut self, rows: &[WaitRow<'_>]) {
        self.command("Waits_reply").key("waits").list(rows, |json, row| {
            json.raw("{").bytes("platform", row.platform).bytes("job", row.job);
            json.bytes("reason", &row.reason).raw("}");
        });
    }

    pub(super) fn builds_reply(&mut self, reply: &BuildsReply<'_>) {
        self.command("Builds_reply").key("builds").list(&reply.builds, |json, row| json.build_row(row));
        self.optional_number("next", reply.next);
    }

    fn build_row(&mut self, row: &BuildRow<'_>) {
        self.raw("{").number("number", row.number).uuid("uuid", &row.build);
        self.bytes("job", row.job).bytes("platform", row.platform).number("attempts", i64::from(row.attempts));
        self.time("started", row.started).time("finished", row.finished).key("result").outcome(&row.outcome);
        self.optional_number("record_bytes", row.record_bytes.map(signed));
        self.optional_time("uploaded", row.uploaded).raw("}");
    }

    pub(super) fn uploads_reply(&mut self, rows: &[UploadRow<'_>]) {
        self.command("Uploads_reply").key("uploads").list(rows, |json, row| {
            json.raw("{").uuid("uuid", &row.build).bytes("job", row.job).number("tries", i64::from(row.tries));
            json.optional_bytes("error", row.error).raw("}");
        });
    }

    pub(super) fn artifacts_reply(&mut self, rows: &[ArtifactRow<'_>]) {
        self.command("Artifacts_reply").key("artifacts").list(rows, |json, row| {
            json.raw("{").bytes("path", row.path).number("size", signed(row.bytes));
            json.bytes("sha256", &row.sha256).raw("}");
        });
    }

    fn optional_number(&mut self, key: &str, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => self.number(key, number),
            None => self.key(key).raw("null"),
        }
    }

    fn optional_time(&mut self, key: &str, time: Option<Timestamp>) -> &mut Self {
        match time {
            Some(time) => self.time(key, time),
            None => self.key(key).raw("null"),
        }
    }
}

/// A size that came over the wire fits 62 bits.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
