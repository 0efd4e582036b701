//! Hostile strings through real shells: every byte comes back. `UPHAUL_HOSTILE=1000000 cargo test -p uphaul-tests --test
//! quoting -- --nocapture` sends a million to each shell; over SSH the conformance suite does the same
//! (`hostile_strings_come_back`). `UPHAUL_HOSTILE_SEED` begins where a failure said that it had begun.

use std::sync::atomic::{AtomicUsize, Ordering};

use uphaul_tests::hostile::{Seeded, all_ways, by_word, count, seed, texts_of};

/// Sends that many strings to a shell, four processes at a time.
fn send(shell: &str, total: usize, ways: fn(&str, &[String]) -> Result<(), String>) {
    let seed = seed();
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let sent = &sent;
            scope.spawn(move || {
                let mut seeded = Seeded::new(seed ^ (lane << 60));
                while sent.load(Ordering::Relaxed) < total {
                    let batch = seeded.batch(2000);
                    ways(shell, &batch)
                        .unwrap_or_else(|why| panic!("UPHAUL_HOSTILE_SEED={seed}, {shell}: {why}"));
                    sent.fetch_add(batch.len(), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{shell}: {} strings came back, seed {seed}", sent.load(Ordering::Relaxed));
}

#[test]
fn a_word_is_read_by_sh_as_itself() {
    send("sh", count(100_000), by_word);
}

#[test]
fn a_word_is_read_by_bash_as_itself() {
    send("bash", count(100_000), by_word);
}

#[test]
fn a_frame_brings_words_environment_and_stdin() {
    send("sh", count(20_000), all_ways);
}

#[test]
fn what_a_fuzzer_sends_comes_back() {
    for data in [
        &b""[..],
        b"\xff\xff",
        b"\x00\x01\x02\xff\x90\x91\x92\x93",
        &[0; 3000],
        &(0..=255).collect::<Vec<u8>>(),
    ] {
        all_ways("sh", &texts_of(data)).unwrap();
    }
}

/// The same with a quoting that forgets something: it is noticed.
#[test]
fn a_worse_quoting_is_noticed() {
    let batch = Seeded::new(1).batch(2000);
    let worse: [fn(&str) -> String; 3] = [
        |text| format!("'{text}'"),
        |text| format!("\"{}\"", text.replace('"', "\\\"")),
        |text| text.chars().flat_map(|c| ['\\', c]).collect(),
    ];
    for quote in worse {
        let script =
            batch.iter().fold("printf '%s\\0'".to_owned(), |script, text| script + " " + &quote(text));
        let output =
            std::process::Command::new("sh").args(["-c", "eval \"$1\"", "sh", &script]).output().unwrap();
        let came: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        let as_sent = batch.iter().zip(&came).all(|(sent, came)| sent.as_bytes() == *came);
        assert!(!as_sent || came.len() != batch.len() + 1);
    }
}
