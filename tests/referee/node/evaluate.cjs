// Evaluates requests against policies with @cloud-copilot/iam-simulate.
//
// Reads JSON lines. A line with "define" names a set of policies: {"define": name, "identity": [document, ...],
// "boundaries": [document, ...], "session": document}. Every other line is a request: {"with": name, "principal": arn,
// "action": "sqs:CreateQueue", "resource": arn, "account": id of the resource's account, "context": {...},
// "resource_policy": document}. Prints a line for each request, in order: {"result": "Allowed" | "ImplicitlyDenied" |
// "ExplicitlyDenied" | "Error", "why": "..."}; Error is a request that the evaluator refuses to judge.
const readline = require("node:readline");
const { runSimulation } = require("@cloud-copilot/iam-simulate");

const named = (documents = [], kind) => documents.map((policy, i) => ({ name: `${kind}-${i}`, policy }));

function simulation(set, request) {
  return {
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: request.account },
      contextVariables: request.context ?? {},
    },
    identityPolicies: named(set.identity, "identity"),
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
  return { result: answer.overallResult };
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
