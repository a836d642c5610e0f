//! Which tile runs a class of shapes, where it is not the table's default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Tiles chosen for shape classes, by name: a tuner's findings. Plain text, so that they can be kept in a file and shipped with a program;
/// a name that this version or adapter does not know is passed over, and the plan's reasons say so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Choices(BTreeMap<String, String>);

impl Choices {
    /// No choices: defaults everywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tile chosen for a class.
    pub fn get(&self, class: &str) -> Option<&str> {
        self.0.get(class).map(String::as_str)
    }

    /// Chooses a tile for a class, in place of an earlier choice.
    pub fn set(&mut self, class: impl Into<String>, tile: impl Into<String>) {
        self.0.insert(class.into(), tile.into());
    }

    /// Goes back to the default of a class.
    pub fn remove(&mut self, class: &str) {
        self.0.remove(class);
    }

    /// Takes over every choice of `other`, in place of earlier ones.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.iter().map(|(class, tile)| (class.into(), tile.into())));
    }

    /// Classes and tiles, by class.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(class, tile)| (class.as_str(), tile.as_str()))
    }

    /// Count of classes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A class of shapes that share one choice, and the tiles that could serve it on an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeClass {
    /// Key in [`Choices`]: `attention_forward.softmax.f32.width64.own1024`. Coarse, so that one choice covers its neighbours: attention
    /// rounds the accumulator's width and the count of own positions (64 to 4,096) up to a power of two and adds `masked` for a causal
    /// mask or a window; batch, heads, biases and the other length do not count.
    pub name: String,
    /// Names of tiles, the default first, then others in the order in which they are worth trying; at most [`MOST_TILES`](Self::MOST_TILES).
    pub tiles: Vec<String>,
}

impl ShapeClass {
    /// Most tiles of a class: trying one costs a compilation.
    pub const MOST_TILES: usize = 6;
}
