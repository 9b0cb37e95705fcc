//! Differential traces: random sequences of calls and external changes, run on the fake host and on this one, with
//! the visible state compared after every step. Where they differ, the fake is wrong.
//!
//! `COMPANION_TRACES` sets the number (default 12), `COMPANION_TRACE_SEED` the first seed (default 1). A seed always
//! gives the same sequence; every difference prints it.

mod image_steps;
mod unit_steps;

use std::fmt::Display;
use std::future::Future;

use crate::fake::Fake;
use crate::images::Images;
use crate::random::Random;

/// The maximum number of steps of a sequence.
const LENGTH: u64 = 20;
/// One of this many sequences is about images, which are slowest.
const IMAGES_EVERY: u64 = 5;

#[test]
fn fake_host_matches_the_real_host() {
    let number = |variable: &str, default| {
        std::env::var(variable).map_or(default, |text| text.parse::<u64>().unwrap())
    };
    let (count, first) = (number("COMPANION_TRACES", 12), number("COMPANION_TRACE_SEED", 1));
    let (mut steps, mut differing) = (0, Vec::new());
    for seed in first..first + count {
        let (played, difference) = if seed.is_multiple_of(IMAGES_EVERY) {
            compare_images(seed)
        } else {
            compare_units(seed)
        };
        steps += played;
        if let Some(difference) = difference {
            println!("seed {seed}: {difference}");
            differing.push(seed);
        }
    }
    println!("measured: {count} traces from seed {first}, {steps} steps");
    assert!(differing.is_empty(), "these seeds show differences: {differing:?}");
}

fn compare_units(seed: u64) -> (usize, Option<String>) {
    let mut random = Random::seeded(seed);
    let steps: Vec<_> =
        (0..random.below(LENGTH) + 1).map(|_| unit_steps::Step::random(&mut random)).collect();
    let imagined = imagine(unit_steps::play(unit_steps::Host::fake(), &steps));
    let real = experience(async { unit_steps::play(unit_steps::Host::real(), &steps).await });
    (steps.len(), difference(&steps, &imagined, &real))
}

fn compare_images(seed: u64) -> (usize, Option<String>) {
    let mut random = Random::seeded(seed);
    let steps: Vec<_> =
        (0..random.below(LENGTH) + 1).map(|_| image_steps::Step::random(&mut random)).collect();
    let imagined = imagine(async { image_steps::play(&Fake::new(), &steps).await });
    let real = experience(async { image_steps::play(&Images::new().await, &steps).await });
    (steps.len(), difference(&steps, &imagined, &real))
}

/// Runs on a simulated clock.
fn imagine<T>(play: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(play)
}

/// Runs on the real clock.
fn experience<T>(play: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play)
}

/// The first step after which the two hosts differ, with all steps before it.
fn difference(steps: &[impl Display], imagined: &[String], real: &[String]) -> Option<String> {
    let at = imagined.iter().zip(real).position(|(imagined, real)| imagined != real)?;
    let before: String = steps[..=at].iter().map(|step| format!("\n    {step}")).collect();
    let lines = |text: &str| text.lines().map(|line| format!("\n    {line}")).collect::<String>();
    Some(format!(
        "after{before}\n  the fake shows{}\n  this host shows{}",
        lines(&imagined[at]),
        lines(&real[at])
    ))
}
