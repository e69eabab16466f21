//! An address that leads to a server, and later to another one, as a name in DNS or an address that moves does: connections that are
//! open stay where they are.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The address. Dropping it takes no more connections.
#[derive(Debug)]
pub struct Forward {
    port: u16,
    server: Arc<Mutex<String>>,
    over: Arc<AtomicBool>,
}

impl Forward {
    /// An address that leads to a URL's server, and the URL that goes by it.
    ///
    /// # Panics
    /// When no port can be had, or the URL is none of a server.
    #[must_use]
    pub fn to(url: &str) -> (Self, String) {
        let (head, address, path) = parts(url);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let server = Arc::new(Mutex::new(address.to_owned()));
        let over = Arc::new(AtomicBool::new(false));
        let (leads, ended) = (Arc::clone(&server), Arc::clone(&over));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let to = leads.lock().expect("nobody panics with it").clone();
                // a server that is down closes what it does not take
                if let Ok(there) = TcpStream::connect(to) {
                    join(client, there);
                }
            }
        });
        let url = format!("{head}@127.0.0.1:{port}/{path}");
        (Self { port, server, over }, url)
    }

    /// From now on new connections go to the server of this URL.
    ///
    /// # Panics
    /// When the URL is none of a server.
    pub fn lead_to(&self, url: &str) {
        let (_, address, _) = parts(url);
        address.clone_into(&mut self.server.lock().expect("nobody panics with it"));
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // the listener looks at it when somebody comes
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn parts(url: &str) -> (&str, &str, &str) {
    let (head, rest) = url.split_once('@').expect("a URL has a user");
    let (address, path) = rest.split_once('/').expect("a URL has a path");
    (head, address, path)
}

fn join(client: TcpStream, there: TcpStream) {
    let clones = client.try_clone().and_then(|c| Ok((c, there.try_clone()?)));
    let (client_out, there_in) = clones.expect("a socket can be had twice");
    thread::spawn(move || carry(there_in, client_out));
    thread::spawn(move || carry(client, there));
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            let _ = to.shutdown(Shutdown::Write);
            let _ = from.shutdown(Shutdown::Read);
            return;
        }
    }
}
