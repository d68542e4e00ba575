//! The deployments of an execution on one screen: a line for each component and stage.
//!
//! The screen is a pure function of the board, the time and the width, so golden screens test it.

mod plain;

pub use plain::plain;

use super::{age, seconds, why};
use crate::output::{Style, duration, paint};
use console::{measure_text_width, truncate_str};
use jiff::Timestamp;
use lockstep_domain::model::ids::{DeploymentId, StageName, TEST};
use lockstep_domain::records::{
    Deployment, DeploymentBody, DeploymentState, Environment, OperationKind, QueuedDeployment,
};
use std::collections::BTreeMap;

/// The state of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The deployment waits for its turn.
    Queued,
    /// The deployment started no operation yet.
    Planning,
    /// An operation runs, which this word names.
    Working(&'static str),
    /// The release runs, and its checks are asked.
    Checking,
    /// The deployment waits for an approver.
    Asking,
    /// The deployment ended well.
    Succeeded,
    /// The deployment failed.
    Failed,
    /// A person or a later push stopped the deployment.
    Stopped,
}

/// A deployment on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its component or image.
    pub subject: String,
    /// Its version.
    pub version: String,
    /// Its stage.
    pub stage: String,
    /// The beginning of its id.
    pub id: String,
    /// Its state.
    pub state: RowState,
    /// Its last step, or its end.
    pub what: String,
    /// The sentence about its failure.
    pub cause: Option<String>,
    /// Time of its start.
    pub began: Timestamp,
    /// Time of its end.
    pub ended: Option<Timestamp>,
    /// Milliseconds that the last deployment of the subject to the stage took.
    pub expected: Option<i64>,
}

/// The deployments of an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// Time of the execution's start.
    pub began: Timestamp,
    /// Its deployments: those of a component side by side, in the order of their start.
    pub rows: Vec<Row>,
}

/// The milliseconds that the newest successful deployment of each subject to each stage took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(BTreeMap<(String, StageName), (Timestamp, i64)>);

impl Expected {
    /// Returns the durations of `deployments`.
    pub fn of(deployments: &[Deployment]) -> Self {
        let mut newest = BTreeMap::new();
        let succeeded = deployments.iter().filter(|deployment| {
            deployment.state == DeploymentState::Succeeded && !deployment.is_plan_only()
        });
        for deployment in succeeded {
            let Some(ended) = deployment.finished_at else { continue };
            let took = ended.as_millisecond() - deployment.started_at.as_millisecond();
            let kept = newest
                .entry((subject(deployment), deployment.stage.clone()))
                .or_insert((deployment.started_at, took));
            if kept.0 < deployment.started_at {
                *kept = (deployment.started_at, took);
            }
        }
        Self(newest)
    }

    fn get(&self, subject: &str, stage: &StageName) -> Option<i64> {
        self.0.get(&(subject.to_owned(), stage.clone())).map(|(_, took)| *took)
    }
}

/// Returns the component or the image of a deployment.
fn subject(deployment: &Deployment) -> String {
    match &deployment.body {
        DeploymentBody::Deploy(deploy) => {
            let (component, environment) = (&deploy.stack.component, &deploy.stack.environment);
            let clone = environment != component.as_str() && deployment.stage.as_str() != TEST;
            if clone { environment.clone() } else { component.to_string() }
        }
        DeploymentBody::Teardown(teardown) => teardown.stack.environment.clone(),
        DeploymentBody::PromoteImage(promotion) => format!("image {}", promotion.image),
        DeploymentBody::BuildImage(build) => format!("image {}", build.image),
        DeploymentBody::PublishImage(publication) => format!("image {}", publication.image),
    }
}

impl RowState {
    fn of(deployment: &Deployment) -> Self {
        match deployment.state {
            DeploymentState::AwaitingApproval => Self::Asking,
            DeploymentState::Succeeded | DeploymentState::NoChanges | DeploymentState::Planned => {
                Self::Succeeded
            }
            DeploymentState::Failed | DeploymentState::Abandoned | DeploymentState::Expired => Self::Failed,
            DeploymentState::Refused | DeploymentState::Cancelled | DeploymentState::Superseded => {
                Self::Stopped
            }
            DeploymentState::Running if deployment.deploy().is_some_and(|deploy| deploy.stack_changed) => {
                Self::Checking
            }
            DeploymentState::Running => match deployment.operation().map(|operation| operation.operation) {
                None => Self::Planning,
                Some(OperationKind::Execute | OperationKind::Replay) => Self::Working("deploying"),
                Some(OperationKind::Clear | OperationKind::Delete | OperationKind::Destroy) => {
                    Self::Working("deleting")
                }
                Some(OperationKind::Rollback | OperationKind::ContinueRollback) => {
                    Self::Working("rolling back")
                }
                Some(OperationKind::Copy) => Self::Working("copying"),
                Some(OperationKind::Build) => Self::Working("building"),
            },
        }
    }

