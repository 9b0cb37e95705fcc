//! The rendering digest: reported, stored in the unit, and distinguished from an edit.

use companion_core::model::revision::{Fingerprint, Revision};
use companion_core::model::unit::{UnitFile, UnitFileState, UnitSpec};

use super::{World, file_of, lists};
use crate::assertions::{Done as _, same};

async fn seen(world: &World, unit: &UnitSpec) -> UnitFile {
    file_of(&*world.store(), &unit.name, Some(unit)).await.done()
}

pub(super) async fn a_written_unit_names_the_rendering_that_was_announced(world: &World) {
    let mut unit = world.unit(0);
    let announced = seen(world, &unit).await.rendering;
    assert!(announced.is_some(), "the store announces its rendering");
    let revision = unit.revision.with_restart_epoch(10).with_rendering(announced);
    // The rendering does not depend on the revision that carries it.
    unit.revision = revision.with_rendering(Some(Fingerprint::of(b"not the words of it")));
    world.store().write(&unit).await.done();
    let file = seen(world, &unit).await;
    same!(file.state, UnitFileState::Current { revision }, "the written unit is current");
    same!(file.rendering, announced, "the same rendering is announced again");
    let unasked = file_of(&*world.store(), &unit.name, None).await.done();
    same!(unasked.rendering, None, "without an expected unit there is no rendering");
}

/// Writes `unit`, changes the renderer and returns the revision that the unit was written with.
async fn written_before_the_change(world: &World, unit: &UnitSpec) -> Revision {
    let rendering = seen(world, unit).await.rendering;
    world.store().write(unit).await.done();
    world.change_renderer().await;
    unit.revision.with_rendering(rendering)
}

pub(super) async fn a_unit_of_an_earlier_renderer_is_outdated_and_not_edited(world: &World) {
    let unit = world.unit(0);
    let revision = written_before_the_change(world, &unit).await;
    let file = seen(world, &unit).await;
    same!(file.state, UnitFileState::Outdated { revision }, "another rendering is no edit");
    assert_ne!(file.rendering, revision.rendering, "another renderer has another rendering");
    let unasked = file_of(&*world.store(), &unit.name, None).await.done();
    same!(unasked.state, UnitFileState::Outdated { revision });
    lists(world, [&unit.name]).await;
    world.store().write(&unit).await.done();
    let revision = unit.revision.with_rendering(file.rendering);
    same!(seen(world, &unit).await.state, UnitFileState::Current { revision });
}

pub(super) async fn an_edited_unit_of_an_earlier_renderer_is_drifted(world: &World) {
    let unit = world.unit(0);
    let revision = Some(written_before_the_change(world, &unit).await);
    world.edit(&unit.name).await;
    same!(seen(world, &unit).await.state, UnitFileState::Drifted { revision });
}
