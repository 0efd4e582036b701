//! The agent that holds keys: whether it answers, and how many it has.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// How long it may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The question for its keys, and the kind of the answer (draft-miller-ssh-agent).
const REQUEST_IDENTITIES: [u8; 5] = [0, 0, 0, 1, 11];
const IDENTITIES_ANSWER: u8 = 12;

/// How many keys it has.
pub(super) async fn keys(socket: &Path) -> Result<u32, String> {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(&REQUEST_IDENTITIES).await?;
        // Length, kind, number of keys; the keys themselves are of no interest.
        let mut answer = [0; 9];
        stream.read_exact(&mut answer[..5]).await?;
        if answer[4] != IDENTITIES_ANSWER {
            return Err(std::io::Error::other(format!("it answers with a message of kind {}", answer[4])));
        }
        stream.read_exact(&mut answer[5..]).await?;
        Ok(u32::from_be_bytes([answer[5], answer[6], answer[7], answer[8]]))
    };
    match tokio::time::timeout(ANSWER_MAX, ask).await {
        Ok(answer) => answer.map_err(|error: std::io::Error| error.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", ANSWER_MAX.as_secs())),
    }
}
