//! The simulated host, prepared for a catalog.

use adapter_fake::FakeHost;
use archipelago_companions::Catalog;
use companion_core::model::companion::CompanionSpec;
use companion_core::model::hook::{HookProgram, HookSpec, TemplateValue};

/// Creates a healthy host with the prerequisites of the companions of `catalog`, but without the companions.
pub(crate) fn host(catalog: &Catalog) -> FakeHost {
    let host = FakeHost::default();
    for spec in catalog.companions() {
        furnish(&host, spec);
    }
    host
}

fn furnish(host: &FakeHost, spec: &CompanionSpec) {
    let context = spec.image.build.as_ref().and_then(|build| build.contexts.first());
    if let Some(context) = context {
        host.put_context(context, spec.name.as_str());
    }
    if let Some(pull) = &spec.image.pull {
        host.publish(&pull.reference, spec.name.as_str());
    }
    let rendered = spec.hook.as_ref().map(|hook| &hook.output);
    for mount in spec.container.mounts.iter().filter(|mount| Some(&mount.source) != rendered) {
        host.put_file(&mount.source);
    }
    if let Some(hook) = &spec.hook {
        furnish_hook(host, hook);
    }
}

fn furnish_hook(host: &FakeHost, hook: &HookSpec) {
    match &hook.program {
        HookProgram::Registered(name) => host.register_hook(name, "as first rendered"),
        HookProgram::Command { inputs, .. } => {
            inputs.iter().for_each(|input| host.put_input(input, "as first read"));
        }
        HookProgram::Template { template, values } => {
            host.put_input(template, "a template");
            for value in values.values() {
                if let TemplateValue::File(file) = value {
                    host.put_input(file, "as first read");
                }
            }
        }
    }
}
