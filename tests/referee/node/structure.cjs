// Judges the structure of state machines with asl-validator: a JSON array of definitions on standard input, an array of the
// lists of its complaints on standard output.
const validate = require("asl-validator");

const definitions = JSON.parse(require("fs").readFileSync(0, "utf8"));
const complaints = definitions.map((definition) => {
  const { isValid, errors } = validate(definition, { checkPaths: true, checkArn: true });
  return isValid ? [] : errors.map((error) => error.message || JSON.stringify(error));
});
process.stdout.write(JSON.stringify(complaints));
