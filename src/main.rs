//! The binary: hands the outside (arguments, environment, standard streams) to the command line.

use std::{io, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use m365_collector::cli::{self, Cli, Outside};

fn main() -> ExitCode {
    match run() {
        Ok(exit) => exit,
        // Whoever read the output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            cli::complain(&mut io::stderr(), error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    let exit = runtime.block_on(cli::execute(cli, Outside::of_process()));
    // Name resolution may still block a thread; nothing is waiting for it any more.
    runtime.shutdown_background();
    Ok(exit?.into())
}
