//! The output of commands, for people and for scripts.
//!
//! Lines for people are printed on standard output at once. With `--json` they are omitted, and one JSON document is printed
//! at the end (`watch` prints many, each on a line). Progress is a spinner on standard error on a terminal and a plain line
//! elsewhere, and is omitted with `--json`. A [`Live`] view rewrites its lines in place on a terminal.
//!
//! Every text passes [`lockstep_domain::model::visible`] on its way out, so no text of an author or of a git host
//! controls the terminal of an operator. No other part of the command prints.

mod live;
mod style;

pub use live::Live;
pub use style::{Style, is_coloured, paint};

use comfy_table::presets;
use comfy_table::{ContentArrangement, LineStyle, Row, Table};
use indicatif::{ProgressBar, ProgressStyle};
use lockstep_domain::model::visible;
use serde::Serialize;
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The destination of lines.
#[derive(Clone, Debug)]
enum Sink {
    /// The process's own streams.
    Process {
        /// True if both streams are a terminal.
        terminal: bool,
    },
    /// A text in memory.
    Memory(Arc<Mutex<String>>),
}

/// The output of one command.
#[derive(Clone, Debug)]
pub struct Output {
    sink: Sink,
    json: bool,
    events: bool,
    verbose: bool,
    colour: bool,
    indent: &'static str,
}

impl Output {
    /// Returns an output to the process's standard output and standard error.
    pub fn process(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        let sink = Sink::Process { terminal };
        Self { sink, json, events: true, verbose: false, colour: false, indent: "" }
    }

    /// Returns an output to memory, whose text [`Output::captured`] returns.
    pub fn memory(json: bool) -> Self {
        let sink = Sink::Memory(Arc::default());
        Self { sink, json, events: true, verbose: false, colour: false, indent: "" }
    }

    /// Returns the same output with indented lines.
    pub fn indented(&self) -> Self {
        Self { indent: "    ", ..self.clone() }
    }

    /// Returns the same output for scripts (`json`) or for people.
    pub fn with_json(&self, json: bool) -> Self {
        Self { json, ..self.clone() }
    }

    /// Returns the same output without the documents of single events.
    pub fn without_events(&self) -> Self {
        Self { events: false, ..self.clone() }
    }

    /// Returns the same output, with every line of the deployment logs if `verbose` is true.
    pub fn with_verbose(&self, verbose: bool) -> Self {
        Self { verbose, ..self.clone() }
    }

    /// Returns the same output with the colours that the variables of the process allow.
    pub fn with_colour(&self, variable: impl Fn(&str) -> Option<String>) -> Self {
        Self { colour: is_coloured(variable, self.is_terminal()), ..self.clone() }
    }

    /// Returns true if the output is JSON for scripts.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Returns true if each line of the deployment logs is wanted: by a person, or by a script as a document.
    pub fn is_verbose(&self) -> bool {
        if self.json { self.events } else { self.verbose }
    }

    /// Returns true if the lines of this output may have colours.
    pub fn is_coloured(&self) -> bool {
        self.colour
    }

    /// Returns true if a person reads the lines on a terminal.
    pub fn is_terminal(&self) -> bool {
        !self.json && matches!(self.sink, Sink::Process { terminal: true })
    }

    /// Returns the number of columns for a line; `None` if the lines are for no terminal.
    pub fn width(&self) -> Option<usize> {
        let columns = console::Term::stderr().size_checked().filter(|_| self.is_terminal())?.1;
        Some(usize::from(columns).saturating_sub(self.indent.len()).max(20))
    }

    /// Returns the text of an output in memory; an empty text for any other output.
    pub fn captured(&self) -> String {
        match &self.sink {
            Sink::Process { .. } => String::new(),
            Sink::Memory(text) => text.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Prints lines for people on standard output.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            self.write(&visible::lines(text.as_ref()));
        }
    }

    /// Prints a line for people on standard error, with `--json` too. It is not part of the result.
    pub fn note(&self, text: impl AsRef<str>) {
        let text = visible::lines(text.as_ref());
        match &self.sink {
            // A closed stream must not end the command.
            Sink::Process { .. } => drop(writeln!(std::io::stderr(), "{text}")),
            Sink::Memory(_) => self.write(&text),
        }
    }

    /// Prints a question on standard error and stays on its line.
    pub fn prompt(&self, text: &str) {
        let text = visible::line(text);
        match &self.sink {
            Sink::Process { .. } => {
                let mut stream = std::io::stderr();
                // A closed stream must not end the command.
                drop(write!(stream, "{text}").and_then(|()| stream.flush()));
            }
            Sink::Memory(_) => self.write(&text),
        }
    }

    /// Prints lines for people that [`paint`] made.
    pub fn screen(&self, lines: &[String]) {
        if !self.json && !lines.is_empty() {
            self.write(&lines.join("\n"));
        }
    }

    /// Prints a table for people.
    pub fn table<const N: usize>(&self, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        // The width of a column is that of its shown text.
        let shown = |row: [String; N]| Row::from(row.map(|cell| visible::lines(&cell).into_owned()));
        self.rows(Row::from(head), rows.into_iter().map(shown));
    }

