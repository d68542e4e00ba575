//! The running cost of an installation, from transitions, invocations and writes.
//!
//! The counts are those of `docs/performance.md`. The prices are the list prices of us-east-1 in November 2026, without a
//! free tier. They leave out what depends on the content: storage, logs, stacks and instances of components.

use std::path::Path;

/// USD for each state that a standard execution of Step Functions enters.
const TRANSITION: f64 = 0.025 / 1_000.0;

/// USD for each invocation of Lambda.
const INVOCATION: f64 = 0.20 / 1_000_000.0;

/// USD for each gigabyte and second of Lambda on arm64.
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;

/// USD for each write unit of DynamoDB on demand.
const WRITE_UNIT: f64 = 0.625 / 1_000_000.0;

/// USD for each alarm of CloudWatch in a month.
const ALARM: f64 = 0.10;

/// USD for each secret in a month.
const SECRET: f64 = 0.40;

/// USD for each key of KMS in a month.
const KEY: f64 = 1.0;

/// Executions of the schedules of looks for drift in a day: one each quarter of an hour on each path.
const LOOK_TICKS: f64 = 2.0 * 96.0;

/// Transitions of such an execution in which no environment is due: its start and three states.
const TICK_TRANSITIONS: f64 = 4.0;

/// Gigabytes of a function, rounded up: most have 256 MB.
const GIGABYTES: f64 = 0.5;

/// Days of a month.
const DAYS: f64 = 30.0;

/// What one run uses.
struct Run {
    name: &'static str,
    transitions: f64,
    invocations: f64,
    seconds: f64,
    write_units: f64,
}

/// A push to `ci` enters `release` and two `deploy`, that of the test and that of the stage, and their Maps.
const RUNS: [Run; 2] = [
    Run {
        name: "a push to ci, with its test stack",
        transitions: 5.0 + 10.0 + 2.0 * 13.0,
        invocations: 26.0 + 4.0,
        seconds: 2.70,
        write_units: 2.0 * 45.0,
    },
    Run {
        name: "a promotion, with an approval and an image",
        transitions: 4.0 + 19.0 + 10.0,
        invocations: 16.0 + 4.0,
        seconds: 1.63,
        write_units: 77.0,
    },
];

impl Run {
    fn usd(&self) -> f64 {
        self.transitions * TRANSITION
            + self.invocations * INVOCATION
            + self.seconds * GIGABYTES * GIGABYTE_SECOND
            + self.write_units * WRITE_UNIT
    }
}

/// Returns how often a line occurs in the templates of the control plane.
fn count(line: &str) -> Result<f64, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/control-plane");
    // `lockstep-delivery` and `lockstep-promotion` are made from one template.
    let templates = ["template.yaml", "deployment-path.yaml", "deployment-path.yaml"];
    let mut found = 0;
    for template in templates {
        let path = folder.join(template);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        found += text.lines().filter(|written| written.trim() == line).count();
    }
    u32::try_from(found).map(f64::from).map_err(|error| error.to_string())
}

/// Prints the cost of an idle month, of a push and of a promotion.
pub fn print() -> Result<(), String> {
    let (alarms, secrets) =
        (count("Type: AWS::CloudWatch::Alarm")?, count("Type: AWS::SecretsManager::Secret")?);
    let keys = count("Type: AWS::KMS::Key")?;
    // The sweep runs each quarter of an hour, `settle` once an hour; each takes less than a second.
    let ticks = (96.0 + 24.0 + LOOK_TICKS) * DAYS;
    let ticking = ticks * (INVOCATION + GIGABYTES * GIGABYTE_SECOND);
    let transitions = LOOK_TICKS * TICK_TRANSITIONS * DAYS;
    let looking = transitions * TRANSITION;
    println!("{:<52} {:>10}", "an idle month", "USD");
    println!("{:<52} {:>10.2}", format!("{alarms} alarms"), alarms * ALARM);
    println!(
        "{:<52} {:>10.2}",
        format!("{secrets} secrets, and one for each repository's webhook"),
        (secrets + 1.0) * SECRET
    );
    println!("{:<52} {:>10.2}", format!("{keys} keys"), keys * KEY);
    println!("{:<52} {:>10.2}", format!("{ticks} scheduled invocations"), ticking);
    println!("{:<52} {:>10.2}", format!("{transitions} transitions of looks, if none is due"), looking);
    let together = alarms * ALARM + (secrets + 1.0) * SECRET + keys * KEY + ticking + looking;
    println!("{:<52} {:>10.2}", "together", together);
    println!();
    println!("{:<52} {:>10} {:>12} {:>12} {:>8}", "a run", "USD", "transitions", "invocations", "writes");
    for run in &RUNS {
        println!(
            "{:<52} {:>10.5} {:>12} {:>12} {:>8}",
            run.name,
            run.usd(),
            run.transitions,
            run.invocations,
            run.write_units
        );
    }
    Ok(())
}
