//! The demo of the log stack, for `cargo demo --log-stack`: Lockstep deploys the stack to ci and to production, and logs are
//! sent through the deployed function.

use super::applications::DOOR;
use super::broker::Broker;
use super::preparation::created;
use super::{Demo, ensure};
use crate::failure::{Exit, Failure};
use crate::functions::code_sha256;
use lockstep_access_log::Format;
use lockstep_access_log::synthetic::{Synthetic, gzip};
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::operator::control_plane;
use lockstep_domain::delivery::function_code::FunctionCode;
use std::time::{Duration, Instant};

/// The layers in the order of their dependencies. The components of a push need the outputs of the pushes before.
const LAYERS: [(&[&str], &str); 3] = [
    (&["elasticsearch", "cache"], "The store of logs, and the cache before it"),
    (&["broker"], "The entrance"),
    (
        &["indexer", "elb-logs", "log-intake"],
        "From the cache into the store, and from load balancers and applications to the entrance",
    ),
];

/// The components, in the same order.
const COMPONENTS: [&str; 6] =
    ["logs-elasticsearch", "logs-cache", "logs-broker", "logs-indexer", SHIPPER, DOOR];

/// The component that ships the logs of load balancers.
const SHIPPER: &str = "elb-logs";

/// The stages with the account of each.
pub(super) const STAGES: [(&str, &str); 2] = [("ci", "development"), ("production", "production")];

/// Timeout of a log's way from the bucket to the broker.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two polls.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Maximum size of an object in quarantine in bytes.
const QUARANTINED_BYTES_MAX: usize = 16 << 20;

/// The logs that the load balancers of a stage write: a name, the number of lines, and the number of malformed lines in a
/// thousand.
const OBJECTS: [(&str, u64, u64); 3] = [("quiet", 7, 0), ("busy", 20_000, 0), ("odd", 2_000, 50)];

/// A broker for each stage.
pub struct Brokers {
    ci: Broker,
    production: Broker,
}

impl Brokers {
    /// Starts to listen.
    pub async fn listen() -> Result<Self, Failure> {
        Ok(Self { ci: Broker::listen().await?, production: Broker::listen().await? })
    }

    /// Returns the broker of a stage.
    pub(super) fn of(&self, stage: &str) -> &Broker {
        if stage == "production" { &self.production } else { &self.ci }
    }
}

/// The result of shipping one object.
pub struct Shipped {
    stage: &'static str,
    object: &'static str,
    /// The bucket of the object.
    bucket: String,
    key: String,
    lines: u64,
    malformed: u64,
    events: u64,
    distinct: u64,
    quarantined: u64,
}

impl Demo {
    /// Runs the demo of the log stack from beginning to end.
    pub async fn run_log_stack(&mut self) -> Result<(), Failure> {
        let brokers = Brokers::listen().await?;
        self.scenario("a cloud with three accounts, and Lockstep in it", Demo::cloud).await?;
        let organisation = "an organisation: stages, parameters, two base images, a repository";
        self.scenario(organisation, Demo::log_organisation).await?;
        let to_ci = "1. six components to ci, in the order of their dependencies";
        self.scenario(to_ci, async |demo: &mut Self| demo.layers_to_ci(&brokers).await).await?;
        self.scenario("2. to production, in the other account", Demo::layers_to_production).await?;
        let logs = "3. load balancers write their logs";
        let mut shipped = Vec::new();
        self.scenario(logs, async |demo: &mut Self| {
            shipped = demo.logs(&brokers).await?;
            Ok(())
        })
        .await?;
        let again = "4. the same logs are shipped again, without duplicates";
        self.scenario(again, async |demo: &mut Self| demo.replay(&brokers, &shipped).await).await?;
        let posted = "5. desktop applications post their logs";
        self.scenario(posted, async |demo: &mut Self| demo.applications(&brokers).await).await?;
        self.say("");
        self.say("== versions by stage");
        self.type_in(&["status"], Exit::Done).await?;
        self.times();
        Ok(())
    }

    /// Applies stages and parameters, imports two base images, and registers a repository for the log stack.
    pub async fn log_organisation(&mut self) -> Result<(), Failure> {
        let session = self.session()?;
        self.configure(&session).await?;
        for image in ["logstash", "elasticsearch"] {
            self.base_image(&format!("{image}-2.1.0"), &format!("{image}@2.1.0")).await?;
        }
        let path = created(&session).await?;
        let repository = self.repository();
        repository.create(&path).await?;
        repository.write("README.md", "# The log stack\n")?;
        repository.commit("A repository for the log stack").await?;
        self.subscribe(&session).await
    }

