//! Renders one unit for an old and a new Podman, and one that no Podman could read.
//!
//! `cargo run -p quadlet --example render_unit`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::num::{NonZeroU16, NonZeroU64};

use quadlet::{Container, ContainerUnit, PodmanVersion, Protocol, PublishPort, Volume};

fn main() -> Result<(), quadlet::RenderError> {
    let mut unit = ContainerUnit::new(Container::new("registry.example/team/page:1"));
    unit.unit.description = Some("50 % of a page".to_owned());
    // A key since Podman 4.6, previously an argument of `podman run`.
    unit.container.never_pulls = true;
    unit.container.publish_ports.push(PublishPort {
        host_ip: None,
        host_port: NonZeroU16::MIN.saturating_add(8079),
        container_port: NonZeroU16::MIN.saturating_add(79),
        protocol: Protocol::Tcp,
    });
    unit.container.volumes.push(Volume::read_only("/srv/page", "/usr/share/nginx/html"));
    unit.service.memory_max = NonZeroU64::new(64 << 20);
    unit.wanted_by = Some("default.target".to_owned());
    for version in [PodmanVersion::new(4, 4, 0), PodmanVersion::new(5, 4, 2)] {
        println!("# Podman {version}\n{}", unit.render(version)?);
    }

    unit.unit.description = Some("two\nlines".to_owned());
    match unit.render(PodmanVersion::new(5, 4, 2)) {
        Ok(_) => unreachable!("a line end would begin another key"),
        Err(refusal) => println!("refused: {refusal}"),
    }
    Ok(())
}
