//! The scheduler is driven by lines of text and answers in lines of text; see [`farm`].

mod farm;
mod healing;
mod random;
mod replay;
mod scaling;
mod stories_builds;
mod stories_named;
mod stories_refusals;
mod stories_requests;
mod stories_templates;
