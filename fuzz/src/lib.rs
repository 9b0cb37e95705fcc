//! Fuzz targets: `run` in this directory builds and runs them, and `cargo test` of the workspace runs their seeds.

#[expect(dead_code, reason = "the tests of the renderer use the rest")]
#[path = "../../crates/quadlet/tests/model/model.rs"]
mod model;
#[path = "../../crates/adapter-hooks/src/template/tests/nginx_reader.rs"]
mod nginx_reader;

pub mod targets;
