//! The two programs: flags in, exit status out. Everything they print goes through one locked writer, and every
//! failure is one line on stderr with, where we know one, a hint below it.

mod args;
mod failure;
mod screen;
mod table;

pub(crate) use args::{Format, client_command, inspect_command};
pub(crate) use failure::{Exit, Failure, complain};
pub(crate) use screen::{Screen, json_string, text_of};
pub use table::Table;

use crate::client::Client;
use args::{ClientArgs, ClientCommand, InspectArgs};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// `builder-client`.
pub fn client() -> ExitCode {
    let ClientArgs { remote, format, color, command } = ClientArgs::parse();
    let client = Client::new(remote);
    let mut screen = Screen::new(format, color);
    let screen_ref = &mut screen;
    let result = match command {
        ClientCommand::Schedule(command) => command.run(&client),
        ClientCommand::OrbBuild(command) => command.run(&client),
        ClientCommand::ScheduleTemplate(command) => command.run(&client),
        ClientCommand::Template(command) => command.run(&client, screen_ref),
        ClientCommand::Unschedule(command) => command.run(&client),
        ClientCommand::Execute(command) => command.run(&client),
        ClientCommand::Reschedule(command) => command.run(&client),
        ClientCommand::Info(command) => command.run(&client, screen_ref),
        ClientCommand::Observe(command) => command.run(&client, screen_ref),
        ClientCommand::ObserveLatest(command) => command.run(&client, screen_ref),
        ClientCommand::Builds(command) => command.run(&client, screen_ref),
        ClientCommand::Log(command) => command.run(&client, screen_ref),
        ClientCommand::Artifacts(command) => command.run(&client, screen_ref),
        ClientCommand::Uploads(command) => command.run(&client, screen_ref),
        ClientCommand::DropPlatform(command) => command.run(&client),
        ClientCommand::UndropPlatform(command) => command.run(&client),
        ClientCommand::Completions(command) => command.run(screen_ref),
        ClientCommand::Man(command) => command.run(),
    };
    end("builder-client", screen, result)
}

/// `builder-inspect`.
pub fn inspect() -> ExitCode {
    let InspectArgs { inspect, format, command } = InspectArgs::parse();
    let mut screen = Screen::new(format, args::Color::Never);
    let result = match (command, inspect) {
        (Some(args::InspectCommand::Decode(decode)), _) => decode.run(&mut screen),
        (None, Some(inspect)) => inspect.run(&mut screen),
        (None, None) => Err(Failure::NoFile),
    };
    end("builder-inspect", screen, result)
}

/// Shows what is left to show, then the failure if there is one.
fn end(program: &str, mut screen: Screen, result: Result<Exit, Failure>) -> ExitCode {
    let flushed = screen.flush().map_err(Failure::Output);
    let result = result.and_then(|exit| flushed.map(|()| exit));
    // The output is unlocked and the lines are out before anything is said on stderr.
    drop(screen);
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.complain(program);
            failure.exit().into()
        }
    }
}
