//! Configurations that are made once for all connections with the same options, and made anew when a file
//! that they were read from has changed.

#![expect(clippy::disallowed_methods, reason = "runs on the big stack, with memory in reserve")]
#![forbid(unsafe_code)]

use super::credentials::path;
use crate::error::{Errno, Result};
use crate::rt::clock;
use crate::rt::process::PerProcess;
use crate::why::{self, Fact};
use core::ffi::CStr;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many sets of options are remembered.
const MAX_ENTRIES: usize = 64;
/// So few files are looked at for every connection.
const FEW_FILES: usize = 8;
/// How long more of them are taken to be as they were, in ms.
const INTERVAL: i64 = 1000;

/// Everything that a configuration depends on, as bytes.
#[derive(Default, PartialEq)]
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn put(&mut self, field: &[u8]) {
        self.0.extend_from_slice(&field.len().to_ne_bytes());
        self.0.extend_from_slice(field);
    }

    pub(super) fn put_optional(&mut self, field: Option<&CStr>) {
        self.put(field.map_or(&[], CStr::to_bytes_with_nul));
    }

    pub(super) fn put_list(&mut self, list: &[Vec<u8>]) {
        self.put(&list.len().to_ne_bytes());
        list.iter().for_each(|field| self.put(field));
    }
}

/// What shows that a file has changed: its device, inode, size, and the times of both kinds of change. None: it
/// cannot be looked at.
type Stamp = Option<(u64, u64, u64, [i64; 4])>;

fn stamp(file: &CStr) -> Stamp {
    let found = std::fs::metadata(path(file)).ok()?;
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    Some((found.dev(), found.ino(), found.size(), times))
}

struct Entry<T> {
    key: Key,
    /// The files as they were before they were read.
    stamps: Vec<Stamp>,
    /// When they were last looked at, in ms.
    checked: i64,
    config: Arc<T>,
    trouble: Trouble,
}

/// Why the files, which have changed, cannot be used, so that the configuration is still the old one.
pub(super) type Trouble = Option<(Errno, Option<Fact>)>;

/// What is known of a key. The stamps are there if it is time to compare them.
struct Known<T> {
    config: Arc<T>,
    trouble: Trouble,
    stamps: Option<Vec<Stamp>>,
}

/// Configurations, the one used last in front. A child process begins without: theirs have locks of their own, too.
pub(super) struct Cache<T>(PerProcess<Mutex<Vec<Entry<T>>>>);

impl<T> Cache<T> {
    pub(super) const fn new() -> Cache<T> {
        Cache(PerProcess::new())
    }

    /// The configuration for a key. If there is none, or one of the files has changed, it is made; if that
    /// fails, an old one goes on.
    pub(super) fn get(
        &self,
        key: Key,
        files: &[&CStr],
        make: impl FnOnce() -> Result<T>,
    ) -> Result<(Arc<T>, Trouble)> {
        let known = self.find(&key)?;
        if let Some(Known { config, trouble, stamps: None }) = known {
            return Ok((config, trouble));
        }
        // Before they are read: what changes meanwhile is noticed the next time.
        let mut stamps: Vec<Stamp> = files.iter().map(|file| stamp(file)).collect();
        let mut trouble = None;
        let config = match known {
            Some(Known { config, stamps: Some(old), .. }) if old == stamps => config,
            known => match (make(), known) {
                (Ok(config), _) => Arc::new(config),
                (Err(error), None) => return Err(error),
                (Err(error), Some(known)) => {
                    trouble = Some((error, why::withdraw(error)));
                    // So that it is tried again.
                    stamps = known.stamps.unwrap_or_default();
                    known.config
                }
            },
        };
        self.put(Entry { key, stamps, checked: clock::now(), config: config.clone(), trouble })?;
        Ok((config, trouble))
    }

    fn find(&self, key: &Key) -> Result<Option<Known<T>>> {
        let mut entries = self.lock()?;
        let Some(place) = entries.iter().position(|entry| entry.key == *key) else { return Ok(None) };
        entries[..=place].rotate_right(1);
        let (entry, now) = (&mut entries[0], clock::now());
        let is_due = entry.stamps.len() <= FEW_FILES || now - entry.checked >= INTERVAL;
        if is_due {
            // One thread is enough.
            entry.checked = now;
        }
        let stamps = is_due.then(|| entry.stamps.clone());
        Ok(Some(Known { config: entry.config.clone(), trouble: entry.trouble, stamps }))
    }

    fn put(&self, entry: Entry<T>) -> Result<()> {
        let mut entries = self.lock()?;
        entries.retain(|other| other.key != entry.key);
        entries.insert(0, entry);
        entries.truncate(MAX_ENTRIES);
        Ok(())
    }

    fn lock(&self) -> Result<MutexGuard<'_, Vec<Entry<T>>>> {
        Ok(self.0.get(|| Mutex::new(Vec::new()))?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        let mut key = Key::default();
        key.put(name.as_bytes());
        key
    }

    #[test]
    fn fields_are_told_apart() {
        let (mut one, mut other) = (key("a"), key("ab"));
        one.put(b"bc");
        other.put(b"c");
        assert!(one != other);
        let (mut one, mut other) = (Key::default(), Key::default());
        one.put_optional(Some(c""));
        other.put_optional(None);
        assert!(one != other);
    }

    #[test]
    fn a_configuration_is_made_once() {
        let cache = Cache::new();
        for _ in 0..3 {
            assert_eq!(*cache.get(key("a"), &[], || Ok(1)).unwrap().0, 1);
            assert_eq!(*cache.get(key("b"), &[], || Ok(2)).unwrap().0, 2);
        }
        // Whether or not it is time to look at the files again.
        let again = || Err(Errno::EINVAL);
        assert_eq!(*cache.get(key("a"), &[c"not there"], again).unwrap().0, 1);
    }

    #[test]
    fn what_could_not_be_made_is_tried_again() {
        let cache = Cache::new();
        assert_eq!(cache.get(key("a"), &[], || Err::<i32, _>(Errno::EINVAL)).err(), Some(Errno::EINVAL));
        assert_eq!(*cache.get(key("a"), &[], || Ok(1)).unwrap().0, 1);
    }

    #[test]
    fn the_one_that_was_not_used_for_the_longest_time_goes() {
        let cache = Cache::new();
        for number in 0..=MAX_ENTRIES {
            cache.get(key(&number.to_string()), &[], || Ok(number)).unwrap();
            cache.get(key("0"), &[], || Ok(0)).unwrap();
        }
        assert_eq!(*cache.get(key("0"), &[], || Ok(77)).unwrap().0, 0);
        assert_eq!(*cache.get(key("1"), &[], || Ok(77)).unwrap().0, 77);
        assert_eq!(cache.lock().unwrap().len(), MAX_ENTRIES);
    }
}
