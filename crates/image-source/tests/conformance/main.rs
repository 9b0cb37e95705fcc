//! The contract of `ImageProvider`, over an engine and a registry in memory.

#![expect(clippy::unwrap_used, reason = "a failed setup fails its test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use companion_conformance::image_provider::{self, ImageWorld as _};
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{ImageRef, ImageSource, ImageState, PullSource};
use companion_core::ports::{ImageProvider as _, PortErrorKind, PortResult};
use image_source::Images;
use tokio::sync::Notify;

mod world;

use world::{Engine, LIMIT, STAGE, World, id};

#[tokio::test]
async fn images_of_any_engine_conform() {
    let report = image_provider::all(|| async { World::new() }).await;
    report.assert_held_but_for(&[]);
}

#[tokio::test]
async fn two_requests_for_one_image_build_it_once() {
    let world = World::new();
    let source = world.source();
    let (one, other) = tokio::join!(world.images.ensure(&source), world.images.ensure(&source));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(world.engine.state().builds, 1);
}

#[tokio::test]
async fn the_stage_of_a_running_build_stays_and_that_of_a_cancelled_one_is_pruned() {
    let world = World::new();
    let source = world.source();
    let stages = || {
        let state = world.engine.state();
        state.images.iter().filter(|image| image.id == id(STAGE)).count()
    };
    let mut build = Box::pin(world.images.ensure(&source));
    let started = async {
        while stages() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        image = &mut build => panic!("it ended with {image:?}"),
        () = started => {}
    }
    let dangling = observe(&world.images, &source).await.unwrap().dangling;
    assert_eq!(dangling, [id(STAGE)]);
    world.images.prune(&dangling).await.unwrap();
    assert_eq!(stages(), 1);
    drop(build);
    world.images.prune(&dangling).await.unwrap();
    assert_eq!(stages(), 0);
}

async fn observe(images: &Images<Engine>, source: &ImageSource) -> PortResult<ImageState> {
    let name = CompanionName::new("archy-page").unwrap();
    let sources = BTreeMap::from([(name.clone(), source.clone())]);
    images.observe(&sources).await.remove(&name).unwrap()
}

#[tokio::test]
async fn an_image_is_synced_once_and_again_when_it_is_made_again() {
    let world = World::new();
    let source = world.source();
    world.images.ensure(&source).await.unwrap();
    for _ in 0..3 {
        observe(&world.images, &source).await.unwrap();
    }
    assert_eq!(world.engine.state().syncs, 1);
    world.keep(&[&source]).await;
    // The same context gives the same ID.
    world.remove_images().await;
    world.images.ensure(&source).await.unwrap();
    assert_eq!(world.engine.state().builds, 1, "the archive gives it too");
    assert_eq!(world.engine.state().syncs, 2);
    // Another process does not know that it was synced.
    let other = world.next();
    observe(&other, &source).await.unwrap();
    assert_eq!(world.engine.state().syncs, 3);
}

#[tokio::test]
async fn a_failed_sync_affects_only_images_that_are_not_known_to_be_durable() {
    let world = World::new();
    let built = ImageSource { pull: None, ..world.source() };
    let pulled = ImageSource { build: None, ..world.source() };
    world.images.ensure(&built).await.unwrap();
    world.publish("page").await;
    world.engine.state().sync_fails = true;
    let error = world.images.ensure(&pulled).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Transient);
    observe(&world.images, &pulled).await.unwrap_err();
    assert!(observe(&world.images, &built).await.unwrap().is_current());
    world.engine.state().sync_fails = false;
    assert!(observe(&world.images, &pulled).await.unwrap().is_current());
    assert_eq!(world.engine.state().contacts, 1, "what was pulled is not pulled again");
}