    /// Returns the state in a word or two.
    fn word(self) -> &'static str {
        match self {
            Self::Queued => "waits for its turn",
            Self::Planning => "planning",
            Self::Working(word) => word,
            Self::Checking => "checking",
            Self::Asking => "waiting for approval",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    fn is_running(self) -> bool {
        matches!(self, Self::Planning | Self::Working(_) | Self::Checking)
    }

    /// Returns the character before a line, and the style of both. `frame` chooses one of a running deployment.
    fn mark(self, frame: usize) -> (char, Style) {
        const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
        match self {
            Self::Queued => ('…', Style::Dim),
            Self::Planning | Self::Working(_) | Self::Checking => {
                (FRAMES[frame % FRAMES.len()], Style::Running)
            }
            Self::Asking => ('?', Style::Asking),
            Self::Succeeded => ('✓', Style::Good),
            Self::Failed => ('✗', Style::Bad),
            Self::Stopped => ('-', Style::Dim),
        }
    }
}

impl Row {
    fn of(deployment: &Deployment, note: Option<&String>, expected: &Expected) -> Self {
        let state = RowState::of(deployment);
        let step = note.map_or_else(|| state.word().to_owned(), |note| plain(note));
        let subject = subject(deployment);
        Self {
            version: deployment.version.to_string(),
            stage: deployment.stage.to_string(),
            id: deployment.id.short().to_owned(),
            state,
            what: match state {
                RowState::Asking => state.word().to_owned(),
                state if state.is_running() => step,
                _ => why::state(deployment.state).to_owned(),
            },
            cause: deployment.failure.as_ref().map(|failure| failure.message.clone()),
            began: deployment.started_at,
            ended: deployment.finished_at,
            expected: expected.get(&subject, &deployment.stage),
            subject,
        }
    }

    /// Returns the line of a deployment in a queue, with the sentence about what it waits for.
    pub fn queued(environment: &Environment, queued: &QueuedDeployment, sentence: String) -> Self {
        Self {
            subject: environment.name.clone(),
            version: queued.version.to_string(),
            stage: environment.stage.to_string(),
            id: queued.deployment.short().to_owned(),
            state: RowState::Queued,
            what: sentence,
            cause: None,
            began: queued.since,
            ended: None,
            expected: None,
        }
    }

    fn title(&self) -> String {
        format!("{} {} to {} ({})", self.subject, self.version, self.stage, self.id)
    }

    /// Returns the time that the deployment has taken, and what the last one took.
    fn time(&self, now: Timestamp) -> String {
        let took = seconds(self.began, self.ended.unwrap_or(now)).max(0.0);
        match self.expected.filter(|_| self.state.is_running()) {
            Some(expected) => {
                let whole = |seconds: i64| age(Timestamp::UNIX_EPOCH, after_epoch(seconds));
                let so_far = now.as_millisecond().saturating_sub(self.began.as_millisecond()) / 1000;
                format!("{} (last {})", whole(so_far), whole((expected + 999) / 1000))
            }
            None => duration(took),
        }
    }

    /// Returns the last step, or the cause of the end, without what the other columns show.
    fn last(&self) -> String {
        let title = format!("{} {} ", self.subject, self.version);
        let Some(cause) = &self.cause else {
            let queued = format!("{title}({}) ", self.id);
            return self.what.strip_prefix(&queued).unwrap_or(&self.what).to_owned();
        };
        match cause.strip_prefix(&title) {
            Some(rest) => rest.replacen(&format!(" to {}", self.stage), "", 1),
            None => format!("{}: {cause}", self.what),
        }
    }
}

fn after_epoch(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds.max(0)).unwrap_or_default()
}

impl Board {
    /// Returns the board of an execution that began at `began`. `notes` has the last line of each log.
    pub fn of(
        began: Timestamp,
        deployments: &[Deployment],
        notes: &BTreeMap<DeploymentId, String>,
        expected: &Expected,
        queued: Option<Row>,
    ) -> Self {
        let own = deployments.iter().map(|it| Row::of(it, notes.get(&it.id), expected));
        let mut rows: Vec<Row> = own.chain(queued).collect();
        let mut first: BTreeMap<String, Timestamp> = BTreeMap::new();
        for row in &rows {
            let began = first.entry(row.subject.clone()).or_insert(row.began);
            *began = row.began.min(*began);
        }
        rows.sort_by_key(|row| (first.get(&row.subject).copied(), row.subject.clone(), row.began));
        Self { began, rows }
    }
}

/// Returns a line for each deployment whose state has changed. Only those of queues if `queues_alone` is true.
pub fn changes(before: &Board, after: &Board, queues_alone: bool) -> Vec<String> {
    let changed = |row: &&Row| {
        let known = before.rows.iter().find(|known| known.id == row.id && known.stage == row.stage);
        let is_new = known.is_none_or(|known| {
            known.state != row.state || (row.state == RowState::Queued && known.what != row.what)
        });
        is_new && (!queues_alone || row.state == RowState::Queued)
    };
    let line = |row: &Row| match row.state {
        RowState::Queued => row.what.clone(),
        state if state.is_running() => format!("{}: {}", row.title(), state.word()),
        RowState::Asking => format!("{}: {}", row.title(), row.state.word()),
        _ => {
            let cause = row.cause.iter().map(|cause| format!(": {cause}")).collect::<String>();
            format!("{}: {} after {}{cause}", row.title(), row.what, row.time(row.began))
        }
    };
    after.rows.iter().filter(changed).map(line).collect()
}

