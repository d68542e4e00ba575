// Evaluates requests against policies with @cloud-copilot/iam-simulate.
//
// Reads JSON lines. A line with "define" names a set of policies: {"define": name, "identity": [document, ...],
// "boundaries": [document, ...], "session": document}. Every other line is a request: {"with": name, "principal": arn,
// "action": "sqs:CreateQueue", "resource": arn, "account": id of the resource's account, "context": {...},
// "resource_policy": document}; the principal "anonymous" signs nothing. Prints a line for each request, in order:
// {"result": "Allowed" | "ImplicitlyDenied" | "ExplicitlyDenied" | "Error", "why": "...", "by": statements of the
// identity's policies that allow it, as "identity-<number>/<Sid or number from 1>", "own": those of the resource's own
// policy, "type": the resource's type}; Error is a request that the evaluator refuses to judge.
const readline = require("node:readline");
const { anonymousPrincipal, runSimulation } = require("@cloud-copilot/iam-simulate");

const named = (documents = [], kind) => documents.map((policy, i) => ({ name: `${kind}-${i}`, policy }));

// Keys that a service puts into the context of every call of one of its roles. AWS's service reference lists such a key for
// the service alone, so the evaluator drops it from calls of other services. As a policy variable, it is resolved here.
const OF_SERVICES = ["codebuild:buildArn"];

function resolved(documents = [], context = {}) {
  const known = OF_SERVICES.filter((key) => context[key] !== undefined);
  return documents.map((document) =>
    known.reduce((one, key) => JSON.parse(JSON.stringify(one).replaceAll(`\${${key}}`, context[key])), document),
  );
}

function simulation(set, request) {
  return {
    request: {
      principal: request.principal === "anonymous" ? anonymousPrincipal : request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: request.account },
      contextVariables: request.context ?? {},
    },
    identityPolicies: named(resolved(set.identity, request.context), "identity"),
    permissionBoundaryPolicies: set.boundaries?.length ? named(set.boundaries, "boundary") : undefined,
    sessionPolicy: set.session,
    resourcePolicy: request.resource_policy ?? undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  };
}

async function judge(set, request) {
  const answer = await runSimulation(simulation(set, request), {});
  if (answer.resultType === "error") {
    return { result: "Error", why: JSON.stringify(answer.errors) };
  }
  const { analysis, resourceType } = answer.result ?? answer.results[0] ?? {};
  const statements = (found) => (found?.allowStatements ?? []).map((one) => [one.policyId, one.explain.identifier]);
  return {
    result: answer.overallResult,
    by: statements(analysis?.identityAnalysis).map(([policy, statement]) => `${policy}/${statement}`),
    own: statements(analysis?.resourceAnalysis).map(([, statement]) => String(statement)),
    type: resourceType ?? null,
  };
}

async function main() {
  const sets = new Map();
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() === "") continue;
    const entry = JSON.parse(line);
    if (entry.define !== undefined) {
      sets.set(entry.define, entry);
      continue;
    }
    const set = sets.get(entry.with);
    if (set === undefined) throw new Error(`no set of policies is called ${entry.with}`);
    console.log(JSON.stringify(await judge(set, entry)));
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
