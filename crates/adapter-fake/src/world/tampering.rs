//! Tampering: external changes and failures of a host.

use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::HookName;
use companion_core::model::image::ImageRef;
use companion_core::model::revision::Fingerprint;
use companion_core::model::service::Verb;

use super::World;
use super::containers::{Container, Status};
use super::files::{Output, RenderOutcome, RenderedFile};
use super::images::{BuildOutcome, Context, Image, Reach};
use super::jobs::JobResult;
use super::processes::KILLED;
use super::services::{Behaviour, Phase};
use super::units::{Damage, UnitBytes};

impl World {
    /// Edits the unit of `name`, and keeps its ownership label and revision.
    pub fn edit_unit(&mut self, name: &CompanionName) {
        self.damage_unit(name, Damage::Edited);
    }

    /// As above, and the generator rejects the new contents.
    pub fn spoil_unit(&mut self, name: &CompanionName) {
        self.damage_unit(name, Damage::Spoilt);
    }

    /// Makes the unit of `name` writable by others. An edited unit stays edited.
    pub fn expose_unit(&mut self, name: &CompanionName) {
        let found = self.slot(name).and_then(|slot| slot.file.now());
        if matches!(found, Some(UnitBytes::Ours(text)) if text.damage == Damage::None) {
            self.damage_unit(name, Damage::ModeChanged);
        }
    }

    /// Switches the unit renderer, as another release of the manager or of Podman does, or back.
    pub fn change_renderer(&mut self) {
        self.renderer ^= 1;
    }

    fn damage_unit(&mut self, name: &CompanionName, damage: Damage) {
        if let Some(UnitBytes::Ours(text)) = self.slot(name).and_then(|slot| slot.file.now()) {
            let mut text = text.clone();
            text.damage = damage;
            self.put_bytes(name, Some(UnitBytes::Ours(text)));
        }
    }

    fn put_bytes(&mut self, name: &CompanionName, bytes: Option<UnitBytes>) {
        let slot = self.slot_mut(name);
        slot.unseen.file = true;
        slot.file.set_synced(bytes);
    }

