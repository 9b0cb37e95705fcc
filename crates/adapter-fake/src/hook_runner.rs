//! `HookRunner` on the fake host.

use std::time::Duration;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::hook::{ConfigId, HookProgram, HookSpec, HookState, Rendered};
use companion_core::ports::{HookRunner, PortError, PortErrorKind, PortResult};

use crate::host::FakeHost;
use crate::journal::{Call, Method, Port};
use crate::world::World;
use crate::world::files::RenderOutcome;

impl FakeHost {
    /// A call for `hook` with its companion, which the record provides.
    fn hook_call(&self, method: Method, hook: &HookSpec) -> (Call, Option<CompanionName>) {
        let owner = self.state().specs.owner(&hook.output).cloned();
        (Call::new(Port::Hooks, method, owner.as_ref()), owner)
    }

    async fn removed(
        &self,
        method: Method,
        hook: &HookSpec,
        keep: Option<ConfigId>,
    ) -> PortResult<()> {
        let (call, owner) = self.hook_call(method, hook);
        self.act_slowly(
            call,
            Duration::ZERO,
            |world, counts, _| {
                if keep.is_none() && world.files.rendered_at(&hook.output).is_empty() {
                    world.watch_config(hook, owner.as_ref());
                }
                if let Some(keep) = keep {
                    world.watch_sweep(hook, keep, owner.as_ref());
                }
                let removed = world.remove_rendered(hook, keep)?;
                counts.config_removals += u32::from(removed);
                Ok(())
            },
            |world| world.sync_rendered(hook),
        )
        .await
    }
}

#[async_trait]
impl HookRunner for FakeHost {
    async fn observe(&self, hook: &HookSpec) -> PortResult<HookState> {
        let (call, _owner) = self.hook_call(Method::Observe, hook);
        self.read_seeing(call, |world, _| world.hook_state(hook), World::saw_configs).await
    }

    async fn render(&self, hook: &HookSpec) -> PortResult<Rendered> {
        let (call, owner) = self.hook_call(Method::Render, hook);
        let (takes, limit) = {
            let world = &mut self.state().world;
            world.watch_config(hook, owner.as_ref());
            let hangs = world.files.fates.get(&hook.output) == Some(&RenderOutcome::Hangs);
            let limit = world.delays.render_limit;
            (if hangs { limit } else { world.delays.render }, limit)
        };
        self.act_slowly(
            call,
            takes,
            |world, counts, _| {
                counts.renders += 1;
                counts.processes += u32::from(matches!(hook.program, HookProgram::Command { .. }));
                if takes >= limit {
                    let message = format!("the hook of `{}` timed out", hook.output);
                    return Err(PortError::new(PortErrorKind::Transient, message));
                }
                Ok(Rendered::new(world.render(hook)?))
            },
            |_| (),
        )
        .await
    }

    async fn commit(
        &self,
        hook: &HookSpec,
        rendered: Rendered,
        claimed: &[ConfigId],
    ) -> PortResult<ConfigId> {
        let (call, owner) = self.hook_call(Method::Commit, hook);
        self.act_slowly(
            call,
            Duration::ZERO,
            |world, counts, _| {
                owner.iter().for_each(|owner| world.watch_removal(owner));
                let (written, id) = world.commit(hook, rendered.bytes(), claimed)?;
                counts.config_writes += u32::from(written);
                Ok(id)
            },
            |world| world.sync_rendered(hook),
        )
        .await
    }

    async fn sweep(&self, hook: &HookSpec, keep: ConfigId) -> PortResult<()> {
        self.removed(Method::Sweep, hook, Some(keep)).await
    }

    async fn remove(&self, hook: &HookSpec) -> PortResult<()> {
        self.removed(Method::Remove, hook, None).await
    }
}
