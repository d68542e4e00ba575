//! Text of a `stages.toml` for tests. `lockstep_sim` includes this file by its path, so it uses the standard library alone.

use std::fmt;

/// A stage in the text.
#[derive(Clone, Debug)]
pub struct StageText {
    name: String,
    account: String,
    region: String,
    flags: Vec<&'static str>,
}

/// Returns a stage of an account in eu-west-1 that neither propagates nor asks for an approval.
pub fn stage_text(name: &str, account: &str) -> StageText {
    StageText {
        name: name.to_owned(),
        account: account.to_owned(),
        region: "eu-west-1".to_owned(),
        flags: Vec::new(),
    }
}

impl StageText {
    /// Moves the stage to another region.
    pub fn in_region(self, region: &str) -> Self {
        Self { region: region.to_owned(), ..self }
    }

    /// Lets releases propagate to the stage.
    pub fn propagating(self) -> Self {
        self.with("propagates = true")
    }

    /// Lets the stage ask for one approval of a person who did not start the deployment.
    pub fn with_approval(self) -> Self {
        self.with("approval = true")
    }

    /// Lets builds of images begin in the account without a person. Otherwise a person approves them.
    pub fn with_automatic_builds(self) -> Self {
        self.with("builds = \"automatic\"")
    }

    /// Adds a line to the stage.
    pub fn with(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }
}

impl fmt::Display for StageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, account, region, flags } = self;
        writeln!(f, "[[stages]]\nname = \"{name}\"\naccount = \"{account}\"\nregion = \"{region}\"")?;
        flags.iter().try_for_each(|flag| writeln!(f, "{flag}"))?;
        let has = |begin: &str| flags.iter().any(|flag| flag.starts_with(begin));
        if name == "test" || has("propagates") || has("builds") {
            return Ok(());
        }
        writeln!(f, "builds = \"approved\"")
    }
}

/// Returns the text of these stages.
pub fn text_of(stages: impl IntoIterator<Item = StageText>) -> String {
    stages.into_iter().map(|stage| stage.to_string()).collect()
}

/// Returns the stages `test` and `ci` in `account`, and `production`.
pub fn with_production(account: &str, production: StageText) -> String {
    text_of([stage_text("test", account), stage_text("ci", account).propagating(), production])
}
