//! The command line of a benchmark.
//!
//! A benchmark that needs several processes starts itself again with `--role NAME ARGUMENT…`; a
//! role is no part of what a person would ask for, so the help does not name it.

use std::{env, process};

/// What the benchmark was asked to do.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Less of everything: for a look, not for a number to rely on.
    pub quick: bool,
    role: Option<(String, Vec<String>)>,
}

impl Arguments {
    /// Reads the command line; prints `about` and ends where help was asked for or something
    /// unknown stands there.
    pub fn read(name: &str, about: &str) -> Self {
        let mut read = Self::default();
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            match &*word {
                // Cargo says it to every benchmark.
                "--bench" => {}
                "--quick" => read.quick = true,
                "--role" => {
                    let role = words.next().unwrap_or_default();
                    read.role = Some((role, words.by_ref().collect()));
                }
                "--help" | "-h" => {
                    help(name, about);
                    process::exit(0);
                }
                unknown => {
                    eprintln(&format!("{unknown} is not known; see --help"));
                    process::exit(2);
                }
            }
        }
        read
    }

    /// The role of this process and what it was told, unless it is the one a person started.
    pub fn role(&self) -> Option<(&str, &[String])> {
        self.role.as_ref().map(|(role, arguments)| (&**role, &**arguments))
    }

    /// One of two amounts: the whole one, or the one for a quick look.
    pub fn amount<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }
}

#[expect(clippy::print_stdout, reason = "help is what was asked for")]
fn help(name: &str, about: &str) {
    println!(
        "{about}\n\nusage: cargo bench --bench {name} [-- --quick]\n\n  \
         --quick  less of everything\n  --help   this\n\n\
         Writes target/bench/{name}.json; fails when a limit is not met."
    );
}

#[expect(clippy::print_stderr, reason = "there is no other way to say it")]
fn eprintln(text: &str) {
    eprintln!("{text}");
}