/// A disk that takes longer than an observation waits: the sync goes on, one at a time, and counts when it ends.
#[tokio::test]
async fn a_sync_that_outlasts_its_observation_still_counts() {
    let world = World::new();
    let source = world.source();
    world.images.ensure(&source).await.unwrap();
    let next = world.next();
    let end = Arc::new(Notify::new());
    world.engine.state().sync_waits = Some(Arc::clone(&end));
    for _ in 0..3 {
        let error = observe(&next, &source).await.unwrap_err();
        assert!(error.chain().contains("still running"), "{}", error.chain());
    }
    end.notify_one();
    let limit = Duration::from_secs(60);
    let made = tokio::time::timeout(limit, next.ensure(&source)).await;
    assert!(made.is_ok_and(|made| made.is_ok()), "ensure waits for the sync in progress");
    assert!(observe(&next, &source).await.unwrap().is_current());
    assert_eq!(world.engine.state().syncs, 2);
}

#[tokio::test]
async fn only_a_damaged_image_of_ours_that_nobody_uses_is_removed() {
    let world = World::new();
    let source = world.source();
    let id = world.images.ensure(&source).await.unwrap().id;
    world.engine.state().damaged.insert(id.clone());
    world.engine.state().used.insert(id.clone());
    world.images.ensure(&source).await.unwrap_err();
    world.engine.state().used.clear();
    let name = "localhost/theirs:latest".to_owned();
    world.engine.state().images[0].names.push(name.clone());
    let error = world.images.ensure(&source).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Conflict);
    assert!(error.chain().contains(&name), "{}", error.chain());
    assert_eq!(world.engine.state().discarded, []);
    world.engine.state().images[0].names.pop();
    world.images.ensure(&source).await.unwrap();
    assert_eq!(world.engine.state().discarded, std::slice::from_ref(&id));

    world.take_the_name().await;
    world.engine.state().damaged.insert(self::id("unmanaged"));
    world.images.ensure(&source).await.unwrap();
    assert_eq!(world.engine.state().discarded, [id], "what took our name stays");
    assert!(observe(&world.images, &source).await.unwrap().is_current());
}

#[tokio::test]
async fn archive_is_made_once_and_replaced_with_its_image() {
    let world = World::new();
    let source = world.source();
    for _ in 0..2 {
        world.images.ensure(&source).await.unwrap();
        world.keep(&[&source]).await;
        world.remove_images().await;
    }
    world.images.ensure(&source).await.unwrap();
    world.keep(&[&source]).await;
    let counts = || {
        let state = world.engine.state();
        (state.builds, state.saves, state.restores)
    };
    assert_eq!(counts(), (1, 1, 2));
    world.change_context().await;
    world.images.ensure(&source).await.unwrap();
    assert_eq!(world.files(".tar").len(), 0, "the archive of the replaced image is removed");
    world.keep(&[&source]).await;
    assert_eq!((counts(), world.files("").len()), ((2, 2, 2), 2), "{:?}", world.files(""));
}

#[tokio::test]
async fn image_without_an_archive_is_provided_nevertheless() {
    let world = World::new();
    let source = world.source();
    world.engine.state().save_fails = true;
    let image = world.images.ensure(&source).await.unwrap();
    world.keep(&[&source]).await;
    assert_eq!((world.files(".json").len(), world.files("").len()), (1, 1));
    world.remove_images().await;
    world.engine.state().save_fails = false;
    assert_eq!(world.images.ensure(&source).await.unwrap(), image);
    world.keep(&[&source]).await;
    assert_eq!((world.engine.state().builds, world.files(".tar").len()), (2, 1));
}

/// Each archive is small, but no more than 40 fit into the limit.
#[tokio::test]
async fn archives_stay_within_their_limit() {
    let world = World::new();
    let numbered = |number: usize| {
        let mut source = ImageSource { pull: None, ..world.source() };
        let name = format!("localhost/numbered-{number}:latest");
        source.build.as_mut().unwrap().reference = ImageRef::new(name).unwrap();
        source
    };
    let sources: Vec<_> = (0..40).map(numbered).collect();
    for source in &sources {
        world.images.ensure(source).await.unwrap();
    }
    let total = || -> u64 {
        let sizes = world.files(".tar").into_iter().map(|path| path.metadata().unwrap().len());
        sizes.sum()
    };
    assert_eq!(world.keep(&sources.iter().collect::<Vec<_>>()).await, 0);
    assert!(total() > LIMIT / 2 && total() <= LIMIT, "{}", total());
    world.keep(&[&sources[0], &sources[39]]).await;
    assert_eq!(world.files(".tar").len(), 2, "there is room now");
    let without = world.next_with_limit(0);
    assert_eq!(without.keep_archives(&sources).await.unwrap(), 2, "none may be kept");
    assert!(world.files(".tar").is_empty());
}