    /// Releases the six components to ci, in the order of their dependencies.
    pub async fn layers_to_ci(&mut self, brokers: &Brokers) -> Result<(), Failure> {
        let sources = self.context.sources()?.join("infra/log-stack");
        let repository = self.repository();
        for (folders, message) in LAYERS {
            for folder in folders {
                repository.copy(&sources.join(folder), folder)?;
            }
            if folders.contains(&"broker") {
                // This organisation has no stage of that name.
                repository.remove("broker/parameters/staging.toml")?;
            }
            for sender in [SHIPPER, DOOR].into_iter().filter(|sender| folders.contains(sender)) {
                self.send_to(sender, brokers)?;
            }
            repository.commit(message).await?;
            self.type_in(&["push", "logs"], Exit::Done).await?;
        }
        for component in COMPONENTS {
            let running = self.version_of(component, "ci").await?;
            ensure(running.is_some(), format!("ci runs {component}"))?;
        }
        self.no_test_stacks().await
    }

    /// Configures a component to send to the demo's brokers, since no instance runs on this machine.
    fn send_to(&self, sender: &str, brokers: &Brokers) -> Result<(), Failure> {
        self.say(&format!(
            "(no instance runs on this machine: {sender} sends to a Beats listener of this demo instead)"
        ));
        let repository = self.repository();
        for stage in ["test", "ci", "production"] {
            let file = format!("{sender}/parameters/{stage}.toml");
            let port = brokers.of(stage).port();
            let own = repository.read(&file).unwrap_or_default();
            repository.write(&file, &format!("{own}BrokerHost = \"127.0.0.1\"\nBrokerPort = {port}\n"))?;
        }
        Ok(())
    }

    /// Promotes the six components to production.
    pub async fn layers_to_production(&mut self) -> Result<(), Failure> {
        for component in COMPONENTS {
            let version = self.version_of(component, "ci").await?.unwrap_or_default();
            let release = format!("{component}@{version}");
            let answer = self.type_in(&["promote", &release, "--to", "production"], Exit::NeedsHuman).await?;
            let approve = answer["approve_with"].as_str().unwrap_or_default();
            let arguments: Vec<&str> = approve.split(' ').skip(1).collect();
            self.type_in(&arguments, Exit::Done).await?;
            let running = self.version_of(component, "production").await?;
            ensure(running == Some(version), format!("production runs {release}"))?;
        }
        self.nothing_is_shared().await
    }

    /// Writes logs as load balancers do, and accounts for each line of them.
    pub async fn logs(&mut self, brokers: &Brokers) -> Result<Vec<Shipped>, Failure> {
        self.the_same_code_runs_in_both().await?;
        let mut shipped = Vec::new();
        for (stage, alias) in STAGES {
            for (seed, (object, lines, odd)) in (1..).zip(OBJECTS) {
                let format = if object == "quiet" { Format::Classic } else { Format::Alb };
                let (text, malformed) = Synthetic::new(format, seed).odd(odd).lines(lines);
                let (bucket, key) = self.write_log(stage, alias, object, &gzip(&text)).await?;
                let (events, distinct) = arrived(brokers.of(stage), &key, lines - malformed).await;
                let quarantined = self.quarantined(stage, alias, &bucket, &key, malformed).await?;
                shipped.push(Shipped {
                    stage,
                    object,
                    bucket,
                    key,
                    lines,
                    malformed,
                    events,
                    distinct,
                    quarantined,
                });
            }
        }
        self.say("");
        let row = |s: &Shipped| {
            let numbers = [s.lines, s.distinct, s.events - s.distinct, s.quarantined].map(|n| n.to_string());
            let [lines, distinct, again, quarantined] = numbers;
            [s.stage.to_owned(), s.object.to_owned(), lines, distinct, again, quarantined]
        };
        let header = ["stage", "log", "lines", "acknowledged", "sent twice", "in quarantine"];
        self.output().indented().table(header, shipped.iter().map(row));
        for Shipped { stage, object, lines, malformed, distinct, quarantined, .. } in &shipped {
            let whole = format!("each line of {object} in {stage} was acknowledged or is in quarantine");
            ensure(distinct + quarantined == *lines, whole)?;
            ensure(quarantined == malformed, format!("only malformed lines of {object} are in quarantine"))?;
        }
        Ok(shipped)
    }

