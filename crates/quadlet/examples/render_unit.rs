//! Renders one unit for an old and a new Podman, and one that no Podman could read.
//!
//! `cargo run -p quadlet --example render_unit`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use quadlet::{ContainerUnit, PodmanVersion, key};

fn main() -> Result<(), quadlet::RenderError> {
    let mut unit = ContainerUnit::new();
    unit.add(key::DESCRIPTION, "50 % of a page");
    unit.add(key::IMAGE, "registry.example/team/page:1");
    unit.add(key::PUBLISH_PORT, "8080:80");
    unit.add(key::VOLUME, "/srv/page:/usr/share/nginx/html:ro");
    // A key since Podman 4.6, previously an argument of `podman run`.
    unit.add(key::PULL, "never");
    unit.add(key::MEMORY_MAX, "64M");
    unit.add(key::WANTED_BY, "default.target");
    for version in [PodmanVersion::new(4, 4, 0), PodmanVersion::new(5, 4, 2)] {
        println!("# Podman {version}\n{}", unit.render(version)?);
    }

    unit.add(key::NETWORK, "two\nlines");
    match unit.render(PodmanVersion::new(5, 4, 2)) {
        Ok(_) => unreachable!("a line end would begin another key"),
        Err(refusal) => println!("refused: {refusal}"),
    }
    Ok(())
}
