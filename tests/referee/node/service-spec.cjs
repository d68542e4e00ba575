// Prints what AWS's service specification says of events and metrics. On standard input: {"sources": [...], "namespaces": [...]}; on
// standard output: {"events": {"source|detail-type": type}, "metrics": {"namespace|name": [[dimension...]...]}}, where a type is
// {"kind": "string"...} or {"kind": "object", "fields": {name: {"type": ..., "required": bool}}} or {"kind": "array", "of": type}.
const { loadAwsServiceSpecSync } = require("@aws-cdk/aws-service-spec");

const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const db = loadAwsServiceSpecSync();

function typeOf(type, seen) {
  if (type.type === "array" || type.type === "map") return { kind: type.type, of: typeOf(type.element, seen) };
  if (type.type === "union") return { kind: "any" };
  if (type.type === "ref") {
    const id = type.reference.$ref;
    return seen.includes(id) ? { kind: "any" } : objectOf(db.get("eventTypeDefinition", id), [...seen, id]);
  }
  return { kind: type.type };
}

function objectOf(definition, seen) {
  const fields = Object.entries(definition.properties).map(([name, property]) => [
    name,
    { type: typeOf(property.type, seen), required: Boolean(property.required) },
  ]);
  return { kind: "object", fields: Object.fromEntries(fields) };
}

const events = {};
for (const event of db.all("event")) {
  if (!asked.sources.includes(event.source)) continue;
  const id = event.rootProperty.$ref;
  events[`${event.source}|${event.detailType}`] = objectOf(db.get("eventTypeDefinition", id), [id]);
}
const metrics = {};
for (const metric of db.all("metric")) {
  if (!asked.namespaces.includes(metric.namespace)) continue;
  const sets = db.follow("usesDimensionSet", metric).map(({ entity }) => entity.dimensions.map(({ name }) => name).sort());
  const key = `${metric.namespace}|${metric.name}`;
  metrics[key] = [...(metrics[key] ?? []), ...sets];
}
process.stdout.write(JSON.stringify({ events, metrics, counts: { events: [...db.all("event")].length, metrics: [...db.all("metric")].length } }));
