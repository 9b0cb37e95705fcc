//! What people, other programs and bad luck do to a host, named after what was done.

use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::model::container::AbsolutePath;
use companion_core::model::hook::HookName;
use companion_core::model::image::ImageRef;
use companion_core::model::revision::Fingerprint;
use companion_core::model::unit::JobResult;

use super::World;
use super::containers::{Container, Status};
use super::files::{Fate, Output, RenderedFile};
use super::images::{BuildFate, Context, Image, Reach};
use super::processes::KILLED;
use super::services::{Behaviour, JobKind, Phase};
use super::units::{Damage, UnitBytes};

impl World {
    /// Someone changes what the unit of `name` says, and leaves our mark and its revision in it.
    pub fn edit_unit(&mut self, name: &CompanionName) {
        self.damage_unit(name, Damage::Edited);
    }

    /// The same, and the generator does not take what it says now.
    pub fn spoil_unit(&mut self, name: &CompanionName) {
        self.damage_unit(name, Damage::Spoilt);
    }

    /// Someone lets everyone write the unit of `name`. One that was edited is told by that alone.
    pub fn expose_unit(&mut self, name: &CompanionName) {
        let found = self.slot(name).and_then(|slot| slot.file.now());
        if matches!(found, Some(UnitBytes::Ours(text)) if text.damage == Damage::None) {
            self.damage_unit(name, Damage::ModeChanged);
        }
    }

    /// Another release of the manager, or another Podman, says units in other words from now on, or in
    /// those that it had before.
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

