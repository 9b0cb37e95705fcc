//! Prints the Quadlet text of a companion for the user's and the system's service manager, without reading the host.
//!
//! `cargo run -p adapter-systemd --example render_unit`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use adapter_systemd::{Scope, render_unit};
use companion_core::model::container::{AbsolutePath, BindMount, ContainerSpec};
use companion_core::model::image::ImageId;
use companion_core::model::unit::UnitSpec;
use quadlet::PodmanVersion;

fn main() -> Result<(), Box<dyn Error>> {
    let source = AbsolutePath::new("/srv/page")?;
    let target = AbsolutePath::new("/usr/share/nginx/html")?;
    let unit = UnitSpec {
        name: "page".parse()?,
        description: "a page".to_owned(),
        image: ImageId::new(&"1".repeat(64))?,
        container: ContainerSpec {
            mounts: vec![BindMount { source, target, read_only: true }],
            ..ContainerSpec::default()
        },
        config: None,
        revision: "1111111111111111-2222222222222222-none-0".parse()?,
    };
    let podman = PodmanVersion::new(5, 4, 2);
    for scope in [Scope::User, Scope::System] {
        let rendered = render_unit(&unit, scope, podman)?;
        println!("# {scope:?}, revision {}\n{}", rendered.revision, rendered.text);
    }
    Ok(())
}
