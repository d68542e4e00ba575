//! Machine images: constraints, recipes, bakes, promotion between accounts, retention and orphans.

pub mod bake;
pub mod channels;
pub mod constraint;
pub mod image_settings;
pub mod life;
pub mod orphans;
pub mod promotion;
pub mod recipe;
pub mod retirement;
pub mod traffic;
pub mod uses;
