//! A real browser, headless, and what assistive technology would say of what it shows.
//!
//! `tests/run` installs what this needs: the packages chromium and nodejs, and beside the build
//! those of `package-lock.json`.

use std::{path::Path, process::Stdio};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::{eventually, patience, within};

/// A browser with one page.
pub struct Browser {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Ends when there is no one left to command it, and the browser with it. Killed, it would leave
    /// the browser behind.
    _process: Child,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub dark: bool,
    pub width: u32,
    pub script: bool,
}

/// Light, wide, with scripts.
pub const USUAL: Look = Look { dark: false, width: 1280, script: true };

/// Light and dark, wide and as on a phone.
pub const EVERY: [Look; 4] = [
    USUAL,
    Look { dark: true, ..USUAL },
    Look { width: 360, ..USUAL },
    Look { dark: true, width: 360, ..USUAL },
];

impl Browser {
    pub fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("page");
        assert!(installed.join("node_modules").is_dir(), "tests/run installs what this needs");
        let mut process = Command::new("node")
            .arg(root.join("tests/it/page/browser.cjs"))
            .env("PAGE_MODULES", installed.join("node_modules"))
            .env("PAGE_BROWSER", "/usr/bin/chromium")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is missing: install the package nodejs");
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { commands, answers, _process: process }
    }

    /// Opens a page and says with which status it was answered.
    pub async fn visit(&mut self, url: &str, look: Look) -> u16 {
        let Look { dark, width, script } = look;
        self.ask("visit", json!({"url": url, "dark": dark, "width": width, "script": script})).await
    }

    pub async fn evaluate<T: DeserializeOwned>(&mut self, expression: &str) -> T {
        self.ask("evaluate", json!({ "expression": expression })).await
    }

    /// The text of the first element a selector finds.
    pub async fn text(&mut self, selector: &str) -> String {
        let selector = serde_json::to_string(selector).unwrap();
        self.evaluate(&format!("document.querySelector({selector})?.innerText ?? ''")).await
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, what: &str, expression: &str) {
        eventually(what, async || self.evaluate(expression).await).await;
    }

    pub async fn press(&mut self, keys: &[&str]) {
        let () = self.ask("press", json!({ "keys": keys })).await;
    }

    /// What axe-core finds wrong.
    pub async fn axe(&mut self) -> Vec<String> {
        self.ask("axe", json!({})).await
    }

    /// What the page complained about on its console.
    pub async fn complaints(&mut self) -> Vec<String> {
        self.ask("complaints", json!({})).await
    }

    /// How often the page was loaded since it was opened.
    pub async fn navigations(&mut self) -> u32 {
        self.ask("navigations", json!({})).await
    }

    /// Keeps what is to be seen beside the build, for a person.
    pub async fn screenshot(&mut self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        let () = self.ask("screenshot", json!({ "path": path })).await;
    }

    async fn ask<T: DeserializeOwned>(&mut self, command: &str, mut options: Value) -> T {
        options["command"] = command.into();
        let asked = async {
            self.commands.write_all(format!("{options}\n").as_bytes()).await.unwrap();
            self.answers.next_line().await.unwrap().expect("the browser runs")
        };
        let answer = within(patience(), command, asked).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let Some(ok) = answer.get("ok") else { panic!("{options}: {}", answer["error"]) };
        serde_json::from_value(ok.clone()).unwrap()
    }
}
