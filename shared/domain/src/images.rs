//! Machine images: constraints, recipes, bakes, promotion between accounts, retention and orphans.

pub mod bake;
pub mod build_permission;
pub mod channels;
pub mod constraint;
pub mod copy_slots;
pub mod lifecycle;
pub mod orphans;
pub mod promotion;
pub mod publishing;
pub mod recipe;
pub mod references;
pub mod retention;
pub mod settings;