#[tokio::test]
async fn image_of_a_removed_companion_is_known_without_its_archive() {
    let world = World::new();
    let source = world.source();
    let image = world.images.ensure(&source).await.unwrap();
    world.keep(&[&source]).await;
    assert_eq!(world.keep(&[]).await, 1);
    assert_eq!((world.files(".json").len(), world.files("").len()), (1, 1));
    world.break_build().await;
    assert_eq!(world.next().ensure(&source).await.unwrap(), image);
    assert_eq!(world.engine.state().builds, 1);
    // An archive that was deleted is written again.
    world.keep(&[&source]).await;
    std::fs::remove_file(&world.files(".tar")[0]).unwrap();
    world.keep(&[&source]).await;
    assert_eq!((world.files(".tar").len(), world.engine.state().saves), (1, 3));
}

/// The archive is replaced, not only left out, when its contents have changed.
#[tokio::test]
async fn image_is_restored_after_its_archive_was_damaged_once() {
    let world = World::new();
    let source = world.source();
    let image = world.images.ensure(&source).await.unwrap();
    world.keep(&[&source]).await;
    world.replace_archive().await.unwrap();
    for counts in [(2, 2, 0), (2, 2, 1)] {
        world.remove_images().await;
        assert_eq!(world.images.ensure(&source).await.unwrap(), image);
        world.keep(&[&source]).await;
        let state = world.engine.state();
        assert_eq!((state.builds, state.saves, state.restores), counts);
    }
}

#[tokio::test]
async fn damaged_irregular_and_oversized_records_and_archives_are_replaced() {
    let world = World::new();
    let source = world.source();
    let image = world.images.ensure(&source).await.unwrap();
    world.keep(&[&source]).await;
    let damages: [fn(&std::path::Path); 3] = [
        |path| std::fs::write(path, "damaged").unwrap(),
        |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/dev/null", path).unwrap();
        },
        |path| std::fs::write(path, vec![b' '; 100_000]).unwrap(),
    ];
    for damage in damages {
        world.files("").iter().for_each(|path| damage(path));
        assert!(!observe(&world.images, &source).await.unwrap().is_current());
        assert_eq!(world.images.ensure(&source).await.unwrap(), image);
        world.keep(&[&source]).await;
        world.remove_images().await;
        let restores = world.engine.state().restores;
        assert_eq!(world.images.ensure(&source).await.unwrap(), image);
        assert_eq!(world.engine.state().restores, restores + 1);
    }
}

#[tokio::test]
async fn archive_without_a_record_is_swept() {
    let world = World::new();
    world.images.ensure(&world.source()).await.unwrap();
    world.keep(&[&world.source()]).await;
    assert_eq!(world.records().sweep().await.unwrap(), 0);
    for record in world.files(".json") {
        std::fs::remove_file(record).unwrap();
    }
    assert_eq!(world.records().sweep().await.unwrap(), 1);
    assert!(world.files("").is_empty());
}

#[tokio::test]
async fn image_pulled_by_digest_has_no_archive() {
    let world = World::new();
    let (reference, _) = world.publish_pinned().await.unwrap();
    let pull = PullSource { reference, verify_tls: true };
    let source = ImageSource { build: None, pull: Some(pull) };
    world.images.ensure(&source).await.unwrap();
    world.keep(&[&source]).await;
    assert_eq!((world.files(".json").len(), world.files("").len()), (1, 1));
    world.remove_images().await;
    world.images.ensure(&source).await.unwrap();
    let state = world.engine.state();
    assert_eq!((state.restores, state.contacts), (0, 2));
}
