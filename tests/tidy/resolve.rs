//! Finds the file that defines what a path names, through re-exports.

use super::scopes::{Crate, ModuleId};

/// Thing that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A module.
    Module(ModuleId),
    /// An item, by the file that defines it.
    Item(String),
}

/// Steps through re-exports before a path is given up: more would be a circle of them.
const MAX_STEPS: usize = 32;

/// Types of the language whose names a module may bear too, as in `mod f32`.
const PRIMITIVES: [&str; 17] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16", "u32", "u64", "u128",
    "usize",
];

impl Crate {
    /// Target of a path as it stands in a module; `None` for names of other crates and of local variables.
    pub fn resolve(&self, from: ModuleId, segments: &[String]) -> Option<Target> {
        self.resolve_within(from, segments, MAX_STEPS)
    }

    fn resolve_within(&self, from: ModuleId, segments: &[String], steps: usize) -> Option<Target> {
        let steps = steps.checked_sub(1)?;
        let (first, mut rest) = segments.split_first()?;
        let module = &self.modules[from];
        let mut target = match first.as_str() {
            "crate" => Target::Module(module.root),
            "self" => Target::Module(from),
            "super" => Target::Module(module.parent),
            name if self.is_library_name(from, name) => Target::Module(self.library?),
            name => self.look_up(from, name, !rest.is_empty(), steps)?,
        };
        let by_name = matches!(target, Target::Module(_)) && PRIMITIVES.contains(&first.as_str());
        while let (Target::Module(id), [name, after @ ..]) = (&target, rest) {
            let id = *id;
            target = match name.as_str() {
                "super" => Target::Module(self.modules[id].parent),
                "self" => Target::Module(id),
                name => match self.look_up(id, name, !after.is_empty(), steps) {
                    Some(found) => found,
                    // The root's macros are in no module's scope; whatever else is unknown, a macro has made in that
                    // module.
                    None if by_name || (id == self.modules[id].root && after.is_empty()) => return None,
                    None => return Some(Target::Item(self.modules[id].file.clone())),
                },
            };
            rest = after;
        }
        Some(target)
    }

    /// The program's modules call the library by the package's name.
    fn is_library_name(&self, from: ModuleId, name: &str) -> bool {
        let in_program = self.library.is_some_and(|library| self.modules[from].root != library);
        in_program && self.package_name() == name
    }

    /// The package's name as paths write it, from the folder above `src`.
    fn package_name(&self) -> String {
        let folder = self.modules[0].file.split('/').rev().nth(2).unwrap_or("ancestral");
        folder.replace('-', "_")
    }

    /// A name in a module's scope. `is_module`: more segments follow, so that a module goes before an item of the same
    /// name.
    fn look_up(&self, id: ModuleId, name: &str, is_module: bool, steps: usize) -> Option<Target> {
        let module = &self.modules[id];
        let child = module.children.get(name).map(|child| Target::Module(*child));
        if is_module && child.is_some() {
            return child;
        }
        if module.items.iter().any(|item| item == name) {
            return Some(Target::Item(module.file.clone()));
        }
        let imports = module.imports.iter().filter(|(alias, _)| alias == name);
        let mut targets: Vec<_> = imports
            .filter(|(_, import)| !(import.mention.segments.len() == 1 && import.mention.segments[0] == name))
            .filter_map(|(_, import)| self.resolve_within(id, &import.mention.segments, steps))
            .collect();
        targets.sort_by_key(|target| matches!(target, Target::Module(_)) != is_module);
        if let Some(target) = targets.into_iter().next() {
            return Some(target);
        }
        if child.is_some() {
            return child;
        }
        let by_glob = module.globs.iter().find_map(|glob| {
            let Some(Target::Module(other)) = self.resolve_within(id, &glob.mention.segments, steps) else {
                return None;
            };
            (other != id).then(|| self.look_up(other, name, is_module, steps.checked_sub(1)?))?
        });
        by_glob.or_else(|| {
            let file = self.macros.get(name)?;
            (id == module.root).then(|| Target::Item(file.clone()))
        })
    }
}
