//! Events of a soak: a list of kinds, each with its start and, for outages, its end.

use std::time::Duration;

use adapter_fake::journal::CALLS;
use adapter_fake::world::conditions::{Disk, Generator, Limit};
use adapter_fake::world::desired::Record;
use adapter_fake::world::files::RenderOutcome;
use adapter_fake::world::images::{BuildOutcome, Reach};
use adapter_fake::{Fault, Method, Mode};
use companion_core::ports::PortErrorKind;

use super::stage::Stage;
use crate::node::{REGISTRY, password, template};

/// The scope of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One companion: the runs of all others continue.
    One,
    /// All companions.
    All,
}

/// A kind of event.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    pub(super) begin: fn(&Stage, usize),
    /// How it ends, unless it is momentary.
    pub(super) end: Option<fn(&Stage, usize)>,
}

const fn once(name: &'static str, begin: fn(&Stage, usize)) -> Kind {
    Kind { name, scope: Scope::One, begin, end: None }
}

const fn outage(name: &'static str, begin: fn(&Stage, usize), end: fn(&Stage, usize)) -> Kind {
    Kind { name, scope: Scope::One, begin, end: Some(end) }
}

const fn of_all(kind: Kind) -> Kind {
    Kind { scope: Scope::All, ..kind }
}

/// All kinds except the failures of single calls, which [`failing_calls`] lists.
pub(super) fn kinds() -> Vec<Kind> {
    let mut all = units();
    all.extend(services());
    all.extend(images_and_configuration());
    all.extend(parts_of_the_host());
    all
}

fn units() -> Vec<Kind> {
    vec![
        once("unit edited", |s, at| s.host.edit_unit(&s.name(at))),
        once("unit corrupted", |s, at| s.host.spoil_unit(&s.name(at))),
        once("unit with insecure mode", |s, at| s.host.expose_unit(&s.name(at))),
        of_all(once("renderer changed", |s, _| s.host.change_renderer())),
        once("unit deleted", |s, at| s.host.delete_unit(&s.name(at))),
        once("unit truncated", |s, at| s.host.truncate_unit(&s.name(at))),
        once("unit edited, loaded, started", |s, at| {
            s.host.edit_unit(&s.name(at));
            s.host.reload_by_others();
            s.host.kill_container(&s.name(at));
        }),
        once("unit deleted, reloaded", |s, at| {
            s.host.delete_unit(&s.name(at));
            s.host.reload_by_others();
        }),
        outage(
            "unit garbled, then deleted",
            |s, at| s.host.garble_unit(&s.name(at)),
            |s, at| s.host.delete_unit(&s.name(at)),
        ),
        outage(
            "unmanaged unit, then deleted",
            |s, at| s.host.put_unmanaged_unit(&s.name(at)),
            |s, at| s.host.delete_unit(&s.name(at)),
        ),
        outage(
            "directory at unit, then deleted",
            |s, at| s.host.put_directory_at_unit(&s.name(at)),
            |s, at| s.host.delete_unit(&s.name(at)),
        ),
        outage(
            "unit unreadable, then deleted",
            |s, at| s.host.forbid_unit(&s.name(at)),
            |s, at| s.host.delete_unit(&s.name(at)),
        ),
        outage(
            "unit refused by the generator",
            |s, at| {
                s.host.refuse_unit(&s.name(at), true);
                s.host.delete_unit(&s.name(at));
            },
            |s, at| s.host.refuse_unit(&s.name(at), false),
        ),
        outage(
            "unit masked",
            |s, at| {
                s.host.mask(&s.name(at));
                s.host.reload_by_others();
            },
            |s, at| {
                s.host.unmask(&s.name(at));
                s.host.reload_by_others();
            },
        ),
        outage(
            "unit shadowed",
            |s, at| s.host.shadow(&s.name(at)),
            |s, at| s.host.unshadow(&s.name(at)),
        ),
    ]
}