    /// Deletes the unit file of `name`.
    pub fn delete_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, None);
    }

    /// Puts a file, a directory, or what else `bytes` is, in place of the unit of `name`.
    pub fn put_unit(&mut self, name: &CompanionName, bytes: UnitBytes) {
        self.put_bytes(name, Some(bytes));
    }

    /// Makes the generator reject any unit of this name, or accept it again.
    pub fn refuse_unit(&mut self, name: &CompanionName, refused: bool) {
        self.slot_mut(name).refused = refused;
    }

    /// Masks the unit of `name`, which reloads (systemctl(1)); a running service keeps running.
    pub fn mask(&mut self, name: &CompanionName) {
        self.slot_mut(name).masked = true;
        self.load_units();
    }

    /// Unmasks the unit, which reloads.
    pub fn unmask(&mut self, name: &CompanionName) {
        self.slot_mut(name).masked = false;
        self.load_units();
    }

    /// Adds a unit of that name with precedence, and reloads.
    pub fn shadow(&mut self, name: &CompanionName, now: Duration) {
        self.advance(now);
        let slot = self.slot_mut(name);
        slot.shadowed = true;
        slot.unseen.file = true;
        self.load_units();
    }

    /// Removes that unit, and reloads.
    pub fn unshadow(&mut self, name: &CompanionName, now: Duration) {
        self.advance(now);
        self.slot_mut(name).shadowed = false;
        self.load_units();
    }

    /// Reloads the service manager from outside.
    pub fn reload_by_others(&mut self, now: Duration) {
        self.advance(now);
        self.load_units();
    }

    /// Kills the container of `name`.
    pub fn kill_container(&mut self, name: &CompanionName, now: Duration) {
        self.end_container(name, KILLED, now);
    }

    fn end_container(&mut self, name: &CompanionName, exit: i32, now: Duration) {
        self.advance(now);
        if matches!(self.slot_mut(name).service.phase, Phase::Running { .. }) {
            self.process_ended(name, now, exit, None);
        }
    }

    /// Force-removes the container of `name`. A running one gets SIGTERM before SIGKILL (podman-rm(1),
    /// `--force` and `--time`).
    pub fn remove_container(&mut self, name: &CompanionName, now: Duration) {
        let slot = self.slot_mut(name);
        let is_paused =
            slot.container.as_ref().is_some_and(|container| container.status == Status::Paused);
        let ends = !is_paused && !slot.behaviour.ignores_stop;
        self.end_container(name, if ends { 0 } else { KILLED }, now);
        let slot = self.slot_mut(name);
        slot.unseen.container = true;
        slot.container = None;
    }

    /// Pauses the container of `name`.
    pub fn pause_container(&mut self, name: &CompanionName, now: Duration) {
        self.set_status(name, Status::Running, Status::Paused, now);
    }

    /// Unpauses the container of `name`.
    pub fn unpause_container(&mut self, name: &CompanionName, now: Duration) {
        self.set_status(name, Status::Paused, Status::Running, now);
    }

    fn set_status(&mut self, name: &CompanionName, from: Status, to: Status, now: Duration) {
        self.advance(now);
        let slot = self.slot_mut(name);
        if let Some(container) = &mut slot.container
            && container.status == from
        {
            container.status = to;
            slot.unseen.service = true;
        }
    }

    /// Creates an unmanaged container of that name, if the name is free.
    pub fn put_unmanaged_container(&mut self, name: &CompanionName, now: Duration) {
        self.put_container(name, false, Status::Running, now);
    }

    /// Runs a managed container of that name without a unit.
    pub fn run_container(&mut self, name: &CompanionName, now: Duration) {
        self.put_container(name, true, Status::Running, now);
    }

    /// Leaves a stopped managed container of that name without its unit.
    pub fn leave_container(&mut self, name: &CompanionName, now: Duration) {
        self.put_container(name, true, Status::Exited, now);
    }

    fn put_container(&mut self, name: &CompanionName, ours: bool, status: Status, now: Duration) {
        self.advance(now);
        let slot = self.slot_mut(name);
        if slot.container.is_none() {
            slot.unseen.container = true;
            slot.container = Some(Container { ours, status });
        }
    }

    /// Stops the service of `name` manually.
    pub fn stop_service(&mut self, name: &CompanionName, now: Duration) {
        // A service that is not loaded cannot be stopped.
        let _ = self.queue(name, Verb::Stop, now);
    }

    /// Cancels the pending job of `name`; its action continues.
    pub fn cancel_job(&mut self, name: &CompanionName, now: Duration) {
        self.advance(now);
        self.end_job(name, JobResult::Canceled);
    }

    /// Makes the program of `name` exit right after each start, or stop doing so.
    pub fn crash_loop(&mut self, name: &CompanionName, crashes: bool, now: Duration) {
        self.advance(now);
        let soon = now.saturating_add(self.delays.crash.max(Duration::from_millis(1)));
        let slot = self.slot_mut(name);
        slot.behaviour.crashes = crashes;
        let exit = slot.behaviour.exit();
        if let Phase::Running { ends } = &mut slot.service.phase {
            *ends = crashes.then_some((soon, exit));
        }
    }

    /// Returns the behaviour of the program of `name` from its next start on.
    pub fn behaviour_mut(&mut self, name: &CompanionName) -> &mut Behaviour {
        &mut self.slot_mut(name).behaviour
    }

    /// Sets the outcome of renderings of `path`; `None` is success.
    pub fn break_hook(&mut self, path: &AbsolutePath, outcome: Option<RenderOutcome>) {
        match outcome {
            Some(outcome) => self.files.fates.insert(path.clone(), outcome),
            None => self.files.fates.remove(path),
        };
    }

    /// Creates a mount source at `path`.
    pub fn put_file(&mut self, path: &AbsolutePath) {
        self.files.others.insert(path.clone());
    }

    /// Sets the result of the Rust hook `name`.
    pub fn register_hook(&mut self, name: &HookName, contents: &str) {
        let contents = Fingerprint::of(contents.as_bytes());
        self.files.registered.insert(name.clone(), contents);
    }

    /// Changes the hook input at `path`, such as a rotated password.
    pub fn put_input(&mut self, path: &AbsolutePath, contents: &str) {
        let contents = Fingerprint::of(contents.as_bytes());
        self.files.inputs.insert(path.clone(), contents);
    }

    /// Changes all hook inputs.
    pub fn rotate_credentials(&mut self) {
        let inputs = self.files.inputs.values_mut();
        for contents in inputs.chain(self.files.registered.values_mut()) {
            *contents = Fingerprint::of(contents.to_string().as_bytes());
        }
    }

    /// Removes the hook input at `path`.
    pub fn remove_input(&mut self, path: &AbsolutePath) {
        self.files.inputs.remove(path);
    }

    /// Deletes the rendered file that `path` links to.
    pub fn delete_config(&mut self, path: &AbsolutePath) {
        self.put_config(path, None);
    }

    /// Modifies the rendered file that `path` links to.
    pub fn edit_config(&mut self, path: &AbsolutePath) {
        if let Some(file) = self.files.rendered(path) {
            let content = Fingerprint::of(b"edited by hand");
            self.put_config(path, Some(RenderedFile { content, sound: true, ..file }));
        }
    }

    /// Changes the mode of the rendered file that `path` links to, for example to 0644.
    pub fn expose_config(&mut self, path: &AbsolutePath, mode: u16) {
        if let Some(file) = self.files.rendered(path) {
            self.put_config(path, Some(RenderedFile { mode, ..file }));
        }
    }

    /// Deletes the link at `path`; its target stays.
    pub fn unlink_config(&mut self, path: &AbsolutePath) {
        self.put_output(path, None);
    }

    /// Replaces the link at `path` with a directory.
    pub fn put_directory_at_config(&mut self, path: &AbsolutePath) {
        self.put_output(path, Some(Output::Directory));
    }

    /// Puts a regular file at `path`, as left by a release without links.
    pub fn put_file_at_config(&mut self, path: &AbsolutePath) {
        self.put_output(path, Some(Output::Regular));
    }

    fn put_config(&mut self, output: &AbsolutePath, file: Option<RenderedFile>) {
        self.unsee_configs();
        let Some(Output::Link(id)) = self.files.output(output) else { return };
        let path = id.path(output);
        match file {
            Some(file) => self.files.rendered.entry(path).or_default().set_synced(Some(file)),
            None => drop(self.files.rendered.remove(&path)),
        }
    }

    fn put_output(&mut self, path: &AbsolutePath, output: Option<Output>) {
        self.unsee_configs();
        match output {
            Some(output) => {
                self.files.outputs.entry(path.clone()).or_default().set_synced(Some(output));
            }
            None => drop(self.files.outputs.remove(path)),
        }
    }

    fn unsee_configs(&mut self) {
        for slot in self.slots.values_mut() {
            slot.unseen.config = true;
        }
    }

    /// Creates a build context at `path` with these contents, whose build succeeds.
    pub fn put_context(&mut self, path: &AbsolutePath, contents: &str) {
        let context =
            Context { digest: Fingerprint::of(contents.as_bytes()), build: BuildOutcome::Works };
        self.images.contexts.insert(path.clone(), context);
    }

    /// Changes the contents of the build context `path`, but not its build outcome.
    pub fn change_context(&mut self, path: &AbsolutePath) {
        if let Some(context) = self.images.contexts.get_mut(path) {
            context.digest = Fingerprint::of(context.digest.to_string().as_bytes());
        }
    }

    /// Sets the build outcome of the context `path`.
    pub fn break_build(&mut self, path: &AbsolutePath, outcome: BuildOutcome) {
        if let Some(context) = self.images.contexts.get_mut(path) {
            context.build = outcome;
        }
    }

    /// Removes the build context `path`.
    pub fn remove_context(&mut self, path: &AbsolutePath) {
        self.images.contexts.remove(path);
    }

    /// Removes the image `reference`; running containers keep running.
    pub fn remove_image(&mut self, reference: &ImageRef) {
        for slot in self.slots.values_mut() {
            slot.unseen.image = true;
        }
        self.images.store.remove(reference);
    }

    /// Adds an image with these contents to the host as `reference`.
    pub fn put_image(&mut self, reference: &ImageRef, contents: &str) {
        let image = Image { id: Fingerprint::of(contents.as_bytes()), built_from: None };
        self.images.tag(reference, image);
    }

    /// Adds an unmanaged dangling image with these contents.
    pub fn leave_image(&mut self, contents: &str) {
        let id = Fingerprint::of(contents.as_bytes());
        self.images.unnamed.insert(id, None);
    }

    /// Adds an image with these contents to the registry of `reference`, and brings the registry up.
    pub fn publish(&mut self, reference: &ImageRef, contents: &str) {
        let contents = Fingerprint::of(contents.as_bytes());
        self.images.published.insert(reference.clone(), contents);
        let registry = reference.registry().to_owned();
        self.images.registries.entry(registry).or_insert(Reach::Up);
    }

    /// Sets the behaviour of the registry.
    pub fn set_registry(&mut self, registry: &str, reach: Reach) {
        self.images.registries.insert(registry.to_owned(), reach);
    }

    /// Makes the registry unreachable.
    pub fn registry_down(&mut self, registry: &str) {
        self.set_registry(registry, Reach::Down);
    }

    /// Makes the registry reachable again.
    pub fn registry_up(&mut self, registry: &str) {
        self.set_registry(registry, Reach::Up);
    }

    /// Removes the record of the desired state.
    pub fn lose_record(&mut self) {
        for slot in self.slots.values_mut() {
            slot.intent = None;
        }
    }
}
