//! A name server that knows one name, on a loopback address of its own: resolv.conf cannot name a port, so it has to be 53.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// See above. It ends when it is dropped.
pub(crate) struct NameServer {
    address: Ipv4Addr,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Answers for `name` with `address`, and for all others that there is no such name.
    pub(crate) fn start(name: &'static str, address: Ipv4Addr) -> Self {
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_micros();
        let (socket, own) = (0..200)
            .find_map(|i| {
                let [_, _, high, low] = (seed + i).to_be_bytes();
                let own = Ipv4Addr::new(127, 53, high, low.clamp(1, 254));
                Some((UdpSocket::bind((own, 53)).ok()?, own))
            })
            .expect("port 53 of a loopback address, which root may have");
        // So often it looks whether it is over.
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (heard, end) = (Arc::clone(&asked), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            while !end.load(Ordering::SeqCst) {
                let Ok((n, client)) = socket.recv_from(&mut question) else { continue };
                let Some((wanted, answer)) = answer(&question[..n], name, address) else { continue };
                heard.lock().unwrap().push(wanted);
                // The client asks again when it hears nothing.
                drop(socket.send_to(&answer, client));
            }
        });
        Self { address: own, asked, over, thread: Some(thread) }
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether anybody has asked for the name.
    pub(crate) fn was_asked(&self, name: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked == name)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The name that is asked for, and the answer (RFC 1035, section 4); none where it is not one plain question.
fn answer(question: &[u8], name: &str, address: Ipv4Addr) -> Option<(String, Vec<u8>)> {
    let (head, rest) = question.split_at_checked(12)?;
    if head[4..6] != [0, 1] {
        return None;
    }
    let mut labels = Vec::new();
    let mut left = rest;
    loop {
        let (length, after) = left.split_first()?;
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        left = after;
        if label.is_empty() {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_lowercase());
    }
    let kind = left.get(..4)?;
    let asked = &rest[..rest.len() - left.len() + 4];
    let wanted = labels.join(".");
    let known = wanted == name;
    let has = known && kind == [0, 1, 0, 1];
    // An answer, recursion is there; and whether there is no such name.
    let mut answer =
        [&head[..2], &[0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, has.into(), 0, 0, 0, 0]].concat();
    answer.extend_from_slice(asked);
    if has {
        // The name is that of the question; A, IN, for a minute.
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    Some((wanted, answer))
}