fn services() -> Vec<Kind> {
    vec![
        once("container killed", |s, at| s.host.kill_container(&s.name(at))),
        once("container removed", |s, at| s.host.remove_container(&s.name(at))),
        once("container paused", |s, at| s.host.pause_container(&s.name(at))),
        once("service stopped by hand", |s, at| s.host.stop_service(&s.name(at))),
        once("job cancelled", |s, at| {
            s.host.stop_service(&s.name(at));
            s.host.cancel_job(&s.name(at));
        }),
        outage(
            "crash loop",
            |s, at| s.host.crash_loop(&s.name(at), true),
            |s, at| s.host.crash_loop(&s.name(at), false),
        ),
        outage(
            "container cannot be created",
            |s, at| {
                let name = s.name(at);
                s.host.change(|world, _| world.behaviour_mut(&name).start_fails = Some(126));
                s.host.kill_container(&name);
            },
            |s, at| {
                let name = s.name(at);
                s.host.change(|world, _| world.behaviour_mut(&name).start_fails = None);
            },
        ),
        outage(
            "never ready",
            |s, at| {
                let name = s.name(at);
                s.host.change(|world, _| world.behaviour_mut(&name).never_ready = true);
                s.host.kill_container(&name);
            },
            |s, at| {
                let name = s.name(at);
                s.host.change(|world, _| world.behaviour_mut(&name).never_ready = false);
            },
        ),
        outage(
            "crash loop under a strict start limit",
            |s, at| {
                let limit = Limit { burst: 1, interval: Duration::from_secs(60) };
                s.host.change(|world, _| world.conditions.start_limit = limit);
                s.host.crash_loop(&s.name(at), true);
            },
            |s, at| {
                let limit = Limit { burst: 5, interval: Duration::from_secs(10) };
                s.host.change(|world, _| world.conditions.start_limit = limit);
                s.host.crash_loop(&s.name(at), false);
            },
        ),
        outage(
            "unmanaged container",
            |s, at| {
                s.host.remove_container(&s.name(at));
                s.host.stop_service(&s.name(at));
                s.host.put_unmanaged_container(&s.name(at));
            },
            |s, at| s.host.remove_container(&s.name(at)),
        ),
        outage(
            "removed, then installed",
            |s, at| {
                s.host.remove(&s.name(at));
            },
            |s, at| {
                s.host.install(&s.spec(at));
            },
        ),
        outage(
            "another specification, and back",
            |s, at| {
                let mut spec = s.spec(at);
                spec.container.read_only_root = !spec.container.read_only_root;
                s.host.install(&spec);
            },
            |s, at| {
                s.host.install(&s.spec(at));
            },
        ),
    ]
}

fn images_and_configuration() -> Vec<Kind> {
    vec![
        of_all(once("configuration deleted", |s, at| s.host.delete_config(&s.config(at)))),
        of_all(once("configuration edited", |s, at| s.host.edit_config(&s.config(at)))),
        once("link to configuration deleted", |s, at| s.host.unlink_config(&s.config(at))),
        once("configuration with insecure mode", |s, at| {
            s.host.expose_config(&s.config(at), 0o644)
        }),
        once("image removed", |s, at| {
            if let Some(image) = s.image(at) {
                s.host.remove_image(&image);
            }
        }),
        once("build context changed", |s, at| s.host.change_context(&s.context(at))),
        of_all(once("credentials rotated", |s, _| s.host.rotate_credentials())),
        of_all(outage(
            "credentials missing",
            |s, at| {
                s.host.remove_input(&password());
                s.host.delete_config(&s.config(at));
            },
            |s, at| s.host.put_input(&password(), &format!("password {at}")),
        )),
        outage(
            "directory at configuration",
            |s, at| s.host.put_directory_at_config(&s.config(at)),
            |s, at| s.host.unlink_config(&s.config(at)),
        ),
        of_all(outage(
            "hook fails",
            |s, at| broken_hook(s, at, RenderOutcome::Fails),
            |s, at| s.host.break_hook(&s.config(at), None),
        )),
        of_all(outage(
            "hook hangs",
            |s, at| broken_hook(s, at, RenderOutcome::Hangs),
            |s, at| s.host.break_hook(&s.config(at), None),
        )),
        of_all(outage(
            "hook prints invalid output",
            |s, at| broken_hook(s, at, RenderOutcome::Nonsense),
            |s, at| s.host.break_hook(&s.config(at), None),
        )),
        outage(
            "build fails",
            |s, at| broken_build(s, at, BuildOutcome::Fails),
            |s, at| s.host.break_build(&s.context(at), BuildOutcome::Works),
        ),
        outage(
            "build hangs",
            |s, at| broken_build(s, at, BuildOutcome::Hangs),
            |s, at| s.host.break_build(&s.context(at), BuildOutcome::Works),
        ),
        outage("registry down", |s, at| registry(s, at, Reach::Down), registry_up),
        outage("registry untrusted", |s, at| registry(s, at, Reach::Untrusted), registry_up),
        outage(
            "registry slow",
            |s, at| registry(s, at, Reach::Slow(Duration::from_secs(300))),
            registry_up,
        ),
    ]
}

fn broken_hook(stage: &Stage, at: usize, outcome: RenderOutcome) {
    stage.host.break_hook(&stage.config(at), Some(outcome));
    stage.host.put_input(&template(), &format!("a template for {outcome:?} {at}"));
}

fn broken_build(stage: &Stage, at: usize, outcome: BuildOutcome) {
    stage.host.break_build(&stage.context(at), outcome);
    stage.host.change_context(&stage.context(at));
}

