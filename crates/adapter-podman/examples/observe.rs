//! Prints what this user's Podman has of an image and a container. Only reads, and reports a host without Podman.
//!
//! `cargo run -p adapter-podman --example observe [IMAGE [CONTAINER]]`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use adapter_podman::{ImageRecords, Podman, PodmanContainers, PodmanImages};
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageRef, ImageSource, PullSource};
use companion_core::ports::{ContainerRuntime as _, ImageProvider as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().unwrap_or("docker.io/library/nginx:1.29-alpine".to_owned());
    let name: CompanionName = arguments.next().unwrap_or("page".to_owned()).parse()?;
    let pull = PullSource { reference: ImageRef::new(image)?, verify_tls: true };
    let source = ImageSource { build: None, pull: Some(pull) };

    let podman = Podman::from_environment();
    // Written by `ensure` alone; without a record, no image counts as built here.
    let records = ImageRecords::new(std::env::temp_dir().join("records"), || 0);
    let images = PodmanImages::new(podman.clone(), records);
    // Reading never contacts a registry; `ensure` might.
    for (name, state) in images.observe(&[(name.clone(), source)].into()).await {
        match state {
            Ok(state) => println!("image of {name}: {:?}", state.present),
            Err(error) => println!("image of {name}: {} ({})", error.chain(), error.kind()),
        }
    }
    let containers = PodmanContainers::new(podman);
    for (name, state) in containers.observe(&[name].into()).await {
        match state {
            Ok(state) => println!("container {name}: {state:?}"),
            Err(error) => println!("container {name}: {} ({})", error.chain(), error.kind()),
        }
    }
    Ok(())
}
