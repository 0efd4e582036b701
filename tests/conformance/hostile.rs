//! Hostile strings, many at once.

use uphaul_tests::hostile::{Seeded, Way, count, seed};

use crate::bench::Bench;

/// Each goes as a word, as a value of the environment, quoted in a text that a script evaluates, or on stdin.
/// `UPHAUL_HOSTILE=1000000` sends a million.
pub async fn hostile_strings_come_back(bench: Bench) {
    let (seed, total) = (seed(), count(20_000));
    let host = bench.host();
    let mut session = host.connect().await;
    let mut seeded = Seeded::new(seed);
    let (mut sent, mut commands) = (0, 0);
    while sent < total {
        let way = Way::ALL[commands % Way::ALL.len()];
        let batch = seeded.batch(total - sent);
        let output = session.run(&way.command(&batch)).await.unwrap();
        let checked = way.check(&batch, &output.stdout.bytes);
        checked.unwrap_or_else(|why| panic!("UPHAUL_HOSTILE_SEED={seed}: {why}"));
        sent += batch.len();
        commands += 1;
    }
    session.close().await.unwrap();
    println!("{}: {sent} strings in {commands} commands came back, seed {seed}", bench.backend.name);
}
