//! SHA-512 of the objects, beside the thread that reads and writes them.

use crate::error::{Error, Result};
use sha2::{Digest, Sha512};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes of a piece.
pub const PIECE: usize = 1 << 20;
/// Pieces in flight: bounds the memory.
const QUEUE: usize = 8;

/// A SHA-512 digest.
pub type Sha512Digest = [u8; 64];

/// What goes to the thread.
pub enum Word {
    /// Bytes of the object.
    Piece(Arc<Vec<u8>>),
    /// The object is whole.
    End,
}

/// Digests a suite of objects.
pub enum Hasher {
    /// In the thread of the caller.
    Here(Box<Sha512>, Vec<Sha512Digest>),
    /// In a thread of its own.
    Beside(SyncSender<Word>, JoinHandle<Vec<Sha512Digest>>),
}

impl Hasher {
    /// `threads` from 2 on gives the digests a thread of their own.
    pub fn new(threads: usize) -> Self {
        if threads < 2 {
            return Hasher::Here(Box::new(Sha512::new()), Vec::new());
        }
        let (send, receive) = sync_channel(QUEUE);
        Hasher::Beside(send, std::thread::spawn(move || run(&receive)))
    }

    /// The next bytes of the object.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn piece(&mut self, piece: &Arc<Vec<u8>>) -> Result<()> {
        match self {
            Hasher::Here(hasher, _) => hasher.update(piece.as_slice()),
            Hasher::Beside(send, _) => send.send(Word::Piece(piece.clone())).map_err(gone)?,
        }
        Ok(())
    }

    /// The object is whole.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn end(&mut self) -> Result<()> {
        match self {
            Hasher::Here(hasher, done) => done.push(hasher.finalize_reset().into()),
            Hasher::Beside(send, _) => send.send(Word::End).map_err(gone)?,
        }
        Ok(())
    }

    /// Digests of all objects in their order.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn finish(self) -> Result<Vec<Sha512Digest>> {
        match self {
            Hasher::Here(_, done) => Ok(done),
            Hasher::Beside(send, thread) => {
                drop(send);
                thread.join().map_err(gone)
            }
        }
    }
}

fn gone<T>(_: T) -> Error {
    Error::Write("le calcul des empreintes s'est arrêté".into())
}

fn run(words: &Receiver<Word>) -> Vec<Sha512Digest> {
    let (mut hasher, mut done) = (Sha512::new(), Vec::new());
    for word in words {
        match word {
            Word::Piece(piece) => hasher.update(piece.as_slice()),
            Word::End => done.push(hasher.finalize_reset().into()),
        }
    }
    done
}

/// Pieces used again once nobody holds them.
#[derive(Default)]
pub struct Pool(VecDeque<Arc<Vec<u8>>>);

impl Pool {
    /// A piece that is nobody's.
    pub fn take(&mut self) -> Vec<u8> {
        match self.0.pop_front().map(Arc::try_unwrap) {
            Some(Ok(piece)) => piece,
            Some(Err(held)) => {
                self.0.push_front(held);
                Vec::with_capacity(PIECE)
            }
            None => Vec::with_capacity(PIECE),
        }
    }

    /// A piece to use again.
    pub fn give(&mut self, piece: Arc<Vec<u8>>) {
        if self.0.len() < QUEUE + 2 {
            self.0.push_back(piece);
        }
    }
}
