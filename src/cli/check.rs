//! `check`: the doctor's walk as a list for people, or as JSON.
//!
//! The list is written as it is found. Consecutive findings that say the same are one line. What is
//! under way is shown on standard error, on a terminal only.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{CommandError, Exit, Outside};
use crate::{
    app,
    clock::Clock,
    config::{Config, Loaded, Problems},
    doctor::{self, Doctor, Finding, Given, Outcome, Place, Report, Step, Table},
    printable::printable,
};

/// Walks the whole way and says what was found. Fails when anything does not work.
pub(super) async fn walk(
    loaded: Loaded,
    file: PathBuf,
    table: Option<Table>,
    json: bool,
    outside: &Outside,
) -> Result<Exit, CommandError> {
    let (config, given) = taken(loaded, file, table);
    let doctor = Doctor::new(config, given, Clock::system());
    let progress = Progress::new(outside.terminal);
    let mut list = List::new(io::stdout(), outside.coloured_results);
    let mut written = Ok(());
    let report = doctor
        .examine(|step| match step {
            Step::Looking(at) => progress.show(at),
            Step::Found(finding) if !json && written.is_ok() => {
                written = progress.aside(|| list.take(finding));
            }
            Step::Found(_) => {}
        })
        .await;
    progress.end();
    written?;
    if json {
        write_json(&mut io::stdout().lock(), &report)?;
        writeln!(io::stderr(), "{}", headline(&report))?;
    } else {
        list.end()?;
        list.summary(&report)?;
    }
    Ok(if report.is_well() { Exit::Success } else { Exit::Failed })
}

/// Writes what is wrong with the file, as far as the walk came.
pub(super) fn problems(problems: &Problems, file: &Path) -> Result<(), CommandError> {
    let findings = problems.iter().map(|problem| Finding::invalid(file, problem.to_string()));
    write_json(&mut io::stdout().lock(), &Report { findings: findings.collect() })
}

/// Writes what there is to say of the file alone.
pub(super) fn file(file: &Path, outside: &Outside) -> Result<(), CommandError> {
    match Config::load(file, outside.variables.iter().cloned()) {
        Ok(loaded) => {
            let (config, given) = taken(loaded, file.to_owned(), None);
            let findings = doctor::configuration(&config, &given);
            write_json(&mut io::stdout().lock(), &Report { findings })
        }
        Err(found) => problems(&found, file),
    }
}

fn taken(
    Loaded { config, warnings }: Loaded,
    file: PathBuf,
    table: Option<Table>,
) -> (app::Config, Given) {
    let warnings = warnings.iter().map(ToString::to_string).collect();
    (config.into(), Given { file, warnings, table })
}

/// The list for people.
struct List<W> {
    output: W,
    colour: bool,
    place: Option<Place>,
    /// Findings that will be one line.
    alike: Vec<Finding>,
}

impl<W: Write> List<W> {
    fn new(output: W, colour: bool) -> Self {
        Self { output, colour, place: None, alike: Vec::new() }
    }

    fn take(&mut self, finding: &Finding) -> io::Result<()> {
        if self.alike.last().is_some_and(|last| !is_alike(last, finding)) {
            self.end()?;
        }
        self.alike.push(finding.clone());
        Ok(())
    }

    /// Writes what is held back.
    fn end(&mut self) -> io::Result<()> {
        let alike = std::mem::take(&mut self.alike);
        let Some(first) = alike.first() else {
            return Ok(());
        };
        let place = first.check.place();
        if self.place != Some(place) {
            let gap = if self.place.is_some() { "\n" } else { "" };
            self.place = Some(place);
            let title = self.paint("1", place.title());
            writeln!(self.output, "{gap}{title}")?;
        }
        let is_trouble = matches!(first.outcome, Outcome::Failed | Outcome::Warning);
        let (title, text) = said(&alike);
        let outcome = self.paint(style(first.outcome), &format!("{:<8}", first.outcome.as_str()));
        for (number, line) in wrapped(&text, WIDTH - INDENT).into_iter().enumerate() {
            let line =
                if first.outcome == Outcome::Skipped { self.paint("2", &line) } else { line };
            if number == 0 {
                writeln!(self.output, "  {outcome} {title:<TITLE$} {line}")?;
            } else {
                writeln!(self.output, "{:INDENT$}{line}", "")?;
            }
        }
        if is_trouble {
            self.part("seen", &first.evidence)?;
            self.part("to do", &first.remedy)?;
        }
        Ok(())
    }

