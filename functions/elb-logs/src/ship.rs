//! Reads and ships one object and accounts for its lines.

use crate::AwsContext;
use crate::quarantine::Quarantine;
use jiff::Timestamp;
use lockstep_access_log::{Batch, Reader, Source};
use lockstep_aws::objects::Reading;
use lockstep_aws::shipper::{Shipper, Stopped};
use lockstep_domain::logs::delivery::{AckTracker, Budget, LineCounts, Object, PendingBatch};
use lockstep_domain::logs::shipping;
use lockstep_domain::model::error::Failure;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Deadlines of an invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub read: Instant,
    pub settle: Instant,
}

impl Deadlines {
    /// Divides the time that is `left` from now.
    pub(crate) fn of(left: Duration) -> Self {
        let (now, budget) = (Instant::now(), Budget::of(left));
        Self { read: now + budget.read, settle: now + budget.settle }
    }
}

/// Result of shipping an object.
#[derive(Clone, Debug)]
pub(crate) struct Shipped {
    /// Counts of the lines of this invocation.
    pub account: LineCounts,
    /// The object, with the lines that are accounted for.
    pub reached: Object,
    /// Reason why lines are left; `None` if the object is finished.
    pub stopped: Option<Stopped>,
    /// Time at which the object was written, in seconds of Unix time.
    pub written: i64,
}

/// Ships the lines of `asked` that are not accounted for.
///
/// # Errors
/// The failure of the object or the quarantine. Nothing counts then, and the whole object is shipped again.
pub(crate) async fn ship(context: &AwsContext, asked: &Object, until: Deadlines) -> Result<Shipped, Failure> {
    let (version, etag) = (asked.version.as_deref(), asked.etag.as_deref());
    let reading = context.objects.open(&asked.bucket, &asked.key, version, etag).await?;
    let source = source(asked, &reading)?;
    let mut reached = Object {
        version: reading.version_id().map(str::to_owned),
        etag: reading.etag().map(str::to_owned),
        ..asked.clone()
    };
    let written = reading.written();
    let mut run = Run::new(context, &source)?;
    let mut reader = Reader::new(&source, &context.reading).after(asked.accounted());
    let stopped = run.read(&mut reader, reading, until).await?.err();
    let stopped = run.settle(stopped, until).await;
    reached.acknowledged += run.account.acknowledged;
    reached.quarantined += run.account.quarantined;
    run.quarantine.store(reached.accounted()).await?;
    run.account.unreadable_bytes = run.quarantine.unreadable_bytes;
    if stopped.is_none() && reached.accounted() != reader.lines() {
        return Err(Failure::bug(format!(
            "of the {} lines of s3://{}/{}, {} were acknowledged and {} put into quarantine",
            reader.lines(),
            asked.bucket,
            asked.key,
            reached.acknowledged,
            reached.quarantined
        )));
    }
    Ok(Shipped { account: run.account, reached, stopped, written })
}

/// Returns the source that the ids of events are derived from. It is the same with and without a version in the
/// notification.
fn source(asked: &Object, reading: &Reading) -> Result<Source, Failure> {
    let version = reading.version_id().or(reading.etag());
    let version = version.ok_or_else(|| Failure::bug("S3 returned an object without version and ETag"))?;
    Ok(Source {
        bucket: asked.bucket.clone(),
        key: asked.key.clone(),
        version: version.to_owned(),
        written: Timestamp::from_second(reading.written()).ok().map(|written| written.to_string()),
    })
}

/// An object in progress.
struct Run<'a> {
    shipper: Shipper,
    quarantine: Quarantine<'a>,
    /// Batches that were read and are not acknowledged yet.
    marks: AckTracker,
    account: LineCounts,
}

impl<'a> Run<'a> {
    fn new(context: &'a AwsContext, source: &'a Source) -> Result<Self, Failure> {
        let quarantine = Quarantine::new(context, source);
        Ok(Self {
            shipper: context.output.shipper()?,
            quarantine,
            marks: AckTracker::default(),
            account: LineCounts::default(),
        })
    }

    /// Reads to the end or to the deadline. The outer result is a failure of the object, the inner one a stop of the
    /// shipping.
    async fn read(
        &mut self,
        reader: &mut Reader,
        mut reading: Reading,
        until: Deadlines,
    ) -> Result<Result<(), Stopped>, Failure> {
        loop {
            let Ok(chunk) = timeout_at(until.read, reading.next()).await else {
                return Ok(Err(Stopped::Time));
            };
            let Some(chunk) = chunk? else { break };
            let mut bytes = chunk.as_ref();
            while let Some(batch) = reader.read(&mut bytes) {
                if let Err(stopped) = self.batch(batch, until).await? {
                    return Ok(Err(stopped));
                }
            }
        }
        while let Some(batch) = reader.finish() {
            if let Err(stopped) = self.batch(batch, until).await? {
                return Ok(Err(stopped));
            }
        }
        Ok(Ok(()))
    }

    async fn batch(&mut self, batch: Batch, until: Deadlines) -> Result<Result<(), Stopped>, Failure> {
        self.marks.note(PendingBatch { events: batch.event_count, quarantined: batch.quarantined_count });
        self.quarantine.lines(batch.quarantined).await?;
        if let Some(piece) = batch.unreadable {
            self.quarantine.unreadable(piece).await?;
        }
        let sent = match shipping::Batch::new(batch.events) {
            Some(events) => self.shipper.send(events, until.read).await,
            None if Instant::now() >= until.read => Err(Stopped::Time),
            None => Ok(()),
        };
        self.count();
        Ok(sent)
    }

    /// Waits for the last acknowledgements, unless the broker failed. Returns the reason if not every line counts.
    async fn settle(&mut self, stopped: Option<Stopped>, until: Deadlines) -> Option<Stopped> {
        let settled = match &stopped {
            Some(Stopped::Broker(_)) => Ok(()),
            Some(Stopped::Time) | None => self.shipper.settle(until.settle).await,
        };
        self.count();
        stopped.or(settled.err())
    }

    /// Counts the acknowledgements of the broker since the last call. Only acknowledged events count.
    fn count(&mut self) {
        self.account = self.account.and(self.marks.count(self.shipper.take_acknowledged()));
    }
}
