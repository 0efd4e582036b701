//! The machine stays pure: nothing in its files can wait, read a clock, or depend on the order of a hash.

use std::path::Path;

/// What no file of the machine may name.
const BANNED: [&str; 9] =
    ["async", "tokio", "SystemTime", "Instant", "HashMap", "HashSet", "std::env", "std::process", "std::fs"];

#[test]
fn machine_is_pure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/machine");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in BANNED {
                let at = format!("{}:{}", path.display(), number + 1);
                assert!(!code.contains(word), "{at}: {word} makes the machine impure: {line}");
            }
        }
    }
    assert!(files >= 6, "the machine has moved: {files} files in {}", folder.display());
}
