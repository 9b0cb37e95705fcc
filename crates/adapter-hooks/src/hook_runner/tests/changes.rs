//! Which files are watched for changes.

use host_files::watch::Place as Watched;

use super::*;

/// The places of a runner that observed `hook`: the inputs of these names, and the output.
async fn assert_watches(place: &Place, hook: &HookSpec, inputs: &[&str]) {
    let _state = place.hooks.observe(hook).await;
    let inputs = inputs.iter().filter_map(|name| Watched::file(&place.root.join(name)));
    let expected: Vec<_> = inputs.chain(Watched::starting_with(&place.output())).collect();
    assert_eq!(place.hooks.places(), expected);
}

#[tokio::test]
async fn inputs_and_outputs_of_each_kind_of_hook_are_watched() {
    struct Reading(PathBuf);
    impl ConfigHook for Reading {
        fn render(&self) -> Result<Rendered, HookError> {
            Err(HookError::NotReady { waiting_for: "a cookie".to_owned() })
        }

        fn inputs(&self) -> Vec<PathBuf> {
            vec![self.0.clone()]
        }
    }

    let mut place = Place::new();
    let name = HookName::new("reading").unwrap();
    place.hooks.register(name.clone(), Arc::new(Reading(place.root.join("cookie")))).unwrap();
    assert_watches(&place, &place.template(), &["template", "password"]).await;
    assert_watches(&place, &place.command(), &["password"]).await;
    assert_watches(&place, &place.hook(HookProgram::Registered(name)), &["cookie"]).await;
}

#[tokio::test]
async fn files_of_a_removed_hook_are_not_watched() {
    let place = Place::new();
    let hook = place.template();
    place.hooks.observe(&hook).await.unwrap();
    place.hooks.remove(&hook).await.unwrap();
    assert_eq!(place.hooks.places(), []);
}
