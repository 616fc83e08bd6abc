//! The commands of the README, as somebody types them who has nothing but the README.

use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{collector::BINARY, eventually, ports};

const README: &str = include_str!("../../../README.md");

/// The ports that the README takes, which other tests take as well.
const PORTS: [&str; 4] = ["127.0.0.1:8080", "127.0.0.1:9464", "127.0.0.1:8443", "127.0.0.1:6514"];

/// The commands of a section, each with what belongs to it.
fn commands(section: &str) -> Vec<String> {
    let (_, section) =
        README.split_once(&format!("\n## {section}\n")).expect("the section is there");
    let section = section.split("\n## ").next().unwrap();
    let mut commands = Vec::new();
    for block in section.split("```sh\n").skip(1) {
        let (block, _) = block.split_once("```").expect("the block ends");
        let mut lines = block.lines();
        while let Some(line) = lines.next() {
            let mut command = line.to_owned();
            if line.contains("<<'END'") {
                for line in lines.by_ref() {
                    command = format!("{command}\n{line}");
                    if line == "END" {
                        break;
                    }
                }
            }
            commands.push(command);
        }
    }
    commands
}

/// A shell in an empty folder that is told one command after the other. What it has started ends
/// with it.
struct Shell {
    shell: Child,
    input: ChildStdin,
    folder: TempDir,
    said: usize,
}

impl Shell {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = tempfile_in(folder.path());
        let path = Path::new(BINARY).parent().unwrap().display();
        let mut shell = Command::new("/bin/bash");
        shell.current_dir(folder.path()).env_clear().process_group(0);
        shell.env("PATH", format!("{path}:/usr/bin:/bin"));
        shell.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).stderr(out);
        let mut shell = shell.spawn().expect("there is a shell");
        let input = shell.stdin.take().unwrap();
        Self { shell, input, folder, said: 0 }
    }

    fn everything(&self) -> String {
        fs::read_to_string(self.folder.path().with_extension("said")).unwrap_or_default()
    }

    /// Says what the command wrote, and whether it succeeded.
    async fn tell(&mut self, command: &str) -> (bool, String) {
        self.said += 1;
        let mark = format!("[command {} ended with ", self.said);
        let before = self.everything().len();
        writeln!(self.input, "{command}\necho \"{mark}$?]\"").unwrap();
        self.input.flush().unwrap();
        eventually(command, async || self.everything()[before..].contains(&mark)).await;
        let said = self.everything()[before..].to_owned();
        (said.contains(&format!("{mark}0]")), said)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.id());
        Command::new("/bin/sh").args(["-c", "kill -9 $0", &group]).status().ok();
        self.shell.wait().ok();
        fs::remove_file(self.folder.path().with_extension("said")).ok();
    }
}

/// Beside the folder, which must be empty.
fn tempfile_in(folder: &Path) -> fs::File {
    let path = folder.with_extension("said");
    fs::File::options().create(true).append(true).open(path).expect("the file can be made")
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_folder_to_records_in_ten_commands() {
    let free: Vec<_> = PORTS.iter().map(|_| ports::free().to_string()).collect();
    let commands: Vec<_> = commands("From an empty folder to records")
        .into_iter()
        .map(|command| PORTS.iter().zip(&free).fold(command, |c, (from, to)| c.replace(from, to)))
        .collect();
    assert!((5..=10).contains(&commands.len()), "{commands:#?}");
    assert!(PORTS.iter().all(|port| README.contains(port)), "the README has other ports");

    let mut shell = Shell::start();
    let mut times = String::new();
    let began = Instant::now();
    for command in &commands {
        let asked = Instant::now();
        let (succeeded, said) = shell.tell(command).await;
        assert!(succeeded && is_there(command, &said), "{command}\n{said}");
        let line = command.lines().next().unwrap();
        times += &format!("{:>6.1} s  {line}\n", asked.elapsed().as_secs_f64());
    }
    writeln!(std::io::stdout(), "{times}{:>6.1} s  in all", began.elapsed().as_secs_f64()).unwrap();
    let log = fs::read_to_string(shell.folder.path().join("run.log")).unwrap();
    assert!(log.trim_end().ends_with("drained"), "{log}");
}

/// Whether a command shows what a newcomer hopes for.
fn is_there(command: &str, said: &str) -> bool {
    match command {
        "m365-collector subscriptions list" => {
            let kept =
                said.lines().filter(|line| line.starts_with("contoso") && line.ends_with("keep"));
            kept.count() == 5
        }
        "m365-collector ledger status" => {
            // The column before "oldest": records delivered.
            said.lines()
                .filter(|line| line.starts_with("contoso"))
                .any(|line| line.split_whitespace().nth(7).is_some_and(|records| records != "0"))
        }
        "tail -n 1 simulate.log" => said.contains("arrived") && !said.contains("arrived 0,"),
        _ => true,
    }
}

#[test]
fn every_command_and_key_the_readme_names_exists() {
    let schema = m365_collector::config::json_schema();
    for block in README.split("```toml\n").skip(1) {
        let (block, _) = block.split_once("```").expect("the block ends");
        let table: toml::Table = block.parse().expect("the block is TOML");
        for (name, _) in &table {
            assert!(schema.contains(&format!("\"{name}\"")), "{name}");
        }
    }
    let help = Command::new(BINARY).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for (at, name) in README.match_indices("m365-collector ") {
        let rest = &README[at + name.len()..];
        let command: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
        let before = README[..at].chars().next_back();
        let is_command = matches!(before, Some('`' | ' ' | '\n')) && rest.starts_with(&command);
        let known = help.lines().any(|line| line.trim_start().starts_with(&format!("{command} ")));
        let prose = ["is", "receives"].contains(&&*command) || command.is_empty();
        assert!(!is_command || known || prose, "there is no command {command:?}");
    }
}
