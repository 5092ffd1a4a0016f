//! How two lists of names and values differ: environments, or packages of the operating system.

use crate::key_values::KeyValues;

/// How two lists of names and values differ. Each list is ascending by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValuesDiff {
    /// Only on the left.
    pub removed: Vec<KeyValue>,
    /// Only on the right.
    pub added: Vec<KeyValue>,
    /// On both sides, with different values.
    pub changed: Vec<KeyValueChange>,
    /// Whether a file was too long and its end was left out, so that entries may wrongly look removed or added.
    pub is_cut: bool,
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A name with two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValueChange {
    /// The name.
    pub name: String,
    /// Its value on the left.
    pub left: String,
    /// Its value on the right.
    pub right: String,
}

impl KeyValuesDiff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && self.changed.is_empty()
    }

    pub(super) fn of(left: &KeyValues, right: &KeyValues) -> Self {
        let mut diff = Self { is_cut: left.is_cut() || right.is_cut(), ..Self::default() };
        for (name, value) in left {
            match right.value(name) {
                None => diff.removed.push(KeyValue { name: name.clone(), value: value.clone() }),
                Some(other) if other == value => {}
                Some(other) => diff.changed.push(KeyValueChange {
                    name: name.clone(),
                    left: value.clone(),
                    right: other.to_owned(),
                }),
            }
        }
        for (name, value) in right.iter().filter(|(name, _)| left.value(name).is_none()) {
            diff.added.push(KeyValue { name: name.clone(), value: value.clone() });
        }
        diff
    }
}
