//! What the programs of the repository do, seen from outside. One binary, so that there is one to link.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod admin;
mod api;
mod browser;
mod build_page;
mod compare_page;
mod console_page;
mod consumers;
mod crashes;
mod damaged;
mod debian;
mod documented;
mod feeds;
mod files;
mod hooks;
mod hostile;
mod journal;
mod judged;
mod mirror;
mod opam_export;
mod operation;
mod original;
mod pages;
mod refusals;
mod schemathesis;
mod site;
mod uploads;
