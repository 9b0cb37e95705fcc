//! A fault injected into the fake host: a registry is down for a minute, and the companion becomes ready afterwards.
//!
//! `cargo run -p adapter-fake --example faults`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use adapter_fake::{FakeHost, Fault, Method, Mode, Port};
use companion_core::model::companion::CompanionSpec;
use companion_core::model::container::ContainerSpec;
use companion_core::model::image::{ImageRef, ImageSource, PullSource};
use companion_core::ports::PortErrorKind;
use companion_core::reconciler::Reconciler;
use companion_core::status::status;

// The clock is paused and moves on as soon as every task waits: a virtual minute takes no time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let host = FakeHost::default();
    let reference = ImageRef::new("registry.example/team/page:1")?;
    host.publish(&reference, "a page");
    host.install(&CompanionSpec {
        name: "page".parse()?,
        description: "a page".to_owned(),
        image: ImageSource { build: None, pull: Some(PullSource { reference, verify_tls: true }) },
        container: ContainerSpec::default(),
        hook: None,
    });
    let down = Mode::Error(PortErrorKind::Transient);
    host.inject(Fault::always(Port::Images, Method::Ensure, down));

    let reconciler = Reconciler::new(host.ports());
    for second in (0..=80).step_by(20) {
        if second == 60 {
            host.clear_faults();
        }
        let converged = reconciler.converge().await?;
        for companion in status(&converged.last) {
            println!("{second:3} s: {} {}", companion.health, companion.why.join("; "));
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    // The journal has every call; the host keeps what no caller should ever do.
    println!("{:?}", host.counts());
    println!("violations: {:?}", host.violations());
    Ok(())
}
