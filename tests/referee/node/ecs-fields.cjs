// Prints the fields of the Elastic Common Schema, one a line, sorted by name: name, type, `array` if the schema wants a list, and the
// allowed values of a field that has a closed list. A tab is between them. The first line holds the version.
const { EcsFlat } = require("@elastic/ecs");
const { version } = require("@elastic/ecs/package.json");

const lines = Object.entries(EcsFlat).map(([name, field]) => {
  const list = (field.normalize ?? []).includes("array") ? "array" : "";
  const values = (field.allowed_values ?? []).map((value) => value.name).join(",");
  return [name, field.type, list, values].join("\t").trimEnd();
});
lines.sort((one, other) => (one < other ? -1 : 1));
process.stdout.write(`# Elastic Common Schema\t${version}\n${lines.join("\n")}\n`);
