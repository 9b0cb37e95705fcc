//! The contract of `ImageProvider`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageId, ImageRef, ImageSource, ImageState, PresentImage};
use companion_core::ports::{ImageProvider, PortErrorKind, PortResult};

use crate::assertions::{Done as _, only, refused, same};
use crate::{Arranged, HostWorld, Unarranged, suite};

mod archived;
mod building;
mod pulling;

use archived::*;
use building::*;
use pulling::*;

/// A host without an image of the source, one build context that is missing, one that is not, and a
/// separate registry.
#[async_trait]
pub trait ImageWorld: HostWorld {
    /// The provider.
    fn images(&self) -> Arc<dyn ImageProvider>;
    /// Another instance on the same host, as in another process.
    fn another(&self) -> Arc<dyn ImageProvider>;
    /// A companion.
    fn name(&self) -> CompanionName;
    /// A source that can be built, from the second of its two contexts, and pulled with verification
    /// of the registry's certificate. The first context does not exist.
    fn source(&self) -> ImageSource;
    /// Changes the contents of the existing context.
    async fn change_context(&self);
    /// Makes every build of that context fail.
    async fn break_build(&self);
    /// Lets builds of that context work again.
    async fn fix_build(&self);
    /// Makes the first context exist, with other contents.
    async fn put_first_context(&self);
    /// Makes no context exist.
    async fn remove_contexts(&self);
    /// Has the registry offer the image.
    async fn publish(&self, contents: &str);
    /// Makes the registry unreachable.
    async fn registry_down(&self);
    /// Makes the registry reachable again.
    async fn registry_up(&self);
    /// Gives the registry an untrusted certificate.
    async fn distrust_registry(&self);
    /// The number of contacts, as counted by the registry.
    async fn contacts(&self) -> u32;
    /// Removes the source's images by name, built and pulled.
    async fn remove_images(&self);
    /// Leaves an image without a name behind that was not built for a companion.
    async fn leave_unmanaged_image(&self);
    /// Gives the name under which the source is built to an image that was not built for it.
    async fn take_the_name(&self);
    /// Gives the name under which the source is built to another image, with the labels of the current one.
    async fn sideload(&self) -> Arranged {
        Err(Unarranged("images with copied labels"))
    }
    /// Checks that the provider keeps archives of images.
    async fn archives(&self) -> Arranged {
        Err(Unarranged("archives of images"))
    }
    /// Replaces the contents of the image's archive.
    async fn replace_archive(&self) -> Arranged {
        Err(Unarranged("archives of images"))
    }
    /// Makes the registry require credentials.
    async fn lock_registry(&self) -> Arranged {
        Err(Unarranged("registry that requires credentials"))
    }
    /// Makes the registry offer an image for another architecture instead.
    async fn publish_mismatch(&self) -> Arranged {
        Err(Unarranged("image for another architecture"))
    }
    /// Has the registry offer the image, and names it by its digest; the other name is by the digest of
    /// an image that the registry does not have.
    async fn publish_pinned(&self) -> Arranged<(ImageRef, ImageRef)> {
        Err(Unarranged("registry that knows digests"))
    }
    /// Has a container use the image `id` that was built for the source, until the world ends.
    async fn use_image(&self, _id: &ImageId) -> Arranged {
        Err(Unarranged("containers"))
    }
    /// Damages the stored data of the image `id`, which no container uses.
    async fn damage_image(&self, _id: &ImageId) -> Arranged {
        Err(Unarranged("damaged images"))
    }
    /// Cuts the host's power, and boots it.
    async fn lose_power(&self) -> Arranged {
        Err(Unarranged("power cuts"))
    }
    /// How many images and containers the host has, those included that a build makes for a moment. Waits for
    /// builds that were dropped.
    async fn stored(&self) -> Arranged<usize> {
        Err(Unarranged("store that can be counted"))
    }
    /// An instance on a host without Podman for images.
    async fn without_host(&self) -> Arranged<Arc<dyn ImageProvider>> {
        Err(Unarranged("host without a container program"))
    }
}

type World = dyn ImageWorld;

async fn observed(world: &World, source: &ImageSource) -> PortResult<ImageState> {
    let sources = BTreeMap::from([(world.name(), source.clone())]);
    only(world.images().observe(&sources).await, &world.name())
}

async fn state(world: &World) -> ImageState {
    observed(world, &world.source()).await.done()
}

async fn ensure(world: &World) -> PresentImage {
    world.images().ensure(&world.source()).await.done()
}

/// Fails unless the image of `source` cannot be made for that reason, and none is present.
async fn none_is_made(world: &World, source: &ImageSource, kind: PortErrorKind) {
    refused(world.images().ensure(source).await, kind);
    same!(observed(world, source).await.done().present, None, "no image is present");
}

fn only_pulled(world: &World) -> ImageSource {
    ImageSource { build: None, ..world.source() }
}

fn only_built(world: &World) -> ImageSource {
    ImageSource { pull: None, ..world.source() }
}

suite! { image_provider, ImageWorld:
    the_answer_has_an_entry_for_every_name,
    absent_image_is_built_from_the_first_context_that_exists,
    other_build_arguments_are_another_context,
    an_image_of_a_context_that_changed_is_not_current_and_is_built_again,
    replaced_image_is_dangling_until_it_is_pruned,
    a_dangling_image_is_reported_for_its_own_source_only,
    pruning_what_is_removed_or_in_use_is_a_success_and_removes_nothing,
    an_image_that_was_built_stays_current_when_its_context_is_removed,
    what_one_instance_built_another_one_sees_and_builds_no_more,
    concurrent_requests_for_one_image_return_the_same,
    a_build_that_was_fixed_gives_the_image,
    a_build_that_is_dropped_half_way_leaves_a_whole_image_or_none,
    a_name_that_another_image_took_is_not_current_and_built_again,
    reading_changes_nothing_and_contacts_no_registry,
    an_image_with_a_context_is_built_from_it_without_a_registry,
    an_image_without_a_context_is_pulled,
    a_pulled_image_stays_current_whatever_becomes_of_its_registry,
    a_source_whose_contexts_are_removed_is_pulled,
    a_later_build_that_fails_leaves_the_image_and_contacts_no_registry,
    image_that_neither_a_context_nor_a_registry_has_is_not_found,
    unreachable_registry_is_transient_until_it_is_back,
    untrusted_registry_is_contacted_only_if_permitted,
    a_build_that_fails_for_an_image_that_no_registry_has_is_invalid,
    a_first_build_that_fails_is_made_up_for_by_a_pull_until_it_is_repaired,
    replaced_image_in_use_is_neither_dangling_nor_pruned,
    builds_that_fail_or_are_dropped_leave_nothing_in_the_store,
    damaged_image_is_not_present_and_is_made_again,
    image_with_copied_labels_is_never_current_and_is_replaced,
    lost_image_returns_without_build_or_registry,
    lost_image_of_an_older_context_returns_while_its_build_fails,
    lost_pulled_image_returns_without_its_registry,
    taken_name_returns_to_the_image_without_a_build,
    archive_that_was_replaced_is_not_restored,
    archive_of_an_unneeded_image_is_removed,
    present_image_survives_a_power_loss,
    without_the_container_program_images_are_unavailable,
    a_registry_that_asks_for_credentials_denies_the_image,
    image_for_another_architecture_is_invalid_and_not_present,
    an_image_that_is_named_by_its_digest_is_that_image_or_none,
}
