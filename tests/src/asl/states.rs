//! Execution of a state machine, one state after the other.

use super::expressions::{Variables, evaluate, expression, render};
use super::retry::{Retries, catcher};
use super::{End, Machines, Run, TaskEnvironment, TaskError, execution_arn};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::time::Duration;

/// The longest timeout: a year, the maximum duration of an execution.
const YEAR_SECONDS: u64 = 366 * 24 * 3600;

/// The reason that ends a part of an execution early.
enum Stop {
    Failed(TaskError),
    TimedOut,
}

impl From<TaskError> for Stop {
    fn from(error: TaskError) -> Self {
        Self::Failed(error)
    }
}

/// Returns the error of an expression that Step Functions would reject.
fn refused(error: String) -> Stop {
    Stop::Failed(TaskError::new("States.QueryEvaluationError", &error))
}

/// The next step after a state.
enum Flow {
    Next(String, Value),
    End(Value),
}

/// One execution.
struct Execution<'a, W> {
    environment: &'a W,
    machines: &'a Machines,
    context: Value,
    deadline: Timestamp,
    path: RefCell<Vec<String>>,
    transitions: Cell<usize>,
}

/// The values that the expressions of one state can read.
struct Scope<'v> {
    input: Value,
    context: Value,
    variables: &'v Variables,
}

