//! Templates of both kinds in the configuration folder of a simulated server: they come, go, and turn into ones that make
//! no script of the jobs that use them.

use crate::random::Random;
use builder_model::{Job, JobName, ParameterJob, Platform, TemplateId, TemplateName, Values};
use builder_store::templates;
use std::path::Path;

const NAMED: [&str; 2] = ["n", "o"];
const OF_PACKAGES: [&str; 2] = ["build %%OPAM_PACKAGE%%", "make %%OPAM_PACKAGE%% on %%PLATFORM%%"];
/// A template that takes the value which jobs have for it, one that does not, and what is none.
const FITTING: &str = "#: [[parameter]]\n#: name = \"a\"\n#: description = \"d\"\nbuild $a\n";
const UNFITTING: &str = "#: [[parameter]]\n#: name = \"b\"\n#: description = \"d\"\nbuild $b\n";
const UNREADABLE: &str = "#: [[\n";

/// What became of a template.
pub(crate) enum Turn {
    /// It is gone.
    Gone(TemplateId),
    /// It is this from now on.
    Written(TemplateId, &'static str),
}

/// One template of a platform comes, goes or changes.
pub(crate) fn change(random: &mut Random, config: &Path, platform: &Platform) -> Turn {
    let (id, text) = if random.once_in(2) {
        (TemplateId::Package, *random.pick(&OF_PACKAGES))
    } else {
        let name = *random.pick(&NAMED);
        (named(name), *random.pick(&[FITTING, UNFITTING, UNREADABLE]))
    };
    let path = templates::path(config, &id, platform);
    if path.exists() && random.once_in(2) {
        std::fs::remove_file(path).unwrap();
        return Turn::Gone(id);
    }
    write(&path, text);
    Turn::Written(id, text)
}

/// A platform has every template from now on, and each makes a script of every job.
pub(crate) fn complete(config: &Path, platform: &Platform) {
    for id in [TemplateId::Package].into_iter().chain(NAMED.map(named)) {
        write(&templates::path(config, &id, platform), FITTING);
    }
}

/// A job of one of the named templates, for a platform or for all that have it.
pub(crate) fn parameter_job(random: &mut Random, name: JobName, platform: Platform) -> Job {
    let template = TemplateName::parse(random.pick(&NAMED).as_bytes()).unwrap();
    let platform = random.once_in(2).then_some(platform);
    let values = Values::parse([(b"a".as_slice(), b"x".as_slice())]).unwrap();
    Job::Parameter(ParameterJob { name, template, platform, values })
}

fn named(name: &str) -> TemplateId {
    TemplateId::Named(TemplateName::parse(name.as_bytes()).unwrap())
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
