//! What a process under test logs.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What was logged so far.
#[derive(Clone, Default)]
pub struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Hears everything up to `level` from now on, for the whole process: a subscriber of one thread misses what another
    /// thread's test logged first, with nobody to hear it. What the other tests log is welcome here.
    ///
    /// # Panics
    /// If the process has a subscriber already.
    pub fn hear(level: tracing::Level) -> Self {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(move || writer.clone());
        tracing::subscriber::set_global_default(subscriber.finish()).expect("nobody else hears it");
        logged
    }

    /// The text.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("what is logged is text")
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
