//! Rendering throughput for one companion and one backend.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quadlet::{ContainerUnit, PodmanVersion, key};

fn companion() -> ContainerUnit {
    let mut unit = ContainerUnit::new();
    unit.add(key::IMAGE, "localhost/bitcoin-ui:latest");
    unit.add(key::NETWORK, "host");
    unit.add(key::VOLUME, "/var/lib/bitcoin-ui/nginx.conf:/etc/nginx/conf.d/default.conf:ro");
    unit
}

fn backend() -> ContainerUnit {
    let mut unit = companion();
    for n in 0..40 {
        unit.add_pair(key::ENVIRONMENT, &format!("SETTING_{n}"), &format!("value {n} 100%"));
        unit.add_pair(key::LABEL, &format!("label-{n}"), &format!("value \"{n}\" $HOME"));
    }
    unit.add_words(key::EXEC, (0..40).map(|n| format!("--option-{n}=a b")));
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
