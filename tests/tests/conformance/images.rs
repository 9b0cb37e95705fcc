//! Changes to the images and registries of the fake host.

use std::sync::Arc;

use adapter_fake::world::images::{BuildOutcome, Reach};
use async_trait::async_trait;
use companion_conformance::Arranged;
use companion_conformance::image_provider::ImageWorld;
use companion_core::model::companion::CompanionName;
use companion_core::model::image::{BuildSource, ImageId, ImageRef, ImageSource, PullSource};
use companion_core::model::unit::UnitSpec;
use companion_core::ports::ImageProvider;

use super::{FIRST_CONTEXT, Fake, SECOND_CONTEXT, image, name, path, unit};

#[async_trait]
impl ImageWorld for Fake {
    fn images(&self) -> Arc<dyn ImageProvider> {
        self.ported()
    }
    fn another(&self) -> Arc<dyn ImageProvider> {
        self.elsewhere()
    }
    fn name(&self) -> CompanionName {
        name(0)
    }
    fn source(&self) -> ImageSource {
        ImageSource {
            build: Some(BuildSource {
                reference: image("localhost/companion:latest"),
                contexts: vec![path(FIRST_CONTEXT), path(SECOND_CONTEXT)],
                arguments: [].into(),
            }),
            pull: Some(PullSource {
                reference: image("registry.example:5000/team/companion:latest"),
                verify_tls: true,
            }),
        }
    }
    async fn change_context(&self) {
        self.host.change_context(&path(SECOND_CONTEXT));
    }
    async fn break_build(&self) {
        self.host.break_build(&path(SECOND_CONTEXT), BuildOutcome::Fails);
    }
    async fn fix_build(&self) {
        self.host.break_build(&path(SECOND_CONTEXT), BuildOutcome::Works);
    }
    async fn put_first_context(&self) {
        self.host.put_context(&path(FIRST_CONTEXT), "first");
    }
    async fn remove_contexts(&self) {
        self.host.remove_context(&path(FIRST_CONTEXT));
        self.host.remove_context(&path(SECOND_CONTEXT));
    }
    async fn publish(&self, contents: &str) {
        let reference = self.source().pull.unwrap().reference;
        self.host.publish(&reference, contents);
    }
    async fn registry_down(&self) {
        self.host.registry_down("registry.example:5000");
    }
    async fn registry_up(&self) {
        self.host.registry_up("registry.example:5000");
    }
    async fn distrust_registry(&self) {
        self.host.set_registry("registry.example:5000", Reach::Untrusted);
    }
    async fn contacts(&self) -> u32 {
        self.host.counts().network
    }
    async fn remove_images(&self) {
        let source = self.source();
        self.host.remove_image(&source.build.unwrap().reference);
        self.host.remove_image(&source.pull.unwrap().reference);
    }
    async fn leave_unmanaged_image(&self) {
        self.host.leave_image("somebody's");
    }
    async fn take_the_name(&self) {
        let build = self.source().build.unwrap();
        self.host.put_image(&build.reference, "somebody's");
    }
    async fn sideload(&self) -> Arranged {
        self.take_the_name().await;
        Ok(())
    }
    async fn archives(&self) -> Arranged {
        Ok(())
    }
    async fn replace_archive(&self) -> Arranged {
        self.host.replace_archive(&self.source().build.unwrap().reference);
        Ok(())
    }
    async fn lock_registry(&self) -> Arranged {
        self.host.set_registry("registry.example:5000", Reach::Locked);
        Ok(())
    }
    async fn publish_mismatch(&self) -> Arranged {
        let reference = self.source().pull.unwrap().reference;
        self.host.publish(&reference, "mismatch");
        self.host.change(|world, _| world.images.mismatches.insert(reference));
        Ok(())
    }
    async fn publish_pinned(&self) -> Arranged<(ImageRef, ImageRef)> {
        let tagged = self.source().pull.unwrap().reference;
        let pinned = |digit: &str| image(&format!("{tagged}@sha256:{}", digit.repeat(64)));
        self.host.publish(&pinned("a"), "one");
        Ok((pinned("a"), pinned("b")))
    }
    async fn use_image(&self, id: &ImageId) -> Arranged {
        let unit = UnitSpec { image: id.clone(), ..unit(0) };
        self.run(&unit).await;
        Ok(())
    }
    async fn damage_image(&self, _id: &ImageId) -> Arranged {
        self.host.damage_image(&self.source().build.unwrap().reference);
        Ok(())
    }
    async fn lose_power(&self) -> Arranged {
        self.host.power_loss();
        Ok(())
    }
    async fn stored(&self) -> Arranged<usize> {
        Ok(self.host.change(|world, _| world.images.count()))
    }
    async fn without_host(&self) -> Arranged<Arc<dyn ImageProvider>> {
        self.host.change(|world, _| world.conditions.podman = false);
        Ok(self.ported())
    }
}
