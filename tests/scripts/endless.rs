//! A host that begins to answer, and never ends.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use uphaul_core::ports::frame::Frame;
use uphaul_core::ports::stream::{Broken, exchange};

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_ends_is_given_up() {
    let rig = Rig::new();
    let hand = Hand::new(&rig, "v2", 1);
    let command = script::preflight(&hand.plan, &hand.context());
    let frame = Frame::new(&command, 5).unwrap();
    let (mut far_out, out) = tokio::io::duplex(1024);
    let (mut far_error, error) = tokio::io::duplex(1024);
    for far in [&mut far_out, &mut far_error] {
        far.write_all(format!("uphaul-{:032x} begin\nkey=value\n", 5).as_bytes()).await.unwrap();
    }
    // The clock is the test's own: it goes on when nothing else can.
    let began = tokio::time::Instant::now();
    let told = exchange(&frame, &command, tokio::io::sink(), out, error).await;
    assert_eq!(told, Err(Broken::Overdue));
    assert_eq!(began.elapsed().as_secs(), (command.timeout + Duration::from_secs(50)).as_secs());
    drop((far_out, far_error));
}
