//! Prints how templates are read, for the comparison with other readers in `tests/referee`.
//!
//! For each path of the input, a line of JSON is printed: `{"template": ...}`, or `{"problems": [...]}`.

use lockstep_domain::stacks::template::Template;
use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    for path in std::io::stdin().lock().lines() {
        let bytes = std::fs::read(path?)?;
        let answer = match Template::parse("template", &String::from_utf8_lossy(&bytes)) {
            Ok(template) => serde_json::json!({"template": template.to_json()}),
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                serde_json::json!({"problems": problems})
            }
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}