    /// Ships one object of each stage again.
    pub async fn replay(&mut self, brokers: &Brokers, shipped: &[Shipped]) -> Result<(), Failure> {
        for Shipped { stage, bucket, key, events, distinct, .. } in
            shipped.iter().filter(|shipped| shipped.object == "quiet")
        {
            self.type_in(&["logs", "replay", &format!("s3://{bucket}/{key}"), "--in", stage], Exit::Done)
                .await?;
            let wanted = events + distinct;
            let (events, same) = until(|| brokers.of(stage).count(key), |(events, _)| events >= wanted).await;
            ensure(events >= wanted, format!("each event of {key} came a second time"))?;
            ensure(same == *distinct, "events that are shipped again keep their ids")?;
            self.type_in(&["logs", "replay", "--in", stage], Exit::Done).await?;
        }
        Ok(())
    }

    /// Waits for the wanted number of quarantined lines of an object. Returns the number at that time or at the timeout.
    async fn quarantined(
        &self,
        stage: &str,
        alias: &str,
        bucket: &str,
        key: &str,
        wanted: u64,
    ) -> Result<u64, Failure> {
        let quarantine = self.output_of(alias, &format!("{stage}-{SHIPPER}"), "QuarantineBucket").await?;
        let quarantine = Artifacts::new(&self.session()?.operator(alias)?, &quarantine);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut lines = 0;
            for key in quarantine.keys(&format!("quarantine/{bucket}/{key}/")).await? {
                let records = quarantine.get(&key, QUARANTINED_BYTES_MAX).await?;
                lines += records.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
            }
            if lines >= wanted || Instant::now() >= deadline {
                return Ok(lines);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Checks that the functions of each account run the zip that the release pins.
    async fn the_same_code_runs_in_both(&self) -> Result<(), Failure> {
        for component in [SHIPPER, DOOR] {
            let mut running = Vec::new();
            for (stage, alias) in STAGES {
                running.push(self.code_of(component, stage, alias).await?);
            }
            ensure(running[0] == running[1], format!("ci and production run the same code of {component}"))?;
        }
        Ok(())
    }

    /// Returns the digest of the code that the function of a component runs.
    async fn code_of(&self, component: &str, stage: &str, alias: &str) -> Result<String, Failure> {
        let stack = format!("{stage}-{component}");
        let parameters = self.stacks(alias)?.parameters(&stack).await?;
        let key = parameters.get("CodeKey").cloned().unwrap_or_default();
        let pinned: FunctionCode = key.parse().map_err(|why| Failure::new(format!("{stack}: {why}")))?;
        let function = self.output_of(alias, &stack, "FunctionName").await?;
        let runs = control_plane::code_sha256(&self.session()?.operator(alias)?, &function).await?;
        let runs = runs.unwrap_or_default();
        ensure(
            runs == code_sha256(&pinned.digest),
            format!("{function} runs the code that was pinned: {key}"),
        )?;
        self.say(&format!("(CodeSha256 of {function} in {alias}: {runs})"));
        Ok(runs)
    }

    /// Writes a log as a load balancer would. Returns its bucket and key.
    async fn write_log(
        &self,
        stage: &str,
        alias: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<(String, String), Failure> {
        let session = self.session()?;
        let (account, region) = (session.account(alias)?.to_owned(), session.region.clone());
        let balancer = if name == "quiet" { name.to_owned() } else { format!("app.{name}.0123456789abcdef") };
        let key = format!(
            "AWSLogs/{account}/elasticloadbalancing/{region}/2026/03/01/\
             {account}_elasticloadbalancing_{region}_{balancer}_20260301T1200Z_10.0.0.1_3kgqkrzo.log.gz"
        );
        let bucket = self.output_of(alias, &format!("{stage}-{SHIPPER}"), "LogBucket").await?;
        self.say(&format!("(the load balancer {name} writes {} bytes into {bucket})", bytes.len()));
        let objects = Artifacts::new(&session.operator(alias)?, &bucket);
        objects.put(&key, "application/gzip", bytes.to_vec()).await?;
        Ok((bucket, key))
    }

    pub(super) async fn output_of(&self, alias: &str, stack: &str, output: &str) -> Result<String, Failure> {
        let found = self.stacks(alias)?.find(stack).await?;
        let value = found.and_then(|stack| stack.outputs.get(output).cloned());
        value.ok_or_else(|| Failure::new(format!("the stack {stack} has no output {output}")))
    }
}

/// Waits for the wanted number of distinct events of an object. Returns the counts at that time or at the timeout.
async fn arrived(broker: &Broker, key: &str, wanted: u64) -> (u64, u64) {
    until(|| broker.count(key), |(_, distinct)| distinct >= wanted).await
}

/// Polls `look` until its value is `enough`. Returns the value at that time or at the timeout.
pub(super) async fn until<T: Copy>(look: impl Fn() -> T, enough: impl Fn(T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if enough(seen) || Instant::now() >= deadline {
            return seen;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
