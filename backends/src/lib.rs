//! Stock minimal order and payment services.
