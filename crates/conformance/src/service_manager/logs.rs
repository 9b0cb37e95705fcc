//! Logs of failed services.

use std::collections::BTreeMap;

use companion_core::model::companion::CompanionName;
use companion_core::model::container::RestartPolicy;
use companion_core::model::log::LogTail;
use companion_core::model::service::Verb;
use companion_core::model::unit::UnitSpec;

use super::{World, becomes, carry_out, has_failed, load, run, state_of};
use crate::assertions::{all_read, only, same};

async fn log_of(world: &World, name: &CompanionName) -> LogTail {
    let ended = BTreeMap::from([(name.clone(), state_of(world, name).await)]);
    only(all_read(world.services().log_tails(&ended).await), name)
}

async fn fails(world: &World, unit: &UnitSpec) {
    load(world, unit).await;
    // Whether the start fails depends on how soon the program ends.
    let _either = carry_out(world, &unit.name, Verb::Start).await;
    becomes(world, &unit.name, "it failed", has_failed).await;
}

/// A unit whose program exits with 3 after its first start, without restarts.
async fn once(world: &World) -> UnitSpec {
    let mut unit = world.ending_unit(3).await;
    unit.container.restart = RestartPolicy::No;
    unit
}

pub(super) async fn the_log_of_a_failed_run_is_there_to_its_last_line(world: &World) {
    let unit = once(world).await;
    fails(world, &unit).await;
    same!(log_of(world, &unit.name).await.lines(), ["about to end", "ends with 3"]);
}

pub(super) async fn log_of_a_failed_start_names_the_missing_image_until_a_later_run(world: &World) {
    let unit = once(world).await;
    let missing = UnitSpec { image: world.absent_image(), ..unit.clone() };
    fails(world, &missing).await;
    let log = log_of(world, &unit.name).await;
    let last = log.lines().last().map(String::as_str).unwrap_or_default();
    assert!(
        last.contains(&world.absent_image().to_string()),
        "the last line names the missing image: {log:?}"
    );
    fails(world, &unit).await;
    same!(log_of(world, &unit.name).await.lines(), ["about to end", "ends with 3"]);
}

pub(super) async fn a_log_is_answered_for_every_name_and_reading_it_changes_nothing(world: &World) {
    let (failed, runs, absent) = (once(world).await, world.unit(1), world.unit(2));
    fails(world, &failed).await;
    run(world, &runs).await;
    let mut ended = BTreeMap::new();
    for unit in [&failed, &runs, &absent] {
        ended.insert(unit.name.clone(), state_of(world, &unit.name).await);
    }
    let logs = all_read(world.services().log_tails(&ended).await);
    assert!(logs.keys().eq(ended.keys()), "the answer has an entry for every name");
    assert!(logs[&absent.name].is_empty(), "what never ran has no log");
    same!(
        all_read(world.another().log_tails(&ended).await)[&failed.name],
        logs[&failed.name],
        "each instance reads the same log"
    );
    assert!(
        world.services().log_tails(&BTreeMap::new()).await.is_empty(),
        "the answer about no name is empty"
    );
    same!(state_of(world, &failed.name).await, ended[&failed.name]);
    assert!(state_of(world, &runs.name).await.is_up(), "reading a log ends nothing");
}
