//! Benchmarks of planning and of a converged reconcile.

#![expect(clippy::panic, reason = "a benchmark fails if it cannot be set up")]

use std::hint::black_box;
use std::time::Duration;

use companion_core::model::Monotonic;
use companion_core::model::desired::DesiredState;
use companion_core::model::observed::ObservedState;
use companion_core::planner::plan;
use companion_tests::node::{Node, called, context, viewer};
use companion_tests::simulation::virtual_time;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A node with this number of installed and converged companions: each has a hook, a mount, and a separate build
/// context and image.
fn installed(count: usize) -> (Node, tokio::runtime::Runtime) {
    let runtime = virtual_time();
    let node = Node::new();
    runtime.block_on(async {
        for number in 0..count {
            let spec = called(viewer(), &format!("viewer-{number}"));
            node.host.put_context(&context(spec.name.as_str()), spec.name.as_str());
            node.host.install(&spec);
        }
        for _ in 0..3 {
            let _ = node.converge().await;
            node.sleep(30).await;
        }
        node.assert_true();
    });
    (node, runtime)
}

fn observed(
    node: &Node,
    runtime: &tokio::runtime::Runtime,
) -> (DesiredState, ObservedState, Monotonic) {
    let reconcile = runtime.block_on(node.reconciler.dry_run());
    let reconcile = reconcile.unwrap_or_else(|error| panic!("{error}"));
    assert!(reconcile.plan.is_converged(), "the benchmark measures a converged host");
    (reconcile.desired, reconcile.observed, reconcile.at)
}

fn planning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    for count in [10, 100, 1000] {
        let (node, runtime) = installed(count);
        let (desired, seen, now) = observed(&node, &runtime);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("converged", count), |bencher| {
            bencher.iter(|| plan(black_box(&desired), black_box(&seen), now));
        });
        let mut lost = seen.clone();
        for companion in lost.companions.values_mut() {
            use companion_core::model::observed::Observation;
            use companion_core::model::unit::UnitFileState;
            if let Observation::Known(file) = &mut companion.unit {
                file.state = UnitFileState::Absent;
            }
        }
        group.bench_function(BenchmarkId::new("all units lost", count), |bencher| {
            bencher.iter(|| plan(black_box(&desired), black_box(&lost), now));
        });
    }
    group.finish();
}

fn converges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("converged reconcile");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    for count in [10, 100, 1000] {
        let (node, runtime) = installed(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let reconcile = runtime.block_on(node.reconciler.reconcile_once());
                assert!(reconcile.is_ok_and(|reconcile| reconcile.plan.is_converged()));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, planning, converges);
criterion_main!(benches);
