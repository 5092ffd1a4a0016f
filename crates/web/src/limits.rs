//! Every input of the repository has a limit, and every limit a name with its unit. Those an operator may change are
//! defaults here; those of names and records are in `builder_model::limits`.

use std::time::Duration;

/// Longest name of a job or of a platform, in bytes: that of a column of the original, and of a folder.
pub const NAME_BYTES_MAX: usize = 255;
/// Default for the body of one upload, in bytes.
pub const UPLOAD_BYTES_MAX: u64 = 20 << 30;
/// Longest pause between two pieces of a body before its sender counts as gone.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Longest that a peer may take to send the head of a request.
pub const HEAD_DURATION_MAX: Duration = Duration::from_secs(20);
/// Pieces of a body that wait between the socket and the disk.
pub const BODY_PIECES_QUEUED_MAX: usize = 8;
/// Uploads that are received at once; further ones are asked to come again.
pub const UPLOADS_AT_ONCE_MAX: usize = 64;
/// Connections that are open at once; further ones wait in the backlog.
pub const CONNECTIONS_MAX: usize = 4096;
/// Largest artifact that is read into memory to derive facts from it, in bytes; a larger one counts as unreadable.
pub const FACTS_BYTES_MAX: u64 = 16 << 20;
/// Longest readme that is kept, in bytes.
pub const README_BYTES_MAX: u64 = 256 << 10;
/// Longest description or synopsis that is kept, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// Connections to the database that only read: as many requests are answered at once.
pub const READERS_MAX: usize = 8;
/// How long a statement waits for another process that has the database.
pub const DATABASE_WAIT: Duration = Duration::from_secs(10);
/// Failed passwords from one address before it has to wait.
pub const PASSWORDS_WRONG_MAX: u32 = 10;
/// Failed passwords from one address, whomever they are for, before it has to wait.
pub const PASSWORDS_WRONG_OF_ADDRESS_MAX: u32 = 100;
/// How long an address has to wait after [`PASSWORDS_WRONG_MAX`] wrong passwords.
pub const PASSWORDS_WRONG_PAUSE: Duration = Duration::from_secs(60);
/// Passwords that are checked at once; each costs 16 MiB and tens of milliseconds.
pub const PASSWORDS_AT_ONCE_MAX: usize = 2;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Largest cost `n` of scrypt that a row may ask for; the default is 16384.
pub const SCRYPT_N_MAX: u64 = 1 << 20;
/// Largest block size `r` of scrypt that a row may ask for; the default is 8.
pub const SCRYPT_R_MAX: u64 = 32;
/// Largest parallelism `p` of scrypt that a row may ask for; the default is 1.
pub const SCRYPT_P_MAX: u64 = 16;
/// Most memory that a check of one password may take, in bytes: `128 * n * r`. The default takes 16 MiB.
pub const SCRYPT_BYTES_MAX: u64 = 1 << 30;
/// Largest logo, in bytes: it is part of every page.
pub const LOGO_BYTES_MAX: u64 = 8 << 10;
/// Rendered pages that are kept until the next commit, in bytes.
pub const PAGES_BYTES_MAX: usize = 48 << 20;
/// Readmes that are kept as HTML beside what they were made of, in bytes.
pub const READMES_BYTES_MAX: usize = 4 << 20;
/// Builds that are removed in one transaction: uploads wait as long.
pub const REMOVAL_BUILDS_AT_ONCE_MAX: usize = 100;
/// Requests that wait for their password to be checked; further ones are asked to come again.
pub const PASSWORDS_WAITING_MAX: usize = 64;
/// Pairs of address and user whose wrong passwords are counted.
pub const GUESSERS_MAX: usize = 10_000;
/// How much of a refused body is still read, so that its sender gets to see the answer, in bytes.
pub const REFUSED_BODY_BYTES_MAX: usize = 1 << 30;
/// How long a refused body is still read.
pub const REFUSED_BODY_WAIT: Duration = Duration::from_secs(30);
/// How long open requests may go on when the server is asked to stop.
pub const STOP_WAIT: Duration = Duration::from_secs(10);
/// Hooks and webhooks that run at once; those of one target run one after the other.
pub const HOOKS_AT_ONCE_MAX: usize = 4;
/// Scripts in the folder of hooks; further ones, by name, are passed over.
pub const HOOK_SCRIPTS_MAX: usize = 64;
/// How often a hook that fails is tried before it is given up.
pub const HOOK_TRIES_MAX: i64 = 5;
/// The pause after the first failure of a hook; it grows fourfold with each further one.
pub const HOOK_PAUSE_MIN: Duration = Duration::from_secs(30);
/// The longest pause between two tries of a hook.
pub const HOOK_PAUSE_MAX: Duration = Duration::from_secs(3600);
/// How long a hook that has to end may take to do so by itself.
pub const HOOK_END_WAIT: Duration = Duration::from_secs(5);
/// How much of what a hook prints is kept, in bytes: the end of it.
pub const HOOK_LOG_BYTES_MAX: usize = 64 << 10;
/// How long a webhook may take, from the name of its host to the answer.
pub const WEBHOOK_DURATION_MAX: Duration = Duration::from_secs(10);
/// How much of the answer to a webhook is kept, in bytes.
pub const WEBHOOK_ANSWER_BYTES_MAX: u64 = 1 << 10;
/// How often the hooks that are due are looked for when nothing tells of them.
pub const HOOKS_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long the runs of hooks that went well are kept.
pub const HOOK_RUNS_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long the runs of hooks that were given up are kept.
pub const HOOK_FAILURES_KEPT: Duration = Duration::from_secs(365 * 86_400);
/// Runs of hooks that are forgotten in one transaction.
pub const HOOK_RUNS_FORGOTTEN_AT_ONCE_MAX: i64 = 1_000;
/// Files that are put together while they are sent, such as archives, at once.
pub const MAKING_AT_ONCE_MAX: usize = 16;
/// Texts that are compressed while they are sent, at once; further ones are sent as they are.
pub const COMPRESSING_AT_ONCE_MAX: usize = 4;
/// Faults that `builder-db check` shows; further ones are counted.
pub const FINDINGS_MAX: usize = 10_000;
/// Jobs on one part of the front page: with three platforms each it stays below 50 kB.
pub const FRONT_JOBS: u32 = 30;
/// Jobs that one part of the front page may be asked for.
pub const FRONT_JOBS_MAX: u32 = 1000;
/// Failed builds on one part of their list.
pub const FAILED_BUILDS: u32 = 50;
/// Failed builds that one part of their list may be asked for.
pub const FAILED_BUILDS_MAX: u32 = 500;
/// Builds on one part of the list of all builds.
pub const BUILDS: u32 = 50;
/// Builds that one part of the list of all builds may be asked for.
pub const BUILDS_MAX: u32 = 500;
/// Builds on one part of a job's page: as many stand in its charts.
pub const JOB_BUILDS: u32 = 30;
/// Builds that one part of a job's page may be asked for.
pub const JOB_BUILDS_MAX: u32 = 500;
/// Builds that the JSON of a job groups by output, unless told otherwise, and at most.
pub const JOB_BUILDS_JSON_MAX: u32 = 10_000;
/// Where a part of a list may begin at most.
pub const PAGE_START_MAX: u32 = 1_000_000;
/// Longest text that is searched for, in bytes.
pub const SEARCH_BYTES_MAX: usize = 512;
/// Fewest digits of a digest or UUID that are searched for.
pub const SEARCH_DIGITS_MIN: usize = 8;
/// Hits of one kind that a search shows.
pub const SEARCH_HITS_MAX: usize = 50;
/// Jobs, names of packages and texts that a page of a search shows of those that were found.
pub const SEARCH_ROWS_MAX: usize = 20;
/// Packages whose hits one part of a search page shows.
pub const SEARCH_PACKAGES: u32 = 50;
/// Pairs of a job and a platform that a search looks at.
pub const SEARCH_PAIRS_LOOKED_AT_MAX: usize = 20_000;
/// Platforms that the page of a job leads to.
pub const JOB_PLATFORMS_SHOWN_MAX: usize = 100;
/// Names of packages that a search looks at.
pub const SEARCH_NAMES_LOOKED_AT_MAX: u32 = 20_000;
/// Package lists, the newest ones, that a search for a package follows to builds.
pub const SEARCH_INVENTORIES_MAX: u32 = 2000;
/// Builds that a search for a package looks at.
pub const SEARCH_BUILDS_MAX: u32 = 5000;
/// Builds that a search for a package follows from one package list, the newest ones.
pub const SEARCH_INVENTORY_BUILDS_MAX: u32 = 2000;
/// Jobs, platforms and versions that a search for a package shows.
pub const SEARCH_PACKAGES_MAX: usize = 200;
/// Builds that are counted as related to one build; a page says "more than" beyond.
pub const RELATED_COUNTED_MAX: u64 = 1000;
/// Folders within folders that the tree of artifacts shows.
pub const TREE_DEPTH_MAX: usize = 16;
/// Artifacts of one side of a comparison; those behind are left out, and the page says so.
pub const COMPARED_ARTIFACTS_MAX: u32 = 100_000;
/// Longest script that is compared, in bytes.
pub const COMPARED_SCRIPT_BYTES_MAX: u64 = 1 << 20;
/// Comparisons that are kept in memory, in bytes.
pub const COMPARISONS_BYTES_MAX: usize = 32 << 20;
/// Rows of one list that a page of a comparison shows; the rest is in its JSON.
pub const COMPARED_ROWS_SHOWN_MAX: usize = 1000;
/// Artifacts that one page of a build shows, unless told otherwise; the others are on further ones.
pub const ARTIFACTS_SHOWN: u32 = 1000;
/// Artifacts that one page of a build may be asked for.
pub const ARTIFACTS_SHOWN_MAX: u32 = 10_000;
/// Related builds of one kind that a page shows.
pub const RELATED_SHOWN_MAX: usize = 10;
/// Artifacts of a build that are compared, for its page, with those of builds that had the same input.
pub const RELATED_ARTIFACTS_MAX: u32 = 100;
/// Platforms whose latest build a page offers to compare with.
pub const PLATFORMS_SHOWN_MAX: usize = 20;
/// Packages of one list that a page of a build shows.
pub const PACKAGES_SHOWN_MAX: usize = 2000;
/// Largest environment that a page of a build shows, in bytes: it is read whenever the page is made.
pub const ENVIRONMENT_BYTES_MAX: u64 = 256 << 10;
/// Lines of an environment that a page of a build shows.
pub const ENVIRONMENT_SHOWN_MAX: usize = 1000;
/// Words that a build is kept under, of those that are shown.
pub const PINS_SHOWN_MAX: u32 = 100;
/// Runs of hooks that a page of a build shows.
pub const HOOK_RUNS_SHOWN_MAX: usize = 50;
/// How much of a console without an index is read for one request, in bytes.
pub const CONSOLE_INDEXED_BYTES_MAX: u64 = 256 << 20;
/// Builds that a feed tells of.
pub const FEED_BUILDS: u32 = 50;
/// How old the numbers of what is stored may be in metrics, however much was committed since.
pub const TOTALS_AGE_MAX: Duration = Duration::from_secs(60);
/// Hooks of one state that metrics count.
pub const METRICS_HOOKS_MAX: u32 = 100_000;
/// Jobs on one part of the list for programs, unless told otherwise.
pub const API_JOBS: u32 = 1000;
/// Jobs that one part of the list for programs may be asked for.
pub const API_JOBS_MAX: u32 = 5000;
/// Builds on one part of a list for programs, unless told otherwise.
pub const API_BUILDS: u32 = 100;
/// Builds that one part of a list for programs may be asked for.
pub const API_BUILDS_MAX: u32 = 1000;
/// Artifacts on one part of a list for programs, unless told otherwise.
pub const API_ARTIFACTS: u32 = 1000;
/// Artifacts that one part of a list for programs may be asked for.
pub const API_ARTIFACTS_MAX: u32 = 10_000;
/// How long a mirror waits for a connection to the instance that it copies.
pub const MIRROR_CONNECT_WAIT: Duration = Duration::from_secs(30);
/// How long a mirror waits for the head of an answer; the original puts a record together before it sends any of it.
pub const MIRROR_ANSWER_WAIT: Duration = Duration::from_secs(300);
/// How long a list may take to come.
pub const MIRROR_LIST_DURATION_MAX: Duration = Duration::from_secs(300);
/// How long one record may take to come.
pub const MIRROR_RECORD_DURATION_MAX: Duration = Duration::from_secs(6 * 3600);
/// Largest list that a mirror reads, in bytes.
pub const MIRROR_LIST_BYTES_MAX: u64 = 64 << 20;
/// Parts of one list that a mirror reads.
pub const MIRROR_PARTS_MAX: u32 = 10_000;
/// Longest pause between two pieces of a record before the instance that is copied counts as gone.
pub const MIRROR_PAUSE_MAX: Duration = Duration::from_secs(120);
/// How much of a record a mirror reads at once, in bytes.
pub const MIRROR_PIECE_BYTES: usize = 128 << 10;
/// Builds, or lists of jobs, in a row that may fail before a mirror looks whether the source is there at all.
pub const MIRROR_FAILURES_MAX: u32 = 5;
/// How long a peer may take nothing of its answer, before it is cut off. One that reads slowly, as `curl --limit-rate`
/// does, seems to take nothing for minutes: its system asks for more only once there is much room.
pub const SEND_PAUSE_MAX: Duration = Duration::from_secs(300);
/// How much of an answer the system keeps that its peer cannot take yet, in bytes. It takes more when half of it is gone.
pub const SENT_AHEAD_BYTES_MAX: u32 = 256 << 10;
/// Comparisons that are made or waited for at once; further ones are asked to come again.
pub const COMPARISONS_AT_ONCE_MAX: usize = 16;
/// Builds with one content that are looked at for the newest of them.
pub const BUILDS_OF_DIGEST_MAX: u32 = 1000;
