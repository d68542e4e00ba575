//! The list of `lockstep deployments`.

use super::{age, attention, last_part, why};
use jiff::Timestamp;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::model::person::Starter;
use lockstep_domain::records::{Deployment, DeploymentState, Environment, QueuedDeployment};
use serde::Serialize;

/// The head of the table.
pub const HEAD: [&str; 5] = ["age", "deployment", "what", "state", "started by"];

/// The deployments that a list shows. Without `waiting` and `failed` it shows every state.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Show those that wait for an approver or for their turn.
    pub waiting: bool,
    /// Show those that failed.
    pub failed: bool,
    /// Show only those to this stage.
    pub stage: Option<StageName>,
    /// Show only those of this component.
    pub component: Option<ComponentName>,
}

/// A deployment in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its id.
    pub id: DeploymentId,
    /// Its title, such as `logs 2.1.0 to ci`.
    pub what: String,
    /// Its stage.
    pub stage: StageName,
    /// Its component; `None` for one about an image.
    pub component: Option<ComponentName>,
    /// Its state in plain words.
    pub state: String,
    /// Its starter in plain words.
    pub started_by: String,
    /// Time of its start, or since which it waits for its turn.
    pub at: Timestamp,
    /// The sentence about its end, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip)]
    waits: bool,
    #[serde(skip)]
    failed: bool,
}

/// Returns the deployments that pass the filter, with the queued ones of the environments, newest first.
pub fn listed(deployments: &[Deployment], environments: &[Environment], filter: &Filter) -> Vec<Listed> {
    let queued = environments
        .iter()
        .flat_map(|environment| environment.queue.iter().map(move |queued| of_queue(environment, queued)));
    let mut found: Vec<Listed> = deployments.iter().map(of_record).chain(queued).collect();
    found.retain(|listed| passes(listed, filter));
    found.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    found
}

fn passes(listed: &Listed, filter: &Filter) -> bool {
    let any = !filter.waiting && !filter.failed;
    (any || (filter.waiting && listed.waits) || (filter.failed && listed.failed))
        && filter.stage.as_ref().is_none_or(|stage| listed.stage == *stage)
        && filter.component.as_ref().is_none_or(|component| listed.component.as_ref() == Some(component))
}

fn of_record(deployment: &Deployment) -> Listed {
    let failed = matches!(
        deployment.state,
        DeploymentState::Failed | DeploymentState::Abandoned | DeploymentState::Expired
    );
    Listed {
        id: deployment.id.clone(),
        what: why::title(deployment),
        stage: deployment.stage.clone(),
        component: deployment.component().cloned(),
        state: why::state(deployment.state).to_owned(),
        started_by: starter(&deployment.starter),
        at: deployment.started_at,
        cause: failed.then(|| attention::cause(deployment)),
        waits: deployment.state == DeploymentState::AwaitingApproval,
        failed,
    }
}

/// Returns the entry of a deployment in a queue. Its record names a starter only once it has begun.
fn of_queue(environment: &Environment, queued: &QueuedDeployment) -> Listed {
    let Environment { component, stage, name, .. } = environment;
    let subject = match name == component.as_str() {
        true => format!("{component} {} to {stage}", queued.version),
        false => format!("{component} {} to {stage} as {name}", queued.version),
    };
    Listed {
        id: queued.deployment.clone(),
        what: if queued.teardown { format!("the teardown of {name} in {stage}") } else { subject },
        stage: stage.clone(),
        component: Some(component.clone()),
        state: "waits for its turn".to_owned(),
        started_by: if queued.pushed.is_some() { "a push" } else { "a person" }.to_owned(),
        at: queued.since,
        cause: None,
        waits: true,
        failed: false,
    }
}

/// Returns a starter in a few words: of an ARN, its last part.
pub fn starter(starter: &Starter) -> String {
    match starter {
        Starter::Caller(caller) => last_part(&caller.arn).to_owned(),
        Starter::Pusher(login) => format!("the push of {login}"),
        Starter::Deployment(id) => format!("producer's {}", id.short()),
        Starter::Unknown => "unknown".to_owned(),
    }
}

/// Returns the row of a deployment.
pub fn row(listed: &Listed, now: Timestamp) -> [String; 5] {
    [
        age(listed.at, now),
        listed.id.short().to_owned(),
        listed.what.clone(),
        listed.state.clone(),
        listed.started_by.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deployment, environment};
    use lockstep_domain::delivery::queue::entry;
    use lockstep_domain::model::person::Caller;

    fn records() -> (Vec<Deployment>, Vec<Environment>) {
        let of = |execution: &str, state, stage: &str, second| Deployment {
            id: DeploymentId::of_execution(execution),
            state,
            stage: stage.parse().unwrap(),
            started_at: at(second),
            ..deployment()
        };
        let by =
            Caller { arn: "arn:aws:iam::1:user/ada".into(), user_id: "AIDA".into(), account: "1".into() };
        let asking = Deployment {
            starter: Starter::Caller(by),
            ..of("asks", DeploymentState::AwaitingApproval, "production", 10)
        };
        let deployments = vec![
            of("done", DeploymentState::Succeeded, "ci", 20),
            of("failed", DeploymentState::Failed, "ci", 30),
            asking,
        ];
        let mut held = environment("production", "logs");
        held.queue.push(entry(&of("queued", DeploymentState::Running, "production", 0), None, at(40)));
        (deployments, vec![held])
    }

    fn states(filter: &Filter) -> Vec<String> {
        let (deployments, environments) = records();
        listed(&deployments, &environments, filter).into_iter().map(|listed| listed.state).collect()
    }

    #[test]
    fn deployments_are_listed_newest_first_with_the_queued_ones() {
        let all = ["waits for its turn", "failed", "succeeded", "waiting for approval"];
        assert_eq!(states(&Filter::default()), all);
    }

    #[test]
    fn each_filter_of_deployments_leaves_what_it_names() {
        let of = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            states(&filter)
        };
        assert_eq!(of(|filter| filter.waiting = true), ["waits for its turn", "waiting for approval"]);
        assert_eq!(of(|filter| filter.failed = true), ["failed"]);
        assert_eq!(of(|filter| filter.stage = "ci".parse().ok()), ["failed", "succeeded"]);
        assert_eq!(of(|filter| filter.component = "other".parse().ok()), Vec::<String>::new());
        let both = of(|filter| (filter.waiting, filter.failed) = (true, true));
        assert_eq!(both, ["waits for its turn", "failed", "waiting for approval"]);
    }

    #[test]
    fn a_row_has_a_short_id_and_no_arn() {
        let (deployments, environments) = records();
        let listed = listed(&deployments, &environments, &Filter::default());
        let row = row(&listed[3], at(70));
        assert_eq!(
            [&row[0], &row[2], &row[4]].map(String::as_str),
            ["1 min", "logs 2.1.3 to production", "ada"]
        );
        assert_eq!(row[1].len(), 8);
    }
}
