//! A trial start of a container, for people who look for the cause of a failure.

use companion_core::model::image::ImageRef;
use image_source::EngineResult;

use super::{Podman, argv};

/// The exit statuses of podman for a container that started but has no program `true`.
const WITHOUT_PROGRAM: [i32; 2] = [126, 127];

impl Podman {
    /// Starts a container of `image` without a network, and removes it. Returns `false` if the image is not present.
    ///
    /// # Errors
    /// Podman's own message if no container of that image can be started.
    pub async fn try_start(&self, image: &ImageRef) -> EngineResult<bool> {
        let exit = self.exit(argv::try_start(image)).await?;
        let says = |text| exit.said.contains(text);
        let lacks_program = says("executable file") || says("was not found");
        match exit.code() {
            Some(0) => Ok(true),
            _ if says("image not known") || says("No such image") => Ok(false),
            Some(status) if WITHOUT_PROGRAM.contains(&status) && lacks_program => Ok(true),
            _ => exit.answer().map(|_| true),
        }
    }
}
