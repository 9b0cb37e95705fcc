# The steps of .ci/run, as recipes; `just` lists them. The commands are in .ci/run.

_list:
    @'{{ just_executable() }}' --list --unsorted

# what every change must pass and Rust alone can show
check:
    .ci/run format lint docs test

# format the sources
fmt:
    cargo fmt --all

# check the format of the sources
format:
    .ci/run format

# clippy and shellcheck
lint:
    .ci/run lint

# rustdoc, without warnings
docs:
    .ci/run docs

# the end-to-end demo on the simulated host
demo:
    .ci/run demo

# all tests that need no machine
test:
    .ci/run test

# the same with cargo-nextest
nextest:
    .ci/run nextest

# every example, to its end
examples:
    .ci/run examples

# licences, sources and bans of dependencies
deny:
    .ci/run deny

# each crate as cargo packs it for a registry
crates:
    .ci/run crates

# the same, each built from its package
publish:
    .ci/run publish

# the edits of a release, in a temporary clone
release:
    .ci/run release

# the recorded demo of README and book
session:
    .ci/run session

# the book, in target/book
book:
    .ci/run book

# deb, rpm, tarball, SBOM, checksums; deb and rpm on the machine
packages:
    .ci/run packages

# each feature by itself
features:
    .ci/run features

# the Rust that Cargo.toml names
msrv:
    .ci/run msrv

# the public API against origin/main
semver:
    .ci/run semver

# the companions' pages in a real nginx
companions:
    .ci/run companions

# the companions' pages in Chromium (root)
pages:
    .ci/run pages

# rendered units before Podman's own generators
generators:
    .ci/run generators

# the suites on a real systemd and Podman (root)
machine:
    .ci/run machine

# machine, chaos, conformance and the tiers of the model in one run (root)
proof:
    .ci/run proof

# twenty minutes of chaos on the machine (root)
chaos:
    .ci/run chaos

# power cuts that lose what was not synced (root)
cuts:
    .ci/run cuts

# the exhaustive search, deep
search:
    .ci/run search

# every crash at every boundary
crashes:
    .ci/run crashes

# a virtual year
soak:
    .ci/run soak

# the properties, with 100,000 cases
properties:
    .ci/run properties

# each seeded bug is found by a test
seeded-bugs:
    .ci/run seeded-bugs

# mutations of the crates that only decide
mutants:
    .ci/run mutants

# three minutes for each fuzz target
fuzz:
    .ci/run fuzz

# planner, converged reconcile, rendering
bench:
    .ci/run bench

# all default steps (root, Debian)
ci:
    .ci/run
