//! A trial start of a container, for people who look for the cause of a failure.

use companion_core::model::image::ImageRef;

use super::{Podman, argv};
use crate::error::{PodmanError, Verb};

/// The exit statuses of podman for a container that started but has no program `true`.
const WITHOUT_PROGRAM: [i32; 2] = [126, 127];

impl Podman {
    /// Starts a container of `image` without a network, and removes it. Returns `false` if the image is not present.
    ///
    /// # Errors
    /// [`PodmanError`] if no container of that image can be started; its message is podman's own.
    pub async fn try_start(&self, image: &ImageRef) -> Result<bool, PodmanError> {
        let error = match self.run(Verb::Run, argv::try_start(image)).await {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        let PodmanError::Failed { status: Some(status), said, .. } = &error else {
            return Err(error);
        };
        if said.contains("image not known") || said.contains("No such image") {
            return Ok(false);
        }
        let lacks_program = said.contains("executable file") || said.contains("was not found");
        if WITHOUT_PROGRAM.contains(status) && lacks_program { Ok(true) } else { Err(error) }
    }
}
