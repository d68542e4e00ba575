//! A stage whose deployments run in any order, with the decisions of the product.

use super::*;
use crate::model::outcome::Outcome;

/// Maximum number of steps until a world is settled.
const STEPS_MAX: usize = 5000;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn name(text: &str) -> ComponentName {
    text.parse().unwrap()
}

/// Returns the plain deployment of `component` to `ci`.
pub fn body(component: &str) -> DeployBody {
    let run =
        StackRun::new(name(component), component.to_owned(), format!("ci-{component}").parse().unwrap());
    let digest = Some(Digest::of(b"parameters"));
    DeployBody { stack: run, parameters_digest: digest, ..testing::deploy("logs", "ci-logs") }
}

/// The next step of a deployment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Begin,
    Plan,
    Update,
    End,
}

/// A deployment in progress.
struct Run {
    deployment: Deployment,
    next: Next,
    /// The component.
    of: usize,
    /// What the author changed: a part of the output.
    content: u32,
    /// Decides about its end.
    chance: u32,
    /// The push that it belongs to.
    push: Option<usize>,
}

/// A push that is under way.
struct Push {
    graph: Graph,
    contents: BTreeMap<ComponentName, (u32, u32)>,
    begun: BTreeSet<ComponentName>,
    endings: BTreeMap<ComponentName, Outcome>,
}

/// A stage with its stacks.
pub struct Landscape {
    stage: Stage,
    producers: Vec<Vec<usize>>,
    environments: BTreeMap<usize, (Environment, u64)>,
    /// The output of each stack, and the inputs that it was updated with.
    stacks: BTreeMap<usize, (String, BTreeMap<usize, String>)>,
    contents: BTreeMap<usize, u32>,
    runs: Vec<Run>,
    pushes: Vec<Push>,
    started: BTreeSet<String>,
    /// Each redeployment that began: its component and its inputs.
    redeployed: Vec<(usize, Digest)>,
    failed: BTreeSet<usize>,
    count: u32,
}

fn component(n: usize) -> ComponentName {
    name(&format!("c{n}"))
}

impl Landscape {
    /// Returns a stage without a stack. Bit p of `edges[n]` makes component n a consumer of component p < n.
    pub fn new(edges: &[u8], stage: Stage) -> Self {
        let producers = (0..edges.len()).map(|n| (0..n).filter(|p| edges[n] >> p & 1 == 1).collect());
        Self {
            stage,
            producers: producers.collect(),
            environments: BTreeMap::new(),
            stacks: BTreeMap::new(),
            contents: BTreeMap::new(),
            runs: Vec::new(),
            pushes: Vec::new(),
            started: BTreeSet::new(),
            redeployed: Vec::new(),
            failed: BTreeSet::new(),
            count: 0,
        }
    }

    /// Takes one action: a deployment, a push, a hold, its end, or a step of a run.
    pub fn act(&mut self, action: u32) {
        let (kind, of, rest) = (action % 8, action as usize / 8 % self.producers.len(), action / 64);
        match kind {
            0 => self.deploy(of, rest, None),
            1 | 2 => self.push(rest),
            3 => self.hold(of, true),
            4 => self.hold(of, false),
            _ => drop(self.step(rest as usize)),
        }
    }

    fn deploy(&mut self, of: usize, chance: u32, push: Option<usize>) {
        let content = chance / 16 % 3;
        self.enqueue(of, content, chance, push, None);
    }

    fn enqueue(
        &mut self,
        of: usize,
        content: u32,
        chance: u32,
        push: Option<usize>,
        follows: Option<Follows>,
    ) {
        self.count += 1;
        let body = DeployBody { follows, ..body(component(of).as_str()) };
        let execution = format!("run {}", self.count);
        let deployment = Deployment::new(testing::start(&execution, "1.0.0", "ci"), body);
        self.runs.push(Run { deployment, next: Next::Begin, of, content, chance, push });
    }

    fn push(&mut self, chance: u32) {
        let members = (0..self.producers.len()).filter(|n| chance >> n & 1 == 1);
        let graph =
            members.map(|n| (component(n), self.producers[n].iter().map(|p| component(*p)).collect()));
        let graph: Graph = graph.collect();
        let contents =
            graph.keys().enumerate().map(|(n, of)| (of.clone(), (chance >> n, chance >> 7))).collect();
        self.pushes.push(Push { graph, contents, begun: BTreeSet::new(), endings: BTreeMap::new() });
        self.advance(self.pushes.len() - 1);
    }

