//! The effects of faults on the fake host that take more than one call.

use std::time::Duration;

use adapter_fake::FakeHost;
use adapter_fake::world::conditions::{Conditions, Limit};
use adapter_fake::world::desired::{Intent, Record};
use adapter_fake::world::services::Behaviour;
use companion_core::model::companion::CompanionSpec;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::{HookProgram, TemplateValue};

pub(super) const ONE_A_MINUTE: Limit = Limit { burst: 1, interval: Duration::from_secs(60) };
pub(super) const ONE_AN_HOUR: Limit = Limit { burst: 1, interval: Duration::from_secs(3600) };

/// In seconds.
pub(super) const TEN_YEARS: i64 = 315_360_000;

/// The fault ends processes, which its caller does.
pub(super) fn nothing(_host: &FakeHost, _spec: &CompanionSpec) {}

pub(super) fn conditions(host: &FakeHost, change: impl FnOnce(&mut Conditions)) {
    host.change(|world, _| change(&mut world.conditions));
}

pub(super) fn set_record(host: &FakeHost, record: Record) {
    host.change(|world, _| world.record = record);
}

pub(super) fn set_start_delay(host: &FakeHost, delay: Duration) {
    host.change(|world, _| world.delays.start = delay);
}

pub(super) fn log_out(host: &FakeHost) {
    conditions(host, |conditions| conditions.linger = false);
    host.user_logout();
}

pub(super) fn log_in(host: &FakeHost) {
    conditions(host, |conditions| conditions.linger = true);
    host.user_login();
}

pub(super) fn misbehave(host: &FakeHost, spec: &CompanionSpec, how: impl FnOnce(&mut Behaviour)) {
    host.change(|world, _| how(world.behaviour_mut(&spec.name)));
}

pub(super) fn restore_program(host: &FakeHost, spec: &CompanionSpec) {
    host.crash_loop(&spec.name, false);
    misbehave(host, spec, |behaviour| *behaviour = Behaviour::default());
}

/// A container that is paused does not heed the stop and is killed, which fails its service.
pub(super) fn fail_service(host: &FakeHost, spec: &CompanionSpec) {
    host.pause_container(&spec.name);
    host.stop_service(&spec.name);
}

/// A dangling container belongs to a unit; after a completed removal there is none.
pub(super) fn leave_container(host: &FakeHost, spec: &CompanionSpec) {
    let world = host.world();
    let intent = world.slot(&spec.name).and_then(|slot| slot.intent);
    let removed = matches!(intent, Some(Intent::Absent { .. }));
    if !removed || world.mismatch_at(&spec.name, &host.specs()).is_some() {
        host.leave_container(&spec.name);
    }
}

pub(super) fn config(spec: &CompanionSpec, change: impl Fn(&AbsolutePath)) {
    spec.hook.iter().for_each(|hook| change(&hook.output));
}

/// The files that its hook reads, without the template that others share.
fn inputs(spec: &CompanionSpec) -> Vec<&AbsolutePath> {
    match spec.hook.as_ref().map(|hook| &hook.program) {
        Some(HookProgram::Template { values, .. }) => {
            let files = values.values().filter_map(|value| match value {
                TemplateValue::File(path) => Some(path),
                _ => None,
            });
            files.collect()
        }
        Some(HookProgram::Command { inputs, .. }) => inputs.iter().collect(),
        Some(HookProgram::Registered(_)) | None => Vec::new(),
    }
}

pub(super) fn lose_input(host: &FakeHost, spec: &CompanionSpec) {
    inputs(spec).into_iter().for_each(|path| host.remove_input(path));
}

/// The restored credentials are others than those before.
pub(super) fn restore_input(host: &FakeHost, spec: &CompanionSpec) {
    let world = host.world();
    let missing = inputs(spec).into_iter().filter(|path| !world.files.exists(path));
    missing.for_each(|path| host.put_input(path, "another password"));
}

pub(super) fn contexts(spec: &CompanionSpec, change: impl Fn(&AbsolutePath)) {
    spec.image.build.iter().flat_map(|build| &build.contexts).for_each(change);
}

pub(super) fn restore_context(host: &FakeHost, spec: &CompanionSpec) {
    let world = host.world();
    let last = spec.image.build.iter().filter_map(|build| build.contexts.last());
    let missing = last.filter(|path| !world.images.contexts.contains_key(path));
    missing.for_each(|path| host.put_context(path, "restored"));
}

pub(super) fn remove_images(host: &FakeHost, spec: &CompanionSpec) {
    let built = spec.image.build.iter().map(|build| &build.reference);
    let pulled = spec.image.pull.iter().map(|pull| &pull.reference);
    built.chain(pulled).for_each(|reference| host.remove_image(reference));
}

pub(super) fn damage_images(host: &FakeHost, spec: &CompanionSpec) {
    let built = spec.image.build.iter().map(|build| &build.reference);
    let pulled = spec.image.pull.iter().map(|pull| &pull.reference);
    built.chain(pulled).for_each(|reference| host.damage_image(reference));
}

pub(super) fn move_tag(host: &FakeHost, spec: &CompanionSpec) {
    let built = spec.image.build.iter().map(|build| &build.reference);
    built.for_each(|reference| host.put_image(reference, "another image"));
}
