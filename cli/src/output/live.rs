//! Lines that are rewritten in place on a terminal.

use super::Output;
use indicatif::{ProgressBar, ProgressStyle};

/// Lines at the end of a terminal that each drawing replaces. Draws nothing elsewhere.
#[derive(Debug)]
pub struct Live {
    bar: Option<ProgressBar>,
    indent: &'static str,
}

impl Output {
    /// Begins a live view.
    pub fn live(&self) -> Live {
        let bar = self.is_terminal().then(ProgressBar::new_spinner);
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{msg}")) {
            bar.set_style(style);
        }
        Live { bar, indent: self.indent }
    }
}

impl Live {
    /// Replaces the lines, which [`paint`](super::paint) made.
    pub fn draw(&self, lines: &[String]) {
        if let Some(bar) = &self.bar {
            let indented: Vec<String> = lines.iter().map(|line| format!("{}{line}", self.indent)).collect();
            bar.set_message(indented.join("\n"));
            bar.tick();
        }
    }

    /// Removes the lines.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}
