// Reads JSONata expressions, a JSON array of strings on standard input, with the version of JSONata that Step Functions runs,
// and prints for each what it refers to: {error} or {variables, functions, states, unqualified, context}.
const jsonata = require("jsonata");

function analyse(text) {
  let tree;
  try {
    tree = jsonata(text).ast();
  } catch (error) {
    return { error: `${error.message} (at character ${error.position})` };
  }
  const found = { variables: new Set(), functions: new Set(), states: new Set(), unqualified: new Set(), context: false };
  walk(tree, { bound: new Set(), top: true }, found);
  return Object.fromEntries(Object.entries(found).map(([key, value]) => [key, value instanceof Set ? [...value] : value]));
}

// `scope.top` is true where there is no context item: there AWS allows neither `$` nor a bare name.
function walk(node, scope, found) {
  if (Array.isArray(node)) return node.forEach((item) => walk(item, scope, found));
  if (!node || typeof node !== "object") return;
  const inner = { ...scope, top: false };
  switch (node.type) {
    case "variable":
      variable(node, scope, found);
      break;
    case "name":
      if (scope.top) found.unqualified.add(node.value);
      break;
    case "path":
      node.steps.forEach((step, index) => walk(step, index === 0 ? scope : inner, found));
      states(node.steps, found);
      walk(node.group?.lhs, inner, found);
      return;
    case "block": {
      const block = { ...scope, bound: new Set(scope.bound) };
      node.expressions.forEach((expression) => walk(expression, block, found));
      break;
    }
    case "bind":
      walk(node.rhs, scope, found);
      scope.bound.add(node.lhs.value);
      return;
    case "lambda": {
      const names = node.arguments.map((argument) => argument.value);
      return walk(node.body, { bound: new Set([...scope.bound, ...names]), top: false }, found);
    }
    case "function":
    case "partial":
      if (node.procedure.type === "variable") called(node.procedure.value, scope, found);
      else walk(node.procedure, scope, found);
      node.arguments.forEach((argument) => argument.type !== "operator" && walk(argument, scope, found));
      break;
    case "apply":
      walk(node.lhs, scope, found);
      if (node.rhs.type === "variable") called(node.rhs.value, scope, found);
      else walk(node.rhs, scope, found);
      break;
    case "transform":
      walk([node.pattern], scope, found);
      walk([node.update, node.delete], inner, found);
      break;
    case "condition":
      walk([node.condition, node.then, node.else], scope, found);
      break;
    case "binary":
      walk([node.lhs, node.rhs], scope, found);
      break;
    case "unary":
      // An array has expressions, an object has pairs.
      walk([node.expression, node.expressions, node.lhs], scope, found);
      break;
    case "sort":
      walk(node.terms.map((term) => term.expression), inner, found);
      break;
    case "filter":
      walk(node.expr, inner, found);
      break;
    case "parent":
      found.context = true;
      break;
    case "wildcard":
    case "descendant":
      if (scope.top) found.context = true;
      break;
    case "string":
    case "number":
    case "value":
    case "regex":
    case "index":
      break;
    default:
      throw new Error(`the analysis does not know the node ${node.type}`);
  }
  walk(node.stages, inner, found);
  walk(node.predicate, inner, found);
  walk(node.group?.lhs, inner, found);
}

function variable(node, scope, found) {
  if (node.value === "" || node.value === "$") {
    if (scope.top) found.context = true;
  } else if (!scope.bound.has(node.value) && node.value !== "states") {
    found.variables.add(node.value);
  } else if (node.value === "states") {
    found.states.add("");
  }
}

function called(name, scope, found) {
  if (!scope.bound.has(name)) found.functions.add(name);
}

// Which part of $states a path reads, such as `result` or `context.Task.Token`.
function states(steps, found) {
  if (steps[0].type !== "variable" || steps[0].value !== "states") return;
  found.states.delete("");
  const names = [];
  for (const step of steps.slice(1)) {
    if (step.type !== "name") break;
    names.push(step.value);
  }
  found.states.add(names.join("."));
}

const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(texts.map(analyse)));