    fn part(&mut self, name: &str, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        for (number, line) in wrapped(text, WIDTH - PARTS - PART).into_iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            let name = self.paint("2", &format!("{name:<PART$}"));
            writeln!(self.output, "{:PARTS$}{name}{line}", "")?;
        }
        Ok(())
    }

    fn summary(&mut self, report: &Report) -> io::Result<()> {
        let first = report.first();
        let code = first.map_or("32;1", |first| style(first.outcome));
        let mut lines = wrapped(&headline(report), WIDTH).into_iter();
        let line = lines.next().unwrap_or_default();
        let line = self.paint(code, &line);
        writeln!(self.output, "\n{line}")?;
        for line in lines {
            let line = self.paint(code, &line);
            writeln!(self.output, "{line}")?;
        }
        if let Some(first) = first.filter(|first| !first.remedy.is_empty()) {
            for line in wrapped(&first.remedy, WIDTH - 2) {
                writeln!(self.output, "  {line}")?;
            }
        }
        writeln!(self.output, "{}", counts(report))
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What is said first at the end: the first cause, or that there is none.
fn headline(report: &Report) -> String {
    let Some(first) = report.first() else {
        return "Everything is well.".to_owned();
    };
    let kind = first.content_type.map(|kind| format!(" {kind}")).unwrap_or_default();
    let subject = match &*first.subject {
        subject if names_subject(first) => format!(" ({subject}{kind})"),
        _ => String::new(),
    };
    let begin = if report.is_well() { "Worth a look" } else { "Mend this first" };
    format!("{begin}: {}{subject}: {}", first.check.title(), first.cause)
}

fn counts(report: &Report) -> String {
    let counted = [Outcome::Failed, Outcome::Warning, Outcome::Skipped, Outcome::Ok]
        .into_iter()
        .filter(|outcome| report.count(*outcome) > 0)
        .map(|outcome| format!("{} {}", report.count(outcome), outcome.as_str()));
    counted.collect::<Vec<_>>().join(", ")
}

/// Whether two findings are one line: the same of another feed, or skipped for the same reason.
fn is_alike(one: &Finding, other: &Finding) -> bool {
    let same = one.outcome == other.outcome
        && one.cause == other.cause
        && one.subject == other.subject
        && one.check.place() == other.check.place();
    match one.outcome {
        Outcome::Skipped => same,
        _ => same && one.check == other.check && one.content_type.is_some(),
    }
}

/// The title and the text of findings that are one line.
fn said(alike: &[Finding]) -> (&'static str, String) {
    let Some(first) = alike.first() else {
        return ("", String::new());
    };
    let mut titles: Vec<_> = alike.iter().map(|finding| finding.check.title()).collect();
    titles.dedup();
    let text = first.cause.clone();
    let (title, many) = match &*titles {
        [one] => (*one, String::new()),
        some => ("", format!("{}: ", some.join(", "))),
    };
    let kinds: Vec<_> = alike.iter().filter_map(|finding| finding.content_type).collect();
    let kinds = match &*kinds {
        [one] => one.to_string(),
        some if some.len() > 1 && many.is_empty() => format!("{} content types", some.len()),
        _ => String::new(),
    };
    let subject = if names_subject(first) { &*first.subject } else { "" };
    let whose = [subject, &*kinds].into_iter().filter(|part| !part.is_empty());
    let whose = whose.collect::<Vec<_>>().join(", ");
    let whose = if whose.is_empty() { whose } else { format!("{whose}: ") };
    (title, format!("{whose}{many}{text}"))
}

/// Whose it is must be said of tenants, and of files unless the cause says it; hosts are named
/// where the way to them begins.
fn names_subject(finding: &Finding) -> bool {
    match finding.check.place() {
        Place::Tenants | Place::Feeds => true,
        // An empty one is in every text.
        Place::Machine => !finding.cause.contains(&*finding.subject),
        Place::Address | Place::Devo | Place::Microsoft => false,
    }
}

const fn style(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "31;1",
        Outcome::Ok => "32",
        Outcome::Skipped => "2",
        Outcome::Warning => "33;1",
    }
}

/// Breaks a text between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(printable(word));
    }
    lines.push(line);
    lines
}

/// An array with one finding on each line.
fn write_json(output: &mut impl Write, report: &Report) -> Result<(), CommandError> {
    write!(output, "[")?;
    let mut begin = "\n";
    for finding in &report.findings {
        write!(output, "{begin}{}", serde_json::to_string(&Row::new(finding))?)?;
        begin = ",\n";
    }
    writeln!(output, "\n]")?;
    Ok(())
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    check: &'static str,
    outcome: &'static str,
    subject: &'a str,
    content_type: Option<&'static str>,
    cause: &'a str,
    evidence: &'a str,
    remedy: &'a str,
    /// The check because of which this one was skipped.
    because: Option<&'static str>,
}

impl<'a> Row<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            check: finding.check.as_str(),
            outcome: finding.outcome.as_str(),
            subject: &finding.subject,
            content_type: finding.content_type.map(|kind| kind.as_str()),
            cause: &finding.cause,
            evidence: &finding.evidence,
            remedy: &finding.remedy,
            because: finding.because.map(|check| check.as_str()),
        }
    }
}

/// What is under way, on a terminal.
struct Progress(ProgressBar);

impl Progress {
    fn new(terminal: bool) -> Self {
        if !terminal {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {spinner} {msg}");
        bar.set_style(style.expect("the template is a constant"));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    fn show(&self, at: &str) {
        self.0.set_message(at.to_owned());
    }

    /// Writes lines without the progress in between.
    fn aside(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.0.suspend(write)
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// As wide as the help.
const WIDTH: usize = 100;

const TITLE: usize = 21;

/// Where what is said begins.
const INDENT: usize = 2 + 8 + 1 + TITLE + 1;

/// Where evidence and remedy begin: they are long.
const PARTS: usize = 2 + 8 + 1;

const PART: usize = 7;

const TICK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
