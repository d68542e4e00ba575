//! The summary at the end of the demo.

use super::Demo;
use crate::failure::{Exit, Failure};
use crate::output::duration;
use lockstep_domain::records::Image;

impl Demo {
    /// Checks the final state and prints the summary.
    pub async fn summary(&mut self) -> Result<(), Failure> {
        self.nothing_is_shared().await?;
        self.no_test_stacks().await?;
        self.say("");
        self.say("== versions by stage");
        self.type_in(&["status"], Exit::Done).await?;
        self.say("");
        self.say("== ids of the images by account (none is shared with another account)");
        self.images().await?;
        self.say("");
        self.say("== the installation, examined by doctor");
        self.type_in(&["doctor"], Exit::Done).await?;
        self.times();
        Ok(())
    }

    /// Prints the duration of each scenario.
    pub(super) fn times(&self) {
        self.say("");
        self.say("== durations");
        let seconds = self.facts.seconds.iter();
        self.output()
            .indented()
            .table(["step", "took"], seconds.map(|(title, seconds)| [title.clone(), duration(*seconds)]));
    }

    async fn images(&self) -> Result<(), Failure> {
        let mut images = self.plane().await?.images().await?;
        images.sort_by(|a, b| (&a.name, &a.version, &a.location).cmp(&(&b.name, &b.version, &b.location)));
        let mut rows = Vec::new();
        for image in &images {
            rows.push(self.row(image)?);
        }
        self.output().indented().table(["image", "version", "account", "id"], rows);
        Ok(())
    }

    fn row(&self, image: &Image) -> Result<[String; 4], Failure> {
        let account = self.alias_of(&image.location.account)?;
        let ami = image.ami.as_ref().map(ToString::to_string).unwrap_or_default();
        Ok([image.name.to_string(), image.version.to_string(), account, ami])
    }
}
