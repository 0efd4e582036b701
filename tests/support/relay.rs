//! A network of one's own: it carries connections to a port of this machine, and does to them what a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What it does to connections.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// What the client hears before the server.
    pub before: Vec<u8>,
    /// How many bytes go over at once; none is as many as come.
    pub piece: Option<usize>,
    /// What each piece waits for.
    pub pause: Duration,
}

/// The network. Dropping it ends all connections.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    silent: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Starts one before a port of 127.0.0.1.
    ///
    /// # Panics
    /// Where this machine cannot listen on loopback.
    pub fn start(to: u16, manner: Manner) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("listens");
        let address = socket.local_addr().expect("has an address");
        let shared = Arc::new(Shared::default());
        let listener = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&socket, to, &manner, &shared)
        });
        Self { address, shared, listener: Some(listener) }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on nothing goes over, as when a cable is cut: nobody is told.
    pub fn go_silent(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// Ends all connections, in the middle of what they carry.
    pub fn cut(&self) {
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        self.cut();
    }
}

fn listen(socket: &TcpListener, to: u16, manner: &Manner, shared: &Arc<Shared>) {
    for client in socket.incoming().flatten() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
        let both = |a: &TcpStream, b: &TcpStream| Some((a.try_clone().ok()?, b.try_clone().ok()?));
        let (Some(up), Some(down), Some(kept)) =
            (both(&client, &server), both(&server, &client), both(&client, &server))
        else {
            continue;
        };
        shared.streams.lock().unwrap_or_else(PoisonError::into_inner).extend([kept.0, kept.1]);
        let plain = Manner { before: Vec::new(), ..manner.clone() };
        for ((from, into), manner) in [(up, plain), (down, manner.clone())] {
            let shared = Arc::clone(shared);
            std::thread::spawn(move || carry(from, into, &manner, &shared));
        }
    }
}

/// Carries one direction to its end, which the other side then sees.
fn carry(mut from: TcpStream, mut into: TcpStream, manner: &Manner, shared: &Shared) {
    let _ = into.set_nodelay(true);
    let mut buffer = vec![0; manner.piece.unwrap_or(64 * 1024)];
    let mut carry = || -> std::io::Result<()> {
        into.write_all(&manner.before)?;
        loop {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            if !manner.pause.is_zero() {
                std::thread::sleep(manner.pause);
            }
            if shared.silent.load(Ordering::SeqCst) {
                continue;
            }
            into.write_all(&buffer[..n])?;
        }
    };
    let _ = carry();
    if !shared.silent.load(Ordering::SeqCst) {
        let _ = into.shutdown(Shutdown::Write);
    }
}
