//! Shows the deployments of an execution while a command follows it: as lines that are rewritten on a terminal, as a line
//! for each change elsewhere, or as each line of the deployment logs.

use super::queue::Behind;
use super::verbose::Printer;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::{Live, Output};
use crate::views::board::{Board, Expected, Row, changes, screen, silence};
use crate::views::clock;
use jiff::Timestamp;
use lockstep_aws::ledger::Order;
use lockstep_aws::operator::executions::Execution;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, LogEntry};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time between two drawings on a terminal.
const FRAME: Duration = Duration::from_millis(120);

/// Seconds of silence after which a line says what runs.
const SILENCE_SECONDS: i64 = 60;

/// The view of an execution.
pub struct Progress<'a> {
    plane: &'a ControlPlane,
    output: &'a Output,
    live: Live,
    verbose: Option<Printer<'a>>,
    /// Durations of earlier deployments.
    expected: Expected,
    /// The last line of the log of each deployment.
    notes: BTreeMap<DeploymentId, String>,
    board: Board,
    /// The board whose changes were printed last.
    printed: Board,
    last_line: Timestamp,
}

impl<'a> Progress<'a> {
    /// Begins the view of an execution. Log lines before `since` are not shown.
    pub async fn begin(
        plane: &'a ControlPlane,
        since: Timestamp,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        let verbose = output.is_verbose().then(|| Printer::new(plane, output, since));
        let is_shown = verbose.is_none() && !output.is_json();
        let earlier = if is_shown { plane.deployments().await? } else { Vec::new() };
        Ok(Self {
            plane,
            output,
            live: output.live(),
            verbose,
            expected: Expected::of(&earlier),
            notes: BTreeMap::new(),
            board: Board::default(),
            printed: Board::default(),
            last_line: Timestamp::now(),
        })
    }

    /// Shows the present state.
    pub async fn show(
        &mut self,
        execution: &Execution,
        deployments: &[Deployment],
        behind: Option<&Behind>,
    ) -> Result<(), Failure> {
        if let Some(printer) = &mut self.verbose {
            for deployment in deployments {
                printer.print_new(deployment).await?;
            }
        } else if !self.output.is_json() {
            self.read_notes(deployments).await?;
        }
        let waiting = behind.map(|behind| {
            let queued = &behind.queued;
            Row::queued(&behind.environment, queued, behind.sentence())
        });
        self.board = Board::of(execution.started_at, deployments, &self.notes, &self.expected, waiting);
        self.say_changes();
        self.draw();
        Ok(())
    }

    /// Reads the last log line of each unfinished deployment.
    async fn read_notes(&mut self, deployments: &[Deployment]) -> Result<(), Failure> {
        for deployment in deployments.iter().filter(|deployment| !deployment.state.is_final()) {
            let partition = LogEntry::all_of(&deployment.id);
            let newest = self.plane.ledger.list::<LogEntry>(&partition, Order::Newest, 1).await?;
            if let Some(newest) = newest.into_iter().next() {
                self.notes.insert(deployment.id.clone(), newest.record.note);
            }
        }
        Ok(())
    }

    /// Prints a line for each change of state. On a terminal the lines of the view show it.
    fn say_changes(&mut self) {
        if self.output.is_terminal() && self.verbose.is_none() {
            return;
        }
        let now = Timestamp::now();
        let mut lines = changes(&self.printed, &self.board, self.verbose.is_some());
        if lines.is_empty() && now.as_second() - self.last_line.as_second() >= SILENCE_SECONDS {
            lines.extend(silence(&self.board, now));
        }
        if !lines.is_empty() {
            self.last_line = now;
        }
        for line in lines {
            self.output.line(format!("{}  {line}", clock(now)));
        }
        self.printed = self.board.clone();
    }

    fn draw(&self) {
        if self.verbose.is_none()
            && let Some(width) = self.output.width()
        {
            self.live.draw(&screen(&self.board, Timestamp::now(), width, self.output.is_coloured()));
        }
    }

    /// Waits, and draws the time that passes.
    pub async fn pause(&self, pause: Duration) {
        let end = tokio::time::Instant::now() + pause;
        while tokio::time::Instant::now() < end {
            let frame = end.saturating_duration_since(tokio::time::Instant::now()).min(FRAME);
            tokio::time::sleep(frame).await;
            self.draw();
        }
    }

    /// Ends the view with a line for each deployment. Elsewhere than on a terminal, one deployment has its lines already.
    pub fn finish(self) {
        self.live.clear();
        let is_summed_up = self.output.is_terminal() || self.board.rows.len() > 1;
        if is_summed_up && !self.board.rows.is_empty() {
            /// Columns of a summary that is for no terminal.
            const COLUMNS: usize = 120;
            let width = self.output.width().unwrap_or(COLUMNS);
            self.output.screen(&screen(&self.board, Timestamp::now(), width, self.output.is_coloured()));
        }
    }
}