    /// Someone deletes the unit file of `name`.
    pub fn delete_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, None);
    }

    /// The unit file of `name` loses all its bytes.
    pub fn truncate_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, Some(UnitBytes::Empty));
    }

    /// The unit file of `name` is overwritten with bytes that make no sense and lack our mark.
    pub fn garble_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, Some(UnitBytes::Garbage));
    }

    /// Someone puts a unit of their own at `name`.
    pub fn put_unmanaged_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, Some(UnitBytes::Unmanaged));
    }

    /// Someone puts a unit of their own at `name` that the generator refuses.
    pub fn put_refused_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, Some(UnitBytes::Refused));
    }

    /// Someone makes a directory where the unit of `name` would be.
    pub fn put_directory_at_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, Some(UnitBytes::Directory));
    }

    /// The unit file of `name` cannot be read any more.
    pub fn forbid_unit(&mut self, name: &CompanionName) {
        self.put_bytes(name, Some(UnitBytes::Unreadable));
    }

    /// The generator refuses whatever unit has this name, or takes it again.
    pub fn refuse_unit(&mut self, name: &CompanionName, refused: bool) {
        self.slot_mut(name).refused = refused;
    }

    /// The operator masks the unit of `name`, which reloads (systemctl(1)); what runs keeps running.
    pub fn mask(&mut self, name: &CompanionName) {
        self.slot_mut(name).masked = true;
        self.load_units();
    }

    /// The operator takes the mask away, which reloads.
    pub fn unmask(&mut self, name: &CompanionName) {
        self.slot_mut(name).masked = false;
        self.load_units();
    }

    /// Someone puts a unit of that name where it comes first, and reloads.
    pub fn shadow(&mut self, name: &CompanionName, now: Duration) {
        self.advance(now);
        self.slot_mut(name).shadowed = true;
        self.load_units();
    }

    /// Someone takes that unit away, and reloads.
    pub fn unshadow(&mut self, name: &CompanionName, now: Duration) {
        self.advance(now);
        self.slot_mut(name).shadowed = false;
        self.load_units();
    }

    /// Someone else reloads the service manager.
    pub fn reload_by_others(&mut self, now: Duration) {
        self.advance(now);
        self.load_units();
    }

    /// Someone kills the container of `name`.
    pub fn kill_container(&mut self, name: &CompanionName, now: Duration) {
        self.end_container(name, KILLED, now);
    }

    fn end_container(&mut self, name: &CompanionName, exit: i32, now: Duration) {
        self.advance(now);
        if matches!(self.slot_mut(name).service.phase, Phase::Running { .. }) {
            self.process_ended(name, now, exit, None);
        }
    }

    /// Someone removes the container of `name` by force, running or not. What runs is asked to end
    /// before it is killed (podman-rm(1), `--force` and `--time`).
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

    /// Someone freezes the container of `name`.
    pub fn pause_container(&mut self, name: &CompanionName, now: Duration) {
        self.set_status(name, Status::Running, Status::Paused, now);
    }

    /// Someone thaws the container of `name`.
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

    /// Someone makes a container of that name, if the name is free.
    pub fn put_unmanaged_container(&mut self, name: &CompanionName, now: Duration) {
        self.put_container(name, false, Status::Running, now);
    }

    /// A container of ours of that name runs that no unit started.
    pub fn run_container(&mut self, name: &CompanionName, now: Duration) {
        self.put_container(name, true, Status::Running, now);
    }

    /// A container of ours of that name is left over from a time when its unit was there.
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

    /// Someone stops the service of `name` by hand.
    pub fn stop_service(&mut self, name: &CompanionName, now: Duration) {
        // A service that is not there cannot be stopped by hand either.
        let _ = self.queue(name, JobKind::Stop, now);
    }

    /// Someone cancels the job that is under way for `name`; what it began goes on.
    pub fn cancel_job(&mut self, name: &CompanionName, now: Duration) {
        self.advance(now);
        self.end_job(name, JobResult::Canceled);
    }

    /// The program of `name` ends right after each start, from now on or no more.
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

    /// How the program of `name` behaves from its next start on.
    pub fn behaviour_mut(&mut self, name: &CompanionName) -> &mut Behaviour {
        &mut self.slot_mut(name).behaviour
    }

    /// Renderings of the file at `path` go like this from now on; `None` is well.
    pub fn break_hook(&mut self, path: &AbsolutePath, fate: Option<Fate>) {
        match fate {
            Some(fate) => self.files.fates.insert(path.clone(), fate),
            None => self.files.fates.remove(path),
        };
    }

    /// A file or directory that a container mounts lies at `path`.
    pub fn put_file(&mut self, path: &AbsolutePath) {
        self.files.others.insert(path.clone());
    }

    /// The hook written in Rust that is registered as `name` gives these contents from now on.
    pub fn register_hook(&mut self, name: &HookName, contents: &str) {
        let contents = Fingerprint::of(contents.as_bytes());
        self.files.registered.insert(name.clone(), contents);
    }

    /// The file at `path` that hooks read has new contents, such as a rotated password.
    pub fn put_input(&mut self, path: &AbsolutePath, contents: &str) {
        let contents = Fingerprint::of(contents.as_bytes());
        self.files.inputs.insert(path.clone(), contents);
    }

    /// All that hooks read gets new contents.
    pub fn rotate_credentials(&mut self) {
        let inputs = self.files.inputs.values_mut();
        for contents in inputs.chain(self.files.registered.values_mut()) {
            *contents = Fingerprint::of(contents.to_string().as_bytes());
        }
    }

    /// The file at `path` that hooks read is gone.
    pub fn remove_input(&mut self, path: &AbsolutePath) {
        self.files.inputs.remove(path);
    }

    /// Someone deletes the rendered file that `path` links to.
    pub fn delete_config(&mut self, path: &AbsolutePath) {
        self.put_config(path, None);
    }

    /// Someone writes something else to the rendered file that `path` links to.
    pub fn edit_config(&mut self, path: &AbsolutePath) {
        if let Some(RenderedFile::Regular { mode, .. }) = self.files.rendered(path) {
            let edited = RenderedFile::Regular {
                content: Fingerprint::of(b"edited by hand"),
                mode,
                sound: true,
            };
            self.put_config(path, Some(edited));
        }
    }

    /// Someone gives the rendered file that `path` links to another mode, such as 0644.
    pub fn expose_config(&mut self, path: &AbsolutePath, mode: u16) {
        if let Some(RenderedFile::Regular { content, sound, .. }) = self.files.rendered(path) {
            let exposed = RenderedFile::Regular { content, mode, sound };
            self.put_config(path, Some(exposed));
        }
    }

    /// Someone deletes the link at `path`; the file that it led to stays.
    pub fn unlink_config(&mut self, path: &AbsolutePath) {
        self.put_output(path, None);
    }

    /// Someone puts a directory in the place of the link at `path`.
    pub fn put_directory_at_config(&mut self, path: &AbsolutePath) {
        self.put_output(path, Some(Output::Directory));
    }

    /// A regular file lies at `path`, as a release left it that did not link.
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

    /// The directory `path` is a build context with these contents, and a build of it works.
    pub fn put_context(&mut self, path: &AbsolutePath, contents: &str) {
        let context =
            Context { digest: Fingerprint::of(contents.as_bytes()), build: BuildFate::Works };
        self.images.contexts.insert(path.clone(), context);
    }

    /// The contents of the build context `path` change; how a build of it goes does not.
    pub fn change_context(&mut self, path: &AbsolutePath) {
        if let Some(context) = self.images.contexts.get_mut(path) {
            context.digest = Fingerprint::of(context.digest.to_string().as_bytes());
        }
    }

    /// Builds of the context `path` go like this from now on.
    pub fn break_build(&mut self, path: &AbsolutePath, fate: BuildFate) {
        if let Some(context) = self.images.contexts.get_mut(path) {
            context.build = fate;
        }
    }

    /// The build context `path` is gone.
    pub fn remove_context(&mut self, path: &AbsolutePath) {
        self.images.contexts.remove(path);
    }

    /// Someone takes the name `reference` and the image away; what runs of it keeps running.
    pub fn remove_image(&mut self, reference: &ImageRef) {
        for slot in self.slots.values_mut() {
            slot.unseen.image = true;
        }
        self.images.store.remove(reference);
    }

    /// Someone puts an image with these contents on the host as `reference`.
    pub fn put_image(&mut self, reference: &ImageRef, contents: &str) {
        let image = Image { id: Fingerprint::of(contents.as_bytes()), built_from: None };
        self.images.tag(reference, image);
    }

    /// Someone leaves an image with these contents on the host that has no name and is not ours.
    pub fn leave_image(&mut self, contents: &str) {
        let id = Fingerprint::of(contents.as_bytes());
        self.images.unnamed.insert(id, None);
    }

    /// The registry of `reference` has an image of that name with these contents, and is up.
    pub fn publish(&mut self, reference: &ImageRef, contents: &str) {
        let contents = Fingerprint::of(contents.as_bytes());
        self.images.published.insert(reference.clone(), contents);
        let registry = reference.registry().to_owned();
        self.images.registries.entry(registry).or_insert(Reach::Up);
    }

    /// The registry of `reference` has an image of that name for another kind of machine, and is up.
    pub fn publish_misfit(&mut self, reference: &ImageRef) {
        self.publish(reference, "misfit");
        self.images.misfits.insert(reference.clone());
    }

    /// The registry answers like this from now on.
    pub fn set_registry(&mut self, registry: &str, reach: Reach) {
        self.images.registries.insert(registry.to_owned(), reach);
    }

    /// The registry cannot be reached from now on.
    pub fn registry_down(&mut self, registry: &str) {
        self.set_registry(registry, Reach::Down);
    }

    /// The registry can be reached again.
    pub fn registry_up(&mut self, registry: &str) {
        self.set_registry(registry, Reach::Up);
    }

    /// The record of what is wished for is gone, as if nothing had ever been recorded.
    pub fn lose_record(&mut self) {
        for slot in self.slots.values_mut() {
            slot.wish = None;
        }
    }
}
