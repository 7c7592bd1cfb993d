//! `cartulaire`: commands, jobs, scheduler. Thin: decisions are the engine's.

mod archive;
mod bcn;
mod cli;
mod commands;
mod config;
mod deposit;
mod elimination;
mod exit;
mod extract;
mod hold;
mod job;
mod output;
mod panics;
mod person;
mod portal;
mod quarantine;
mod retention;
mod runner;
mod seda;
mod serve;
mod tri;
mod validate;

use std::process::ExitCode;

fn main() -> ExitCode {
    panics::hide();
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(e) if e.exit_code() == 0 => {
            output::write_out(e.render().to_string().trim_end());
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("cartulaire : {}", cli::explain(&e));
            return ExitCode::from(exit::USAGE);
        }
    };
    logs(cli.common.quiet);
    match commands::dispatch(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("cartulaire : {e}");
            ExitCode::from(exit::of(&e))
        }
    }
}

/// Logs are for machines and go to stderr; `CARTULAIRE_LOG` chooses what is logged.
fn logs(quiet: bool) {
    use tracing_subscriber::EnvFilter;
    let default = if quiet { "error" } else { "warn" };
    let filter = EnvFilter::try_from_env("CARTULAIRE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
}