/// Returns a line about what runs, for a minute without a change.
pub fn silence(board: &Board, now: Timestamp) -> Option<String> {
    let open: Vec<&Row> = board.rows.iter().filter(|row| row.ended.is_none()).collect();
    let Some(first) = open.first() else {
        return Some(format!("no deployment has begun after {}", duration(seconds(board.began, now))));
    };
    let more = match open.len() {
        1 => String::new(),
        many => format!("; and {} more", many - 1),
    };
    Some(format!("{}: {}, {}{more}", first.title(), first.what, first.time(now)))
}

/// Returns the screen: a line for each deployment, none of them wider than `width` columns.
pub fn screen(board: &Board, now: Timestamp, width: usize, colour: bool) -> Vec<String> {
    let frame = usize::try_from(now.as_millisecond() / 120).unwrap_or_default();
    if board.rows.is_empty() {
        let (mark, style) = RowState::Planning.mark(frame);
        let text = format!("no deployment has begun yet, {}", duration(seconds(board.began, now).max(0.0)));
        let text = truncate_str(&text, width.saturating_sub(2), "…").into_owned();
        return vec![format!("{} {text}", paint(&mark.to_string(), style, colour))];
    }
    let columns = Columns::of(board, now, width);
    board.rows.iter().map(|row| columns.line(row, now, frame, colour)).collect()
}

/// The widths of the columns of a screen. A column of width 0 is left out.
#[derive(Clone, Copy, Debug)]
struct Columns {
    name: usize,
    stage: usize,
    id: usize,
    time: usize,
    what: usize,
}

/// Columns between two columns.
const GAP: usize = 2;

/// Columns that the last column needs to be of use.
const WHAT_MIN: usize = 12;

/// Columns of the last column for which the ids are left out.
const WHAT_BEFORE_ID: usize = 28;

/// Columns of the last column for which the times are left out.
const WHAT_BEFORE_TIME: usize = 20;

impl Columns {
    /// Returns the widths for a screen. A narrow one has no ids, a narrower one no times, and the narrowest no last step.
    fn of(board: &Board, now: Timestamp, width: usize) -> Self {
        let widest = |text: &dyn Fn(&Row) -> String| {
            board.rows.iter().map(|row| measure_text_width(&text(row))).max().unwrap_or_default()
        };
        let mut columns = Self {
            name: widest(&name),
            stage: widest(&|row| row.stage.clone()),
            id: widest(&|row| row.id.clone()),
            time: widest(&|row| row.time(now)),
            what: 0,
        };
        let room = width.saturating_sub(2);
        columns.stage = columns.stage.min(room / 2);
        if columns.used() + GAP + WHAT_BEFORE_ID > room {
            columns.id = 0;
        }
        if columns.used() + GAP + WHAT_BEFORE_TIME > room {
            columns.time = 0;
        }
        let left = room.saturating_sub(columns.used() + GAP);
        columns.what = if left >= WHAT_MIN { left } else { 0 };
        let over = columns.used().saturating_sub(room);
        columns.name = columns.name.saturating_sub(over);
        columns
    }

    /// Returns the columns of a line before its last one, without its mark.
    fn used(&self) -> usize {
        let widths = [self.name, self.stage, self.id, self.time];
        let shown = widths.iter().filter(|width| **width > 0).count();
        widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
    }

    fn line(&self, row: &Row, now: Timestamp, frame: usize, colour: bool) -> String {
        let (mark, style) = row.state.mark(frame);
        let cells = [
            (name(row), self.name, Style::Plain),
            (row.stage.clone(), self.stage, Style::Plain),
            (row.id.clone(), self.id, Style::Dim),
            (row.time(now), self.time, Style::Dim),
        ];
        let mut line = paint(&mark.to_string(), style, colour);
        let mut gap = 1;
        for (text, width, style) in cells.into_iter().filter(|(_, width, _)| *width > 0) {
            let text = cut(&text, width);
            let padding = width - measure_text_width(&text);
            line.push_str(&" ".repeat(gap));
            line.push_str(&paint(&text, style, colour));
            gap = GAP + padding;
        }
        if self.what > 0 {
            line.push_str(&" ".repeat(gap));
            line.push_str(&paint(&cut(&row.last(), self.what), style, colour));
        }
        line
    }
}

fn name(row: &Row) -> String {
    format!("{} {}", row.subject, row.version)
}

/// Returns the first line of a text in at most `width` columns, without hidden characters.
fn cut(text: &str, width: usize) -> String {
    let shown = lockstep_domain::model::visible::line(text.lines().next().unwrap_or_default()).into_owned();
    truncate_str(&shown, width, "…").into_owned()
}

#[cfg(test)]
mod tests;