impl Scope<'_> {
    fn names(&self, more: &[(&str, &Value)]) -> Variables {
        let mut states = json!({"input": self.input, "context": self.context});
        for (name, value) in more {
            states[*name] = (*value).clone();
        }
        let mut names = self.variables.clone();
        names.insert("states".into(), states);
        names
    }

    /// Returns a field of a state with its expressions evaluated, or `default` if the state has no such field.
    fn field(
        &self,
        holder: &Value,
        field: &str,
        more: &[(&str, &Value)],
        default: &Value,
    ) -> Result<Value, Stop> {
        match holder.get(field) {
            None => Ok(default.clone()),
            Some(written) => render(written, &self.names(more)).map_err(refused),
        }
    }

    /// Returns the variables that `holder` assigns.
    fn assigned(&self, holder: &Value, more: &[(&str, &Value)]) -> Result<Variables, Stop> {
        let assigned = self.field(holder, "Assign", more, &json!({}))?;
        Ok(assigned.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}

/// Runs an execution to its end.
pub(super) async fn execute<W: TaskEnvironment>(
    environment: &W,
    machines: &Machines,
    definition: &Value,
    (machine, name): (&str, &str),
    input: &Value,
) -> Run {
    let arn = execution_arn(machine, name);
    let context = json!({
        "Execution": {"Id": arn, "Name": name, "Input": input, "StartTime": written(environment.now())},
        "StateMachine": {"Id": machine, "Name": machine.rsplit(':').next()},
    });
    let limit = definition["TimeoutSeconds"].as_u64().unwrap_or(YEAR_SECONDS);
    let execution = Execution {
        environment,
        machines,
        context,
        deadline: environment.now() + Duration::from_secs(limit),
        path: RefCell::default(),
        transitions: Cell::default(),
    };
    let end = match execution.walk(definition, input.clone(), Variables::new(), None).await {
        Ok(output) => End::Succeeded(output),
        Err(Stop::Failed(error)) => End::Failed(error),
        Err(Stop::TimedOut) => End::TimedOut,
    };
    Run { execution: arn, path: execution.path.into_inner(), transitions: execution.transitions.get(), end }
}

/// Formats a time as the context object shows it.
fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

impl<W: TaskEnvironment> Execution<'_, W> {
    /// Runs the states from `StartAt` to an end. `map` is the part of the context object that a Map adds, inside one.
    async fn walk(
        &self,
        states: &Value,
        mut input: Value,
        mut variables: Variables,
        map: Option<&Value>,
    ) -> Result<Value, Stop> {
        let mut name = states["StartAt"].as_str().expect("a state machine starts somewhere").to_owned();
        loop {
            let state = states["States"].get(&name).unwrap_or_else(|| panic!("no state {name}"));
            self.path.borrow_mut().push(name.clone());
            self.count();
            let (flow, assigned) = self.enter(&name, state, input, &variables, map).await?;
            variables.extend(assigned);
            match flow {
                Flow::End(output) => return Ok(output),
                Flow::Next(next, output) => (name, input) = (next, output),
            }
        }
    }

    fn count(&self) {
        self.transitions.set(self.transitions.get() + 1);
    }

    async fn enter(
        &self,
        name: &str,
        state: &Value,
        input: Value,
        variables: &Variables,
        map: Option<&Value>,
    ) -> Result<(Flow, Variables), Stop> {
        let mut context = self.context.clone();
        context["State"] =
            json!({"Name": name, "EnteredTime": written(self.environment.now()), "RetryCount": 0});
        if let Some(map) = map {
            context["Map"] = map.clone();
        }
        let mut scope = Scope { input, context, variables };
        match state["Type"].as_str().unwrap_or_default() {
            "Pass" | "Succeed" => plain(state, &scope),
            "Choice" => choose(state, &scope),
            "Fail" => Err(fail(state, &scope)?),
            "Wait" => {
                self.wait(state, &scope).await?;
                plain(state, &scope)
            }
            "Task" | "Map" => self.try_until_done(state, &mut scope).await,
            other => panic!("{name} is a {other}, which this interpreter does not know"),
        }
    }

    async fn wait(&self, state: &Value, scope: &Scope<'_>) -> Result<(), Stop> {
        let seconds = scope.field(state, "Seconds", &[], &Value::Null)?;
        let seconds = seconds.as_f64().expect("a Wait of a number of seconds");
        self.pause(Duration::from_secs_f64(seconds)).await
    }

    /// Lets time pass, up to the deadline of the execution.
    async fn pause(&self, duration: Duration) -> Result<(), Stop> {
        let end = self.environment.now() + duration;
        if end < self.deadline {
            self.environment.sleep(duration).await;
            return Ok(());
        }
        let rest = self.deadline.duration_since(self.environment.now());
        self.environment.sleep(rest.try_into().unwrap_or_default()).await;
        Err(Stop::TimedOut)
    }

    /// Runs a state that can fail: attempts, retries and catches.
    async fn try_until_done(&self, state: &Value, scope: &mut Scope<'_>) -> Result<(Flow, Variables), Stop> {
        let mut retries = Retries::of(state);
        loop {
            let error = match self.attempt(state, scope).await {
                Err(Stop::Failed(error)) => error,
                outcome => return outcome,
            };
            if let Some(delay) = retries.after(&error, self.environment.chance()) {
                self.pause(delay).await?;
                self.count();
                let count = scope.context["State"]["RetryCount"].as_u64().unwrap_or_default();
                scope.context["State"]["RetryCount"] = json!(count + 1);
                continue;
            }
            let Some(catcher) = catcher(state, &error) else { return Err(error.into()) };
            let caught = error.as_json();
            let more = [("errorOutput", &caught)];
            let output = scope.field(catcher, "Output", &more, &caught)?;
            let next = catcher["Next"].as_str().expect("a catcher leads somewhere").to_owned();
            return Ok((Flow::Next(next, output), scope.assigned(catcher, &more)?));
        }
    }

    async fn attempt(&self, state: &Value, scope: &mut Scope<'_>) -> Result<(Flow, Variables), Stop> {
        let result = if state["Type"] == "Map" {
            self.map(state, scope).await?
        } else {
            self.task(state, scope).await?
        };
        let more = [("result", &result)];
        let output = scope.field(state, "Output", &more, &result)?;
        Ok((lead(state, output), scope.assigned(state, &more)?))
    }

    async fn task(&self, state: &Value, scope: &mut Scope<'_>) -> Result<Value, Stop> {
        // A stack substitutes the partition when it installs a definition.
        let resource = state["Resource"].as_str().unwrap_or_default().replace("${Partition}", "aws");
        let waits = resource.ends_with(".waitForTaskToken");
        let token = waits.then(|| self.environment.token());
        if let Some(token) = &token {
            scope.context["Task"] = json!({"Token": token});
        }
        let arguments = scope.field(state, "Arguments", &[], &json!({}))?;
        let limit = state["TimeoutSeconds"].as_u64().unwrap_or(YEAR_SECONDS);
        let deadline = self.environment.now() + Duration::from_secs(limit);
        match resource.as_str() {
            "arn:aws:states:::lambda:invoke" => {
                let answer = self.invoke(&arguments, None).await;
                self.in_time(deadline)?;
                Ok(json!({"ExecutedVersion": "$LATEST", "Payload": answer?, "StatusCode": 200}))
            }
            "arn:aws:states:::lambda:invoke.waitForTaskToken" => {
                let token = token.expect("a state that waits has a token");
                let answer = self.invoke(&arguments, Some(&token)).await;
                self.answered(&token, answer, deadline).await
            }
            "arn:aws:states:::states:startExecution.sync:2" => self.nested(&arguments).await,
            other => panic!("the task {other} is not known to this interpreter"),
        }
    }

    fn in_time(&self, deadline: Timestamp) -> Result<(), Stop> {
        match self.environment.now() {
            now if now >= self.deadline => Err(Stop::TimedOut),
            now if now >= deadline => Err(TaskError::new("States.Timeout", "").into()),
            _ => Ok(()),
        }
    }

    async fn invoke(&self, arguments: &Value, token: Option<&str>) -> Result<Value, TaskError> {
        let function = arguments["FunctionName"].as_str().expect("a function is named");
        self.environment.invoke(function, &arguments["Payload"], token).await
    }

    /// Waits for the answer to a token. The answer may have come before the function returned.
    async fn answered(
        &self,
        token: &str,
        invoked: Result<Value, TaskError>,
        deadline: Timestamp,
    ) -> Result<Value, Stop> {
        // A function that fails ends the wait, unless the answer came first.
        let until = if invoked.is_ok() { deadline.min(self.deadline) } else { self.environment.now() };
        match (self.environment.answer(token, until).await, invoked) {
            (Some(answer), _) => Ok(answer?),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(_)) if self.environment.now() >= self.deadline => Err(Stop::TimedOut),
            (None, Ok(_)) => Err(TaskError::new("States.Timeout", "").into()),
        }
    }

    /// Runs another state machine to its end.
    async fn nested(&self, arguments: &Value) -> Result<Value, Stop> {
        let text = |field: &str| arguments[field].as_str().expect("text").to_owned();
        let (machine, name) = (text("StateMachineArn"), text("Name"));
        let input = &arguments["Input"];
        let execution = execution_arn(&machine, &name);
        let definition = self.machines.0.get(&machine).unwrap_or_else(|| panic!("no {machine}"));
        if !self.environment.started(&execution) {
            let cause = format!("Execution Already Exists: '{execution}'");
            return Err(TaskError::new("StepFunctions.ExecutionAlreadyExistsException", &cause).into());
        }
        let nested: Pin<Box<dyn Future<Output = Run> + '_>> =
            Box::pin(execute(self.environment, self.machines, definition, (&machine, &name), input));
        let end = nested.await.end;
        self.environment.ended(&execution, &end);
        let mut description = json!({
            "ExecutionArn": execution, "Name": name, "StateMachineArn": machine, "Status": end.status(), "Input": input,
        });
        match end {
            End::Succeeded(output) => {
                description["Output"] = output;
                Ok(description)
            }
            End::Failed(error) => {
                description["Error"] = json!(error.error);
                description["Cause"] = json!(error.cause);
                Err(TaskError::new("States.TaskFailed", &description.to_string()).into())
            }
            End::TimedOut => Err(TaskError::new("States.TaskFailed", &description.to_string()).into()),
        }
    }

    /// Runs the items one after the other and ignores `MaxConcurrency`, so that runs are repeatable.
    async fn map(&self, state: &Value, scope: &Scope<'_>) -> Result<Value, Stop> {
        let items = scope.field(state, "Items", &[], &scope.input)?;
        let items = items.as_array().ok_or_else(|| refused(format!("{items} is not a list")))?;
        let mut results = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let map = json!({"Item": {"Index": index, "Value": item}});
            let mut context = scope.context.clone();
            context["Map"] = map.clone();
            let inner = Scope { input: scope.input.clone(), context, variables: scope.variables };
            let input = inner.field(state, "ItemSelector", &[], item)?;
            let iteration: Pin<Box<dyn Future<Output = Result<Value, Stop>> + '_>> =
                Box::pin(self.walk(&state["ItemProcessor"], input, scope.variables.clone(), Some(&map)));
            results.push(iteration.await?);
        }
        Ok(Value::Array(results))
    }
}