fn registry(stage: &Stage, at: usize, reach: Reach) {
    stage.host.set_registry(REGISTRY, reach);
    if let Some(image) = stage.image(at) {
        stage.host.remove_image(&image);
    }
}

fn registry_up(stage: &Stage, _: usize) {
    stage.host.registry_up(REGISTRY);
}

fn parts_of_the_host() -> Vec<Kind> {
    vec![
        of_all(once("reboot", |s, _| s.host.reboot())),
        of_all(once("power loss", |s, _| s.host.power_loss())),
        of_all(outage(
            "logout without linger",
            |s, _| {
                s.host.change(|world, _| world.conditions.linger = false);
                s.host.user_logout();
            },
            |s, _| {
                s.host.change(|world, _| world.conditions.linger = true);
                s.host.user_login();
            },
        )),
        once("reloaded by others", |s, _| s.host.reload_by_others()),
        once("wall clock jumps", |s, at| {
            let years = i64::try_from(at).unwrap_or_default() - 5;
            s.host.change(|world, _| world.conditions.wall_offset = years * 365 * 86_400);
        }),
        outage(
            "service manager unreachable",
            |s, at| {
                s.host.change(|world, _| world.conditions.bus = false);
                s.host.delete_unit(&s.name(at));
            },
            |s, _| s.host.change(|world, _| world.conditions.bus = true),
        ),
        outage(
            "podman missing",
            |s, at| {
                s.host.change(|world, _| world.conditions.podman = false);
                s.host.edit_unit(&s.name(at));
            },
            |s, _| s.host.change(|world, _| world.conditions.podman = true),
        ),
        outage("disk full", |s, at| disk(s, at, Disk::Full), disk_free),
        outage("disk read-only", |s, at| disk(s, at, Disk::ReadOnly), disk_free),
        outage(
            "generator missing",
            |s, at| {
                s.host.change(|world, _| world.conditions.generator = Generator::Missing);
                s.host.edit_unit(&s.name(at));
            },
            |s, _| s.host.change(|world, _| world.conditions.generator = Generator::Works),
        ),
        once("generator corrupts a reload", |s, at| {
            s.host.change(|world, _| world.conditions.generator = Generator::CorruptsOnce);
            s.host.delete_unit(&s.name(at));
        }),
        outage(
            "reloads rate-limited",
            |s, at| {
                let limit = Limit { burst: 1, interval: Duration::from_secs(3600) };
                s.host.change(|world, _| world.conditions.reload_limit = Some(limit));
                s.host.delete_unit(&s.name(at));
            },
            |s, _| s.host.change(|world, _| world.conditions.reload_limit = None),
        ),
        outage(
            "record corrupt",
            |s, at| {
                s.host.change(|world, _| world.record = Record::Corrupt);
                s.host.stop_service(&s.name(at));
            },
            |s, _| s.host.change(|world, _| world.record = Record::Readable),
        ),
    ]
}

fn disk(stage: &Stage, at: usize, disk: Disk) {
    stage.host.change(|world, _| world.conditions.disk = disk);
    stage.host.edit_unit(&stage.name(at));
}

fn disk_free(stage: &Stage, _: usize) {
    stage.host.change(|world, _| world.conditions.disk = Disk::Writable);
}

/// The failing calls, one kind of failure each, while a companion has lost its unit, its container and its
/// configuration.
pub(super) fn failing_calls() -> Vec<Fault> {
    // After that loss nothing is restarted, removed or dangling, and no service has failed.
    let never = [
        Method::Restart,
        Method::Stop,
        Method::ResetFailed,
        Method::LogTails,
        Method::Remove,
        Method::Prune,
        Method::Sweep,
    ];
    let calls = CALLS.into_iter().filter(move |(_, method)| !never.contains(method));
    let modes = [
        Mode::Error(PortErrorKind::Transient),
        Mode::Error(PortErrorKind::Unavailable),
        Mode::ErrorAfterEffect(PortErrorKind::Transient),
        Mode::Hang,
        Mode::HangAfterEffect,
        Mode::Delay(Duration::from_secs(7)),
    ];
    let with = |(port, method)| modes.clone().map(move |mode| Fault::once(port, method, mode));
    calls.flat_map(with).collect()
}

/// One companion loses everything and the others nothing: a new manager treats a run without its configuration as
/// unverified.
pub(super) fn lose_everything(stage: &Stage, at: usize) {
    let name = stage.name(at);
    stage.host.delete_unit(&name);
    if let Some(hook) = stage.spec(at).hook {
        stage.host.delete_config(&hook.output);
    }
    if let Some(image) = stage.image(at) {
        stage.host.remove_image(&image);
    }
    stage.host.stop_service(&name);
}
