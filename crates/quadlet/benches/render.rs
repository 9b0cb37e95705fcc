//! Rendering throughput for one companion and one backend.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quadlet::{Container, ContainerUnit, Network, PodmanVersion, Volume};

fn companion() -> ContainerUnit {
    let mut container = Container::new("localhost/bitcoin-ui:latest");
    container.network = Some(Network::Host);
    container.volumes.push(Volume::read_only(
        "/var/lib/archipelago/bitcoin-ui/nginx.conf",
        "/etc/nginx/conf.d/default.conf",
    ));
    ContainerUnit::new(container)
}

fn backend() -> ContainerUnit {
    let mut unit = companion();
    unit.container.environment =
        (0..40).map(|n| (format!("SETTING_{n}"), format!("value {n} 100%"))).collect();
    unit.container.labels =
        (0..40).map(|n| (format!("label-{n}"), format!("value \"{n}\" $HOME"))).collect();
    unit.container.exec = (0..40).map(|n| format!("--option-{n}=a b")).collect();
    unit
}

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    group.throughput(Throughput::Elements(1));
    for (name, unit) in [("companion", companion()), ("backend", backend())] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| unit.render(PodmanVersion::new(5, 4, 2)))
        });
    }
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