fn lead(state: &Value, output: Value) -> Flow {
    match state["Next"].as_str() {
        Some(next) => Flow::Next(next.to_owned(), output),
        None => Flow::End(output),
    }
}

fn plain(state: &Value, scope: &Scope<'_>) -> Result<(Flow, Variables), Stop> {
    let output = scope.field(state, "Output", &[], &scope.input)?;
    Ok((lead(state, output), scope.assigned(state, &[])?))
}

fn choose(state: &Value, scope: &Scope<'_>) -> Result<(Flow, Variables), Stop> {
    let names = scope.names(&[]);
    for rule in state["Choices"].as_array().into_iter().flatten() {
        let condition =
            rule["Condition"].as_str().and_then(expression).expect("a condition is an expression");
        if evaluate(condition, &names).map_err(refused)? == json!(true) {
            let output = scope.field(rule, "Output", &[], &scope.input)?;
            return Ok((lead(rule, output), scope.assigned(rule, &[])?));
        }
    }
    let Some(default) = state["Default"].as_str() else {
        return Err(TaskError::new("States.NoChoiceMatched", "").into());
    };
    let output = scope.field(state, "Output", &[], &scope.input)?;
    Ok((Flow::Next(default.to_owned(), output), scope.assigned(state, &[])?))
}

fn fail(state: &Value, scope: &Scope<'_>) -> Result<Stop, Stop> {
    let text = |field: &str| {
        scope.field(state, field, &[], &json!("")).map(|v| v.as_str().unwrap_or_default().to_owned())
    };
    Ok(TaskError { error: text("Error")?, cause: text("Cause")? }.into())
}
