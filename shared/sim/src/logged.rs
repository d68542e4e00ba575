//! Log lines of a process under test.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Log lines so far.
#[derive(Clone, Default)]
pub struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// Records every line up to `level` from now on, for the whole process. A subscriber of one thread would miss lines
    /// that another thread's test logged first, without a subscriber. Lines of the other tests do no harm.
    ///
    /// # Panics
    /// If the process already has a subscriber.
    pub fn hear(level: tracing::Level) -> Self {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(move || writer.clone());
        tracing::subscriber::set_global_default(subscriber.finish())
            .expect("the process has no other subscriber");
        logged
    }

    /// Returns the text.
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
