//! Every input has a limit, and every limit a name with its unit. Those an operator may change are defaults here.

/// Longest job name, platform or package name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest script of a job, rendered templates included, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 4 << 20;
/// Longest name of a parameter, in bytes.
pub const PARAMETER_NAME_BYTES_MAX: usize = 64;
/// Most parameters of a template, and most values of a job.
pub const PARAMETERS_MAX: usize = 64;
/// Longest value of a parameter, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;
/// All values of a job together, in bytes.
pub const VALUES_BYTES_MAX: usize = 32 << 10;
/// Most templates that the jobs on a schedule use: each is looked at for each platform before a job is handed out.
pub const TEMPLATES_USED_MAX: usize = 256;
/// Longest line of console output, in bytes; a worker of ours cuts longer ones, a server refuses them.
pub const LINE_BYTES_MAX: usize = 4 << 20;
/// Where our worker cuts a line that does not end, in bytes.
pub const LINE_BYTES_CUT: usize = 64 << 10;
/// Longest path of an artifact, in bytes.
pub const ARTIFACT_PATH_BYTES_MAX: usize = 4096;
/// Most artifacts that one build may hand back.
pub const ARTIFACTS_MAX: usize = 1_000_000;
/// Default for all the artifacts of one build together, in bytes.
pub const ARTIFACT_BYTES_MAX: u64 = 16 << 30;
/// Default for the console of one build, in bytes.
pub const CONSOLE_BYTES_MAX: u64 = 4 << 30;
/// Longest text that explains an aborted build or a refused request, in bytes.
pub const REASON_BYTES_MAX: usize = 64 << 10;
/// Most jobs on the schedule.
pub const JOBS_MAX: usize = 1_000_000;
/// Most platforms that a server keeps queues for.
pub const PLATFORMS_MAX: usize = 1024;
/// Default time limit of a build, in seconds: the original's hour.
pub const BUILD_SECONDS_MAX: u64 = 3600;
/// Default for how often a build whose worker vanished, or that ran over its time, is tried again.
pub const RETRIES_MAX: u32 = 1;
/// How often workers may refuse a build before that is its outcome. With the pauses in between, that is most of an hour.
pub const REFUSALS_MAX: u32 = 50;
