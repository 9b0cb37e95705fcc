//! Reads of several companions: one entry for each.

use std::collections::BTreeMap;
use std::time::Duration;

use companion_core::model::companion::CompanionName;
use companion_core::ports::PortResult;
use tokio::time::sleep;

use crate::faults::{Mode, injected};
use crate::host::FakeHost;
use crate::journal::Call;
use crate::world::World;

impl FakeHost {
    /// Answers one read of the companions in `asked`, given with their arguments.
    ///
    /// A fault of the call affects every name. A fault for one companion affects its entry only if it is an
    /// error or an older view; a delay or a hang affects the whole call.
    pub(crate) async fn read_each<A: Copy + Send + Sync, T: Send>(
        &self,
        call: Call,
        asked: Vec<(&CompanionName, A)>,
        read: impl Fn(&World, Duration, &CompanionName, A) -> PortResult<T> + Send + Sync,
        saw: impl Fn(&mut World, &CompanionName) + Send + Sync,
    ) -> BTreeMap<CompanionName, PortResult<T>> {
        let mut struck = BTreeMap::new();
        for &(name, _) in &asked {
            match self.strike_entry(&call, name) {
                None => {}
                Some(Mode::Hang | Mode::HangAfterEffect) => std::future::pending().await,
                Some(Mode::Delay(delay)) => sleep(delay).await,
                Some(Mode::OldView) => drop(struck.insert(name, Ok(self.misled()))),
                Some(Mode::Error(kind) | Mode::ErrorAfterEffect(kind)) => {
                    struck.insert(name, Err(kind));
                }
            }
        }
        let answer = |world: &World, now, name: &CompanionName, about: A| match struck.get(name) {
            Some(Err(kind)) => {
                let call = Call { companion: Some(name.clone()), ..call.clone() };
                Err(injected(&call, *kind))
            }
            Some(Ok(old)) => read(old, now, name, about),
            None => read(world, now, name, about),
        };
        let all = self.read_seeing(
            call.clone(),
            |world, now| {
                let answers = asked.iter().map(|&(name, about)| {
                    let answer = answer(world, now, name, about);
                    (name.clone(), answer)
                });
                Ok(answers.collect())
            },
            |world| {
                let seen = asked.iter().filter(|(name, _)| !struck.contains_key(name));
                seen.for_each(|(name, _)| saw(world, name));
            },
        );
        all.await.unwrap_or_else(|error| error.for_each(asked.iter().map(|&(name, _)| name)))
    }
}
