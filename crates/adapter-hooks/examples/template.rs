//! A template hook in a temporary directory: renders a file, and detects that it is outdated after its secret changed.
//!
//! `cargo run -p adapter-hooks --example template`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs;

use adapter_hooks::{FileHooks, HostKey};
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};
use companion_core::ports::HookRunner as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let path = |name: &str| AbsolutePath::new(place.path().join(name).to_string_lossy());
    fs::write(place.path().join("page.template"), "Authorization: {{ password }};\n")?;
    fs::write(place.path().join("password"), "secret\n")?;

    let values = [("password".to_owned(), TemplateValue::File(path("password")?))].into();
    let program = HookProgram::Template { template: path("page.template")?, values };
    let hook = HookSpec { program, output: path("rendered/page.conf")? };
    // A host has one key, managed by `HostKey::load_or_create`.
    let hooks = FileHooks::new(HostKey::from_bytes([7; 32]));

    println!("before:   {:?}", hooks.observe(&hook).await?);
    let rendered = hooks.render(&hook).await?;
    let id = hooks.commit(&hook, rendered, &[]).await?;
    println!("file:     {}", id.path(&hook.output));
    println!("rendered: {:?}", hooks.observe(&hook).await?);
    fs::write(place.path().join("password"), "another\n")?;
    println!("rotated:  {:?}", hooks.observe(&hook).await?);
    Ok(())
}
