//! A throw-away SSH server that listens itself.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::sshd::{Sshd, children, program, read, signal};

/// A server that listens itself. Dropping it ends it and its connections.
pub struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        for process in children(self.child.id()) {
            signal(process, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sshd {
    /// The same server as one that listens itself, with further lines of sshd_config: what it counts over all of its
    /// connections is counted by that one alone.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub fn daemon(&self, config: &str) -> Daemon {
        let file =
            self.file("daemon_config", &(read(&self.dir.path().join("sshd_config")).unwrap() + config));
        // sshd takes no port of the system's choice, so another program may be there first.
        for _ in 0..20 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
            let port = free.expect("a port").port();
            let mut sshd = Command::new(program("sshd").expect("an sshd"));
            sshd.arg("-D").arg("-e").arg("-f").arg(&file).args(["-o", "ListenAddress=127.0.0.1", "-p"]);
            let mut child = sshd
                .arg(port.to_string())
                .stderr(Stdio::null())
                .stdin(Stdio::null())
                .spawn()
                .expect("starts");
            while matches!(child.try_wait(), Ok(None)) {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Daemon { child, port };
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        panic!("sshd does not listen");
    }
}
