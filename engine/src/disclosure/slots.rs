//! Reads and writes by number where the numbers were given by this module itself.
//!
//! A number out of range reads the default and writes nothing: no panic on foreign input. Safety never
//! rests on it: the certificate is checked with explicit refusals.

pub(crate) trait Slots<T> {
    fn at(&self, i: usize) -> T;
    fn put(&mut self, i: usize, value: T);
    fn change(&mut self, i: usize, f: impl FnOnce(T) -> T);
}

impl<T: Copy + Default> Slots<T> for [T] {
    #[inline]
    fn at(&self, i: usize) -> T {
        self.get(i).copied().unwrap_or_default()
    }

    #[inline]
    fn put(&mut self, i: usize, value: T) {
        if let Some(slot) = self.get_mut(i) {
            *slot = value;
        }
    }

    #[inline]
    fn change(&mut self, i: usize, f: impl FnOnce(T) -> T) {
        if let Some(slot) = self.get_mut(i) {
            *slot = f(*slot);
        }
    }
}
