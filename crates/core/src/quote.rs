//! The one function that makes a text a word of the shell.

/// Quotes a text for `sh`, so that it is read as exactly one word with exactly these bytes. A NUL cannot stand in any
/// word; callers refuse it before.
pub fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::word;

    /// What a shell makes of the words, when they stand in a script that it evaluates.
    fn read_by(shell: &str, words: &[String]) -> Vec<String> {
        let script = words.iter().fold("printf '%s\\0'".to_owned(), |text, each| text + " " + &word(each));
        let mut child = Command::new(shell)
            .args(["-c", "eval \"$(cat)\""])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}: {script}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(ToOwned::to_owned).collect()
    }

    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            proptest::sample::select(vec![
                "'", "''", "\"", "\\", "\\'", "$(", ")", "`", "${", "}", "$", "\n", "\r", "\t", " ", "-",
                "--", "*", "?", "[", "]", "~", "#", "!", "!!", "&", ";", "|", "<", ">", "=", "%", "^",
                "\u{7f}", "\u{1}", "ü", "\u{202e}", "😀", "a",
            ])
            .prop_map(ToOwned::to_owned),
            any::<char>().prop_filter("no word has a NUL", |c| *c != '\0').prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_word_is_read_as_itself(words in proptest::collection::vec(hostile(), 1..8)) {
            for shell in ["sh", "bash"] {
                prop_assert_eq!(&read_by(shell, &words), &words);
            }
        }
    }
}
