use std::sync::Arc;

use archipelago_companions::Options;
use rustix::process::{Signal, getpid, kill_process};

use super::*;
use crate::{arguments, backend};

#[tokio::test]
async fn interruption_reports_whether_the_intent_is_recorded() {
    let interrupt = || kill_process(getpid(), Signal::INT).unwrap();
    let state = tempfile::tempdir().unwrap();
    let backends = backend::backends();
    let line = ["companion", "--host", "sim", "install", "lnd"].map(Into::into);
    let global = arguments::parse(line, &backends).global;
    let output = Output::new(false, global.color);
    let config = Config::new(global, &backends).unwrap();
    // The first event follows the record.
    let options = Options::on(Arc::clone(&config.host) as _)
        .with_state_dir(state.path())
        .with_listener(Arc::new(move |_event| interrupt()));
    let companions = options.connect().await.unwrap();
    let pending = async {
        // The signal handlers are installed before the intent is polled.
        interrupt();
        std::future::pending().await
    };
    let error = carry_out(&companions, pending, &config, &output).await.unwrap_err();
    assert_eq!(error.to_string(), "interrupted; the intent may not be recorded");
    let apps = ["lnd".parse().unwrap()];
    let intent = companions.record_apps(&apps, &[]);
    let error = carry_out(&companions, intent, &config, &output).await.unwrap_err();
    assert_eq!(error.to_string(), "interrupted; the intent is recorded");
}
