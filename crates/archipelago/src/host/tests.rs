use std::sync::Mutex;

use adapter_fake::FakeHost;
use companion_core::model::hook::{HookProgram, HookSpec};
use companion_core::ports::HookRunner as _;

use super::*;
use crate::Options;
use crate::catalog::BITCOIN_UI_HOOK;

/// The fake host as a backend that keeps the hooks it is wired with, and records its calls.
#[derive(Clone, Default)]
struct Own {
    host: FakeHost,
    hooks: Arc<Mutex<Option<FileHooks>>>,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

#[async_trait]
impl Backend for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn leader_dir(&self, state_dir: &Path) -> PortResult<PathBuf> {
        Ok(state_dir.join("leader"))
    }

    async fn open(&self, wiring: Wiring) -> Result<Host, HostError> {
        *self.hooks.lock().unwrap() = Some(wiring.hooks()?);
        let Wiring { store, leadership, .. } = wiring;
        Ok(Host { desired: store, leadership, ..self.host.ports() })
    }

    async fn sweep(&self, store: &RecordStore) -> PortResult<usize> {
        self.calls.lock().unwrap().push("sweep");
        sweep(store).await
    }

    async fn settled(&self) {
        self.calls.lock().unwrap().push("settled");
    }
}

#[tokio::test(start_paused = true)]
async fn own_backend_is_swept_before_the_work_and_waited_for_after_it() {
    let (own, state) = (Own::default(), tempfile::tempdir().unwrap());
    own.host.put_context(
        &"/opt/archipelago/docker/lnd-ui".to_owned().try_into().unwrap(),
        "a Dockerfile",
    );
    let options = Options::new(own.clone()).with_state_dir(state.path());
    let companions = options.connect().await.unwrap();
    let failures = companions.install_for(&"lnd".parse().unwrap()).await.unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(own.host.counts().starts, 1);
    assert_eq!(*own.calls.lock().unwrap(), ["sweep", "settled"]);
}

#[tokio::test]
async fn own_backend_gets_the_hooks_of_the_program() {
    let (own, state) = (Own::default(), tempfile::tempdir().unwrap());
    let name = HookName::new("price").unwrap();
    let hook = || Ok(Rendered::new(b"21".to_vec()));
    let options = Options::new(own.clone()).with_state_dir(state.path().join("state"));
    let _companions = options.with_hook(name.clone(), hook).connect().await.unwrap();
    let hooks = own.hooks.lock().unwrap().take().unwrap();
    let output = state.path().join("price.conf").to_str().unwrap().to_owned();
    let spec =
        HookSpec { program: HookProgram::Registered(name), output: output.try_into().unwrap() };
    assert_eq!(hooks.render(&spec).await.unwrap().bytes(), b"21");
}

#[tokio::test]
async fn own_hook_with_the_name_of_a_built_in_one_is_refused() {
    let (own, state) = (Own::default(), tempfile::tempdir().unwrap());
    let hook = || Err(HookError::NotReady { waiting_for: "nothing".to_owned() });
    let options = Options::new(own).with_state_dir(state.path());
    let connected = options.with_hook(HookName::new(BITCOIN_UI_HOOK).unwrap(), hook).connect();
    let Err(error) = connected.await else { panic!("two hooks have one name") };
    assert_eq!(error.to_string(), "failed to register a hook");
}