    /// Starts what is ready in a push.
    fn advance(&mut self, push: usize) {
        let it = &mut self.pushes[push];
        let ready: Vec<ComponentName> = round(&it.graph, &it.endings)
            .ready
            .into_iter()
            .filter(|of| it.begun.insert(of.clone()))
            .collect();
        let chances: Vec<u32> = ready.iter().map(|of| it.contents[of].0 ^ it.contents[of].1).collect();
        for (of, chance) in ready.iter().zip(chances) {
            let n = (0..self.producers.len()).find(|n| component(*n) == *of).unwrap();
            self.deploy(n, chance, Some(push));
        }
    }

    fn hold(&mut self, of: usize, is_held: bool) {
        if let Some((environment, revision)) = self.environments.get_mut(&of) {
            environment.hold = is_held.then(|| Hold { by: "ada".into(), reason: "why".into(), at: at(0) });
            *revision += 1;
            self.follow(of);
        }
    }

    /// Takes the next step of the nth run that can take one. Returns false if none can.
    fn step(&mut self, nth: usize) -> bool {
        let can = |run: &Run| {
            let holder = self.environments.get(&run.of).and_then(|(it, _)| it.holder.as_ref());
            run.next != Next::Begin || run.deployment.deploy().unwrap().follows.is_some() || holder.is_none()
        };
        let able: Vec<usize> = (0..self.runs.len()).filter(|n| can(&self.runs[*n])).collect();
        if able.is_empty() {
            return false;
        }
        let index = able[nth % able.len()];
        match self.runs[index].next {
            Next::Begin => self.begin(index),
            Next::Plan => self.plan(index),
            Next::Update => self.update(index),
            Next::End => self.end(index),
        }
        true
    }

    fn begin(&mut self, index: usize) {
        let run = &mut self.runs[index];
        let before = self.environments.get(&run.of);
        if ensure_due(before.map(|(environment, _)| environment), &run.deployment).is_err() {
            self.runs.remove(index);
            return;
        }
        if let Some(follows) = &run.deployment.deploy().unwrap().follows {
            self.redeployed.push((run.of, follows.inputs.clone()));
        }
        let taken = acquire(before.map(|(environment, _)| environment), &run.deployment, at(1)).unwrap();
        let revision = before.map_or(1, |(_, revision)| revision + 1);
        run.deployment = taken.deployment;
        run.next = Next::Plan;
        self.environments.insert(run.of, (taken.environment, revision));
    }

    /// Reads the outputs of the producers from their stacks, or fails if one has no stack.
    fn plan(&mut self, index: usize) {
        let run = &mut self.runs[index];
        let mut inputs = BTreeMap::new();
        for producer in &self.producers[run.of] {
            let Some((output, _)) = self.stacks.get(producer) else { return self.fail(index) };
            inputs.insert(format!("c{producer}.Out").parse().unwrap(), Input::new(output, false));
        }
        run.deployment.deploy_mut().unwrap().inputs = inputs;
        run.next = Next::Update;
    }

    /// Updates the stack, or fails before it.
    fn update(&mut self, index: usize) {
        let run = &mut self.runs[index];
        if run.chance % 4 == 3 {
            return self.fail(index);
        }
        let shown = |(name, input): (&OutputName, &Input)| {
            let n: usize = name.component.as_str()[1..].parse().unwrap();
            (n, input.shown.clone().unwrap())
        };
        let body = run.deployment.deploy_mut().unwrap();
        let inputs: BTreeMap<usize, String> = body.inputs.iter().map(shown).collect();
        // Every other component passes its inputs on.
        let passed = if run.of % 2 == 1 {
            Digest::of(format!("{inputs:?}").as_bytes()).to_string()
        } else {
            String::new()
        };
        let output = format!("{}{}", run.content, &passed[..passed.len().min(8)]);
        body.outputs = [("Out".to_owned(), output.clone())].into();
        body.stack_changed = true;
        run.next = Next::End;
        self.contents.insert(run.of, run.content);
        self.stacks.insert(run.of, (output, inputs));
    }

