//! The layers that ARCHITECTURE.md promises: fenced blocks that a person reads and the arrows are held against.

use std::collections::BTreeMap;

/// File that holds the blocks.
pub const FILE: &str = "ARCHITECTURE.md";

/// Layers of one crate.
#[derive(Debug)]
pub struct Layers {
    /// Folder of the crate's sources.
    pub folder: String,
    /// Line of the block's fence.
    pub line: usize,
    /// Layer of each module: 0 is the lowest.
    pub ranks: BTreeMap<String, usize>,
}

/// Reads every block that begins with ```` ```layers FOLDER ````. `<` stands between layers, a comma between modules of
/// one.
pub fn read(text: &str) -> Vec<Layers> {
    let mut all = Vec::new();
    let mut open: Option<(Layers, String)> = None;
    for (index, line) in text.lines().enumerate() {
        open = match open.take() {
            Some((layers, block)) if line.trim_start().starts_with("```") => {
                all.push(ranked(layers, &block));
                None
            }
            Some((layers, block)) => Some((layers, block + line + " ")),
            None => line.trim().strip_prefix("```layers ").map(|folder| {
                let layers = Layers {
                    folder: folder.trim().into(),
                    line: index + 1,
                    ranks: BTreeMap::new(),
                };
                (layers, String::new())
            }),
        };
    }
    all
}

fn ranked(mut layers: Layers, block: &str) -> Layers {
    for (rank, layer) in block.split('<').enumerate() {
        for name in layer.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let before = layers.ranks.insert(name.into(), rank);
            assert!(
                before.is_none(),
                "{FILE}:{}: {name} stands in two layers: keep one",
                layers.line
            );
        }
    }
    layers
}

#[test]
fn layers_are_read_from_a_block() {
    let text = "prose < prose\n```layers host-train/src\nrng < files, data\n  < model\n```\n```text\na < b\n```\n";
    let [layers] = read(text).try_into().expect("one block");
    assert_eq!((layers.folder.as_str(), layers.line), ("host-train/src", 2));
    let ranks: Vec<_> = layers.ranks.iter().map(|(name, rank)| (name.as_str(), *rank)).collect();
    assert_eq!(ranks, [("data", 1), ("files", 1), ("model", 2), ("rng", 0)]);
}

#[test]
#[should_panic(expected = "ARCHITECTURE.md:1: data stands in two layers")]
fn a_module_in_two_layers_is_refused() {
    read("```layers src\ndata < data\n```\n");
}
