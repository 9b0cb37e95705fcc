use super::*;

const READ: &str = "\
quadlet-generator[7]: Loading source unit file /u/archy-lnd-ui.container
quadlet-generator[7]: Loading source unit file /u/strange.container
";
const UNPARSABLE: &str = "error loading \"/u/strange.container\", file contains line 2: “no assignment” which is not a key-value pair, group, or comment";
const NOTHING_LEFT: &str = "No files parsed from [/u]";
const SOME_ERRORS: &str = "processing encountered some errors";
const MADE: &str = "---archy-lnd-ui.service---\n[Unit]\nSourcePath=/u/archy-lnd-ui.container\n";

fn companions(names: &[&str]) -> BTreeSet<CompanionName> {
    names.iter().map(|name| CompanionName::new(*name).unwrap()).collect()
}

fn interpreted(code: Option<i32>, stdout: &str, words: &[&str]) -> PortResult<UnloadableUnits> {
    let lines = words.iter().map(|words| format!("quadlet-generator[7]: {words}\n"));
    let stderr = format!("{READ}{}", lines.collect::<String>());
    let ended =
        Ended { code, stdout: stdout.as_bytes().to_vec(), stderr: stderr.as_bytes().to_vec() };
    interpret(Path::new("/g"), &companions(&["archy-lnd-ui"]), &ended)
}

#[test]
fn an_unloadable_file_loses_the_other_units_of_its_directory() {
    for (version, words) in [
        ("5.4.2", [NOTHING_LEFT, UNPARSABLE, ""]),
        ("5.8.6", [UNPARSABLE, NOTHING_LEFT, SOME_ERRORS]),
    ] {
        let found = interpreted(Some(1), "", &words).unwrap();
        assert_eq!(found.lost, companions(&["archy-lnd-ui"]), "{version}");
        let [file] = found.files.as_slice() else { panic!("{version}: {found:?}") };
        assert_eq!(file.file, "/u/strange.container", "{version}");
        assert!(file.why.starts_with("file contains line 2: “no assignment”"), "{}", file.why);
    }
}

#[test]
fn files_with_the_container_name_of_a_companion_are_listed() {
    let service = |name: &str, arguments: &str| {
        format!(
            "---{name}.service---\n[Service]\nExecStart=/usr/bin/podman run {arguments} --rm -d x\n\
             [Unit]\nSourcePath=/u/{name}.container\n"
        )
    };
    let stdout = [
        service("archy-lnd-ui", "--name archy-lnd-ui"),
        service("new", "--name archy-lnd-ui --replace"),
        service("old", "--name=archy-lnd-ui --replace"),
        service("another", "--name archy-lnd-ui-2"),
        service("unnamed", "--env-host --name"),
    ];
    let found = interpreted(Some(0), &stdout.concat(), &[]).unwrap();
    let name = CompanionName::new("archy-lnd-ui").unwrap();
    let taken = |file: &str| SameContainer { file: file.to_owned(), name: name.clone() };
    let expected = vec![taken("/u/new.container"), taken("/u/old.container")];
    assert_eq!(found, UnloadableUnits { same_container: expected, ..UnloadableUnits::default() });
}

#[test]
fn every_way_in_which_a_file_cannot_be_loaded_is_known() {
    for (file, why) in [
        (
            "/u/strange.network",
            "file contains line 1: “[Nope” which is not a key-value pair, group, or comment",
        ),
        ("/u/rnd.volume", "key file does not start with a group"),
        ("/u/dir.container", "read /u/dir.container: is a directory"),
        ("/u/dangling.kube", "open /u/dangling.kube: no such file or directory"),
        (r#"/u/a\nerror loading \"b\", x.container"#, "key file does not start with a group"),
    ] {
        let words = format!("error loading \"{file}\", {why}");
        let found = interpreted(Some(1), "", &[&words]).unwrap();
        assert_eq!((found.files.len(), found.lost.len()), (1, 1), "{words}");
        assert_eq!(found.files[0].file, file, "{words}");
        assert!(found.files[0].why.starts_with(why), "{words}: {}", found.files[0].why);
    }
}

#[test]
fn a_broken_file_in_another_directory_costs_us_nothing() {
    let found = interpreted(Some(1), MADE, &[UNPARSABLE, SOME_ERRORS]).unwrap();
    assert_eq!((found.files.len(), found.lost.len()), (1, 0));
}

#[test]
fn a_unit_that_is_refused_by_itself_is_not_lost() {
    let refused = "converting \"archy-lnd-ui.container\": unsupported key 'Pulll' in group 'Container' in /u/archy-lnd-ui.container";
    for words in [vec![refused, SOME_ERRORS], vec![UNPARSABLE, refused]] {
        let found = interpreted(Some(1), "", &words).unwrap();
        assert!(found.lost.is_empty(), "{found:?}");
    }
    let unmanaged =
        "converting \"strange.container\": requested Quadlet source x.volume was not found";
    let found = interpreted(Some(1), MADE, &[unmanaged]).unwrap();
    let file = "strange.container".to_owned();
    let why = "requested Quadlet source x.volume was not found".to_owned();
    let refused = vec![UnloadableFile { file, why }];
    assert_eq!(found, UnloadableUnits { refused, ..UnloadableUnits::default() });
}

#[test]
fn a_drop_in_that_cannot_be_loaded_costs_nothing() {
    let words = "error loading \"/u/strange.container.d/x.conf\", file contains line 1: “junk” which is not a key-value pair, group, or comment";
    assert_eq!(interpreted(Some(1), MADE, &[words]).unwrap(), UnloadableUnits::default());
}

#[test]
fn a_multi_line_message_with_one_program_prefix_is_parsed() {
    // Podman 5.4 joins all errors into one message.
    let joined = "converting \"other.container\": no Image or Rootfs key specified\nerror loading \"/u/strange.container\", key file does not start with a group";
    assert_eq!(interpreted(Some(1), "", &[joined]).unwrap().files.len(), 1);
}

#[test]
fn an_old_generator_that_is_silent_holds_nothing_back() {
    assert_eq!(interpreted(Some(0), "", &[]).unwrap(), UnloadableUnits::default());
    let skipped =
        "Error loading '/u/strange.container', ignoring: key file does not start with a group";
    assert_eq!(interpreted(Some(0), MADE, &[skipped]).unwrap(), UnloadableUnits::default());
}

#[test]
fn a_generator_that_breaks_would_lose_everything() {
    for code in [Some(1), Some(2), Some(127), None] {
        let error = interpreted(code, "", &["panic: runtime error"]).unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("panic: runtime error"), "{error}");
        assert_eq!(interpreted(code, MADE, &["panic"]).unwrap(), UnloadableUnits::default());
    }
}

#[test]
fn a_name_with_a_managed_units_prefix_is_another_unit() {
    let found = interpreted(Some(1), "---archy-lnd-ui-2.service---\n", &[UNPARSABLE]).unwrap();
    assert_eq!(found.lost.len(), 1);
}

#[test]
fn lines_that_are_cut_off_name_no_file() {
    for words in ["error loading ", "error loading \"", "error loading \"/u/x", "converting \"x"] {
        assert_eq!(
            interpreted(Some(0), "", &[words]).unwrap(),
            UnloadableUnits::default(),
            "{words}"
        );
    }
}
