//! Keeps the repository in order: the arrows between its modules, the sizes of its files and functions, its names, and
//! the way it speaks.
//!
//! `cargo test --test tidy` runs every check; `cargo test --test tidy -- arrows` runs one, and `--nocapture` prints its
//! counts. Every check also has tests on small sources that break its rule. ARCHITECTURE.md holds the layers that the
//! arrows obey.

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/columns.rs"]
mod columns;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/findings.rs"]
mod findings;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/msrv.rs"]
mod msrv;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/phrases.rs"]
mod phrases;
#[path = "tidy/resolve.rs"]
mod resolve;
#[path = "tidy/scopes.rs"]
mod scopes;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/sources.rs"]
mod sources;
#[path = "tidy/text.rs"]
mod text;