    /// Prints a table for people with a number of columns that the compiler does not know.
    pub fn rows(&self, head: Row, rows: impl IntoIterator<Item = Row>) {
        if self.json {
            return;
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─')))
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(head);
        table.add_rows(rows);
        let text = table.to_string();
        let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
        self.write(&visible::lines(&trimmed.join("\n")));
    }

    /// Prints the command's one document, only with `--json`.
    pub fn document(&self, document: &Value) {
        if self.json {
            self.write(&visible::json(&serde_json::to_string_pretty(document).unwrap_or_default()));
        }
    }

    /// Prints one of many documents on a line of its own, only with `--json`.
    pub fn event(&self, event: &impl Serialize) {
        if self.json && self.events {
            self.write(&visible::json(&serde_json::to_string(event).unwrap_or_default()));
        }
    }

    /// Shows the progress of a long step.
    pub fn progress(&self, text: impl Into<String>) -> Progress {
        let text = visible::line(&text.into()).into_owned();
        if !self.is_terminal() {
            if !self.json {
                self.write(&format!("{text} ..."));
            }
            return Progress { bar: None, output: self.clone(), text };
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{prefix}{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_prefix(self.indent);
        bar.set_message(text.clone());
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress { bar: Some(bar), output: self.clone(), text }
    }

    /// Writes lines that passed a filter.
    fn write(&self, text: &str) {
        let lines =
            text.lines().map(|line| format!("{}{line}\n", if line.is_empty() { "" } else { self.indent }));
        let text = if text.is_empty() { "\n".to_owned() } else { lines.collect() };
        match &self.sink {
            // A closed pipe (`lockstep status | head`) must not end the command.
            Sink::Process { .. } => drop(std::io::stdout().write_all(text.as_bytes())),
            Sink::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text),
        }
    }
}

/// The progress of a long step. Its spinner disappears when it is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    output: Output,
    text: String,
}

impl Progress {
    /// Shows the current state. Without a terminal, prints it only if it changed.
    pub fn step(&mut self, text: impl Into<String>) {
        let text = visible::line(&text.into()).into_owned();
        if text == self.text {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.clone()),
            None => self.output.line(&text),
        }
        self.text = text;
    }

    /// Prints a line above the spinner.
    pub fn line(&self, text: impl AsRef<str>) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.line(text)),
            None => self.output.line(text),
        }
    }

    /// Ends the progress and prints a line.
    pub fn done(self, text: impl AsRef<str>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.output.line(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints the messages of panics through the filter of every other text from now on.
pub fn filter_panics() {
    std::panic::set_hook(Box::new(|panic| Output::process(false).note(panic.to_string())));
}

/// Formats a duration: `850 ms`, `4.2 s` or `3 min 10 s`.
pub fn duration(seconds: f64) -> String {
    // A duration is rounded before it is divided, so that no second is the sixtieth.
    let whole = seconds.round();
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        s if s < 59.95 => format!("{s:.1} s"),
        _ => format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_lines_and_scripts_get_one_document() {
        let (people, scripts) = (Output::memory(false), Output::memory(true));
        for output in [&people, &scripts] {
            output.line("done");
            output.table(["a"], [["1".to_owned()]]);
            drop(output.progress("working"));
            output.document(&serde_json::json!({"done": true}));
        }
        assert!(people.captured().starts_with("done\n"));
        assert!(people.captured().contains("working ..."));
        assert_eq!(
            serde_json::from_str::<Value>(&scripts.captured()).unwrap(),
            serde_json::json!({"done": true})
        );
    }

    #[test]
    fn without_a_terminal_a_step_is_printed_once() {
        let output = Output::memory(false);
        let mut progress = output.progress("plan");
        progress.step("execute");
        progress.step("execute");
        progress.done("finished");
        assert_eq!(output.captured(), "plan ...\nexecute\nfinished\n");
    }

    /// Returns every text that a terminal would obey or hide, one character in each.
    fn hidden() -> impl Iterator<Item = String> {
        ('\0'..=char::MAX).filter(|c| visible::is_hidden(*c)).map(|c| format!("a{c}b"))
    }

    /// Prints `text` in every way that a command has.
    fn printed(text: &str, json: bool) -> String {
        let output = Output::memory(json);
        output.line(text);
        output.note(text);
        output.indented().line(text);
        output.prompt(text);
        output.screen(&[paint(text, Style::Plain, false)]);
        output.table([text, "b"], [[text.to_owned(), text.to_owned()]]);
        output.rows(Row::from([text]), [Row::from([text])]);
        let mut progress = output.progress(text);
        progress.step(format!("{text} again"));
        progress.line(text);
        progress.done(text);
        output.document(&serde_json::json!({ text: [text] }));
        output.event(&[text]);
        output.captured()
    }

    #[test]
    fn no_output_of_a_command_holds_a_hidden_character() {
        for text in hidden() {
            for json in [false, true] {
                let said = printed(&text, json);
                assert!(said.contains('a'), "{text:?}");
                assert!(
                    !said.contains(|c| visible::is_hidden(c) && c != '\n' && c != '\t'),
                    "{text:?}: {said:?}"
                );
            }
        }
    }

    #[test]
    fn a_step_of_an_author_cannot_begin_a_line() {
        let output = Output::memory(false);
        output.progress("deploy\nerror: forged").done("done");
        assert_eq!(output.captured(), "deploy\\u{a}error: forged ...\ndone\n");
    }

    #[test]
    fn the_document_for_scripts_keeps_its_meaning() {
        let text = "\u{1b}[2J\u{9b}\u{202e}\u{e0041}é";
        let output = Output::memory(true);
        output.document(&serde_json::json!({ text: text }));
        let said = output.captured();
        assert!(said.contains("\\u202e\\udb40\\udc41é"), "{said}");
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap()[text], text);
    }

    #[test]
    fn durations_have_a_readable_unit() {
        assert_eq!(duration(0.85), "850 ms");
        assert_eq!(duration(4.25), "4.2 s");
        assert_eq!(duration(190.0), "3 min 10 s");
        assert_eq!([0.9999, 59.97, 119.6].map(duration), ["1.0 s", "1 min 0 s", "2 min 0 s"]);
    }
}
