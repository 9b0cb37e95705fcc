//! The reconciler on the fake host: scenarios, each a sentence, and properties over all of them.

mod daemon;
mod faults;
mod install;
mod removal;
mod repair;

#[test]
fn every_file_of_this_folder_is_compiled() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reconcile");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = file.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(main.contains(&format!("mod {module};")), "{file} is in no module");
        }
    }
}