    fn end(&mut self, index: usize) {
        if self.runs[index].chance % 4 == 2 {
            return self.fail(index);
        }
        let run = self.runs.remove(index);
        let (environment, revision) = self.environments.get_mut(&run.of).unwrap();
        let done = complete(environment, &run.deployment, &ImageLock::default(), at(2)).unwrap();
        *environment = done.environment.unwrap();
        *revision += 1;
        self.failed.remove(&run.of);
        self.ended(&run, Outcome::Deployed);
    }

    fn fail(&mut self, index: usize) {
        let run = self.runs.remove(index);
        let error = CaughtError { error: "StackFailed".into(), cause: "no".into() };
        let (environment, revision) = self.environments.get_mut(&run.of).unwrap();
        *environment = fail(Some(environment), &run.deployment, &error, at(2)).environment.unwrap();
        *revision += 1;
        if run.deployment.deploy().unwrap().follows.is_some() {
            self.failed.insert(run.of);
        }
        self.ended(&run, Outcome::Failed);
    }

    fn ended(&mut self, run: &Run, ending: Outcome) {
        self.follow(run.of);
        if let Some(push) = run.push {
            self.pushes[push].endings.insert(component(run.of), ending);
            self.advance(push);
        }
    }

    /// Starts the redeployments that are due after a change of one environment.
    fn follow(&mut self, ended: usize) {
        let all: Vec<Environment> = self.environments.values().map(|(it, _)| it.clone()).collect();
        let ended = self.environments[&ended].0.clone();
        let candidates = self.environments.iter().filter(|(_, (it, _))| concerns(&ended, it));
        let due: Vec<(usize, Follows)> = candidates
            .filter_map(|(n, (it, revision))| Some((*n, due(it, *revision, &self.stage, &all)?)))
            .collect();
        for (n, follows) in due {
            if self.started.insert(execution(&component(n), &follows)) {
                let content = self.contents.get(&n).copied().unwrap_or_default();
                let chance = follows.inputs.as_str().bytes().map(u32::from).sum::<u32>();
                self.enqueue(n, content, chance, None, Some(follows));
            }
        }
    }

    /// Runs every deployment to its end.
    pub fn settle(&mut self) {
        let is_settled = (0..STEPS_MAX).any(|step| !self.step(step));
        assert!(is_settled, "the world does not settle");
    }

    /// Returns the parameters that differ from their source, and that no environment shows as stale.
    pub fn unknown_differences(&self) -> Vec<String> {
        let all: Vec<Environment> = self.environments.values().map(|(it, _)| it.clone()).collect();
        let mut unknown = Vec::new();
        for (n, (_, inputs)) in &self.stacks {
            let shown = stale(&self.environments[n].0, &all);
            for (producer, value) in inputs {
                let is_shown = shown.iter().any(|it| it.input.component == component(*producer));
                if self.stacks[producer].0 != *value && !is_shown {
                    unknown
                        .push(format!("c{n} has {value}, and c{producer} has {}", self.stacks[producer].0));
                }
            }
        }
        unknown
    }

    /// Returns the stale environments that nothing keeps from being deployed again.
    pub fn needlessly_stale(&self) -> Vec<String> {
        let all: Vec<Environment> = self.environments.values().map(|(it, _)| it.clone()).collect();
        let waits = |(n, (it, _)): &(&usize, &(Environment, u64))| {
            it.hold.is_none() && !self.failed.contains(n) && !stale(it, &all).is_empty()
        };
        let follows = follows_by_itself(&self.stage);
        let stale = self.environments.iter().filter(|it| follows && waits(it));
        stale.map(|(n, _)| format!("c{n} is stale")).collect()
    }

    /// Returns true if a stage brought inputs to any consumer by itself.
    pub fn has_redeployed(&self) -> bool {
        !self.redeployed.is_empty()
    }

    /// Returns the inputs that two redeployments of an environment brought in a row.
    pub fn brought_twice(&self) -> Vec<String> {
        let of = |n: usize| self.redeployed.iter().filter(move |(of, _)| *of == n).collect::<Vec<_>>();
        let rows = (0..self.producers.len()).map(of);
        rows.flat_map(|row| {
            let twice = row.windows(2).filter(|pair| pair[0] == pair[1]);
            twice.map(|pair| format!("{:?}", pair[0])).collect::<Vec<_>>()
        })
        .collect()
    }
}
